"""`region` equals slicing of the whole picture, anywhere, whatever lies underneath."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from slides_files import halved, write_ome_pyramid

from napari_aml.errors import SlideReadError
from napari_aml.slides import ArraySlide, PixelSize, open_slide

KINDS = ("array", "levels", "png", "tiles", "strips", "planes", "contiguous", "pyramid", "dask")


@pytest.fixture(scope="module")
def slides(field, tmp_path_factory):
    """One slide of each kind and what it must give: kind → (slide, [whole levels])."""
    import dask.array as da
    from PIL import Image

    folder = tmp_path_factory.mktemp("regions")

    @lru_cache
    def make(kind: str):
        path, levels = folder / f"{kind}.tif", [field]
        if kind == "array":
            return ArraySlide([field]), levels
        if kind == "levels":
            levels = [field, halved(field)]
            return ArraySlide(levels), levels
        if kind == "dask":
            return ArraySlide([da.from_array(field, chunks=(100, 100, 3))]), levels
        if kind == "png":
            path = folder / "field.png"
            Image.fromarray(field).save(path)
        elif kind == "pyramid":
            levels = [field, halved(field), halved(halved(field))]
            write_ome_pyramid(path, field, compression="zlib")
        elif kind == "planes":
            tifffile.imwrite(
                path, np.moveaxis(field, -1, 0), photometric="rgb", planarconfig="separate", tile=(96, 112)
            )
        else:
            options = {
                "tiles": {"tile": (96, 112), "compression": "zlib"},
                "strips": {"rowsperstrip": 13, "compression": "zlib"},
                "contiguous": {},
            }[kind]
            tifffile.imwrite(path, field, photometric="rgb", **options)
        return open_slide(path), levels

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("napari_aml.slides.tiff.IN_MEMORY_PIXELS", 0)
        patch.setattr("napari_aml.slides.tiff._BAND_ROWS", 64)
        for kind in KINDS:
            make(kind)
        yield make


def expected(whole: np.ndarray, y: int, x: int, h: int, w: int) -> np.ndarray:
    """Slice a picture that is white all around."""
    framed = np.pad(whole, ((300, 1200), (300, 1400), (0, 0)), constant_values=255)
    return framed[y + 300 : y + 300 + h, x + 300 : x + 300 + w]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_region_is_a_slice_anywhere(slides, kind, data):
    slide, levels = slides(kind)
    level = data.draw(st.integers(0, len(levels) - 1))
    y, x = data.draw(st.integers(-300, 700)), data.draw(st.integers(-300, 900))
    h, w = data.draw(st.integers(0, 400)), data.draw(st.integers(0, 400))
    got = slide.region(level, y, x, h, w)
    assert got.dtype == np.uint8
    assert np.array_equal(got, expected(levels[level], y, x, h, w))


@pytest.mark.parametrize("kind", KINDS)
def test_levels_say_their_size(slides, kind):
    slide, levels = slides(kind)
    assert [(level.height, level.width) for level in slide.levels] == [whole.shape[:2] for whole in levels]
    assert slide.levels[0].downsample == 1


@pytest.mark.parametrize("kind", KINDS)
def test_drawing_on_a_region_does_not_draw_on_the_slide(slides, kind):
    slide, levels = slides(kind)
    slide.region(0, 0, 0, *slide.shape)[:] = 0
    assert np.array_equal(slide.region(0, 0, 0, *slide.shape), levels[0])


@pytest.mark.parametrize("kind", ["tiles", "strips", "pyramid"])
def test_reading_from_several_threads(slides, kind):
    """napari reads tiles from its own threads."""
    from concurrent.futures import ThreadPoolExecutor

    slide, (whole, *_) = slides(kind)
    corners = [(y, x) for y in range(0, 480, 48) for x in range(0, 640, 64)] * 3
    with ThreadPoolExecutor(2) as pool:
        got = list(pool.map(lambda corner: slide.region(0, *corner, 48, 64), corners))
    assert all(np.array_equal(tile, whole[y : y + 48, x : x + 64]) for tile, (y, x) in zip(got, corners, strict=True))


def test_only_the_tiles_asked_for_are_decoded(tmp_path, field, lazy):
    """Of all tiles one is left whole: it can be read, so nothing else was needed for it."""
    path = tmp_path / "t.tif"
    tifffile.imwrite(path, field, photometric="rgb", tile=(64, 64), compression="zlib")
    with tifffile.TiffFile(path) as tif:
        page = tif.pages[0]
        columns = -(-field.shape[1] // 64)
        spoilt = [
            segment
            for i, segment in enumerate(zip(page.dataoffsets, page.databytecounts, strict=True))
            if i != columns + 1
        ]
    with open(path, "r+b") as stream:
        for offset, count in spoilt:
            stream.seek(offset)
            stream.write(b"\xff" * count)
    slide = open_slide(path)
    assert np.array_equal(slide.region(0, 64, 64, 64, 64), field[64:128, 64:128])
    with pytest.raises(SlideReadError, match=r"t\.tif.*row 0, column 0 \(level 0\) is damaged"):
        slide.region(0, 0, 0, 64, 64)


def test_the_same_file_has_the_same_id_and_another_has_another(tmp_path, field):
    for name, picture in (("a.tif", field), ("b.tif", field), ("c.tif", field[::-1])):
        tifffile.imwrite(tmp_path / name, picture, photometric="rgb", datetime=False, metadata=None)
    a, b, c = (open_slide(tmp_path / name).slide_id for name in ("a.tif", "b.tif", "c.tif"))
    assert a == b != c
    assert open_slide(field).slide_id == open_slide(field.copy()).slide_id != open_slide(field[::-1]).slide_id


def test_level_for_is_the_coarsest_that_is_fine_enough(field):
    slide = ArraySlide([field, halved(field), halved(halved(field))], pixel_size=PixelSize(0.1, "person"))
    assert [slide.level_for(um) for um in (0.05, 0.1, 0.19, 0.2, 0.39, 0.4, 5.0)] == [0, 0, 0, 1, 1, 2, 2]
    assert ArraySlide([field, halved(field)]).level_for(5.0) == 0


def test_naming_a_slide_leaves_the_given_one_as_it_was(field):
    slide = open_slide(field, name="first")
    assert open_slide(slide, name="second", pixel_size_um=0.2).pixel_size.source == "person"
    assert (slide.name, slide.pixel_size.um) == ("first", None)
