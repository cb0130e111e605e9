from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_aml.classify.training.engine import Views, augment
from napari_aml.classify.training.engine.varying import coloured


def test_the_plain_view_of_a_picture_is_the_picture() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (96, 96, 3), dtype=np.uint8)
    assert np.array_equal(augment.warped(picture, 96, 96), picture)


def test_a_field_is_cut_about_the_centre() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (96, 96, 3), dtype=np.uint8)
    assert np.array_equal(augment.warped(picture, 48, 48), picture[24:72, 24:72])


def test_reducing_averages_instead_of_aliasing() -> None:
    lines = np.zeros((160, 160, 3), np.uint8)
    lines[:, ::2] = 255
    seen = augment.warped(lines, 40, 160)
    assert abs(seen[:, 2:-2].astype(float) - 127.5).max() < 40


@pytest.mark.parametrize("size", [1, 7])
def test_colours_stay_in_range_and_are_repeatable(size: int) -> None:
    batch = torch.rand(size, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    strong = Views(stain=1, transfer=1, blur=1, erase=1, pale=1)
    one, two = (coloured(batch.clone(), strong, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(one, two)
    assert torch.isfinite(one).all() and one.min() >= 0 and one.max() <= 1
    assert not torch.allclose(one, batch, atol=0.05)


def test_no_variation_changes_nothing() -> None:
    batch = torch.rand(5, 3, 32, 32)
    none = Views(stain=0, transfer=0, blur=0, erase=0, pale=0)
    assert torch.equal(coloured(batch.clone(), none, torch.Generator()), batch)


def test_the_stain_of_another_picture_moves_the_colours_and_keeps_the_pattern() -> None:
    generator = torch.Generator().manual_seed(3)
    batch = torch.rand(2, 3, 32, 32, generator=generator) * 0.4
    batch[1] += 0.5
    density = -torch.log(batch.clamp_min(1e-3))
    moved = augment.transfer_stain(density.clone(), 1.0, generator)
    gap = (density.mean((2, 3))[0] - density.mean((2, 3))[1]).abs()
    assert ((moved.mean((2, 3)) - density.mean((2, 3))).abs() <= gap + 1e-4).all()
    both = torch.stack([moved[0].flatten(1), density[0].flatten(1)], 1)
    assert min(torch.corrcoef(pair)[0, 1] for pair in both) > 0.999


def test_pale_pictures_have_less_contrast() -> None:
    batch = torch.rand(8, 3, 32, 32)
    pale = augment.make_pale(batch.clone(), 1.0, torch.Generator().manual_seed(0))
    assert (pale.std((1, 2, 3)) < batch.std((1, 2, 3))).all()


def test_turning_the_hue_keeps_grey_grey() -> None:
    chroma = torch.rand(3, 3, 4, 4)
    chroma -= chroma.mean(1, keepdim=True)
    turned = augment._turn_hue(chroma, torch.full((3, 1, 1, 1), 0.4))
    assert torch.allclose(turned.mean(1), torch.zeros(3, 4, 4), atol=1e-6)
    assert torch.allclose(turned.norm(dim=1), chroma.norm(dim=1), atol=1e-5)
