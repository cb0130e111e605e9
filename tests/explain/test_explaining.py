"""Classifying and explaining the cells of a slide: aligned rows, targets of every kind, batches as they come."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

import napari_aml as aml
from napari_aml.classify import predict
from napari_aml.errors import InputError, PixelSizeUnknownError
from napari_aml.explain import Heatmaps, classify_and_explain_steps, heatmaps
from napari_aml.progress import run
from napari_aml.slides import PixelSize


def test_predictions_are_those_of_the_crops_row_by_row(tiny, field):
    slide, cells = field
    said, maps = run(classify_and_explain_steps(slide, cells, tiny, "cpu"))
    table = cells.table
    crops = aml.crops(slide, table["y"], table["x"], tiny.crop_um, tiny.crop_px)
    np.testing.assert_allclose(said.probabilities, predict(tiny, crops, "cpu").probabilities, atol=5e-3)
    assert (maps.target == said.index).all() and maps.maps.shape == (24, 2, 2)
    assert (maps.method, maps.stage) == ("gradcam", 3)
    centres = np.stack([maps.box[:, 0] + maps.box[:, 2], maps.box[:, 1] + maps.box[:, 3]], 1) / 2
    np.testing.assert_allclose(centres, table[["y", "x"]], atol=1e-3)
    np.testing.assert_allclose(maps.box[:, 3] - maps.box[:, 1], tiny.crop_um / 0.2, rtol=1e-5)


def test_predictions_do_not_change_when_they_are_explained(tiny, field):
    slide, cells = field
    plain, none = run(classify_and_explain_steps(slide, cells, tiny, "cpu", cam=None))
    assert none is None
    for stage in (3, 1):
        said, _ = run(classify_and_explain_steps(slide, cells, tiny, "cpu", cam="gradcam", stage=stage))
        np.testing.assert_allclose(said.probabilities, plain.probabilities, atol=1e-5)


def test_targets_predicted_runner_up_one_class_and_one_each(tiny, field):
    slide, cells = field
    said, _ = run(classify_and_explain_steps(slide, cells, tiny, "cpu", cam=None))
    assert (heatmaps(slide, cells, tiny, "cpu", target="runner_up").target == said.runner_up).all()
    assert (heatmaps(slide, cells, tiny, "cpu", target="MYO").target == tiny.codes.index("MYO")).all()
    each = [tiny.codes[i % 16] for i in range(24)]
    several = heatmaps(slide, cells, tiny, "cpu", target=each)
    assert several.target.tolist() == [i % 16 for i in range(24)]
    one = heatmaps(slide, cells, tiny, "cpu", target=tiny.codes[3], rows=[3, 19])
    np.testing.assert_allclose(one.maps, several.maps[[3, 19]], atol=1e-4)
    assert np.abs(several.maps[3] - several.maps[4]).max() > 1e-3


def test_some_rows_in_any_order(tiny, field):
    slide, cells = field
    everything = heatmaps(slide, cells, tiny, "cpu")
    rows = [20, 3, 11]
    events = list(classify_and_explain_steps(slide, cells, tiny, "cpu", rows=rows))
    said, maps = run(classify_and_explain_steps(slide, cells, tiny, "cpu", rows=rows))
    np.testing.assert_allclose(maps.maps, everything.maps[rows], atol=1e-3)
    np.testing.assert_allclose(maps.box, everything.box[rows])
    handed = np.concatenate([event.payload[0] for event in events if event.payload])
    assert sorted(handed) == sorted(rows) and len(said) == 3


def test_batches_come_with_their_heatmaps(tiny, field):
    slide, cells = field
    whole = heatmaps(slide, cells, tiny, "cpu")
    for event in classify_and_explain_steps(slide, cells, tiny, "cpu"):
        if event.payload is not None:
            rows, said, maps = event.payload
            assert isinstance(maps, Heatmaps) and len(rows) == len(said) == len(maps)
            np.testing.assert_allclose(maps.maps, whole.maps[rows], atol=1e-5)


def test_no_cells(tiny, field):
    from napari_aml.cells import CellMasks, Cells, empty_table

    slide, _ = field
    none = Cells(slide.slide_id, CellMasks(slide.shape), empty_table(), 0.2, "made up")
    said, maps = run(classify_and_explain_steps(slide, none, tiny, "cpu"))
    assert len(said) == len(maps) == 0 and maps.box.shape == (0, 4) and maps.maps.ndim == 3


def test_evidence_is_measured_against_the_cells_own_mask(tiny, field):
    from napari_aml.explain.evidence import evidence_shares, sample_masks

    slide, cells = field
    maps = heatmaps(slide, cells, tiny, "cpu", method="hirescam", stage=1)
    parts = sample_masks(cells.masks, cells.table["label"].to_numpy(), maps.box)
    in_cell, in_nucleus, has = evidence_shares(maps.maps, parts)
    np.testing.assert_allclose(maps.in_cell, in_cell, rtol=1e-4)
    np.testing.assert_allclose(maps.in_nucleus, in_nucleus, rtol=1e-4)
    assert (maps.has_evidence == has).all()


@pytest.mark.parametrize("method", ["gradcam++", "layercam", "eigencam", "scorecam"])
def test_every_method_runs_on_cells(tiny, field, method, capfd):
    slide, cells = field
    maps = heatmaps(slide, cells, tiny, "cpu", method=method, rows=[0, 1])
    assert maps.maps.shape == (2, 2, 2) and np.isfinite(maps.maps).all()
    assert capfd.readouterr().err == "", "a library's own progress bar on the terminal"


def test_what_cannot_be_explained_is_said(tiny, field):
    slide, cells = field
    for settings, said in (
        ({"cam": "gradcan"}, "no heatmap method"),
        ({"stage": 4}, "no stage 4"),
        ({"target": "XYZ"}, "no class 'XYZ'"),
        ({"target": [1, 2]}, "2 classes"),
        ({"target": [99] * 24}, "no class '99'"),
    ):
        with pytest.raises(InputError, match=said):
            run(classify_and_explain_steps(slide, cells, tiny, "cpu", **settings))
    unknown = slide.with_pixel_size(PixelSize(None, "unknown", "nothing says it"))
    with pytest.raises(PixelSizeUnknownError):
        run(classify_and_explain_steps(unknown, cells, tiny, "cpu"))


def test_closing_early_leaves_the_bundle_usable(tiny, field):
    slide, cells = field
    steps = classify_and_explain_steps(slide, cells, tiny, "cpu", stage=1)
    next(steps)
    steps.close()
    assert len(heatmaps(slide, cells, tiny, "cpu", rows=[0])) == 1


def test_importing_the_room_loads_nothing_heavy():
    code = "import sys, napari_aml.explain; assert not {'torch', 'timm', 'pytorch_grad_cam', 'cv2'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("method", "stage"), [("gradcam", 2), ("gradcam", 3), ("layercam", 1)])
def test_two_batches_side_by_side_do_not_disturb_each_others_maps(tiny, field, method, stage):
    slide, cells = field
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = run(classify_and_explain_steps(slide, cells, tiny, "cpu", method, stage))
        torch.set_num_threads(2)
        events = []
        beside = run(classify_and_explain_steps(slide, cells, tiny, "cpu", method, stage), events.append)
    finally:
        torch.set_num_threads(before)
    assert sum(event.payload is not None for event in events) == 2, "24 cells, half of them a core"
    np.testing.assert_allclose(beside[0].probabilities, alone[0].probabilities, atol=1e-5)
    np.testing.assert_allclose(beside[1].maps, alone[1].maps, atol=1e-4 * np.abs(alone[1].maps).max())
    np.testing.assert_array_equal(beside[1].target, alone[1].target)
