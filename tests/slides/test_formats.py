"""Every format gives the pixels that were written, in RGB, with the pixel size that the file states."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image
from slides_files import halved, write_ome_pyramid, write_svs

from napari_aml.errors import NotASmearError
from napari_aml.slides import open_slide


def by_pillow(path, mode: str = "RGB") -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert(mode))


def whole(slide) -> np.ndarray:
    return slide.region(0, 0, 0, *slide.shape)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".webp", ".jp2"])
def test_lossless_pictures_come_back(tmp_path, field, suffix):
    path = tmp_path / f"field{suffix}"
    options = {".webp": {"lossless": True}, ".jp2": {"irreversible": False}}.get(suffix, {})
    Image.fromarray(field).save(path, **options)
    assert np.array_equal(whole(open_slide(path)), field)


def test_jpeg_comes_back_as_pillow_decodes_it(tmp_path, field):
    path = tmp_path / "field.jpg"
    Image.fromarray(field).save(path, quality=90)
    assert np.array_equal(whole(open_slide(path)), by_pillow(path))


def test_name_with_letters_of_other_scripts(tmp_path, field):
    path = tmp_path / "Ausstrich Zürich 血液 №1.png"
    Image.fromarray(field).save(path)
    slide = open_slide(path)
    assert slide.name == "Ausstrich Zürich 血液 №1"
    assert np.array_equal(whole(slide), field)
    tiff = tmp_path / "血液.tif"
    tifffile.imwrite(tiff, field, photometric="rgb")
    assert np.array_equal(whole(open_slide(tiff)), field)


def test_content_goes_before_suffix(tmp_path, field):
    path = tmp_path / "really_a_png.tif"
    Image.fromarray(field).save(path, format="PNG")
    assert np.array_equal(whole(open_slide(path)), field)
    path = tmp_path / "really_a_tiff.png"
    tifffile.imwrite(path, field, photometric="rgb")
    assert np.array_equal(whole(open_slide(path)), field)


def test_palette_png_and_gif(tmp_path, field):
    image = Image.fromarray(field).quantize(64)
    for name in ("p.png", "p.gif"):
        image.save(tmp_path / name)
        assert np.array_equal(whole(open_slide(tmp_path / name)), by_pillow(tmp_path / name))


def test_rgba_is_laid_on_white(tmp_path, field):
    rgba = np.dstack([field, np.full(field.shape[:2], 255, np.uint8)])
    rgba[:10, :, 3] = 0
    Image.fromarray(rgba).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "a.tif", rgba, photometric="rgb", extrasamples=["unassalpha"])
    for name in ("a.png", "a.tif"):
        slide = open_slide(tmp_path / name)
        assert (whole(slide)[:10] == 255).all()
        assert np.array_equal(whole(slide)[10:], field[10:])
        assert any("alpha" in note for note in slide.notes)


def test_fourth_channel_that_is_no_transparency(tmp_path, field):
    four = np.dstack([field, np.zeros(field.shape[:2], np.uint8)])
    tifffile.imwrite(tmp_path / "four.tif", four, photometric="rgb", extrasamples=["unspecified"])
    assert np.array_equal(whole(open_slide(tmp_path / "four.tif")), field)


def test_cmyk_jpeg_and_tiff_become_rgb(tmp_path, field):
    cmyk = Image.fromarray(field).convert("CMYK")
    cmyk.save(tmp_path / "c.jpg", quality=95)
    cmyk.save(tmp_path / "c.tif")
    for name in ("c.jpg", "c.tif"):
        slide = open_slide(tmp_path / name)
        assert np.abs(whole(slide).astype(int) - field).mean() < 3
        assert any("CMYK" in note for note in slide.notes)


@pytest.mark.parametrize("depth", [12, 16])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_deep_pictures_are_scaled_by_their_depth(tmp_path, field, depth, suffix):
    import imagecodecs

    deep = (field.astype(np.uint32) * (2**depth - 1) // 255).astype(np.uint16)
    path = tmp_path / f"deep{suffix}"
    if suffix == ".png":
        path.write_bytes(imagecodecs.png_encode(deep))
    else:
        tifffile.imwrite(path, deep, photometric="rgb")
    assert np.abs(whole(open_slide(path)).astype(int) - field).max() <= 1


def test_float_picture(field):
    assert np.array_equal(whole(open_slide(field / 255.0)), field)
    assert np.array_equal(whole(open_slide(field.astype(np.float32))), field)


def test_first_frame_of_an_animation_is_taken_and_said(tmp_path, field):
    frames = [Image.fromarray(f) for f in (field, field[::-1].copy())]
    frames[0].save(tmp_path / "two.webp", save_all=True, append_images=frames[1:], lossless=True)
    slide = open_slide(tmp_path / "two.webp")
    assert np.array_equal(whole(slide), field)
    assert "the first of 2 frames was taken" in slide.notes


def test_orientation_mark_is_said_and_not_applied(tmp_path, field):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(field).save(tmp_path / "turned.jpg", exif=exif)
    slide = open_slide(tmp_path / "turned.jpg")
    assert slide.shape == field.shape[:2]
    assert any("orientation" in note for note in slide.notes)


@pytest.mark.parametrize("mode", ["L", "1", "LA", "I;16"])
def test_grey_pictures_are_refused_with_words(tmp_path, field, mode):
    grey = Image.fromarray(field).convert("L")
    image = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257) if mode == "I;16" else grey.convert(mode)
    image.save(tmp_path / "grey.png")
    with pytest.raises(NotASmearError, match=r"grey\.png.*grey values.*stain's colours"):
        open_slide(tmp_path / "grey.png")


class TestTiff:
    @pytest.mark.parametrize(
        "options",
        [
            {"tile": (128, 128), "compression": "zlib"},
            {"tile": (128, 128), "compression": "lzw", "predictor": True},
            {"rowsperstrip": 7, "compression": "zlib"},
            {"tile": (128, 128), "planarconfig": "separate"},
            {"planarconfig": "separate"},
            {},
            {"byteorder": ">", "rowsperstrip": 32},
            {"bigtiff": True, "tile": (64, 64), "compression": "zstd"},
        ],
        ids=str,
    )
    @pytest.mark.parametrize("read", ["at once", "lazily"])
    def test_layouts(self, tmp_path, field, options, read, request):
        if read == "lazily":
            request.getfixturevalue("lazy")
        options = dict(options)
        picture = np.moveaxis(field, -1, 0) if options.get("planarconfig") == "separate" else field
        tifffile.imwrite(tmp_path / "t.tif", picture, photometric="rgb", **options)
        slide = open_slide(tmp_path / "t.tif")
        assert np.array_equal(whole(slide), field)
        assert np.array_equal(slide.region(0, 61, 127, 70, 200), field[61:131, 127:327])

    @pytest.mark.parametrize("read", ["at once", "lazily"])
    def test_jpeg_in_luma_and_chroma(self, tmp_path, field, read, request):
        if read == "lazily":
            request.getfixturevalue("lazy")
        tifffile.imwrite(
            tmp_path / "j.tif", field, photometric="rgb", compression="jpeg", tile=(128, 128), subsampling=(2, 2)
        )
        with tifffile.TiffFile(tmp_path / "j.tif") as tif:
            assert tif.pages[0].photometric == tifffile.PHOTOMETRIC.YCBCR
        difference = np.abs(whole(open_slide(tmp_path / "j.tif")).astype(int) - field)
        assert difference.mean() < 4  # lossy, but the colours are right

    def test_uncompressed_luma_and_chroma(self, tmp_path, field):
        ycbcr = np.asarray(Image.fromarray(field).convert("YCbCr"))
        tifffile.imwrite(tmp_path / "y.tif", ycbcr, photometric="ycbcr", subsampling=(1, 1))
        assert np.abs(whole(open_slide(tmp_path / "y.tif")).astype(int) - field).max() <= 3

    def test_palette(self, tmp_path, field):
        image = Image.fromarray(field).quantize(200)
        image.save(tmp_path / "p.tif")
        assert np.array_equal(whole(open_slide(tmp_path / "p.tif")), np.asarray(image.convert("RGB")))

    def test_three_grey_planes_are_red_green_and_blue(self, tmp_path, field):
        planes = np.moveaxis(field, -1, 0)
        tifffile.imwrite(tmp_path / "c.ome.tif", planes, photometric="minisblack", metadata={"axes": "CYX"})
        slide = open_slide(tmp_path / "c.ome.tif")
        assert np.array_equal(whole(slide), field)
        assert any("red, green and blue" in note for note in slide.notes)

    def test_stack_is_refused(self, tmp_path, field):
        tifffile.imwrite(tmp_path / "z.tif", np.stack([field] * 3), photometric="rgb", metadata={"axes": "ZYXS"})
        with pytest.raises(Exception, match=r"stack \(3 planes along Z\)"):
            open_slide(tmp_path / "z.tif")

    @pytest.mark.parametrize("read", ["at once", "lazily"])
    @pytest.mark.parametrize("bigtiff", [False, True])
    def test_ome_pyramid(self, tmp_path, field, read, bigtiff, request):
        if read == "lazily":
            request.getfixturevalue("lazy")
        slide = open_slide(write_ome_pyramid(tmp_path / "p.ome.tif", field, bigtiff=bigtiff, compression="zlib"))
        assert [level.downsample for level in slide.levels] == [1, 2, 4]
        assert np.array_equal(whole(slide), field)
        assert np.array_equal(slide.region(1, 10, 20, 50, 60), halved(field)[10:60, 20:80])
        assert slide.pixel_size.um == pytest.approx(0.25)
        assert slide.pixel_size.source == "file"

    def test_pyramid_of_pages(self, tmp_path, field):
        """libvips and GDAL write the levels one after another, marked as reduced."""
        with tifffile.TiffWriter(tmp_path / "v.tif") as tif:
            for i, level in enumerate([field, halved(field), halved(halved(field))]):
                tif.write(level, photometric="rgb", tile=(64, 64), subfiletype=int(i > 0), metadata=None)
        slide = open_slide(tmp_path / "v.tif")
        assert [(level.height, level.width) for level in slide.levels] == [(480, 640), (240, 320), (120, 160)]
        assert np.array_equal(slide.region(2, 0, 0, 120, 160), halved(halved(field)))

    @pytest.mark.parametrize("read", ["at once", "lazily"])
    def test_svs(self, tmp_path, field, read, request):
        if read == "lazily":
            request.getfixturevalue("lazy")
        slide = open_slide(write_svs(tmp_path / "s.svs", field))
        assert [level.downsample for level in slide.levels] == [1, 2]
        assert np.array_equal(whole(slide), field)
        assert slide.pixel_size.um == pytest.approx(0.25)


def test_label_and_macro_pictures_are_never_decoded(tmp_path, field, monkeypatch):
    """Even a label that is larger than the specimen: it may show the patient's name."""
    path = write_svs(tmp_path / "s.svs", field, label=np.full((900, 900, 3), 200, np.uint8))
    decoded = []
    original = tifffile.TiffPage.asarray
    monkeypatch.setattr(
        tifffile.TiffPage, "asarray", lambda page, *a, **k: decoded.append(page.shape) or original(page, *a, **k)
    )
    slide = open_slide(path)
    assert slide.shape == (480, 640)
    assert (900, 900, 3) not in decoded


def test_nothing_that_names_a_patient_is_kept(tmp_path, field):
    slide = open_slide(write_svs(tmp_path / "s.svs", field))
    said = f"{slide!r} {slide.notes} {slide.pixel_size} {slide.pixel_size.detail} {slide.slide_id} {slide.name}"
    assert "DOE" not in said.upper()
    assert "12/29" not in said


def test_whole_slide_without_openslide_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "openslide", None)
    (tmp_path / "slide.mrxs").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(Exception, match=r"slide\.mrxs.*OpenSlide.*napari-aml\[wsi\]"):
        open_slide(tmp_path / "slide.mrxs")


def test_whole_slide_by_openslide(tmp_path, field):
    pytest.importorskip("openslide", reason="the extra 'wsi' is not installed")
    from napari_aml.slides.whole_slide import open_with_openslide

    slide = open_with_openslide(write_svs(tmp_path / "s.svs", field))
    assert np.array_equal(whole(slide), field)
    assert slide.pixel_size.um == pytest.approx(0.25)
    assert np.array_equal(slide.region(1, 5, 7, 30, 40), halved(field)[5:35, 7:47])


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr(tmp_path, field, version):
    import zarr

    planes = [np.moveaxis(p, -1, 0)[None, :, None] for p in (field, halved(field))]
    group = zarr.open_group(tmp_path / "p.zarr", mode="w", zarr_format=2 if version == "0.4" else 3)
    for i, plane in enumerate(planes):
        group.create_array(str(i), data=plane, chunks=(1, 1, 1, 128, 128))
    axes = [{"name": n} for n in "tcz"] + [{"name": n, "type": "space", "unit": "micrometer"} for n in "yx"]
    datasets = [
        {"path": str(i), "coordinateTransformations": [{"type": "scale", "scale": [1, 1, 1, 0.2 * 2**i, 0.2 * 2**i]}]}
        for i in range(2)
    ]
    multiscales = [{"axes": axes, "datasets": datasets}]
    group.attrs.update({"ome": {"multiscales": multiscales}} if version == "0.5" else {"multiscales": multiscales})
    slide = open_slide(tmp_path / "p.zarr")
    assert np.array_equal(whole(slide), field)
    assert np.array_equal(slide.region(1, 3, 4, 20, 30), halved(field)[3:23, 4:34])
    assert slide.pixel_size.um == pytest.approx(0.2)
