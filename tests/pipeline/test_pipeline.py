"""The main job end to end on a real field."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import napari_aml as aml
from napari_aml.errors import PixelSizeUnknownError
from napari_aml.explain.methods import UNTESTED, recommended_of


@pytest.fixture(scope="module")
def analysed(shared_data):
    events = []
    path = shared_data / "smears_bccd" / "images" / "BloodImage_00000.jpg"
    return aml.run(aml.analyse_steps(path), events.append), events


def test_every_nucleated_cell_is_outlined_named_and_explained(analysed):
    result, _ = analysed
    table = result.table()
    assert len(table) == 1  # one neutrophil stands in this field
    row = table.iloc[0]
    assert abs(row.y - 240) < 60 and abs(row.x - 390) < 60
    assert 0 < row.nucleus_area_um2 < row.area_um2 < 500
    codes = [c for c in table if c.startswith("p_")]
    assert len(codes) == len(result.bundle.codes)
    assert table[codes].sum(axis=1).iloc[0] == pytest.approx(1, abs=1e-4)
    assert row["class"] in result.bundle.codes and row.probability == pytest.approx(row[f"p_{row['class']}"])
    assert len(result.heatmaps) == 1 and np.isfinite(result.heatmaps.maps).all()


def test_the_pixel_size_is_measured_from_the_red_cells_and_says_so(analysed):
    result, _ = analysed
    assert result.slide.pixel_size.source == "red cells"
    assert 0.05 < result.slide.pixel_size.um < 0.1
    assert "red cells" in result.slide.pixel_size.detail


def test_progress_only_grows_and_partial_results_arrive_before_the_end(analysed):
    _, events = analysed
    fractions = [e.fraction for e in events]
    assert fractions == sorted(fractions)
    kinds = [type(e.payload).__name__ for e in events if e.payload is not None]
    assert kinds.index("Cells") < kinds.index("tuple")


def test_provenance_names_versions_and_hashes_but_neither_path_nor_file(analysed):
    result, _ = analysed
    text = json.dumps(result.provenance)
    assert result.slide.sha256 in text and result.bundle.bundle_id in text and aml.RESEARCH_USE in text
    assert "BloodImage" not in text and "smears_bccd" not in text


def test_a_second_run_gives_the_same_result(analysed, bccd_field):
    first, again = analysed[0].table(), aml.analyse(bccd_field).table()
    assert list(first.uid) == list(again.uid)
    np.testing.assert_allclose(first.probability, again.probability, atol=1e-5)


def test_a_job_that_is_closed_stops(bccd_field):
    steps = aml.analyse_steps(bccd_field, pixel_size_um=0.07)
    for _ in range(3):
        next(steps)
    steps.close()
    with pytest.raises(StopIteration):
        next(steps)


def test_without_red_cells_the_pixel_size_is_asked_for():
    blank = np.full((300, 400, 3), 235, np.uint8)
    with pytest.raises(PixelSizeUnknownError, match="--pixel-size"):
        aml.analyse(blank)


def test_a_cell_free_picture_gives_no_cells_and_all_columns():
    blank = np.full((300, 400, 3), 235, np.uint8)
    result = aml.analyse(blank, pixel_size_um=0.1)
    table = result.table()
    assert len(table) == 0 and {"uid", "class", "probability", "p_MYO", "nc_ratio"} <= set(table.columns)


@pytest.mark.parametrize("cam", [None, "hirescam"])
def test_heatmaps_are_a_choice(bccd_field, cam):
    result = aml.analyse(bccd_field, pixel_size_um=0.07, cam=cam)
    assert (result.heatmaps is None) == (cam is None)


def test_the_heatmap_that_the_models_own_tests_recommend_is_drawn_unless_another_is_named(bccd_field):
    shipped = aml.load_bundle()
    card = {**shipped.card, "explanation_tests": {"recommended": "gradcam@2"}}
    bundle, tested = replace(shipped, card=card, _idle={}), ("gradcam", 2)
    assert recommended_of(card) == tested != UNTESTED
    given = {"pixel_size_um": 0.07, "model": bundle}
    maps = {cam: aml.analyse(bccd_field, **given, **cam_of).heatmaps
            for cam, cam_of in (("default", {}), ("named", {"cam": "layercam"}), ("deeper", {"stage": 1}))}
    assert (maps["default"].method, maps["default"].stage) == tested
    assert (maps["named"].method, maps["named"].stage) == ("layercam", 3)
    assert (maps["deeper"].method, maps["deeper"].stage) == (tested[0], 1)


def test_another_backend_can_be_plugged_in(bccd_field):
    class OneSquare:
        name, version = "square", "1"

        def segment(self, rgb, pixel_size_um):
            cells = np.zeros(rgb.shape[:2], np.int32)
            cells[200:300, 300:400] = 1
            nuclei = np.zeros_like(cells)
            nuclei[220:280, 320:380] = 1
            return aml.FieldMasks(cells, nuclei)

    aml.register_segmenter("square", OneSquare)
    table = aml.analyse(bccd_field, pixel_size_um=0.1, segmenter="square", cam=None).table()
    assert len(table) == 1 and table.area_um2.iloc[0] == pytest.approx(100)
