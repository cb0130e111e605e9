"""Folders of single-cell pictures: every picture gets a row, readable or not."""

from __future__ import annotations

import shutil

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_aml.classify import classify_folder, classify_folder_steps, predict
from napari_aml.classify.sources import centre_square
from napari_aml.errors import InputError


@pytest.fixture
def folder(tmp_path):
    """Pictures of many kinds in class folders, three of them unreadable."""
    rng = np.random.default_rng(0)
    for name in ("NGS", "LYT"):
        (tmp_path / name).mkdir()
    rgb = rng.integers(0, 256, (80, 80, 3), dtype=np.uint8)
    Image.fromarray(rgb).save(tmp_path / "NGS" / "plain.png")
    Image.fromarray(np.dstack([rgb, np.full((80, 80), 255, np.uint8)])).save(tmp_path / "NGS" / "rgba.png")
    tifffile.imwrite(tmp_path / "NGS" / "deep.tif", rgb.astype(np.uint16) * 257, photometric="rgb")
    Image.fromarray(rgb[:, :50]).save(tmp_path / "LYT" / "narrow.bmp")
    Image.fromarray(rgb[..., 0]).save(tmp_path / "LYT" / "grey.png")
    (tmp_path / "LYT" / "empty.png").write_bytes(b"")
    (tmp_path / "LYT" / "truncated.png").write_bytes((tmp_path / "NGS" / "plain.png").read_bytes()[:300])
    (tmp_path / "LYT" / "notes.txt").write_text("no picture")
    (tmp_path / ".hidden").mkdir()
    shutil.copy(tmp_path / "NGS" / "plain.png", tmp_path / ".hidden" / "x.png")
    return tmp_path


def test_every_picture_gets_a_row_and_bad_ones_say_why(tiny, folder):
    table = classify_folder(folder, tiny, "cpu")
    assert table["path"].tolist() == [
        "LYT/empty.png", "LYT/grey.png", "LYT/narrow.bmp", "LYT/truncated.png",
        "NGS/deep.tif", "NGS/plain.png", "NGS/rgba.png",
    ]  # fmt: skip
    assert table.columns[:4].tolist() == ["path", "folder", "class", "probability"]
    assert [f"p_{code}" for code in tiny.codes] == table.columns[4:20].tolist()
    assert table["folder"].tolist() == ["LYT"] * 4 + ["NGS"] * 3
    bad = table.set_index("path").query("status != 'ok'")
    assert bad.index.tolist() == ["LYT/empty.png", "LYT/grey.png", "LYT/truncated.png"]
    assert (bad["class"] == "").all() and bad.filter(like="p_").isna().all(None) and bad["probability"].isna().all()
    assert "0 bytes" in bad.loc["LYT/empty.png", "error"] and "one channel" in bad.loc["LYT/grey.png", "error"]
    good = table[table["status"] == "ok"]
    assert (good["error"] == "").all() and good["class"].isin(tiny.codes).all()
    np.testing.assert_allclose(good.filter(regex="^p_").sum(axis=1), 1, atol=1e-5)


def test_8_bit_16_bit_and_opaque_rgba_of_one_picture_get_the_same_answer(tiny, folder):
    table = classify_folder(folder, tiny, "cpu").set_index("path").filter(regex="^p_")
    np.testing.assert_allclose(table.loc["NGS/deep.tif"], table.loc["NGS/plain.png"], atol=1e-4)
    np.testing.assert_allclose(table.loc["NGS/rgba.png"], table.loc["NGS/plain.png"], atol=1e-4)


def test_the_whole_picture_is_the_crop_without_a_pixel_size(tiny, folder):
    table = classify_folder(folder, tiny, "cpu").set_index("path").filter(regex="^p_")
    rgb = np.asarray(Image.open(folder / "NGS" / "plain.png"))
    resized = cv2.resize(rgb, (64, 64), interpolation=cv2.INTER_AREA)
    expected = predict(tiny, resized[None], "cpu").probabilities[0]
    np.testing.assert_allclose(table.loc["NGS/plain.png"], expected, atol=1e-5)


def test_with_a_pixel_size_the_centre_is_cut(tiny, tmp_path):
    rng = np.random.default_rng(1)
    picture = rng.integers(0, 256, (200, 260, 3), dtype=np.uint8)
    Image.fromarray(picture).save(tmp_path / "wide.png")
    pixel = tiny.crop_um / 64
    table = classify_folder(tmp_path, tiny, "cpu", pixel_size_um=pixel)
    expected = predict(tiny, picture[None, 68:132, 98:162], "cpu").probabilities[0]
    assert "folder" not in table.columns
    np.testing.assert_allclose(table.filter(regex="^p_").iloc[0], expected, atol=1e-3)


def test_a_resolution_in_the_file_does_not_change_what_the_crop_is(tiny, tmp_path):
    picture = np.random.default_rng(1).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "b.tif", picture, photometric="rgb", resolution=(40000, 40000), resolutionunit=3)
    table = classify_folder(tmp_path, tiny, "cpu").filter(regex="^p_")
    np.testing.assert_allclose(table.iloc[0], table.iloc[1], atol=1e-6)


def test_the_centre_square_keeps_shape_and_centre():
    picture = np.zeros((100, 300, 3), np.uint8)
    picture[:, 100:200] = 200
    assert (centre_square(picture, 50) == 200).all()
    picture[25:75, 125:175] = 90
    assert (centre_square(picture, 50, zoom=2.0) == 90).all()


def test_test_time_views_of_the_bundle_are_used(tiny, tmp_path):
    from small_models import make_bundle

    picture = np.random.default_rng(1).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    (tmp_path / "cells").mkdir()
    Image.fromarray(picture).save(tmp_path / "cells" / "a.png")
    bundle = make_bundle(tmp_path / "b", tta={"views": [{"zoom": 1.0}, {"zoom": 2.0}], "average": "probabilities"})
    table = classify_folder(tmp_path / "cells", bundle, "cpu").filter(regex="^p_").iloc[0]
    whole, centre = (centre_square(picture, 64, zoom)[None] for zoom in (1.0, 2.0))
    parts = [predict(tiny, crop, "cpu").probabilities[0] for crop in (whole, centre)]
    np.testing.assert_allclose(table, np.mean(parts, 0), atol=1e-5)


def test_wrong_folders_and_pixel_sizes(tiny, tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        classify_folder(tmp_path / "none", tiny, "cpu")
    with pytest.raises(InputError, match="no pictures"):
        classify_folder(tmp_path, tiny, "cpu")
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(InputError, match="not a folder"):
        classify_folder(tmp_path / "a.png", tiny, "cpu")
    for wrong in (0.0, -1.0, float("nan")):
        with pytest.raises(InputError, match="pixel size"):
            classify_folder(tmp_path, tiny, "cpu", pixel_size_um=wrong)


def test_a_folder_of_nothing_but_bad_pictures(tiny, tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    table = classify_folder(tmp_path, tiny, "cpu")
    assert table["status"].tolist() == ["unreadable"]


def test_closing_the_job_early(tiny, folder):
    steps = classify_folder_steps(folder, tiny, "cpu")
    next(steps)
    next(steps)
    steps.close()


def test_real_cells(tiny, shared_data):
    table = classify_folder(shared_data / "cells_aml_lmu_fullres", tiny, "cpu")
    assert len(table) == 100 and (table["status"] == "ok").all()
    assert set(table["folder"]) == {"BAS", "EBO", "KSC", "LYA", "MMZ", "MOB", "MYB", "NGB", "PMB", "PMO"}


def _cell(side: int) -> np.ndarray:
    """Draw something smooth: JPEG keeps it, so that answers can be compared."""
    y, x = np.mgrid[:side, :side] / side - 0.5
    inside = np.exp(-((np.hypot(y - 0.05, x) / 0.25) ** 4))[..., None]
    return (235 - inside * np.array([120, 160, 60]) - 20 * np.sin(12 * x)[..., None] * inside).astype(np.uint8)


@pytest.mark.parametrize(("pixel_size_um", "side"), [(None, 366), (28 / 366, 800)])
def test_large_jpegs_are_decoded_smaller_and_get_nearly_the_same_answer(tiny, tmp_path, pixel_size_um, side):
    from napari_aml.classify.folder import FolderCrops

    picture = _cell(side)
    Image.fromarray(picture).save(tmp_path / "a.jpg", quality=95)
    Image.fromarray(np.asarray(Image.open(tmp_path / "a.jpg"))).save(tmp_path / "b.png")
    paths = [tmp_path / "a.jpg", tmp_path / "b.png"]
    with FolderCrops(paths, tiny.crop_um, 64, pixel_size_um, most_zoom=1.25) as source:
        for zoom in (1.0, 1.25):
            jpeg, png = source.read(np.arange(2), zoom).astype(int)
            assert np.abs(jpeg - png).mean() < 1.0 and np.ptp(png) > 100
        assert [source._open[i].reduced for i in (0, 1)] == [2, 1]
        # Asked for more than it was opened for, it decodes again rather than blow pixels up.
        jpeg, png = source.read(np.arange(2), 4.0).astype(int)
        assert source._open[0].reduced == 1 and np.abs(jpeg - png).max() <= 1
    said = classify_folder(tmp_path, tiny, "cpu", pixel_size_um).filter(regex="^p_")
    np.testing.assert_allclose(said.iloc[0], said.iloc[1], atol=0.02)


def test_jpegs_hardly_larger_than_a_crop_or_not_in_plain_colour_are_decoded_as_they_are(tiny, tmp_path):
    from napari_aml.classify.folder import FolderCrops

    Image.fromarray(_cell(160)).save(tmp_path / "small.jpg")
    Image.fromarray(_cell(800)).convert("CMYK").save(tmp_path / "print.jpg")
    Image.fromarray(_cell(800)).convert("L").save(tmp_path / "grey.jpg")
    paths = [tmp_path / name for name in ("small.jpg", "print.jpg", "grey.jpg")]
    with FolderCrops(paths, tiny.crop_um, 64) as source:
        crops = source.read(np.arange(3))
        assert [source._open[i].reduced for i in (0, 1)] == [1, 1]
        assert list(source.errors) == [2] and "one channel" in str(source.errors[2])
    expected = centre_square(np.asarray(Image.open(paths[1]).convert("RGB")), 64)
    np.testing.assert_array_equal(crops[1], expected)


def test_the_orientation_mark_is_ignored_in_jpegs_decoded_smaller(tmp_path):
    from napari_aml.slides.files import open_for_crops, open_slide

    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(_cell(400)[:, :300]).save(tmp_path / "a.jpg", exif=exif, dpi=(63500, 63500))
    small, plain = open_for_crops(tmp_path / "a.jpg", lambda h, w: 4.9), open_slide(tmp_path / "a.jpg")
    assert small.reduced == 4 and small.shape == (100, 75) and plain.shape == (400, 300)
    assert small.notes == plain.notes and "orientation" in small.notes[0]
    assert plain.pixel_size.um == pytest.approx(0.4) and small.pixel_size.um == pytest.approx(1.6)


def test_truncated_jpegs_are_refused_also_when_decoded_smaller(tiny, tmp_path):
    Image.fromarray(_cell(800)).save(tmp_path / "a.jpg", quality=95)
    whole = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "b.jpg").write_bytes(whole[: len(whole) // 2])
    table = classify_folder(tmp_path, tiny, "cpu")
    assert table["status"].tolist() == ["ok", "unreadable"] and "truncated" in table["error"][1]


def test_threads_that_decode_at_once_leave_the_size_limit_of_pillow_as_it_was(tiny, tmp_path):
    for i in range(12):
        Image.fromarray(_cell(200)).save(tmp_path / f"{i}.jpg")
    before = Image.MAX_IMAGE_PIXELS
    assert (classify_folder(tmp_path, tiny, "cpu")["status"] == "ok").all()
    assert Image.MAX_IMAGE_PIXELS == before is not None
