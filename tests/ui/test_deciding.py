"""What a person says goes to the record first; undo appends; blinded reading shows nothing before the first word."""

from __future__ import annotations

import pytest
from qtpy.QtGui import QUndoStack
from state_parts import state_of, uids_of

from napari_aml.errors import OutputError
from napari_aml.review.decisions import ADJUDICATOR, CLASS, Decision, MemoryStore
from napari_aml.review.regions import LEAVE_OUT, Region
from napari_aml.ui.deciding import Decider
from napari_aml.ui.state import PREDICTION, UNCLASSIFIED


class FullDisk(MemoryStore):
    full = False

    def record(self, decisions):
        if self.full:
            raise OutputError("project.sqlite", "No space left on device")
        return super().record(decisions)


@pytest.fixture
def state(qapp):
    return state_of(6, store=FullDisk(), reader="alias")


@pytest.fixture
def decider(state):
    return Decider(state, QUndoStack())


def other_code(state, row):
    return "EOS" if state.model_code(row) != "EOS" else "BAS"


def test_a_decision_is_recorded_before_it_is_shown_and_says_what_was_on_show(state, decider):
    uid, heard = uids_of(state)[2], []
    state.rows_changed.connect(lambda what: heard.append((what.uids, len(state.store.decisions()))))
    code = other_code(state, 2)
    (row,) = decider.decide([uid], code)
    assert heard == [((uid,), 1)]
    assert state.code(2) == code == state.codes()[2] == state.final_codes()[2] == state.decided[uid]
    assert state.model_codes()[2] != code
    assert (row.reader, row.slide_id, row.previous, row.seq) == ("alias", "S", None, 1)
    assert row.shown["code"] == state.model_code(2) and row.shown["bundle_id"] == "by hand"
    assert row.shown["probability"] == pytest.approx(state.analysis.predictions.probabilities[2].max(), abs=1e-4)
    state.colour_by = PREDICTION
    assert state.code(2) == state.model_code(2)


def test_undo_and_redo_append_rows_and_never_rub_out(state, decider):
    uids = uids_of(state)[:3]
    decider.decide(uids[:1], "MYO")
    decider.decide(uids, "LYT")
    assert len(state.store.decisions()) == 4
    decider.undo_stack.undo()
    assert state.decided == {uids[0]: "MYO"} and state.selection == set(uids)
    rows = state.store.decisions()
    assert [r.value for r in rows] == ["MYO", "LYT", "LYT", "LYT", "MYO", None, None]
    assert [r.previous for r in rows[-3:]] == ["LYT"] * 3
    decider.undo_stack.redo()
    assert set(state.decided.values()) == {"LYT"} and len(state.store.decisions()) == 10


def test_saying_the_same_again_records_nothing(state, decider):
    uid = uids_of(state)[0]
    assert len(decider.decide([uid], "MYO")) == 1
    assert decider.decide([uid], "MYO") == [] and decider.confirm([uid]) == []
    assert decider.undo_stack.count() == 1 == len(state.store.decisions())


def test_confirming_takes_the_shown_class(state, decider):
    uids = uids_of(state)
    decider.decide(uids[:1], other_code(state, 0))
    decider.confirm(uids)
    assert state.decided[uids[0]] == other_code(state, 0)
    assert [state.decided[u] for u in uids[1:]] == list(state.model_codes()[1:])


def test_what_cannot_be_recorded_is_not_shown_and_can_be_tried_again(state, decider):
    uid, failed = uids_of(state)[0], []
    decider.failed.connect(failed.append)
    decider.decide([uid], "MYO")
    state.store.full = True
    assert decider.decide([uid], "LYT") == [] and state.decided[uid] == "MYO"
    decider.undo_stack.undo()
    assert state.decided[uid] == "MYO" and len(failed) == 2 and "No space left" in str(failed[-1])
    state.store.full = False
    decider.undo_stack.redo()  # an empty step: it is still in force
    decider.undo_stack.undo()
    assert state.decided == {} and [r.value for r in state.store.decisions()] == ["MYO", None]


def test_blinded_nothing_of_the_model_is_shown_before_the_first_word(state, decider):
    uids, failed = uids_of(state), []
    decider.failed.connect(failed.append)
    state.blinded = True
    assert set(state.codes()) == {UNCLASSIFIED} and not state.model_shown().any()
    assert state.code(0) == UNCLASSIFIED
    assert decider.confirm(uids[:1]) == [] and "nothing to confirm" in str(failed[0])
    (row,) = decider.decide(uids[:1], "MYO")
    assert row.shown == {"blinded": True}
    assert state.shows_model(uids[0]) and not state.shows_model(uids[1])
    decider.undo_stack.undo()
    # The model's word was seen: hiding it again would be a lie, and the next word is not a blinded one.
    assert state.code(0) == state.model_code(0)
    (row,) = decider.decide(uids[:1], "LYT")
    assert row.shown["blinded"] is False and row.shown["code"] == state.model_code(0)


def test_each_reader_has_a_view_and_no_undo_of_anothers_words(state, decider):
    uids = uids_of(state)
    decider.decide(uids[:2], "MYO")
    state.reader = "second"
    assert state.decided == {} and not decider.undo_stack.canUndo()
    decider.decide(uids[:1], "LYT")
    state.store.record([Decision(uids[1], "S", "EOS", ADJUDICATOR, CLASS)])
    state.reader = "alias"
    assert state.decided == {uids[0]: "MYO", uids[1]: "MYO"}
    store = MemoryStore()
    store.record([Decision(uids[3], "S", "NGS", "alias", CLASS)])
    state.store = store
    assert state.decided == {uids[3]: "NGS"} and list(state.confirmed()) == [False] * 3 + [True] + [False] * 2


def test_tags_and_notes_come_and_go(state, decider):
    a, b = uids_of(state)[:2]
    failed = []
    decider.failed.connect(failed.append)
    decider.tag([a, b], "auer_rod", True)
    decider.tag([a], "my-own", True)
    decider.note(a, "  look again ")
    assert state.tags == {a: {"auer_rod", "my-own"}, b: {"auer_rod"}} and state.notes == {a: "look again"}
    decider.note(a, "")
    decider.tag([a], "auer_rod", False)
    assert state.notes == {} and state.tags[a] == {"my-own"}
    for _ in range(5):
        decider.undo_stack.undo()
    assert state.tags == {} and state.notes == {}
    assert decider.tag([a], "two words", True) == [] and len(failed) == 1


def test_regions_say_what_is_counted(state, decider):
    table = state.analysis.cells.table
    left = Region(((-5.0, -5.0), (-5.0, 44.0), (200.0, 44.0), (200.0, -5.0)))
    decider.draw(left)
    inside = (table["x"] < 44).to_numpy()
    assert list(state.counted()) == list(inside) and list(state.regions) == [left.uid]
    decider.draw(Region(left.points, LEAVE_OUT, left.uid))
    assert list(state.counted()) == list(~inside)
    decider.undo_stack.undo()
    assert list(state.counted()) == list(inside)
    decider.erase(left.uid)
    assert state.counted().all() and state.regions == {}


def test_one_selection(state):
    uids = uids_of(state)
    state.selected = uids[1]
    assert state.selection == {uids[1]}
    state.select(uids[2:5], uids[3])
    assert state.selected == uids[3] and state.selection == set(uids[2:5])
    state.selection = frozenset(uids[:2])
    assert state.selected == uids[0]
    state.selected = uids[1]
    assert state.selection == {uids[1]}
    state.selected = None
    assert state.selection == frozenset()


def test_cells_of_the_sessions_other_slides_can_be_decided(state, decider):
    from dataclasses import replace

    from state_parts import analysis_of

    other = analysis_of(4, seed=5)
    table = other.cells.table.assign(uid=[f"T-{i}" for i in range(4)], slide_id="T")
    state.others = (replace(other, cells=replace(other.cells, table=table, slide_id="T")),)
    (row,) = decider.confirm(["T-2"])
    assert (row.slide_id, row.value) == ("T", other.predictions.code[2]) and row.shown["code"] == row.value
    assert decider.decide([uids_of(state)[0], "T-1"], "MYO")[1].slide_id == "T"
    state.blinded = True
    assert decider.confirm(["T-3"]) == []
