"""The training of the segmentation networks runs and what it writes can be used; drawn debris spares cells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from skimage.draw import disk

from napari_aml.cells.training.debris import litter
from napari_aml.cells.training.scenes import SIDE, Scenes, Source
from napari_aml.cells.unet import UNetSegmenter
from napari_aml.errors import InputError


@pytest.fixture(scope="module")
def source() -> Source:
    """Four fields with one drawn cell each."""
    rgb = np.full((4, 150, 150, 3), 225, np.uint8)
    cells, nuclei = np.zeros((4, 150, 150), np.int32), np.zeros((4, 150, 150), bool)
    for i in range(4):
        for radius, colour in ((26, (190, 170, 215)), (16, (90, 40, 140))):
            where = disk((60 + 8 * i, 75), radius)
            rgb[i][where] = colour
            (cells if radius == 26 else nuclei)[i][where] = 1
    return Source(rgb, cells, nuclei, np.zeros(cells.shape, bool), 0.25)


def test_debris_spares_the_cells(source: Source) -> None:
    rng = np.random.default_rng(0)
    touched = 0
    for _ in range(12):
        rgb, cells = source.rgb[0].copy(), source.cells[0]
        litter(rgb, cells, 0.25, rng)
        assert (rgb[cells > 0] == source.rgb[0][cells > 0]).all()
        assert (rgb <= source.rgb[0]).all(), "debris only darkens"
        touched += bool((rgb != source.rgb[0]).any())
    assert touched >= 6


def test_scenes_are_whole(source: Source) -> None:
    scenes, rng = Scenes({"made up": source}, {"made up": 1.0}), np.random.default_rng(1)
    for _ in range(10):
        rgb, cell, nucleus, distance, ignore = scenes.draw(rng)
        assert rgb.shape == (SIDE, SIDE, 3)
        assert rgb.dtype == np.float32
        assert 0 <= rgb.min() <= rgb.max() <= 1
        assert cell.shape == nucleus.shape == distance.shape == ignore.shape == (SIDE, SIDE)
        assert (distance[~cell] == 0).all()


@pytest.mark.parametrize("damaged", [None, b"", b"no picture"], ids=["missing", "empty", "damaged"])
def test_a_picture_that_cannot_be_read_is_named(tmp_path: Path, damaged: bytes | None) -> None:
    import cv2

    from napari_aml.cells.training import sources

    pictures, masks = tmp_path / "smears_bccd/images", tmp_path / "smears_bccd/nucleus_masks"
    pictures.mkdir(parents=True)
    masks.mkdir()
    (pictures / "one.png").write_bytes(cv2.imencode(".png", np.zeros((134, 179, 3), np.uint8))[1].tobytes())
    if damaged is not None:
        (masks / "one.png").write_bytes(damaged)
    with pytest.raises(InputError, match=r"nucleus_masks.one\.png"):
        sources.bccd(tmp_path)


def test_training_writes_networks_that_segment(source: Source, tmp_path: Path, monkeypatch) -> None:
    from napari_aml._torch import torch
    from napari_aml.cells.training import fit

    monkeypatch.setattr(fit, "WEIGHTS", {"made up": 1.0})
    threads = torch.get_num_threads()
    try:
        model = fit.train({"made up": source}, 3, tmp_path / "state.pt", batch=2)
        again = fit.train({"made up": source}, 3, tmp_path / "again.pt", batch=2)
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), again.state_dict().values(), strict=True))
    plain = fit.Both()
    half, whole = (fit.between(plain, model, share).state_dict() for share in (0.5, 1.0))
    for name, last in model.state_dict().items():
        assert torch.equal(whole[name], last)
        if last.dtype.is_floating_point:
            torch.testing.assert_close(half[name], (plain.state_dict()[name] + last) / 2)
    fit.export(model, tmp_path, {"version": "test"})
    segmenter = UNetSegmenter(weights=tmp_path)
    assert segmenter.version == "test"
    found = segmenter.segment(source.rgb[0], 0.25)
    assert found.cells.shape == source.rgb[0].shape[:2]
    again = fit.Both()
    again.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
