"""Any sequence of labels, tags, notes, regions and masks can be undone and done again, step by step."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from qtpy.QtGui import QUndoStack
from state_parts import analysis_of

from napari_aml.cells.edit import update_cells
from napari_aml.review.reader_view import ReaderView
from napari_aml.review.regions import COUNT, LEAVE_OUT, Region
from napari_aml.ui.deciding import Decider
from napari_aml.ui.state import ReviewState
from napari_aml.ui.undo import MaskCommand, MaskEdit

CODES = ("MYO", "LYT", "EOS", "UNK")
cells = st.lists(st.integers(0, 8), min_size=1, max_size=4, unique=True)
steps = st.one_of(
    st.tuples(st.just("decide"), cells, st.sampled_from(CODES)),
    st.tuples(st.just("confirm"), cells, st.none()),
    st.tuples(st.just("withdraw"), cells, st.none()),
    st.tuples(st.just("tag"), cells, st.tuples(st.sampled_from(["auer_rod", "mine"]), st.booleans())),
    st.tuples(st.just("note"), cells, st.sampled_from(["", "one", "two"])),
    st.tuples(st.just("region"), cells, st.sampled_from([COUNT, LEAVE_OUT])),
    st.tuples(st.just("erase region"), cells, st.none()),
    st.tuples(st.just("paint"), cells, st.integers(0, 9)),
    st.tuples(st.just("delete"), cells, st.none()),
    st.tuples(st.just("undo"), st.just([0]), st.none()),
    st.tuples(st.just("redo"), st.just([0]), st.none()),
)


def picture_of(state):
    """All that a person can change, as values."""
    table = state.analysis.cells.table
    return (
        dict(state.decided), dict(state.tags), dict(state.notes), dict(state.regions),
        table.to_dict("list"), state.analysis.cells.masks.to_array().tobytes(),
    )  # fmt: skip


def edit_masks(state, stack, value, box):
    before = state.analysis.cells
    array = before.masks.to_array()
    y0, x0, y1, x1 = box
    array[y0:y1, x0:x1] = value
    update = update_cells(before, array[y0:y1, x0:x1], y0, x0)
    touched, gone = (*update.changed_uids, *update.added_uids), (*update.changed_uids, *update.removed_uids)
    if touched or gone:
        stack.push(MaskCommand(state, MaskEdit("paint", before, update.cells, touched, gone, box), lambda what: None))


def do(state, decider, step):
    name, which, value = step
    stack = decider.undo_stack
    table = state.analysis.cells.table
    if name == "undo":
        stack.undo()
    elif name == "redo":
        stack.redo()
    elif name == "region":
        k = which[0]
        square = ((0.0, 0.0), (0.0, 20.0 + k), (20.0 + k, 20.0 + k), (20.0 + k, 0.0))
        decider.draw(Region(square, value, f"region-{k % 3}"))
    elif name == "erase region":
        decider.erase(f"region-{which[0] % 3}")
    elif len(table):
        rows = [k % len(table) for k in which]
        uids = sorted({str(table["uid"].iloc[row]) for row in rows})
        box = tuple(int(v) for v in table[["y0", "x0", "y1", "x1"]].iloc[rows[0]])
        if name == "decide":
            decider.decide(uids, value)
        elif name == "confirm":
            decider.confirm(uids)
        elif name == "withdraw":
            decider.withdraw(uids)
        elif name == "tag":
            decider.tag(uids, *value)
        elif name == "note":
            decider.note(uids[0], value)
        elif name == "paint":
            edit_masks(state, stack, value, (box[0], box[1], box[0] + 9, box[1] + 12))
        elif name == "delete":
            edit_masks(state, stack, 0, box)


@settings(max_examples=30, deadline=None)
@given(st.lists(steps, min_size=1, max_size=14))
def test_undo_and_redo_lead_through_the_same_pictures(sequence):
    state = ReviewState(reader="alias")
    state.analysis = analysis_of(9, pitch=30)
    decider = Decider(state, QUndoStack())
    stack = decider.undo_stack
    start = picture_of(state)
    for step in sequence:
        do(state, decider, step)
        # What the state shows is what the record says, after every step.
        fresh = ReaderView("alias", state.store.decisions())
        assert (fresh.decided, fresh.tags, fresh.notes) == (state.decided, state.tags, state.notes)
        assert fresh.regions.get("S", {}) == state.regions
    while stack.canRedo():
        stack.redo()
    pictures = [picture_of(state)]
    rows = len(state.store.decisions())
    while stack.canUndo():
        stack.undo()
        pictures.append(picture_of(state))
    assert pictures[-1] == start
    for expected in reversed(pictures[:-1]):
        stack.redo()
        assert picture_of(state) == expected
    assert not stack.canRedo() and len(state.store.decisions()) >= rows
    sequence_numbers = [row.seq for row in state.store.decisions()]
    assert sequence_numbers == list(range(1, len(sequence_numbers) + 1))
    assert np.array_equal(state.codes(), state.final_codes())
