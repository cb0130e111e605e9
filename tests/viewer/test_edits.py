"""Hand edits of masks: only what was touched changes, and it can be undone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from viewer_parts import cells_of, discs

from napari_aml.errors import InputError
from napari_aml.ui.state import ReviewState
from napari_aml.ui.undo import MaskCommand
from napari_aml.viewer.edits import added, deleted, painted, split


def layer(cells):
    return cells.masks.to_array()


def paint(cells, array, box=None, fresh=None):
    return painted(cells, lambda b: array[b[0] : b[2], b[1] : b[3]], box, fresh or cells.masks.next_label)


def same_rows(before, after, uids):
    a = before.table.set_index("uid").drop(index=list(uids), errors="ignore")
    b = after.table.set_index("uid").drop(index=list(uids), errors="ignore")
    assert a.equals(b.loc[a.index]) and len(a) == len(b)


def test_painting_changes_the_one_cell_and_keeps_its_uid(analysis):
    cells = analysis.cells
    array = layer(cells)
    array[95:105, 60:70] = 1
    edit = paint(cells, array, (95, 60, 105, 70))
    uid = cells.table["uid"].iloc[0]
    assert edit.touched == (uid,) and edit.touched_back == (uid,)
    row = edit.after.table.set_index("uid").loc[uid]
    assert row.area_um2 > cells.table["area_um2"].iloc[0] and row.y1 == 105
    same_rows(cells, edit.after, [uid])
    np.testing.assert_array_equal(edit.after.masks.to_array(), array)


def test_erasing_a_line_through_a_cell_makes_two_and_the_larger_keeps_the_uid(analysis):
    cells = analysis.cells
    array = layer(cells)
    array[:, 75:78][array[:, 75:78] == 1] = 0
    edit = paint(cells, array, (0, 75, 130, 78))
    assert len(edit.after) == len(cells) + 1
    uid = cells.table["uid"].iloc[0]
    parts = edit.after.table[edit.after.table["x1"] < 110].query("y < 120")
    assert len(parts) == 2
    assert parts.sort_values("area_um2")["uid"].iloc[1] == uid
    assert set(edit.touched) == set(parts["uid"])
    same_rows(cells, edit.after, edit.touched)


def test_crumbs_of_erasing_vanish(analysis):
    cells = analysis.cells
    array = layer(cells)
    array[60, 98:100] = 0  # leaves one pixel at the cell's right end
    assert array[60, 100] == 1
    edit = paint(cells, array, (60, 98, 61, 100))
    assert len(edit.after) == len(cells)
    assert edit.after.masks.region(60, 98, 1, 3).tolist() == [[0, 0, 0]]


def test_erasing_a_whole_cell_removes_its_row(analysis):
    cells = analysis.cells
    array = layer(cells)
    array[array == 4] = 0
    edit = paint(cells, array)
    gone = cells.table["uid"].iloc[3]
    assert gone not in set(edit.after.table["uid"]) and edit.touched == () and edit.touched_back == (gone,)


def test_painting_with_a_used_label_elsewhere_is_a_cell_of_its_own(analysis):
    cells = analysis.cells
    array = layer(cells)
    array[130:150, 130:150] = 2
    edit = paint(cells, array, (130, 130, 150, 150))
    assert len(edit.after) == len(cells) + 1
    new = set(edit.after.table["uid"]) - set(cells.table["uid"])
    row = edit.after.table.set_index("uid").loc[new.pop()]
    assert (row.y0, row.x0, row.y1, row.x1) == (130, 130, 150, 150)


def test_painting_nothing_is_no_edit(analysis):
    assert paint(analysis.cells, layer(analysis.cells), (0, 0, 50, 50)) is None


def test_deleting(analysis):
    edit = deleted(analysis.cells, 3)
    assert 3 not in edit.after.masks.boxes and len(edit.after) == 5
    same_rows(analysis.cells, edit.after, [analysis.cells.table["uid"].iloc[2]])


def test_splitting_goes_between_two_touching_cells():
    labels, nuclei = discs((100, 160), [(50, 50), (50, 110)], 34)
    cells = cells_of((labels > 0).astype(np.int32), (nuclei > 0).astype(np.int32))
    assert len(cells) == 1
    edit = split(cells, 1, 2)
    assert len(edit.after) == 2
    centres = np.sort(edit.after.table["x"].to_numpy())
    assert abs(centres[0] - 50) < 4 and abs(centres[1] - 110) < 4
    areas = edit.after.table["area_um2"].to_numpy()
    assert areas.max() / areas.min() < 1.1
    assert edit.after.table["uid"].isin(cells.table["uid"]).sum() == 1


@pytest.mark.parametrize("shape", ["round", "bar"])
def test_splitting_always_gives_two_parts(shape):
    labels = discs((60, 60), [(30, 30)], 20)[0] if shape == "round" else np.pad(np.ones((6, 40), np.int32), 8)
    cells = cells_of(labels)
    edit = split(cells, 1, 2)
    assert len(edit.after) == 2 and edit.after.table["area_um2"].sum() == pytest.approx(cells.table["area_um2"].sum())


def test_a_speck_cannot_be_split():
    with pytest.raises(InputError, match="too small"):
        split(cells_of(np.pad(np.ones((2, 3), np.int32), 3)), 1, 2)


def test_adding_leaves_the_neighbours_alone(analysis):
    cells = analysis.cells
    edit = added(cells, 110, 60, cells.masks.next_label)
    assert len(edit.after) == 7 and edit.select == edit.touched[0]
    same_rows(cells, edit.after, edit.touched)
    assert edit.after.masks.region(110, 60, 1, 1)[0, 0] == 7


@pytest.mark.parametrize(("y", "x", "said"), [(60, 60, "already"), (-3, 5, "outside"), (10, 4000, "outside")])
def test_adding_where_it_makes_no_sense_is_refused_in_words(analysis, y, x, said):
    with pytest.raises(InputError, match=said):
        added(analysis.cells, y, x, 99)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**20))
def test_any_painting_can_be_undone_and_leaves_a_consistent_table(seed):
    rng = np.random.default_rng(seed)
    labels, nuclei = discs((90, 120), [(30, 30), (30, 85), (65, 60)], 22)
    cells = cells_of(labels, nuclei)
    array = layer(cells)
    y, x, h, w = rng.integers(0, 80), rng.integers(0, 100), rng.integers(1, 40), rng.integers(1, 40)
    array[y : y + h, x : x + w] = rng.integers(0, 5)
    edit = paint(cells, array, (y, x, min(y + h, 90), min(x + w, 120)), fresh=10)
    if edit is None:
        return
    after = edit.after
    assert after.table["uid"].is_unique and sorted(after.masks) == sorted(after.table["label"])
    areas = {int(v): int((after.masks.to_array() == v).sum()) for v in after.masks}
    for row in after.table.itertuples():
        assert row.area_um2 == pytest.approx(areas[row.label] * after.pixel_size_um**2, rel=1e-4)
    outside = after.masks.to_array() != cells.masks.to_array()
    y0, x0, y1, x1 = edit.box
    outside[y0:y1, x0:x1] = False
    assert not outside.any()
    same_rows(cells, after, {*edit.touched, *edit.touched_back})


def test_undo_and_redo_restore_cells_and_keep_what_was_said_about_the_others(analysis):
    state = ReviewState(analysis=analysis)
    heard = []
    before = analysis.table()
    command = MaskCommand(state, deleted(analysis.cells, 2), heard.append)
    command.redo()
    assert state.n_cells == 5 and heard[-1].removed == {2: analysis.cells.masks.boxes[2]}
    kept = before.drop(index=1).reset_index(drop=True)
    pd.testing.assert_frame_equal(state.analysis.table(), kept)
    command.undo()
    assert state.analysis.cells.table.equals(analysis.cells.table)
    assert state.pending == {before["uid"].iloc[1]} == set(heard[-1].uids)
    others = [0, 2, 3, 4, 5]
    np.testing.assert_array_equal(
        state.analysis.predictions.probabilities[others], analysis.predictions.probabilities[others]
    )
