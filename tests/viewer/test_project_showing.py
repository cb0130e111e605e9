"""A project of very many cells comes onto the screen piece by piece: nothing twice, nothing lost, nothing left."""

from __future__ import annotations

import gc
import json
import threading

import numpy as np
import pytest
from napari.layers import Layer
from qtpy.QtCore import QThreadPool
from qtpy.QtWidgets import QApplication
from viewer_parts import analysis_at

from napari_aml.review.project import Project
from napari_aml.ui.gallery_cells import GalleryCells
from napari_aml.ui.patient_timer import SHOWING
from napari_aml.viewer import drawing, project_opening, project_showing
from napari_aml.viewer.gallery_dock import GalleryDock
from napari_aml.viewer.in_turns import InTurns

pytestmark = pytest.mark.viewer


@pytest.fixture
def many(monkeypatch):
    """Six cells are very many."""
    monkeypatch.setattr(project_showing, "MOST_NAMES", 0)
    monkeypatch.setattr(project_showing, "_MANY", 3)
    monkeypatch.setattr(drawing, "_MANY", 3)
    yield
    assert gc.get_freeze_count() == 0, "what was kept out of the search for cycles is in it again"


def begun(qtbot, dock, folder):
    """Open a project and stop before the first piece is shown."""
    dock.project.open(folder)
    qtbot.waitUntil(lambda: dock.project.project is not None, timeout=60_000)
    assert dock.project.showing.busy
    return dock.project.project


def shown(qtbot, dock):
    qtbot.waitUntil(lambda: not dock.project.showing.busy and not dock.controller.busy, timeout=60_000)
    QApplication.processEvents()


def names(dock):
    return [layer.name for layer in dock.viewer.layers]


def test_each_piece_is_a_turn_of_its_own_and_words_stand_in_for_what_is_not_there_yet(many, make_dock, qtbot, filled):
    dock = make_dock()
    gallery = GalleryDock(dock.viewer)
    dock.viewer.window.add_dock_widget(gallery, name="Cell gallery", area="bottom")
    made, steps = [], []
    for event in ("analysis", "others"):
        getattr(dock.state.events, event).connect(lambda *_, e=event: made.append(e))
    dock.viewer.layers.events.inserted.connect(lambda e: steps.append(e.value.name))
    dock.project.open(filled)
    assert dock.state.waiting == "Opening the project …" and names(dock) == []
    qtbot.waitUntil(lambda: dock.project.project is not None, timeout=60_000)
    seen = []
    while dock.project.showing.busy:
        before = len(steps)
        dock.project.showing._turns._one()
        seen.append(len(steps) - before)
        if dock.project.showing.busy:
            assert dock.state.waiting == SHOWING == dock.status.text()
    assert steps == ["0", "1", "heatmap", "classes", "cells", "names"] and max(seen) == 1, (
        "one layer a turn, none twice"
    )
    assert made == ["analysis", "others"], "the cells are told of once, and the other slides once"
    assert dock.state.waiting == "" == dock.status.text() and len(gallery.panel.model.cells) == 12
    assert dock.viewer.layers.selection.active.name == "cells"
    assert all(not a.cells.masks.drawn for a in (dock.state.analysis, *dock.state.others)), "drawn ahead, and let go"
    gallery.shut_down()
    dock.viewer.window.remove_dock_widget(gallery)


def test_what_comes_in_pieces_is_what_comes_at_once(many, make_dock, qtbot, filled, monkeypatch):
    dock = make_dock()
    begun(qtbot, dock, filled)
    shown(qtbot, dock)
    monkeypatch.setattr(project_showing, "MOST_NAMES", 1000)
    whole = make_dock()
    whole.project.open(filled)
    qtbot.waitUntil(lambda: whole.project.project is not None and not whole.controller.busy, timeout=60_000)
    assert not whole.project.showing.busy and names(whole) == names(dock)
    for name in ("classes", "cells", "heatmap"):
        np.testing.assert_array_equal(whole.viewer.layers[name].data, dock.viewer.layers[name].data)
        assert whole.viewer.layers[name].visible and dock.viewer.layers[name].visible
    assert whole.state.decided == dock.state.decided and whole.state.selected == dock.state.selected
    same = [layer.visible for layer in whole.viewer.layers] == [layer.visible for layer in dock.viewer.layers]
    assert same and dock.viewer.layers["cells"].features.equals(whole.viewer.layers["cells"].features)


def test_a_word_said_while_cells_come_in_is_kept_and_the_view_of_before_is_not_lost(many, make_dock, qtbot, filled):
    with Project.open(filled, "ada") as project:
        first = project.slides()[0].slide_id
        view = {"version": 1, "slides": [first], "shown": first, "tab": 3, "colour_by": "prediction"}
        project.session.save("ada", view)
    dock = make_dock()
    begun(qtbot, dock, filled)
    while dock.state.analysis is None:  # the cells are there, their layers are not
        dock.project.showing._turns._one()
    assert "classes" not in names(dock)
    uid = dock.state.uids[5]
    dock.controller.decider.decide([uid], "EOS")
    assert dock.state.decided[uid] == "EOS"
    dock.project.saving.look()
    dock.shut_down()  # in the middle of it
    assert not dock.project.showing.busy
    with Project.open(filled, "ada") as project:
        assert project.decisions()[-1].value == "EOS" and project.decisions()[-1].uid == uid
        assert project.session.load("ada") == json.loads(json.dumps(view)), "half a view has not taken its place"


def test_a_word_said_while_layers_come_in_is_drawn(many, make_dock, qtbot, filled):
    from napari_aml.viewer.layers import class_value

    dock = make_dock()
    begun(qtbot, dock, filled)
    while dock.state.analysis is None:
        dock.project.showing._turns._one()
    uid = dock.state.uids[4]
    dock.controller.decider.decide([uid], "EOS")
    shown(qtbot, dock)
    table = dock.state.analysis.cells.table
    y, x = (int(table[c][4]) for c in ("y", "x"))
    assert dock.viewer.layers["classes"].data[y, x] == class_value("EOS")
    assert dock.viewer.layers["cells"].features["class"][4] == "EOS"
    dock.controller.decider.decide([uid], "BAS")
    assert dock.viewer.layers["cells"].features["class"][4] == "BAS"


def test_another_picture_chosen_meanwhile_gets_none_of_the_layers(many, make_dock, qtbot, filled):
    dock = make_dock()
    begun(qtbot, dock, filled)
    while "classes" not in names(dock):
        dock.project.showing._turns._one()
    dock.choose_picture(dock.viewer.layers["0"])  # no cells of it are there yet
    shown(qtbot, dock)
    first = dock.project.project.slides()[0].slide_id
    assert dock.controller.bridge.image.name == "0" and dock.state.analysis.cells.slide_id == first
    assert [a.cells.slide_id for a in dock.state.others] == [dock.project.project.slides()[1].slide_id]
    assert sum(name in ("classes", "cells", "heatmap") for name in names(dock)) == 3


def test_closed_while_it_is_opened_it_leaves_no_thread_and_no_open_project(many, make_dock, qtbot, filled, monkeypatch):
    held, opened = threading.Event(), []
    read = project_opening.read_slide

    def slow(project, slide_id):
        opened.append(project)
        assert held.wait(20)
        return read(project, slide_id)

    monkeypatch.setattr(project_opening, "read_slide", slow)
    dock = make_dock()
    dock.project.open(filled)
    qtbot.waitUntil(lambda: bool(opened), timeout=20_000)
    dock.shut_down()
    held.set()
    qtbot.waitUntil(lambda: QThreadPool.globalInstance().activeThreadCount() == 0, timeout=20_000)
    left = {t.name.split("_")[0] for t in threading.enumerate()} & {"picture", "recording"}
    assert not left and names(dock) == []
    with pytest.raises(Exception, match="closed"):
        opened[0].decisions()
    with Project.open(filled) as project:
        assert project.others() == [], "the window that was closed is not said to be there"


def test_the_project_is_asked_for_its_decisions_once_and_columns_are_made_once(
    many, make_dock, qtbot, filled, monkeypatch
):
    made = []
    init = GalleryCells.__init__
    monkeypatch.setattr(GalleryCells, "__init__", lambda self, s, a: made.append(len(a)) or init(self, s, a))
    dock = make_dock()
    gallery = GalleryDock(dock.viewer)
    dock.viewer.window.add_dock_widget(gallery, name="Cell gallery", area="bottom")
    made.clear()
    project = begun(qtbot, dock, filled)
    asked = []
    project._record._db.set_trace_callback(
        lambda sql: asked.append(sql) if "FROM decisions WHERE seq >" in sql else None
    )
    shown(qtbot, dock)
    assert made == [1, 2], "once for the slide that is shown, once with the other one"
    assert sum("FROM decisions WHERE seq >" in sql for sql in asked) <= 2
    assert dock.state.view.reader == "ada" and len(dock.state.decided) == 4
    gallery.shut_down()
    dock.viewer.window.remove_dock_widget(gallery)


def test_words_on_their_way_go_into_the_project_that_is_made_meanwhile(make_dock, qtbot, tmp_path, monkeypatch):
    from napari_aml.review.decisions import MemoryStore
    from napari_aml.ui import deciding
    from napari_aml.viewer.picture_layers import slide_layer

    monkeypatch.setattr(deciding, "AT_ONCE", 2)
    held, record = threading.Event(), MemoryStore.record
    monkeypatch.setattr(MemoryStore, "record", lambda self, rows: held.wait(20) and record(self, rows))
    dock, one = make_dock(), analysis_at(tmp_path / "0.png")
    layer = Layer.create(*slide_layer(one.slide))
    dock.controller.remember(layer, one)
    dock.viewer.add_layer(layer)
    dock.controller.decider.decide(dock.state.uids, "EOS")
    assert dock.controller.decider.recording and not dock.state.decided
    threading.Timer(0.2, held.set).start()
    dock.project.create(tmp_path / "new")
    shown(qtbot, dock)
    assert [d.value for d in dock.project.project.decisions()] == ["EOS"] * 6 and len(dock.state.decided) == 6


def test_an_error_in_a_piece_is_said_and_ends_it(qtbot):
    done, said = [], []
    turns = InTurns(said.append)

    def pieces():
        done.append(1)
        yield
        raise ValueError("broken")

    turns.run(pieces())
    qtbot.waitUntil(lambda: not turns.busy)
    assert done == [1] and [str(e) for e in said] == ["broken"]
    turns.run(iter([None, None]), at_once=True)
    assert not turns.busy
    qtbot.wait(20)
    assert len(said) == 1, "nothing is left to be done in a turn to come"


def test_the_first_picture_of_the_labels_is_kept_with_them_and_never_believed_where_it_does_not_fit(
    tmp_path, monkeypatch
):
    from napari_aml.cells import drawn
    from napari_aml.review.project.revisions import DRAWN

    monkeypatch.setattr(drawn, "steps_for", lambda shape: [1, 4])
    one = analysis_at(tmp_path / "0.png")
    with Project.create(tmp_path / "study", reader="ada") as project:
        project.add_slide(one.slide, one)
        slide_id = project.slides()[0].slide_id
        masks = project.cells(slide_id).masks
        kept = masks.drawn[4]
        np.testing.assert_array_equal(kept, one.cells.masks.to_array()[::4, ::4])
        masks.put(7, 5, 5, np.ones((9, 9), np.uint8))
        assert 4 not in masks.drawn, "a changed mask is drawn anew"
        (path,) = project.folder.rglob(DRAWN)
        for spoilt in (b"nonsense", None, kept[:-1], kept + 99):
            path.unlink()
            if isinstance(spoilt, bytes):
                path.write_bytes(spoilt)
            elif spoilt is not None:
                np.savez_compressed(path, step=4, labels=spoilt)
            elif not path.exists():
                path.write_bytes(b"")
            assert project.cells(slide_id).masks.drawn == {}
        path.unlink()
        assert project.cells(slide_id).masks.drawn == {} and len(project.cells(slide_id)) == 6
