"""The default segmenter on the shipped smear fields, and on pictures that are no smears."""

from __future__ import annotations

import threading

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_aml.cells import CellMasks, get_segmenter, segment, segment_steps
from napari_aml.cells.grid import BLOCK, Grid
from napari_aml.cells.ground import measure_ground
from napari_aml.cells.network import STRIDE, Networks
from napari_aml.cells.segment import _owned, _tiles
from napari_aml.progress import run
from napari_aml.samples import sample_paths
from napari_aml.slides import open_slide

UM = 0.075


def _field(name: str) -> np.ndarray:
    path = next(p for p in sample_paths("smear") if name in p.name)
    slide = open_slide(path, UM)
    return slide.region(0, 0, 0, *slide.shape)


@pytest.fixture(scope="module")
def segmenter():
    return get_segmenter("default")


@pytest.fixture(scope="module")
def mosaic() -> np.ndarray:
    """Six fields side by side: wider than one tile, so that tiles meet inside it."""
    fields = [_field(n) for n in ("00008", "00043", "00174", "00176", "00195", "00344")]
    return np.vstack([np.hstack(fields[:3]), np.hstack(fields[3:])])


def test_finds_the_white_cell_and_its_nucleus(segmenter) -> None:
    cells = segment(open_slide(_field("00008"), UM), segmenter)
    assert 1 <= len(cells) <= 2
    row = cells.table.iloc[0]
    assert 60 < row["area_um2"] < 350
    assert 0.15 < row["nc_ratio"] < 1.0
    label = int(row["label"])
    nuclei, whole = cells.masks.to_array("nucleus"), cells.masks.to_array()
    assert ((nuclei == label) <= (whole == label)).all()


def test_tiles_give_what_the_whole_picture_gives(segmenter, mosaic: np.ndarray) -> None:
    slide = open_slide(mosaic, UM)
    assert len(list(_tiles(slide, 0, UM))) > 1
    tiled = segment(slide, segmenter).masks
    found = segmenter.segment(measure_ground(slide, UM).whiten(mosaic), UM)
    whole = CellMasks.from_arrays(found.cells, found.nuclei)
    assert len(tiled) == len(whole) >= 6
    a, b = tiled.to_array(), found.cells
    for label in whole:
        mask = b == label
        other = np.bincount(a[mask]).argmax()
        assert other > 0
        assert (mask & (a == other)).sum() / (mask | (a == other)).sum() > 0.98


class Watched:
    """The default backend, watched: which threads work with how many threads of their own."""

    concurrent = True

    def __init__(self, inner, go: threading.Event | None = None) -> None:
        self.inner, self.name, self.version = inner, inner.name, inner.version
        self.calls: list[tuple[str, int]] = []
        self.go = go

    def segment_part(self, rgb, um, goes_on):
        self.calls.append((threading.current_thread().name, torch.get_num_threads()))
        if self.go is not None:
            assert self.go.wait(60)
        return self.inner.segment_part(rgb, um, goes_on)


@pytest.mark.usefixtures("two_cores")
def test_tiles_side_by_side_give_what_they_give_one_after_the_other(segmenter, mosaic: np.ndarray) -> None:
    slide, watched = open_slide(mosaic, UM), Watched(segmenter)
    beside = segment(slide, watched)
    assert len(watched.calls) == len(list(_tiles(slide, 0, UM)))
    assert {name.split("_")[0] for name, _ in watched.calls} == {"tiles"} and {n for _, n in watched.calls} == {1}
    assert torch.get_num_threads() == 2
    watched.concurrent = False  # a backend that does not say that it can is called by one thread
    alone = segment(slide, watched)
    assert watched.calls[-1] == (threading.current_thread().name, 2)
    assert np.array_equal(beside.masks.to_array(), alone.masks.to_array())
    assert np.array_equal(beside.masks.to_array("nucleus"), alone.masks.to_array("nucleus"))
    pd.testing.assert_frame_equal(beside.table, alone.table)


@pytest.mark.usefixtures("two_cores")
def test_a_long_tile_gives_signs_of_life_and_is_not_waited_for_when_cancelled(segmenter, mosaic: np.ndarray) -> None:
    go = threading.Event()
    steps = segment_steps(open_slide(mosaic, UM), Watched(segmenter, go))
    try:
        assert [next(steps).payload for _ in range(4)] == [None] * 4
        steps.close()  # would hang here if it waited
    finally:
        go.set()


@pytest.mark.parametrize("which", ["fine", "coarse"])
@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_doubling_and_convolving_in_one_is_both_one_after_the_other(which: str, rows: int, columns: int, seed: int):
    networks = Networks()
    networks.dtype, networks._rising = torch.float32, {}
    networks._w = {name: tensor.float() for name, tensor in networks._w.items()}
    picture = np.random.default_rng(seed).integers(0, 256, (STRIDE * rows, STRIDE * columns, 3), dtype=np.uint8)
    plain = getattr(networks, which)(picture)
    networks._rising = networks._risen()
    assert len(networks._rising) == 6
    np.testing.assert_allclose(getattr(networks, which)(picture), plain, atol=2e-5)


def test_same_answer_twice(segmenter) -> None:
    field = _field("00176")
    a, b = segmenter.segment(field, UM), segmenter.segment(field, UM)
    assert np.array_equal(a.cells, b.cells)
    assert np.array_equal(a.nuclei, b.nuclei)


def test_cells_arrive_while_the_job_runs_and_stopping_is_clean(segmenter, mosaic: np.ndarray) -> None:
    steps = segment_steps(open_slide(mosaic, UM), segmenter)
    part = next(p.payload for p in steps if p.payload is not None)
    assert len(part) > 0
    assert set(part.table["label"]) == set(part.masks)
    steps.close()
    events = []
    cells = run(segment_steps(open_slide(mosaic, UM), segmenter), events.append)
    assert sum(len(e.payload) for e in events if e.payload is not None) == len(cells)


def test_cut_off_cells_are_flagged(segmenter) -> None:
    field = _field("00008")
    row = segment(open_slide(field, UM), segmenter).table.iloc[0]
    cut = field[:, : int(row["x"])]
    cells = segment(open_slide(cut, UM), segmenter)
    assert cells.table["touches_border"].any()


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (7, 3), (20, 20), (33, 500)])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_no_cells_in_plain_pictures(segmenter, shape: tuple[int, int], value: int) -> None:
    cells = segment(open_slide(np.full((*shape, 3), value, np.uint8), UM), segmenter)
    assert len(cells) == 0
    assert cells.table["label"].dtype == np.int32
    assert cells.masks.to_array().shape == shape


def test_no_cells_in_noise(segmenter) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    assert len(segment(open_slide(noise, UM), segmenter)) == 0


def test_every_centroid_belongs_to_one_tile() -> None:
    slide = open_slide(np.zeros((4000, 3000, 3), np.uint8), UM)
    tiles = list(_tiles(slide, 0, UM))
    pitch = Grid.of(UM).pitch
    rng = np.random.default_rng(0)
    for y, x in rng.uniform((0, 0), (4000 / pitch, 3000 / pitch), (200, 2)):
        owners = [t for t in tiles if _owned(t, y, x) == "inside"]
        near = [t for t in tiles if _owned(t, y, x) == "near"]
        assert len(owners) == 1 or (not owners and len(near) >= 2)


@pytest.mark.parametrize("um", [0.03, 0.07, 0.1, 0.25, 0.5])
def test_blocks_stand_on_whole_pixels(um: float) -> None:
    grid = Grid.of(um)
    work = grid.resample(np.zeros((3 * grid.pitch, 2 * grid.pitch + 1, 3), np.uint8))
    assert work.shape == (3 * BLOCK, 3 * BLOCK, 3)
    assert abs(grid.scale * 0.25 / um - 1) < 0.04


def test_white_cells_of_many_fields(segmenter, shared_data) -> None:
    """Every boxed white cell of a sample of BCCD fields is found, and little else."""
    from xml.etree import ElementTree

    right = boxed = found = 0
    for path in sorted((shared_data / "smears_bccd/annotations_voc").glob("*.xml"))[::40]:
        boxes = [
            [int(o.find("bndbox").find(k).text) for k in ("xmin", "ymin", "xmax", "ymax")]
            for o in ElementTree.parse(path).getroot().iter("object") if o.find("name").text == "WBC"
        ]  # fmt: skip
        slide = open_slide(shared_data / f"smears_bccd/images/{path.stem}.jpg", UM)
        table = segment(slide, segmenter).table
        boxed, found = boxed + len(boxes), found + len(table)
        rows = table[["x0", "y0", "x1", "y1"]].to_numpy()
        right += sum(max((_iou(b, r) for r in rows), default=0) >= 0.5 for b in boxes)
    assert 2 * right / (boxed + found) >= 0.9


def _iou(a, b) -> float:
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    inter = max(0, w) * max(0, h)
    return inter / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter)
