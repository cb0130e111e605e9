"""Whatever is wrong with a picture: one typed error that names the file and says what to do, or defined pixels."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from slides_files import write_ome_pyramid, write_svs

from napari_aml.errors import InputError, NotASmearError, SlideReadError
from napari_aml.slides import open_slide


def encoded(picture: np.ndarray, kind: str) -> bytes:
    stream = io.BytesIO()
    if kind == "TIFF":
        tifffile.imwrite(stream, picture, photometric="rgb", compression="zlib", tile=(128, 128))
    else:
        Image.fromarray(picture).save(stream, format=kind)
    return stream.getvalue()


def empty(path: Path, field: np.ndarray) -> None:
    path.write_bytes(b"")


def text(path: Path, field: np.ndarray) -> None:
    path.write_text("this is no picture, but a note about one\n" * 40)


def web_page(path: Path, field: np.ndarray) -> None:
    path.write_text("<!DOCTYPE html><html><body>404</body></html>")


def zeros(path: Path, field: np.ndarray) -> None:
    path.write_bytes(bytes(5000))


def noise(path: Path, field: np.ndarray) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(5000))


def pdf(path: Path, field: np.ndarray) -> None:
    path.write_bytes(b"%PDF-1.7 and so on")


def half_a_picture(path: Path, field: np.ndarray) -> None:
    kind = {".jpg": "JPEG", ".tif": "TIFF", ".svs": "TIFF", ".webp": "WEBP"}.get(path.suffix, "PNG")
    whole = encoded(field, kind)
    path.write_bytes(whole[: len(whole) // 2])


def only_a_header(path: Path, field: np.ndarray) -> None:
    kind = {".jpg": "JPEG", ".tif": "TIFF", ".svs": "TIFF", ".webp": "WEBP"}.get(path.suffix, "PNG")
    path.write_bytes(encoded(field, kind)[:20])


def folder(path: Path, field: np.ndarray) -> None:
    path.mkdir()


def missing(path: Path, field: np.ndarray) -> None:
    pass


UNREADABLE = [empty, text, web_page, zeros, noise, pdf, half_a_picture, only_a_header, folder, missing]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".svs", ".webp"])
@pytest.mark.parametrize("wrong", UNREADABLE, ids=lambda f: f.__name__)
def test_unreadable_file(tmp_path, field, wrong, suffix):
    path = tmp_path / f"smear{suffix}"
    wrong(path, field)
    with pytest.raises(SlideReadError) as caught:
        slide = open_slide(path)
        slide.region(0, 0, 0, *slide.shape)
    assert str(path) in caught.value.message
    assert caught.value.hint
    assert caught.value.exit_code == 2


def test_messages_say_what_the_file_is(tmp_path, field):
    for wrong, words in (
        (empty, "0 bytes"),
        (text, "is text"),
        (web_page, "web page"),
        (pdf, "PDF"),
        (zeros, "zero bytes"),
    ):
        path = tmp_path / f"{wrong.__name__}.png"
        wrong(path, field)
        with pytest.raises(SlideReadError, match=words):
            open_slide(path)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 0.98))
def test_cut_off_anywhere(tmp_path, field, kind, share):
    whole = encoded(field[:200, :200], kind)
    path = tmp_path / f"cut.{kind.lower()}"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(InputError, match="cut"):
        slide = open_slide(path)
        slide.region(0, 0, 0, *slide.shape)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.floats(0, 1), value=st.binary(min_size=1, max_size=8))
def test_spoilt_bytes_never_raise_anything_else(tmp_path, field, kind, where, value):
    whole = bytearray(encoded(field[:160, :160], kind))
    at = int(where * (len(whole) - len(value)))
    whole[at : at + len(value)] = value
    path = tmp_path / f"spoilt.{kind.lower()}"
    path.write_bytes(whole)
    try:
        slide = open_slide(path)
        picture = slide.region(0, 0, 0, *(min(n, 500) for n in slide.shape))
        assert picture.dtype == np.uint8
        assert picture.shape[2] == 3
    except InputError as error:
        assert "spoilt" in str(error)


@pytest.mark.parametrize("compression", ["zlib", "jpeg", "lzw", "zstd", "jpeg2000"])
def test_spoilt_tile_amid_a_large_tiff(tmp_path, field, lazy, compression):
    path = tmp_path / "large.tif"
    tifffile.imwrite(path, field, photometric="rgb", tile=(128, 128), compression=compression)
    with tifffile.TiffFile(path) as tif:
        page = tif.pages[0]
        offset, count = page.dataoffsets[7], page.databytecounts[7]
    with open(path, "r+b") as stream:
        stream.seek(offset)
        stream.write(b"\x00" * count)
    slide = open_slide(path)
    assert slide.region(0, 0, 0, 100, 100).shape == (100, 100, 3)
    with pytest.raises(SlideReadError, match=r"large\.tif.*damaged"):
        slide.region(0, 128, 256, 128, 128)


def test_large_tiff_cut_off_at_its_end(tmp_path, field, lazy):
    path = tmp_path / "cut.tif"
    with tifffile.TiffWriter(path) as tif:
        tif.write(field, photometric="rgb", tile=(128, 128), compression="zlib")
    with tifffile.TiffFile(path) as tif:
        last = tif.pages[0].dataoffsets[-1]
    whole = path.read_bytes()
    path.write_bytes(whole[: last + 10])
    slide = open_slide(path)
    with pytest.raises(SlideReadError, match=r"cut\.tif.*damaged"):
        slide.region(0, 400, 600, 80, 40)


def test_uncompressed_tiff_cut_off(tmp_path, field, lazy):
    path = tmp_path / "cut.tif"
    tifffile.imwrite(path, field, photometric="rgb")
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(SlideReadError, match=r"cut\.tif"):
        slide = open_slide(path)
        slide.region(0, 470, 0, 10, 640)


def png_that_claims(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(100_000, 100_000), (2**31 - 1, 2**31 - 1), (20_000, 20_000)])
def test_huge_picture_that_must_be_decoded_whole_is_refused_before(tmp_path, size):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_that_claims(*size))
    before = Image.MAX_IMAGE_PIXELS
    with pytest.raises(SlideReadError, match=r"bomb\.png"):
        open_slide(path)
    assert before == Image.MAX_IMAGE_PIXELS


def test_huge_png_says_how_to_tile_it(tmp_path):
    path = tmp_path / "huge.png"
    path.write_bytes(png_that_claims(60_000, 60_000))
    with pytest.raises(SlideReadError, match=r"60000x60000 pixels.*tiled TIFF"):
        open_slide(path)


def test_huge_tiff_is_read_by_tiles(tmp_path):
    """Ten gigapixels, sparse: 4 KB on the disk, and no more than the tiles in memory."""
    path = tmp_path / "huge.tif"
    tile = np.full((512, 512, 3), 200, np.uint8)
    shape = (100_352, 100_352, 3)

    def tiles():
        yield tile
        for _ in range(shape[0] // 512 * (shape[1] // 512) - 1):
            yield None

    tifffile.imwrite(path, tiles(), shape=shape, dtype=np.uint8, photometric="rgb", tile=(512, 512), compression="zlib")
    slide = open_slide(path)
    assert slide.shape == shape[:2]
    assert (slide.region(0, 0, 0, 512, 512) == 200).all()
    assert slide.region(0, 100_000, 100_000, 352, 352).shape == (352, 352, 3)


def test_huge_tiff_in_one_compressed_piece_is_refused(tmp_path, field, monkeypatch):
    monkeypatch.setattr("napari_aml.slides.tiff.IN_MEMORY_PIXELS", 1000)
    monkeypatch.setattr("napari_aml.slides.tiff.MAX_PIECE_PIXELS", 1000)
    tifffile.imwrite(tmp_path / "one.tif", field, photometric="rgb", rowsperstrip=480, compression="zlib")
    with pytest.raises(SlideReadError, match=r"one\.tif.*one compressed piece.*tiled TIFF"):
        open_slide(tmp_path / "one.tif")


def test_no_permission(tmp_path, field, monkeypatch):
    path = tmp_path / "locked.png"
    Image.fromarray(field).save(path)
    if os.geteuid() != 0:
        path.chmod(0)
    else:  # the superuser may read everything

        def refuse(*arguments: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("napari_aml.slides.sniff.sniff", refuse)
    with pytest.raises(SlideReadError, match=r"locked\.png.*permission"):
        open_slide(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(SlideReadError, match="no regular file"):
        open_slide(tmp_path / "pipe.png")


@pytest.mark.parametrize(("name", "hint"), [("a.czi", "OME-TIFF"), ("a.xyz", "Known: "), ("noname", "Known: ")])
def test_formats_that_are_not_read(tmp_path, name, hint):
    (tmp_path / name).write_bytes(np.random.default_rng(1).bytes(2000))
    with pytest.raises(SlideReadError, match=hint):
        open_slide(tmp_path / name)


def test_zarr_folder_that_is_none(tmp_path):
    (tmp_path / "empty.zarr").mkdir()
    with pytest.raises(SlideReadError, match=r"empty\.zarr.*no OME-Zarr"):
        open_slide(tmp_path / "empty.zarr")


@pytest.mark.parametrize(
    ("array", "error"),
    [
        (np.zeros((0, 0, 3), np.uint8), SlideReadError),
        (np.zeros((0, 40, 3), np.uint8), SlideReadError),
        (np.full((40, 40, 3), np.nan), SlideReadError),
        (np.full((40, 40, 3), np.inf, np.float32), SlideReadError),
        (np.full((40, 40, 3), -1, np.int16), SlideReadError),
        (np.zeros((40, 40, 3), complex), SlideReadError),
        (np.zeros((40, 40, 3), "U1"), SlideReadError),
        (np.zeros((40, 40), np.uint8), NotASmearError),
        (np.zeros((40, 40, 1), np.uint8), NotASmearError),
        (np.zeros((40, 40, 2), np.uint8), NotASmearError),
        (np.zeros((40, 40, 7), np.uint8), NotASmearError),
        (np.zeros((2, 40, 40, 3), np.uint8), SlideReadError),
        (np.zeros(40, np.uint8), SlideReadError),
        ([], SlideReadError),
        (7, SlideReadError),
        ([7], SlideReadError),
        (None, SlideReadError),
        ([np.zeros((20, 20, 3), np.uint8), np.zeros((40, 40, 3), np.uint8)], SlideReadError),
    ],
    ids=str,
)
def test_arrays_that_are_no_picture(array, error):
    with pytest.raises(error) as caught:
        open_slide(array, name="my layer")
    assert caught.value.hint


def test_not_a_number_amid_a_large_array():
    picture = np.zeros((3000, 3000, 3), np.float32)
    picture[1777, 2345] = np.nan
    with pytest.raises(SlideReadError, match="NaN"):
        slide = open_slide(picture)
        slide.region(0, 1700, 2300, 100, 100)


def test_grey_whole_slide(tmp_path, field):
    tifffile.imwrite(tmp_path / "g.tif", field[..., 0], tile=(128, 128))
    with pytest.raises(NotASmearError, match=r"g\.tif.*stain's colours"):
        open_slide(tmp_path / "g.tif")


def test_tiff_that_holds_a_label_only_beside_nothing(tmp_path, field):
    """A scanner's file whose specimen is missing: the label is not shown in its place."""
    with tifffile.TiffWriter(tmp_path / "l.ome.tif", ome=True) as tif:
        tif.write(field, photometric="rgb", metadata={"Name": "label image"})
        tif.write(field[:100, :100], photometric="rgb", metadata={"Name": "macro image"})
    with pytest.raises(SlideReadError, match="no picture of a specimen"):
        open_slide(tmp_path / "l.ome.tif")


def test_largest_series_is_not_taken_where_it_is_the_macro(tmp_path, field):
    with tifffile.TiffWriter(tmp_path / "m.ome.tif", ome=True) as tif:
        tif.write(field, photometric="rgb", metadata={"Name": "macro image"})
        tif.write(field[:100, :120], photometric="rgb", metadata={"Name": "macrophages, patient slide"})
    assert open_slide(tmp_path / "m.ome.tif").shape == (100, 120)


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (3, 2)])
def test_tiny_pictures_are_pictures(tmp_path, size):
    picture = np.full((*size, 3), 77, np.uint8)
    Image.fromarray(picture).save(tmp_path / "tiny.png")
    assert np.array_equal(open_slide(tmp_path / "tiny.png").region(0, 0, 0, *size), picture)


@pytest.mark.parametrize("limit", ["IN_MEMORY_PIXELS", "_COARSE_PIXELS"])
def test_pyramid_whose_coarse_level_is_spoilt_still_gives_the_fine_one(tmp_path, field, monkeypatch, limit):
    """Of a pyramid nothing is decoded before it is looked at, but for what is small."""
    monkeypatch.setattr(f"napari_aml.slides.tiff.{limit}", 0)
    path = write_ome_pyramid(tmp_path / "p.ome.tif", field, compression="zlib")
    with tifffile.TiffFile(path) as tif:
        page = tif.series[0].levels[1].pages[0]
        offset, count = page.dataoffsets[0], page.databytecounts[0]
    with open(path, "r+b") as stream:
        stream.seek(offset)
        stream.write(b"\xff" * count)
    slide = open_slide(path)
    assert np.array_equal(slide.region(0, 0, 0, *slide.shape), field)
    with pytest.raises(SlideReadError, match="level 1"):
        slide.region(1, 0, 0, 100, 100)


def test_open_files_are_closed_with_the_slide(tmp_path, field, lazy):
    """On Windows an open file cannot be moved; everywhere the number of open files is limited."""
    import gc

    descriptors = Path("/proc/self/fd")
    if not descriptors.is_dir():
        pytest.skip("this system does not list open files")
    path = write_svs(tmp_path / "s.svs", field)
    gc.collect()
    before = len(list(descriptors.iterdir()))
    for _ in range(5):
        slide = open_slide(path)
        slide.region(0, 0, 0, 10, 10)
        del slide
    gc.collect()
    assert len(list(descriptors.iterdir())) <= before


def test_messages_quote_nothing_of_the_files_description(tmp_path, field, capfd):
    path = write_svs(tmp_path / "s.svs", field)
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"Jane Doe")] + b"Jane Doe")
    with pytest.raises(SlideReadError) as caught:
        slide = open_slide(path)
        slide.region(0, 0, 0, *slide.shape)
    assert "Doe" not in str(caught.value)
    assert capfd.readouterr() == ("", "")
