"""Very many cells at once: recorded in a thread before they are shown, in their order, and never lost."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from qtpy.QtGui import QUndoStack
from state_parts import state_of, uids_of

from napari_aml.errors import OutputError
from napari_aml.review.decisions import MemoryStore
from napari_aml.ui import deciding
from napari_aml.ui.cell_index import index_of
from napari_aml.ui.deciding import Decider
from napari_aml.ui.dots import Dots, colour
from napari_aml.ui.gallery_cells import GalleryCells
from napari_aml.ui.gallery_model import GalleryModel
from napari_aml.ui.listening import Listening
from napari_aml.ui.map_plot import MapPlot
from napari_aml.ui.state import RowsChanged


class SlowStore(MemoryStore):
    """A record that can be held up and that counts what it is asked for."""

    def __init__(self):
        super().__init__()
        self.let = threading.Event()
        self.let.set()
        self.full, self.batches, self.threads = False, [], []

    def record(self, decisions):
        assert self.let.wait(20)
        self.batches.append(len(decisions))
        self.threads.append(threading.current_thread())
        if self.full:
            raise OutputError("project.sqlite", "No space left on device")
        return super().record(decisions)


@pytest.fixture
def many(qapp, monkeypatch):
    """A state of 60 cells where more than 20 are many."""
    monkeypatch.setattr(deciding, "AT_ONCE", 20)
    state = state_of(60, store=SlowStore(), reader="ada")
    decider = Decider(state, QUndoStack())
    held = state.store.let
    yield state, decider, uids_of(state)
    held.set()
    decider.close()


def done(qtbot, decider):
    qtbot.waitUntil(lambda: not decider.recording, timeout=10_000)


def test_many_words_are_on_the_disk_before_they_are_shown_and_the_window_goes_on_meanwhile(many, qtbot):
    state, decider, uids = many
    heard, told = [], []
    state.rows_changed.connect(lambda what: heard.append((len(what.uids), len(state.store.decisions()))))
    decider.waiting.connect(told.append)
    state.store.let.clear()
    assert decider.decide(uids[:50], "MYO") == []
    assert decider.recording and not state.decided and not heard and told == [50], "not shown while it is not safe"
    state.store.let.set()
    done(qtbot, decider)
    assert heard == [(50, 50)] and told == [50, 0] and len(state.decided) == 50
    assert state.store.batches == [50] and state.store.threads[0] is not threading.main_thread()
    shown = state.store.decisions()[7].shown
    assert shown["code"] == state.model_code(7) and shown["bundle_id"] == "by hand" and not shown["blinded"]
    assert shown["probability"] == pytest.approx(state.analysis.predictions.probabilities[7].max(), abs=1e-4)


def test_a_word_said_meanwhile_comes_after_them(many):
    state, decider, uids = many
    decider.decide(uids[:50], "MYO")
    decider.decide(uids[:1], "LYT")  # waits for the fifty
    assert state.store.batches == [50, 1] and state.decided[uids[0]] == "LYT"
    assert state.store.decisions()[-1].previous == "MYO"


def test_undo_and_redo_of_many_wait_for_each_other_and_end_where_they_began(many, qtbot):
    state, decider, uids = many
    decider.decide(uids[:3], "LYT")
    decider.tag(uids[:40], "auer_rod", True)
    decider.decide(uids[:50], "MYO")
    stack = decider.undo_stack
    stack.undo()  # at once, while the decisions are still being written
    stack.undo()
    done(qtbot, decider)
    assert state.decided == dict.fromkeys(uids[:3], "LYT") and not state.tags
    stack.redo()
    stack.redo()
    done(qtbot, decider)
    assert state.decided == dict.fromkeys(uids[:50], "MYO") and len(state.tags) == 40
    assert state.store.batches == [3, 40, 50, 50, 40, 40, 50], "every step is rows of its own, none is rubbed out"
    assert state.selection == set(uids[:50])


def test_what_cannot_be_recorded_is_not_shown(many, qtbot):
    state, decider, uids = many
    said = []
    decider.failed.connect(said.append)
    state.store.full = True
    decider.decide(uids, "MYO")
    done(qtbot, decider)
    assert len(said) == 1 and not state.decided and not state.store.decisions()
    state.store.full = False
    decider.undo_stack.undo()  # an empty step
    done(qtbot, decider)
    assert not state.store.decisions()
    decider.decide(uids, "MYO")
    done(qtbot, decider)
    assert len(state.decided) == 60


def test_closing_waits_for_what_is_being_written(many):
    state, decider, uids = many
    state.store.let.clear()
    decider.decide(uids, "MYO")
    threading.Timer(0.2, state.store.let.set).start()
    decider.close()
    assert len(state.store.decisions()) == 60 and len(state.decided) == 60 and not decider.recording


def test_rows_for_another_record_are_not_shown_in_this_one(many):
    state, decider, uids = many
    before = state.store
    before.let.clear()
    decider.decide(uids, "MYO")
    state.store = MemoryStore()
    before.let.set()
    decider.settle()
    assert len(before.decisions()) == 60 and not state.decided


def test_widgets_share_their_columns_and_read_a_change_once(qapp, monkeypatch):
    state = state_of(40)
    listening = Listening()
    model = GalleryModel(state, listening)
    other = GalleryCells.shared(state, [state.analysis])
    assert other is model.cells and model.cells.uids is index_of(state.analysis.cells.table).uids
    read = []
    update = GalleryCells.update

    def counted(cells, uids, **how):
        read.append(len(uids))
        return update(cells, uids, **how)

    monkeypatch.setattr(GalleryCells, "update", counted)
    what = RowsChanged(tuple(uids_of(state)[:7]), said=True)
    state.rows_changed.emit(what)
    assert other.follow(what).tolist() == list(range(7)) and read == [7], "seven cells read once, the others not"
    listening.release()


def test_all_cells_are_announced_without_looking_any_up(qapp):
    state = state_of(30)
    heard = []
    state.rows_changed.connect(lambda what: heard.append(what.uids))
    state.read_store()
    assert heard[0] is index_of(state.analysis.cells.table).every
    assert state.places(heard[0]).tolist() == list(range(30))


def pixel(widget, point):
    image = widget.view.grab().toImage()
    where = widget.view.mapFromScene(widget.box.mapViewToScene(point))
    return image.pixelColor(where).name()


def test_the_map_draws_points_in_their_colours_the_last_on_top_and_only_anew_when_something_changed(qtbot):
    from qtpy.QtCore import QPointF

    plot = MapPlot()
    qtbot.addWidget(plot)
    plot.resize(300, 300)
    points = np.array([[0, 0], [1, 1], [1, 1], [0, 1]], np.float32)
    groups = [("a", "#ff0000", np.array([0, 1])), ("b", "#00ff00", np.array([2])), ("c", "#0000ff", np.array([3]))]
    plot.setPoints(points, groups, fit=True)
    plot.show()
    found = [pixel(plot, QPointF(*p)) for p in ((0, 0), (1, 1), (0, 1))]
    assert found == ["#ff0000", "#00ff00", "#0000ff"] and plot.groups() == {"a": 2, "b": 1, "c": 1}
    drawn = plot.dots.drawn
    plot.setChosen(np.array([0, 3]), 1)
    plot.view.grab()
    assert plot.dots.drawn == drawn and plot.marked() == (2, 1), "choosing draws no point anew"
    plot.setPoints(points, [("a", "#ff0000", np.array([0, 1, 2])), groups[2]])
    assert pixel(plot, QPointF(1, 1)) == "#ff0000" and plot.dots.drawn == drawn + 1


def test_no_point_hangs_over_the_edge_of_the_picture(qtbot):
    dots = Dots(5)
    dots.setPoints(np.array([[0, 0], [9, 9], [-50, 3], [4, 4]]), "#123456")
    image, corner = dots._draw(np.array([[0, 0], [9, 9], [-50, 3], [4, 4]], float), 10, 10, 1.0)
    assert (corner.x(), corner.y()) == (-2, -2) and (image.width(), image.height()) == (14, 14)
    assert image.pixel(6, 6) == colour("#123456")
    assert dots._draw(np.full((4, 2), -50.0), 10, 10, 1.0)[0] is None
