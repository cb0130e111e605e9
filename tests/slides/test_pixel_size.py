"""µm per pixel: from every place where files state it, refused where it is a print resolution."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from slides_files import write_ome_pyramid

from napari_aml.errors import InputError
from napari_aml.slides import PixelSize, open_slide
from napari_aml.slides import pixel_size as px

UNITS = [("µm", 0.25), ("nm", 250.0), ("mm", 0.00025), ("cm", 0.000025), ("m", 2.5e-7)]


@pytest.mark.parametrize(("unit", "value"), UNITS)
def test_ome_units(tmp_path, field, unit, value):
    slide = open_slide(write_ome_pyramid(tmp_path / "p.ome.tif", field, um=value, unit=unit))
    assert slide.pixel_size.um == pytest.approx(0.25)
    assert slide.pixel_size.source == "file"
    assert "OME" in slide.pixel_size.detail


def test_ome_unit_that_is_no_length_says_nothing(tmp_path, field):
    slide = open_slide(write_ome_pyramid(tmp_path / "p.ome.tif", field, um=0.25, unit="pixel"))
    assert slide.pixel_size.um is None


@pytest.mark.parametrize(("unit", "per_unit"), [("CENTIMETER", 40_000), ("INCH", 101_600)])
def test_tiff_resolution(tmp_path, field, unit, per_unit):
    tifffile.imwrite(tmp_path / "r.tif", field, photometric="rgb", resolution=(per_unit, per_unit), resolutionunit=unit)
    assert open_slide(tmp_path / "r.tif").pixel_size.um == pytest.approx(0.25, rel=1e-4)


def test_tiff_resolution_without_a_unit_says_nothing(tmp_path, field):
    tifffile.imwrite(tmp_path / "r.tif", field, photometric="rgb", resolution=(40_000, 40_000), resolutionunit="NONE")
    assert open_slide(tmp_path / "r.tif").pixel_size.um is None


@pytest.mark.parametrize("unit", ["um", "micron", "\\u00B5m"])
def test_imagej(tmp_path, field, unit):
    tifffile.imwrite(tmp_path / "i.tif", field, imagej=True, resolution=(4.0, 4.0), metadata={"unit": unit})
    assert open_slide(tmp_path / "i.tif").pixel_size.um == pytest.approx(0.25)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif"])
def test_pictures_with_a_microscopes_resolution(tmp_path, field, suffix):
    path = tmp_path / f"p{suffix}"
    dots = 25_400 / 0.5  # JPEG holds at most 65,535 dots per inch: 0.39 µm
    Image.fromarray(field).save(path, dpi=(dots, dots))
    assert open_slide(path).pixel_size.um == pytest.approx(0.5, rel=1e-3)


@pytest.mark.parametrize("dots", [72, 96, 300, 1200])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif"])
def test_print_resolutions_are_ignored_and_it_is_said(tmp_path, field, suffix, dots):
    path = tmp_path / f"p{suffix}"
    Image.fromarray(field).save(path, dpi=(dots, dots))
    size = open_slide(path).pixel_size
    assert size.um is None
    assert size.source == "unknown"
    assert "ignored" in size.detail


def test_no_resolution_at_all(tmp_path, field):
    Image.fromarray(field).save(tmp_path / "p.png")
    assert open_slide(tmp_path / "p.png").pixel_size == px.UNKNOWN


def test_pixels_that_are_not_square_are_said(tmp_path, field):
    tifffile.imwrite(
        tmp_path / "r.tif", field, photometric="rgb", resolution=(40_000, 20_000), resolutionunit="CENTIMETER"
    )
    size = open_slide(tmp_path / "r.tif").pixel_size
    assert size.um == pytest.approx(np.sqrt(0.25 * 0.5), rel=1e-4)
    assert "not square" in size.detail


def test_a_person_goes_before_the_file(tmp_path, field):
    path = write_ome_pyramid(tmp_path / "p.ome.tif", field)
    size = open_slide(path, pixel_size_um=0.1).pixel_size
    assert (size.um, size.source) == (0.1, "person")


@pytest.mark.parametrize("wrong", [0, -1, float("nan"), float("inf")])
def test_what_is_no_pixel_size_is_refused(field, wrong):
    with pytest.raises(InputError, match="no pixel size"):
        open_slide(field, pixel_size_um=wrong)
    with pytest.raises(ValueError, match="positive"):
        PixelSize(wrong, "person")


def test_the_mosaic_states_its_pixel_size():
    from napari_aml.samples import MOSAIC_UM, mosaic_path

    assert open_slide(mosaic_path()).pixel_size.um == pytest.approx(MOSAIC_UM, rel=1e-3)


@pytest.mark.parametrize(
    ("text", "um"),
    [("|MPP = 0.2498|", 0.2498), ("MPP=0,5", 0.5), ("nothing", None), ("MPP = broken", None), ("MPP = 0.25.1", 0.25)],
)
def test_aperio_description(text, um):
    assert px.from_description(text) == um


def test_hostile_xml_expands_nothing():
    bomb = (
        '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>'
        '<OME><Pixels PhysicalSizeX="0.25">&b;</Pixels></OME>'
    )
    assert px.from_ome(bomb) == (None, None)


@given(x=st.floats(1e-9, 1e9), y=st.floats(1e-9, 1e9))
def test_settle_never_gives_what_no_microscope_has(x, y):
    size = px.settle([(x, y, "somewhere")])
    low, high = px.PLAUSIBLE_UM
    assert size.um is None or low <= size.um <= high
    assert (size.um is not None) == (low <= x <= high and low <= y <= high)
