"""The controller on a viewer model: painting, switching pictures, jobs that fail or stop. Qt, but no window."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from napari.components import ViewerModel
from viewer_parts import cells_of, discs, heatmaps_for, predictions_for

from napari_aml.errors import InputError, NotASmearError
from napari_aml.progress import Progress
from napari_aml.ui.jobs import JobBar
from napari_aml.viewer.controller import ReviewController


@pytest.fixture
def control(qtbot, analysis):
    bar = JobBar()
    qtbot.addWidget(bar)
    controller = ReviewController(ViewerModel(), bar)
    controller.heard = []
    controller.failed.connect(controller.heard.append)
    picture = analysis.slide.region(0, 0, 0, *analysis.slide.shape)
    image = controller.viewer.add_image(picture, rgb=True, name="field", scale=(0.1, 0.1), units=("um", "um"))
    controller.choose_picture(image)
    controller._finish(analysis)
    yield controller
    controller.close()
    qtbot.waitUntil(lambda: not bar.busy, timeout=5000)


def test_painting_polygons_and_strokes_become_edits(control, qtbot):
    layer, state = control.bridge.layer("cells"), control.state
    layer.paint((140, 130), control.editor.fresh_label())
    qtbot.waitUntil(lambda: state.n_cells == 7)
    layer.paint_polygon(np.array([[130, 250], [130, 280], [160, 280], [160, 250]]), control.editor.fresh_label())
    qtbot.waitUntil(lambda: state.n_cells == 8)
    layer.fill((60, 60), 0)
    qtbot.waitUntil(lambda: state.n_cells == 7)
    assert len(state.pending) == 2 and control.editor.undo_stack.count() == 3
    assert state.analysis.provenance["mask_changes_by_hand"] == 3
    for _ in range(3):
        control.editor.undo()
    assert state.n_cells == 6
    np.testing.assert_array_equal(layer.data, state.analysis.cells.masks.to_array())
    assert control.heard == []


def test_a_click_selects_and_while_adding_it_adds(control, analysis):
    uids = analysis.cells.table["uid"].tolist()
    control.bridge.cell_clicked.emit((uids[3], (220.0, 60.0)))
    assert control.state.selected == uids[3]
    control.bridge.cell_clicked.emit((None, (140.0, 130.0)))
    assert control.state.selected == uids[3]
    control.editor.set_adding(True)
    control.bridge.cell_clicked.emit((None, (140.0, 130.0)))
    assert control.state.n_cells == 7 and control.state.selected not in uids
    control.bridge.cell_clicked.emit((uids[3], (220.0, 60.0)))
    assert "already" in str(control.heard[-1]) and control.state.n_cells == 7


def test_each_picture_keeps_its_results(control, analysis):
    other = control.viewer.add_image(np.full((50, 60, 3), 230, np.uint8), rgb=True, name="other")
    first = control.bridge.image
    control.choose_picture(other)
    assert control.state.analysis is None and [x.name for x in control.viewer.layers] == ["field", "other"]
    control.choose_picture(first)
    assert control.state.n_cells == 6 and control.bridge.layer("cells") is not None


def test_results_arrive_while_the_job_runs_and_a_cancel_brings_the_old_ones_back(control, analysis, qtbot, monkeypatch):
    go = threading.Event()
    said = predictions_for(6, seed=9)
    seen = heatmaps_for(analysis.cells, said)

    def steps(source, **_):
        yield Progress(0, 3, "cells", analysis.cells)
        yield Progress(1, 3, "found", type(analysis)(analysis.slide, analysis.cells))
        rows = np.array([4, 1])
        yield Progress(2, 3, "some", (rows, said.take(rows), seen.take(rows)))
        while not go.is_set():
            time.sleep(0.01)
            yield Progress(2, 3)
        return type(analysis)(analysis.slide, analysis.cells, said, seen)

    monkeypatch.setattr("napari_aml.pipeline.analyse_steps", steps)
    state = control.state
    before = state.codes()
    control.analyse(control.bridge.image)
    qtbot.waitUntil(lambda: len(state.pending) == 4)
    assert [bool(c) for c in state.codes()] == [False, True, False, False, True, False]
    assert state.codes()[4] == said.code[4] and not control.bridge.layer("cells").editable
    control.bar.cancel()
    qtbot.waitUntil(lambda: not control.busy, timeout=2000)
    assert list(state.codes()) == list(before) and not state.pending and control.bridge.layer("cells").editable
    go.set()
    control.analyse(control.bridge.image)
    qtbot.waitUntil(lambda: not control.busy)
    assert list(state.codes()) == list(said.code) and control.heard == []


def test_a_job_that_fails_says_so_and_leaves_what_was_there(control, qtbot, monkeypatch):
    def steps(source, **_):
        yield Progress(0, 1)
        raise InputError("The picture is damaged.", "Export it again.")

    monkeypatch.setattr("napari_aml.pipeline.segment_slide_steps", steps)
    control.segment(control.bridge.image)
    qtbot.waitUntil(lambda: not control.busy)
    assert [str(e) for e in control.heard] == ["The picture is damaged. Export it again."]
    assert control.state.n_cells == 6


@pytest.mark.parametrize("job", ["analyse", "segment", "classify", "save"])
def test_nothing_to_work_on_is_said_in_words(qtbot, job, tmp_path):
    bar = JobBar()
    qtbot.addWidget(bar)
    controller = ReviewController(ViewerModel(), bar)
    with pytest.raises((InputError, NotASmearError)) as error:
        getattr(controller, job)(tmp_path if job == "save" else None)
    assert error.value.hint
    controller.close()


def test_masks_stay_as_they_are_while_a_job_runs(control, qtbot, monkeypatch):
    go = threading.Event()

    def steps(source, **_):
        while not go.is_set():
            time.sleep(0.01)
            yield Progress(0, 1)
        return source

    monkeypatch.setattr("napari_aml.pipeline.classify_cells_steps", lambda segmented, **_: steps(segmented))
    control.classify(control.bridge.image)
    control.editor.delete_selected()
    assert control.state.n_cells == 6 and "while a job runs" in str(control.heard[-1])
    go.set()
    qtbot.waitUntil(lambda: not control.busy)


def test_a_word_stays_with_its_cell_when_cells_are_found_anew(control, analysis, qtbot, monkeypatch):
    go = threading.Event()
    h, w = analysis.slide.shape
    labels, nuclei = discs((h, w), [(220, 340), (62, 201), (60, 60), (140, 130), (220, 200)], 38)  # two old ones lack
    cells = cells_of(labels, nuclei, slide_id=analysis.cells.slide_id)
    said = predictions_for(len(cells), seed=9)

    def steps(source, **_):
        yield Progress(1, 3, "found", type(analysis)(analysis.slide, cells))
        while not go.is_set():
            time.sleep(0.01)
            yield Progress(2, 3)
        return type(analysis)(analysis.slide, cells, said, heatmaps_for(cells, said))

    monkeypatch.setattr("napari_aml.pipeline.analyse_steps", steps)
    state, uids = control.state, analysis.cells.table["uid"].tolist()
    where = {uid: (y, x) for uid, y, x in zip(uids, analysis.cells.table["y"], analysis.cells.table["x"], strict=True)}
    control.decider.decide([uids[1]], "PLT")
    control.decider.decide([uids[3]], "BAS")
    control.analyse(control.bridge.image)
    qtbot.waitUntil(lambda: state.n_cells == 5)
    assert not state.confirmed().any(), "until they are known again nobody has spoken of the new cells"
    assert control.decider.decide(state.uids[:1], "MYO") == [] and "found anew" in str(control.heard[-1])
    go.set()
    qtbot.waitUntil(lambda: not control.busy)
    assert state.n_cells == 6, "the decided cell that was not found again is kept"
    table = state.analysis.cells.table.set_index("uid")
    for uid in set(table.index) & set(uids):
        assert np.hypot(table.at[uid, "y"] - where[uid][0], table.at[uid, "x"] - where[uid][1]) < 5
    assert state.code(state.row(uids[1])) == "PLT" and state.code(state.row(uids[3])) == "BAS"
    assert state.uid_at(62, 201) == uids[1] and state.uid_at(140, 130) not in uids
    assert state.confirmed().sum() == 2
    qtbot.waitUntil(lambda: not control.follow_up.busy, timeout=10_000)
