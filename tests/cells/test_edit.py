"""After an edit by hand only the touched cells change; uids are for ever."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_aml.cells import CellMasks, Cells, measure, update_cells


def _cells() -> Cells:
    image = np.zeros((60, 80), np.int32)
    image[5:20, 5:20] = 1
    image[5:20, 40:60] = 2
    image[35:55, 10:40] = 3
    nuclei = np.where(np.roll(image, 0) > 0, image, 0)
    nuclei[:, ::2] = 0
    masks = CellMasks.from_arrays(image, nuclei)
    return Cells("Sx", masks, measure(masks, "Sx", 0.25), 0.25)


def test_nothing_changed_is_nothing() -> None:
    cells = _cells()
    update = update_cells(cells, cells.masks.region(0, 0, 30, 30), 0, 0)
    assert update.cells is cells
    assert (update.changed_uids, update.added_uids, update.removed_uids) == ((), (), ())


def test_repaint_measures_one_row_again() -> None:
    cells = _cells()
    labels = cells.masks.region(0, 0, 30, 30)
    labels[20:22, 5:20] = 1
    update = update_cells(cells, labels, 0, 0)
    assert update.changed_uids == ("Sx-000001",)
    now = update.cells.table.set_index("uid")
    assert now.loc["Sx-000001", "area_um2"] == pytest.approx((15 * 15 + 30) / 16)
    before = cells.table.set_index("uid")
    assert now.loc[["Sx-000002", "Sx-000003"]].equals(before.loc[["Sx-000002", "Sx-000003"]])
    assert cells.table["area_um2"].iloc[0] == pytest.approx(15 * 15 / 16), "the cells before stay as they were"


def test_delete_and_never_reuse_the_uid() -> None:
    cells = _cells()
    labels = cells.masks.to_array()
    labels[labels == 3] = 0
    update = update_cells(cells, labels)
    assert update.removed_uids == ("Sx-000003",)
    labels[40:50, 50:60] = 3
    again = update_cells(update.cells, labels)
    assert again.added_uids != ("Sx-000003",)
    assert len(again.added_uids) == 1


def test_split_keeps_the_uid_on_the_larger_part() -> None:
    cells = _cells()
    labels = cells.masks.to_array()
    part = labels == 3
    part[:, :20] = False
    labels[part] = 9  # the new label is the larger part
    update = update_cells(cells, labels)
    table = update.cells.table.set_index("label")
    assert table.loc[9, "uid"] == "Sx-000003"
    assert table.loc[3, "uid"] not in set(cells.table["uid"])
    assert update.removed_uids == ()


def test_relabelling_keeps_the_uid() -> None:
    cells = _cells()
    labels = cells.masks.to_array()
    labels[labels == 2] = 17
    update = update_cells(cells, labels)
    assert update.changed_uids == ("Sx-000002",)
    assert update.cells.table.set_index("uid").loc["Sx-000002", "label"] == 17


def test_a_part_outside_the_region_stays() -> None:
    cells = _cells()
    labels = cells.masks.region(35, 0, 10, 80)
    labels[:] = 0
    update = update_cells(cells, labels, 35, 0)
    assert update.changed_uids == ("Sx-000003",)
    assert update.cells.masks.boxes[3] == (45, 10, 55, 40)


def test_a_region_outside_the_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="inside the picture"):
        update_cells(_cells(), np.zeros((10, 10), int), 55, 0)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 50), st.integers(0, 70), st.integers(1, 25), st.integers(1, 25), st.integers(0, 8)),
        min_size=1, max_size=6,
    )
)  # fmt: skip
def test_any_edits_leave_masks_and_table_in_step(edits) -> None:
    cells = _cells()
    for y, x, h, w, label in edits:
        labels = cells.masks.region(y, x, min(h, 60 - y), min(w, 80 - x))
        labels[1:, :] = label
        cells = update_cells(cells, labels, y, x).cells
        image = cells.masks.to_array()
        assert set(np.unique(image)) - {0} == set(cells.table["label"]) == set(cells.masks)
        assert cells.table["uid"].is_unique
        areas = np.bincount(image.ravel(), minlength=20)
        assert np.allclose(cells.table["area_um2"] * 16, areas[cells.table["label"]])
