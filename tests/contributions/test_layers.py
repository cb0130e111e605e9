"""Slides and results as napari layers, and back; on a viewer model, without a screen."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from napari.components import ViewerModel
from napari.layers import Image, Layer

from napari_aml.errors import NotASmearError, SlideReadError
from napari_aml.slides import ArraySlide, PixelSize, open_slide
from napari_aml.taxonomy import cell_class
from napari_aml.viewer import picture_layers
from napari_aml.viewer.picture_layers import KEY, slide_from_layer, slide_layer
from napari_aml.viewer.readers import get_picture_reader, get_results_reader
from napari_aml.viewer.results_layers import result_folders


def layer_of(slide, name=None) -> Image:
    return Layer.create(*slide_layer(slide, name))


class TestPictureBecomesLayer:
    def test_pixels_and_name(self, field, field_path):
        layer = layer_of(open_slide(field_path))
        assert np.array_equal(layer.data, field)
        assert layer.rgb
        assert layer.name == field_path.stem

    def test_scale_is_in_micrometres_where_the_pixel_size_is_known(self, field):
        layer = layer_of(open_slide(field, pixel_size_um=0.25))
        assert tuple(layer.scale) == (0.25, 0.25)
        assert [str(unit) for unit in layer.units] == ["micrometer", "micrometer"]
        assert layer.metadata[KEY]["pixel_size_source"] == "person"

    def test_scale_is_one_pixel_where_it_is_unknown(self, field):
        layer = layer_of(open_slide(field))
        assert tuple(layer.scale) == (1, 1)
        assert [str(unit) for unit in layer.units] == ["pixel", "pixel"]

    def test_large_picture_without_levels_gets_coarse_ones(self, field, monkeypatch):
        monkeypatch.setattr(picture_layers, "IN_MEMORY_PIXELS", 1000)
        monkeypatch.setattr(picture_layers, "OVERVIEW_PX", 100)
        layer = layer_of(open_slide(field))
        assert layer.multiscale
        assert [level.shape[:2] for level in layer.data] == [(480, 640), (120, 160), (30, 40)]
        assert np.array_equal(np.asarray(layer.data[0][100:200, 30:90]), field[100:200, 30:90])
        assert np.asarray(layer.data[1]).mean() == pytest.approx(field.mean(), abs=1)

    def test_levels_of_a_pyramid_are_read_where_they_are_looked_at(self, field):
        slide = ArraySlide([field, field[::2, ::2]])
        reads = []
        original = slide._read
        slide._read = lambda *box: reads.append(box) or original(*box)
        layer = layer_of(slide)
        assert layer.multiscale
        assert all(level == 1 for level, *_ in reads), "the finest level was read whole"
        assert np.array_equal(np.asarray(layer.data[1]), field[::2, ::2])


class TestLayerBecomesSlide:
    def test_there_and_back(self, field_path):
        slide = open_slide(field_path, pixel_size_um=0.07)
        assert slide_from_layer(layer_of(slide)) is slide

    def test_pixel_size_from_a_scale_in_a_unit_of_length(self, field):
        layer = Image(field, rgb=True, scale=(250, 250), units=("nm", "nm"))
        size = slide_from_layer(layer).pixel_size
        assert size.um == pytest.approx(0.25)
        assert "scale of the layer" in size.detail

    def test_scale_in_pixels_says_nothing(self, field):
        assert slide_from_layer(Image(field, rgb=True, scale=(3, 3))).pixel_size.um is None

    def test_a_scale_that_a_person_sets_later_is_believed(self, field_path):
        layer = layer_of(open_slide(field_path))
        layer.scale, layer.units = (0.1, 0.1), ("um", "um")
        assert slide_from_layer(layer).pixel_size.um == pytest.approx(0.1)

    def test_pixels_that_are_not_square_are_said(self, field):
        size = slide_from_layer(Image(field, rgb=True, scale=(0.2, 0.4), units=("um", "um"))).pixel_size
        assert size.um == pytest.approx(np.sqrt(0.08))
        assert "not square" in size.detail

    def test_the_file_is_forgotten_when_the_layer_shows_another_picture(self, field, field_path):
        layer = layer_of(open_slide(field_path))
        layer.data = field[:100, :100]
        slide = slide_from_layer(layer)
        assert slide.shape == (100, 100)

    @pytest.mark.parametrize(
        "change",
        [
            lambda f: f,
            lambda f: np.dstack([f, np.full(f.shape[:2], 255, np.uint8)]),
            lambda f: f.astype(np.uint16) * 257,
            lambda f: f / 255.0,
        ],
        ids=["RGB", "RGBA", "16 bit", "0 to 1"],
    )
    def test_kinds_of_layers(self, field, change):
        slide = slide_from_layer(Image(change(field), rgb=True, name="a layer"))
        assert slide.name == "a layer"
        assert np.abs(slide.region(0, 0, 0, *slide.shape).astype(int) - field).max() <= 1

    def test_multiscale_layer(self, field):
        slide = slide_from_layer(Image([field, field[::2, ::2]], rgb=True, multiscale=True))
        assert [level.downsample for level in slide.levels] == [1, 2]
        assert np.array_equal(slide.region(1, 0, 0, 50, 50), field[::2, ::2][:50, :50])

    def test_grey_layer_is_refused_with_its_name(self, field):
        with pytest.raises(NotASmearError, match="grey one"):
            slide_from_layer(Image(field[..., 0], name="grey one"))

    def test_not_a_number_is_refused(self):
        with pytest.raises(SlideReadError, match="NaN"):
            slide_from_layer(Image(np.full((20, 20, 3), np.nan), rgb=True))

    def test_copied_layer_shares_the_slide(self, field_path):
        layer = layer_of(open_slide(field_path))
        twin = Layer.create(*copy.deepcopy(layer.as_layer_data_tuple()))
        assert slide_from_layer(twin) is slide_from_layer(layer)


class TestReaders:
    def test_picture_reader_takes_pictures_only(self, field_path, tmp_path):
        assert get_picture_reader(str(field_path)) is not None
        assert get_picture_reader(str(tmp_path / "table.csv")) is None
        assert get_picture_reader([str(field_path)] * 2) is None
        assert get_picture_reader(str(tmp_path)) is None

    def test_picture_that_cannot_be_read_is_a_notification_and_no_layer(self, tmp_path, notes):
        path = tmp_path / "broken.png"
        path.write_bytes(b"\x89PNG\r\n\x1a\n and no more")
        assert get_picture_reader(str(path))(str(path)) == [(None,)]
        (note,) = notes
        assert "broken.png" in note.message
        assert "Traceback" not in str(note)

    def test_results_reader_takes_results_only(self, results, tmp_path, field_path):
        assert get_results_reader(str(results)) is not None
        assert get_results_reader(str(results / "labels.tif")) is not None
        assert get_results_reader(str(results.parent)) is not None
        assert get_results_reader(str(tmp_path)) is None
        assert get_results_reader(str(field_path)) is None
        assert result_folders(results.parent) == [results]

    def test_results_become_layers(self, results):
        viewer = ViewerModel()
        for data in get_results_reader(str(results))(str(results)):
            viewer.add_layer(Layer.create(*data))
        assert [layer.name for layer in viewer.layers] == ["overlay", "nuclei", "cells"]
        cells = viewer.layers["cells"]
        assert set(np.unique(cells.data)) == {0, 1, 3}
        for layer in viewer.layers:
            world = layer.data_to_world(layer.extent.data[1])
            assert np.allclose(world, [47.9, 63.9], atol=0.1), f"{layer.name} lies elsewhere"
        row = cells.features.set_index("index").loc[3]
        assert row["class"] == "LYT"
        for label, code in ((1, "NGS"), (3, "LYT")):
            assert np.allclose(cells.get_color(label)[:3], to_rgb(cell_class(code).colour), atol=1 / 255)
        assert "class: LYT" in cells.get_status((33.0, 43.0), world=True)["value"]

    def test_large_results_are_shown_by_tiles(self, results, monkeypatch):
        at_once = {keywords["name"]: data for data, keywords, _ in get_results_reader(str(results))(str(results))}
        monkeypatch.setattr("napari_aml.viewer.results_layers._IN_MEMORY_PIXELS", 100)
        for data, keywords, kind in get_results_reader(str(results))(str(results)):
            if kind == "labels":
                assert keywords["multiscale"]
                assert np.array_equal(np.asarray(data[0]), at_once[keywords["name"]])
                assert np.array_equal(np.asarray(data[1]), at_once[keywords["name"]][::4, ::4])

    def test_spoilt_results_are_a_notification(self, results, tmp_path, notes):
        import shutil

        folder = tmp_path / "spoilt"
        shutil.copytree(results, folder)
        (folder / "labels.tif").write_bytes((folder / "labels.tif").read_bytes()[:300])
        assert get_results_reader(str(folder))(str(folder)) == [(None,)]
        assert "labels.tif" in notes[0].message


def test_pixel_size_of_an_odd_unit_is_unknown(field):
    layer = Image(field, rgb=True, scale=(1, 1), units=("second", "second"))
    assert slide_from_layer(layer).pixel_size.um is None
    assert PixelSize(None, "unknown").um is None
