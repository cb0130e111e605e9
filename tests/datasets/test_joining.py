"""Datasets made one, and parts of one drawn."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from dataset_parts import cell

import napari_aml as aml
from napari_aml.datasets import Dataset, DatasetError, join_steps, split, write_dataset
from napari_aml.datasets.splitting import SplitError


def made(path, name, seeds, **columns):
    table = pd.DataFrame({"code": ["MYO", "LYT"] * (len(seeds) // 2), **columns})
    return write_dataset(path, table, [cell(s) for s in seeds], {"name": name, "licence": f"of {name}"})


def test_patients_of_two_sets_never_meet_and_nothing_is_lost(tmp_path):
    a = made(tmp_path / "a", "A", range(4), patient=["p1", "p1", "p2", "p2"], sex=["f", "f", "m", "m"])
    b = made(tmp_path / "b", "B", range(10, 14), patient=["p1", "p1", "p3", "p3"])
    both = aml.run(join_steps([a, tmp_path / "b"], tmp_path / "both"))
    assert len(both) == 8
    assert sorted(set(both.table["patient"])) == ["A:p1", "A:p2", "B:p1", "B:p3"]
    assert both.leakage.level == "patient" and both.meta["licence"] == "of A; of B"
    assert (both.table["sex"] == "f").sum() == 2
    assert np.array_equal(both.pixels(5), b.pixels(1))
    assert both.meta["joined"]["parts"][1]["fingerprint"] == b.fingerprint()


def test_a_draw_takes_one_of_each_group_first(tmp_path):
    a = made(tmp_path / "a", "A", range(12), group=["x", "", "x", "", "x", "", "y", "", "z", "", "z", ""])
    few = aml.run(join_steps([a], tmp_path / "few", per_class=3, seed=1))
    assert dict(few.table["code"].value_counts()) == {"MYO": 3, "LYT": 3}
    assert sorted(few.table["group"][few.table["code"] == "MYO"]) == ["x", "y", "z"]
    again = aml.run(join_steps([a], tmp_path / "again", per_class=3, seed=1))
    assert again.fingerprint() == few.fingerprint()
    assert "At most 3" in few.meta["notes"][0]


def test_the_same_set_twice_is_refused(tmp_path):
    made(tmp_path / "a", "A", range(4))
    with pytest.raises(DatasetError, match="called 'a'"):
        aml.run(join_steps([tmp_path / "a", Dataset.open(tmp_path / "a")], tmp_path / "both"))
    with pytest.raises(DatasetError, match="no dataset to join"):
        aml.run(join_steps([], tmp_path / "both"))


def test_one_part_of_a_split_becomes_a_dataset_of_its_own(tmp_path):
    a = made(tmp_path / "a", "A", range(20))
    known = split(a, fractions={"train": 0.6, "test": 0.4}, seed=2)
    kept = known.write(tmp_path / "split.json")
    unseen = aml.run(join_steps([a], tmp_path / "unseen", division=kept))
    assert set(unseen.table["uid"]) == set(known.uids[known.rows("test")]) and "test" in unseen.meta["notes"][0]
    few = aml.run(join_steps([a], tmp_path / "few", division=kept, part="train", per_class=2))
    assert set(few.table["uid"]) < set(known.uids[known.rows("train")]) and len(few) == 4
    with pytest.raises(SplitError, match="no part 'fold0'"):
        aml.run(join_steps([a], tmp_path / "none", division=kept, part="fold0"))
    with pytest.raises(DatasetError, match="belongs to one dataset"):
        aml.run(join_steps([a, unseen], tmp_path / "none", division=kept))
    assert not (tmp_path / "none").exists()
