"""TIFFs on disk: the same pixels, tiled, compressed, with the pixel size."""

from __future__ import annotations

import itertools
import threading

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_aml.cells import CellMasks
from napari_aml.explain import paste_heatmaps
from napari_aml.export.rasters import TILE, TileIndex, heatmap_tiles, label_tiles, write_tiff_steps
from napari_aml.progress import run


def write(path, source, shape, dtype=np.int32, um=0.25):
    return run(write_tiff_steps(path, source, shape, dtype, um, "Test."))


def test_labels_come_back_as_they_were(tmp_path, analysis):
    masks = analysis.cells.masks
    for part in ("cell", "nucleus"):
        back = tifffile.imread(write(tmp_path / f"{part}.tif", label_tiles(masks, part), masks.shape))
        assert back.dtype == np.int32
        np.testing.assert_array_equal(back, masks.to_array(part))


def test_the_file_is_tiled_compressed_and_knows_its_pixel_size(tmp_path, analysis):
    path = write(tmp_path / "l.tif", label_tiles(analysis.cells.masks, "cell"), analysis.slide.shape, um=0.2)
    with tifffile.TiffFile(path) as tif:
        page = tif.pages[0]
        assert page.is_tiled
        assert page.compression == tifffile.COMPRESSION.ADOBE_DEFLATE
        assert page.get_resolution(tifffile.RESUNIT.MICROMETER) == pytest.approx((5, 5))
        assert "For Research Use Only" in page.description
        assert len(tif.pages) == 1
    assert path.stat().st_size < 0.05 * analysis.slide.shape[0] * analysis.slide.shape[1] * 4


def test_an_unknown_pixel_size_is_not_made_up(tmp_path, analysis):
    path = write(tmp_path / "l.tif", label_tiles(analysis.cells.masks, "cell"), analysis.slide.shape, um=None)
    with tifffile.TiffFile(path) as tif:
        assert tif.pages[0].tags.get("ResolutionUnit") is None or tif.pages[0].tags["ResolutionUnit"].value == 1


def test_the_heatmap_is_the_composite_of_the_explain_room(tmp_path, analysis):
    maps, masks = analysis.heatmaps, analysis.cells.masks
    labels = analysis.cells.table["label"].to_numpy()
    path = write(tmp_path / "c.tif", heatmap_tiles(maps, masks, labels), masks.shape, np.float32)
    back = tifffile.imread(path)
    assert back.dtype == np.float32
    np.testing.assert_allclose(back, paste_heatmaps(masks.shape, maps, masks, labels), atol=1e-6)
    # The fifth map lies around 5, raw; far from all crops there is nothing.
    assert 5 <= back[600, 1000] <= 6
    assert back[350, 5] == 0


@settings(deadline=None, max_examples=25)
@given(
    st.integers(1, 1200),
    st.integers(1, 1200),
    st.lists(st.tuples(st.integers(-40, 1200), st.integers(-40, 1200)), max_size=12),
)
def test_tiles_find_every_box_that_meets_them(height, width, corners):
    boxes = np.array([(y, x, y + 50, x + 70) for y, x in corners], float).reshape(-1, 4)
    index = TileIndex(boxes)
    for y, x in itertools.product(range(0, height, TILE), range(0, width, TILE)):
        meets = (boxes[:, 0] < y + TILE) & (boxes[:, 2] > y) & (boxes[:, 1] < x + TILE) & (boxes[:, 3] > x)
        assert sorted(index.at(y, x)) == np.flatnonzero(meets).tolist()


def test_an_empty_raster(tmp_path):
    masks = CellMasks((3, 5))
    back = tifffile.imread(write(tmp_path / "e.tif", label_tiles(masks, "cell"), masks.shape))
    np.testing.assert_array_equal(back, np.zeros((3, 5), np.int32))


def test_closing_half_way_ends_the_writer(tmp_path):
    before = threading.active_count()
    steps = write_tiff_steps(
        tmp_path / "x.tif", lambda y, x, h, w: _slow(h, w), (TILE * 8, TILE * 8), np.int32, 0.2, "Test."
    )
    next(steps)
    steps.close()
    assert threading.active_count() <= before


def _slow(h, w):
    import time

    time.sleep(0.02)
    return np.zeros((h, w), np.int32)


def test_an_error_of_the_source_goes_on_to_the_caller(tmp_path):
    def broken(y, x, h, w):
        raise RuntimeError("no tile")

    with pytest.raises(RuntimeError, match="no tile"):
        write(tmp_path / "x.tif", broken, (TILE * 2, TILE))


def test_an_error_of_the_writer_goes_on_to_the_caller(tmp_path):
    masks = CellMasks((TILE * 20, TILE * 20))
    with pytest.raises(OSError):
        write(tmp_path / "nowhere" / "x.tif", label_tiles(masks, "cell"), masks.shape)
