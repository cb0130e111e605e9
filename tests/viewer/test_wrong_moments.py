"""A click at a wrong moment: nothing is analysed yet, a project is closed meanwhile, a picture goes while one types."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication
from viewer_parts import CENTRES, cells_of, discs, heatmaps_for, idle, opened, predictions_for

from napari_aml.analysis import Analysis
from napari_aml.slides import ArraySlide, PixelSize
from napari_aml.viewer import layers as look

pytestmark = pytest.mark.viewer


def blank_picture(dock):
    return dock.viewer.add_image(np.full((120, 160, 3), 235, np.uint8), rgb=True, name="blank")


def test_a_cell_of_another_slide_is_decided_before_this_one_is_analysed(dock, analysis):
    """The gallery shows the cells of the session's other slides, and the keys act on them."""
    blank_picture(dock)
    state, uid = dock.state, analysis.cells.table["uid"].iloc[2]
    assert state.analysis is None and [a.slide.name for a in state.others] == ["hand"]
    state.select([uid])
    QApplication.processEvents()
    assert dock.controller.decider.decide([uid], "MYO")
    assert state.decided == {uid: "MYO"} and [x.name for x in dock.viewer.layers] == ["first", "blank"]
    dock.controller.editor.undo()
    state.blinded = True
    dock.controller.decider.decide([uid], "LYT")
    assert state.decided == {uid: "LYT"} and not dock.said


@pytest.mark.parametrize("what", ["cell", "picture"])
def test_a_note_is_of_the_cell_at_which_it_was_typed(dock, analysis, qtbot, what):
    """Another cell or picture is shown while someone types: the note is kept, at its own cell."""
    state, marks = dock.state, dock.inspector.marks
    uid = analysis.cells.table["uid"].iloc[1]
    window = dock.viewer.window._qt_window
    window.show()
    dock.tabs.setCurrentIndex(1)
    state.selected = uid
    qtbot.waitUntil(marks.note.isVisible)
    window.activateWindow()
    marks.note.setFocus()
    qtbot.waitUntil(marks.note.hasFocus)
    QTest.keyClicks(marks.note, "smudged")
    if what == "cell":
        state.selected = analysis.cells.table["uid"].iloc[4]
        assert marks.value()[1] == ""
    else:
        blank_picture(dock)
        assert state.selected is None
    QApplication.processEvents()
    assert state.notes == {uid: "smudged"}


def test_analysed_anew_while_a_word_still_goes_to_the_status_bar(dock, analysis, monkeypatch):
    """Among many cells what napari shows of a cell follows a moment after the key."""
    for where in ("controller", "bridge"):
        monkeypatch.setattr(f"napari_aml.viewer.{where}.MOST_NAMES", 0)
    dock.controller.decider.decide(analysis.cells.table["uid"].tolist()[:2], "MYO")
    dock.controller._start_over(dock.picture())
    assert dock.state.analysis is None
    dock.controller.later.now()
    QApplication.processEvents()
    assert not dock.said


def test_a_large_slide_is_looked_at_while_its_heatmaps_go(make_dock, monkeypatch):
    """Its layers are drawn when they are looked at, and change one after the other where there are many cells."""
    monkeypatch.setattr("napari_aml.viewer.drawing.FIELD_PIXELS", 1_000_000)
    dock = make_dock()
    labels, nuclei = discs((1200, 1600), CENTRES, 40)
    slide = ArraySlide([np.full((1200, 1600, 3), 235, np.uint8)], "large", pixel_size=PixelSize(0.1, "person"))
    cells = cells_of(labels, nuclei, slide_id=slide.slide_id)
    said = predictions_for(len(cells))
    dock.viewer.add_image(slide.region(0, 0, 0, 1200, 1600), rgb=True, name="large")
    dock.controller._take(Analysis(slide, cells, said, heatmaps_for(cells, said)))
    heat, turns = dock.controller.bridge.layer(look.HEATMAP), []
    assert heat.multiscale and np.asarray(heat.data[0][0:300, 0:400]).any()
    dock.controller.bridge.in_turns = turns.append
    dock.controller._take(Analysis(slide, cells, said))
    assert not np.asarray(heat.data[0][0:300, 0:400]).any()
    for _ in turns[0]:
        pass
    assert dock.controller.bridge.layer(look.HEATMAP) is None and not dock.said


def held_up(monkeypatch, owner, name):
    """Let a method wait in its thread; returns what is set when it waits, and what lets it go on."""
    true, waits, go = getattr(owner, name), threading.Event(), threading.Event()

    def wait(*arguments):
        waits.set()
        assert go.wait(30)
        return true(*arguments)

    monkeypatch.setattr(owner, name, wait)
    return waits, go


def test_a_project_is_closed_while_its_readers_are_compared(make_dock, qtbot, filled):
    dock = make_dock()
    opened(qtbot, dock, filled)
    page = dock.project.page
    page.readers.compare_button.click()
    page.close_button.click()
    qtbot.waitUntil(lambda: dock.project.readers._job is None, timeout=30_000)
    assert page.readers.table.topLevelItemCount() == 0 and not page.readers.words.text() and not dock.said


def test_a_project_is_closed_while_one_of_its_slides_is_opened(make_dock, qtbot, filled, monkeypatch):
    from napari_aml.viewer import project_session

    read, done, go = project_session.read_slide, threading.Event(), threading.Event()

    def read_and_wait(*arguments):
        slide = read(*arguments)
        done.set()
        assert go.wait(30)
        return slide

    monkeypatch.setattr(project_session, "read_slide", read_and_wait)
    dock = make_dock()
    opened(qtbot, dock, filled)
    for layer in dock._pictures():
        dock.viewer.layers.remove(layer)
    page = dock.project.page
    page.slides.itemDoubleClicked.emit(page.slides.topLevelItem(0), 0)
    qtbot.waitUntil(done.is_set, timeout=30_000)
    page.close_button.click()
    qtbot.waitUntil(lambda: not dock.job_bar.busy, timeout=30_000)  # it is not waited for
    go.set()
    idle(qtbot, dock)
    assert not dock.said and len(dock.viewer.layers) == 0 and dock.project.project is None


def test_a_project_is_closed_while_pictures_of_it_are_looked_for(make_dock, qtbot, filled, monkeypatch, tmp_path):
    """The search fails in its thread once the record is closed; nobody asked for it any more."""
    dock = make_dock()
    project = opened(qtbot, dock, filled)
    looking, go = held_up(monkeypatch, type(project), "relink")
    dock.project.page.searchRequested.emit(str(tmp_path))
    qtbot.waitUntil(looking.is_set, timeout=30_000)
    dock.project.page.close_button.click()
    go.set()
    idle(qtbot, dock)
    qtbot.wait(200)
    assert not dock.said and dock.project.project is None


def test_a_project_is_not_closed_while_a_picture_goes_into_it(make_dock, qtbot, filled, monkeypatch, tmp_path):
    dock = make_dock()
    project = opened(qtbot, dock, filled)
    adding, go = held_up(monkeypatch, type(project), "add_slide")
    page = dock.project.page
    page.add_button.click()
    qtbot.waitUntil(adding.is_set, timeout=30_000)
    page.close_button.click()
    assert dock.project.project is project and "still being put into the project" in dock.said.pop()
    page.createRequested.emit(str(tmp_path / "another"))
    assert dock.project.project is project and "still being put into the project" in dock.said.pop()
    go.set()
    idle(qtbot, dock)
    dock.said.clear()
    page.close_button.click()
    assert dock.project.project is None and not dock.said and not (tmp_path / "another").exists()


def test_a_project_is_closed_while_a_run_of_it_can_be_chosen(make_dock, qtbot, filled):
    from napari_aml.viewer.teach_dock import TeachDock

    dock = make_dock()
    project = opened(qtbot, dock, filled)
    now = dock.state.analysis
    project.save(replace(now, predictions=replace(now.predictions, bundle_id="an earlier model")))
    teach = TeachDock(dock.viewer)
    qtbot.addWidget(teach)
    try:
        choice = teach.queue.second.choice
        at = next(i for i in range(choice.count()) if "an earlier model" in choice.itemText(i))
        dock.project.page.close_button.click()
        choice.setCurrentIndex(at)
        choice.activated.emit(at)
        idle(qtbot, dock)
        assert "no longer open" in teach.status.text() and choice.currentIndex() == 0
    finally:
        teach.shut_down()
