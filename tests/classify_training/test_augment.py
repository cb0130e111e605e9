from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_aml.classify.training import augment
from napari_aml.classify.training.augment import Variation


def test_the_plain_view_of_a_picture_is_the_picture() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (96, 96, 3), dtype=np.uint8)
    assert np.array_equal(augment.warped(picture, 96, 96), picture)


def test_a_field_is_cut_about_the_centre() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (96, 96, 3), dtype=np.uint8)
    assert np.array_equal(augment.warped(picture, 48, 48), picture[24:72, 24:72])


def test_mirroring_mirrors() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    assert np.array_equal(augment.warped(picture, 64, 64, flip=True), picture[:, ::-1])


def test_reducing_averages_instead_of_aliasing() -> None:
    lines = np.zeros((160, 160, 3), np.uint8)
    lines[:, ::2] = 255
    seen = augment.warped(lines, 40, 160)
    assert abs(seen[:, 2:-2].astype(float) - 127.5).max() < 40


@pytest.mark.parametrize("size", [1, 7])
def test_colours_stay_in_range_and_are_repeatable(size: int) -> None:
    batch = torch.rand(size, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    strong = Variation(transfer=1, blur=1, neighbour=1, erase=1)
    one, two = (augment.varied_colour(batch, strong, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(one, two)
    assert torch.isfinite(one).all() and one.min() >= 0 and one.max() <= 1
    assert not torch.allclose(one, batch, atol=0.05)


def test_no_variation_changes_nothing() -> None:
    batch = torch.rand(5, 3, 32, 32)
    none = Variation(stain=0, transfer=0, blur=0, neighbour=0, erase=0)
    assert torch.allclose(augment.varied_colour(batch, none, torch.Generator()), batch, atol=2e-3)


def test_neighbours_and_blanks_leave_the_cell_alone() -> None:
    batch = torch.rand(6, 3, 64, 64)
    middle = (slice(None), slice(None), slice(26, 38), slice(26, 38))
    generator = torch.Generator().manual_seed(2)
    beside = augment.add_neighbours(batch.clone(), Variation(neighbour=1), generator)
    blank = augment.erase_surroundings(batch.clone(), 1.0, generator)
    cut = augment.cut_off(batch.clone(), 1.0, generator)
    for changed in (beside, blank, cut):
        assert torch.equal(changed[middle], batch[middle])
        assert not torch.equal(changed, batch)


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
