"""Splits never part what belongs together."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from dataset_parts import cell
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_aml.datasets import Dataset, SplitError, read_split, split, write_dataset
from napari_aml.datasets.dataset import COLUMNS
from napari_aml.datasets.splitting import deal


def dataset(**columns) -> Dataset:
    n = len(columns["code"])
    table = pd.DataFrame({name: [""] * n for name in COLUMNS})
    table["uid"] = [f"u{i}" for i in range(n)]
    return Dataset(None, {"name": "t"}, table.assign(**columns))


cells = st.lists(
    st.tuples(*(st.sampled_from(["", *known]) for known in (["MYO", "NGS", "LYT"], "pqrstuvw", "abcdefgh"))),
    min_size=12,
    max_size=80,
)


@settings(max_examples=60, deadline=None)
@given(cells, st.integers(0, 5))
def test_whatever_is_known_to_belong_together_stays_together(rows, seed):
    held = dataset(code=[r[0] for r in rows], patient=[r[1] for r in rows], group=[r[2] for r in rows])
    try:
        made = split(held, seed=seed)
    except SplitError:
        return
    again = split(held, seed=seed)
    assert np.array_equal(made.part, again.part)
    for column in ("patient", "group"):
        known = held.table.assign(part=made.part)
        known = known[(known[column] != "") & (known["part"] != "")]
        assert (known.groupby(column)["part"].nunique() <= 1).all()
    assert ((made.part != "") == (held.table["code"] != "").to_numpy()).all()


def test_levels_and_texts():
    codes = ["MYO", "NGS"] * 10
    assert dataset(code=codes).leakage.level == "image"
    assert dataset(code=codes, group=[str(i) for i in range(20)]).leakage.level == "near-duplicate"
    mixed = dataset(code=codes, patient=["p"] * 10 + [""] * 10, slide=[str(i) for i in range(20)])
    assert mixed.leakage.level == "slide" and "patient 50%" in mixed.leakage.text


def test_a_random_split_is_refused_where_groups_are_known():
    codes = ["MYO", "NGS"] * 10
    for column in ("patient", "slide", "field", "group"):
        held = dataset(code=codes, **{column: [str(i // 2) for i in range(20)]})
        with pytest.raises(SplitError, match="refused"):
            split(held, level="random")
    assert len(split(dataset(code=codes), level="random").rows("test"))


def test_shares_are_kept_for_every_class():
    rng = np.random.default_rng(0)
    codes = rng.choice(["MYO", "NGS", "BAS"], 600, p=[0.3, 0.65, 0.05])
    made = split(dataset(code=codes, patient=[str(i // 3) for i in range(600)]))
    for code in ("MYO", "NGS", "BAS"):
        of_class = made.part[codes == code]
        assert abs((of_class == "train").mean() - 0.7) < 0.1
        assert abs((of_class == "test").mean() - 0.15) < 0.1
    folds = split(dataset(code=codes), k=5)
    assert folds.parts == tuple(f"fold{i}" for i in range(5)) and len(folds.rows("fold0")) == pytest.approx(120, abs=3)


def test_a_lone_group_is_trained_on_and_said():
    made = split(dataset(code=["MYO"] * 20 + ["NGS"] * 20 + ["BAS"]))
    assert made.part[-1] == "train"
    assert any("BAS has 1 picture" in note for note in made.notes)


def test_too_few_patients_and_foolish_shares():
    held = dataset(code=["MYO", "NGS"] * 4, patient=["p", "q"] * 4)
    with pytest.raises(SplitError, match="2 patients, too few for 3"):
        split(held)
    with pytest.raises(SplitError, match="shares"):
        split(held, fractions={"train": 0.5, "test": 0.2})
    with pytest.raises(SplitError, match="folds"):
        split(held, k=1)
    with pytest.raises(SplitError, match="No picture"):
        split(dataset(code=["", "UNK"]))


def test_a_kept_split_is_read_back_and_fits_its_dataset_alone(tmp_path):
    held = write_dataset(
        tmp_path / "d", pd.DataFrame({"code": ["MYO", "NGS"] * 6}), (cell(i) for i in range(12)), {"name": "d"}
    )
    made = split(held, seed=3)
    back = read_split(made.write(tmp_path / "split.json"), held)
    assert np.array_equal(back.part, made.part) and back.seed == 3 and back.level == made.level
    with pytest.raises(SplitError, match="does not hold"):
        read_split(tmp_path / "split.json", dataset(code=["MYO", "NGS"]))


def test_dealing_follows_the_shares():
    part = deal(np.arange(1000), np.zeros(1000), {"a": 0.5, "b": 0.3, "c": 0.2}, 0)
    assert [(part == p).sum() for p in "abc"] == [500, 300, 200]
