"""Counting in full: rules, regions, advice, correction, groups, comparison; against published and simulated values."""

from __future__ import annotations

import json
from importlib.resources import files

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_aml.errors import InputError
from napari_aml.review import CountingSettings, differential, exact_interval
from napari_aml.review.advice import advice, cells_beyond, cells_for_width, width
from napari_aml.review.comparing import compare_counts, compare_readers, sentences
from napari_aml.review.confusion import Confusion, confusion_of, one_against_rest
from napari_aml.review.correcting import correct_counts
from napari_aml.review.counted import count_by, count_cells, evenness, field_names, summary_by
from napari_aml.review.counting import LYMPHOCYTES
from napari_aml.review.regions import COUNT, LEAVE_OUT, Region

CODES = ("MYO", "MOB", "NGS", "LYT", "MON", "EBO")
MISTAKES = np.array([
    [0.80, 0.10, 0.02, 0.02, 0.05, 0.01], [0.10, 0.70, 0.00, 0.00, 0.20, 0.00], [0.02, 0.00, 0.95, 0.01, 0.02, 0.00],
    [0.05, 0.00, 0.01, 0.90, 0.03, 0.01], [0.05, 0.10, 0.02, 0.03, 0.80, 0.00], [0.00, 0.00, 0.00, 0.10, 0.00, 0.90],
])  # fmt: skip


def cells(codes, confirmed=None, **columns):
    n = len(codes)
    table = pd.DataFrame({"code_final": codes, "class": codes, "y": np.arange(n) * 10.0, "x": np.zeros(n)})
    table["confirmed"] = np.zeros(n, bool) if confirmed is None else confirmed
    return table.assign(**columns)


# ---- rules -------------------------------------------------------------------------------------------------


def test_smudge_cells_may_count_as_lymphocytes():
    codes = ["LYT"] * 60 + ["KSC"] * 20 + ["NGS"] * 20
    apart, among = (
        differential(codes, settings=CountingSettings(smudge_cells=s)).set_index("code") for s in ("apart", LYMPHOCYTES)
    )
    assert apart.loc["LEUKOCYTES", "count"] == 80 and apart.loc["KSC", "of"] == "cells found"
    assert among.loc["LEUKOCYTES", "count"] == 100 and among.loc["KSC", "percent"] == 20.0
    assert among.loc["NGS", "percent"] == 20.0 and apart.loc["NGS", "percent"] == 25.0


def test_bilobed_promyelocytes_are_blasts_where_asked_for():
    codes = ["PMB"] * 10 + ["MYO"] * 5 + ["NGS"] * 85
    table = differential(codes, settings=CountingSettings(pmb_as_blasts=True)).set_index("code")
    assert table.loc["BLASTS", "count"] == 15 and table.loc["LEUKOCYTES", "count"] == 100
    assert any("among the blasts" in rule for rule in CountingSettings(pmb_as_blasts=True).rules())


@pytest.mark.parametrize("wrong", [{"smudge_cells": "nowhere"}, {"wanted_width": 0.0}])
def test_rules_that_do_not_exist_are_refused(wrong):
    with pytest.raises(InputError):
        CountingSettings(**wrong)


def test_regions_and_the_edge_leave_cells_out_and_say_so():
    table = cells(["MYO"] * 4 + ["NGS"] * 6, touches_border=[True] + [False] * 9)
    left = Region(((45.0, -5.0), (45.0, 5.0), (200.0, 5.0), (200.0, -5.0)), LEAVE_OUT)
    found = count_cells(table, CountingSettings(cut_off_cells=False), regions=[left], pixel_size_um=1.0)
    assert (found.scored, found.outside, found.at_border, found.blasts.count) == (4, 5, 1, 3)
    assert found.blasts.leukocytes == 4
    assert "5 outside the regions" in found.sampling() and "1 cut by the edge" in found.sampling()
    only = Region(((-5.0, -5.0), (-5.0, 5.0), (15.0, 5.0), (15.0, -5.0)), COUNT)
    assert count_cells(table, regions=[only]).scored == 2


def test_confirmed_and_model_only_stand_side_by_side():
    table = cells(["MYO", "NGS", "NGS", "LYT"], [True, True, False, False])
    table["class"] = ["MON", "NGS", "NGS", "LYT"]  # the model said MON, a person MYO
    found = count_cells(table, classes=["MYO", "MON", "NGS", "LYT"])
    rows = found.side_by_side().set_index("code")
    assert rows.loc["MYO", ["count", "people_count", "model_count"]].tolist() == [1, 1, 0]
    assert rows.loc["MON", ["count", "people_count", "model_count"]].tolist() == [0, 0, 1]
    assert rows.loc["MYO", "people_percent"] == 50.0 and rows.loc["LEUKOCYTES", "people_count"] == 2
    assert (found.confirmed, found.scored) == (2, 4)


# ---- advice ------------------------------------------------------------------------------------------------


def test_advice_holds_at_the_number_it_gives_and_beyond():
    for percent, wanted in ((20, 10), (5, 5), (50, 8), (0, 2)):
        n = cells_for_width(percent, wanted)
        assert all(width(percent, m) <= wanted for m in range(n, n + 60))
        assert width(percent, n - 1) > wanted
    assert cells_for_width(30, 0.01) is None


def test_advice_against_the_published_table():
    # 20 % of 200 cells has an interval 11.5 points wide (14.7 to 26.2), of 400 cells 8.1 (16.2 to 24.3).
    assert 200 < cells_for_width(20, 10) < 400
    assert cells_beyond(20, 20) is None
    n = cells_beyond(15, 20)
    low, high = exact_interval(round(0.15 * n), n)
    assert 100 * high < 20 and n > 100


def test_advice_in_words():
    said = advice(count_cells(cells(["MYO"] * 36 + ["NGS"] * 164)).blasts, CountingSettings())
    assert "11.1 percentage points wide" in said[0] and "more)" in said[0]
    assert "apart from 20 %" in said[1]
    assert "Count leukocytes first" in advice(count_cells(cells([])).blasts, CountingSettings())[0]


# ---- correction --------------------------------------------------------------------------------------------


def test_with_a_model_that_makes_no_mistakes_nothing_changes():
    perfect = Confusion(CODES, 100_000 * np.eye(6, dtype=int))
    codes = ["MYO"] * 30 + ["NGS"] * 150 + ["LYT"] * 20
    row = correct_counts(codes, None, perfect).row("BLASTS")
    assert row["corrected"] == pytest.approx(15.0, abs=0.05)
    # What is left is the chance of counting: about the exact interval of 30 in 200.
    low, high = exact_interval(30, 200)
    assert (row["low"], row["high"]) == pytest.approx((100 * low, 100 * high), abs=1.6)


def test_known_mistakes_are_undone_and_the_interval_covers_the_truth():
    rng = np.random.default_rng(0)
    truth = np.array([0.15, 0.05, 0.5, 0.2, 0.07, 0.03])
    want = 100 * truth[:2].sum() / truth[:5].sum()
    inside, off, raw = 0, [], []
    for seed in range(40):
        held_out = np.stack([rng.multinomial(60, row) for row in MISTAKES])
        said = sum(rng.multinomial(n, row) for n, row in zip(rng.multinomial(300, truth), MISTAKES, strict=True))
        row = correct_counts(np.repeat(CODES, said), None, Confusion(CODES, held_out), seed=seed).row("BLASTS")
        inside += row["low"] <= want <= row["high"]
        off.append(row["corrected"] - want)
        raw.append(row["observed"] - want)
    assert inside >= 33  # 95 % intervals: fewer than 33 of 40 would happen once in 2000
    assert abs(np.mean(off)) < 1.0


def test_many_mistakes_bias_the_count_and_not_its_correction():
    blurred = np.array([[70, 30], [30, 70]])
    said = ["MYO"] * 34 + ["NGS"] * 66  # 10 % blasts seen through such a model: 0.1 * 0.7 + 0.9 * 0.3
    row = correct_counts(said, None, Confusion(("MYO", "NGS"), blurred)).row("BLASTS")
    assert row["observed"] == 34.0 and row["corrected"] == pytest.approx(10.0, abs=0.3)


def test_a_class_that_the_model_hardly_tells_apart_is_refused_in_words():
    guess = Confusion(("MYO", "NGS"), np.array([[52, 48], [48, 52]]))
    found = correct_counts(["MYO"] * 50 + ["NGS"] * 50, None, guess)
    row = found.row("BLASTS")
    assert np.isnan(row["corrected"]) and "52%" in row["refused"] and "48%" in row["refused"]
    assert "not corrected" in found.sentences()[0]


def test_confirmed_cells_are_never_corrected():
    blurred = Confusion(("MYO", "NGS"), np.array([[70, 30], [30, 70]]))
    codes, said = ["MYO"] * 40 + ["NGS"] * 60, np.arange(100) < 40
    row = correct_counts(codes, said, blurred).row("BLASTS")
    assert row["low"] >= 40.0 - 1e-9
    assert "confirmed every cell" in correct_counts(codes, np.ones(100, bool), blurred).refused


def test_what_cannot_be_corrected_says_why():
    codes = ["MYO"] * 5 + ["NGS"] * 5
    assert "card does not say" in correct_counts(codes, None, {}).refused
    assert "card does not say" in correct_counts(codes, None, {"class_codes": ["MYO"], "confusion": [[1, 2]]}).refused
    strict = CountingSettings(least_probability=0.5)
    assert "least probability" in correct_counts(codes, None, Confusion(("MYO", "NGS"), np.eye(2)), strict).refused
    few = Confusion(("MYO", "NGS"), np.array([[3, 0], [0, 50]]))
    assert "only 3 held-out cells" in correct_counts(codes, None, few).row("MYO")["refused"]


def test_cards_are_read_in_both_forms():
    card = {"class_codes": ["MYO", "NGS"], "confusion": [[8, 2], [1, 9]], "training_data": [{"name": "some set"}]}
    found = confusion_of(card)
    assert found.codes == ("MYO", "NGS") and found.rates(["MYO"]) == pytest.approx((0.8, 0.1))
    assert "20 held-out cells of some set" in found.source
    other = confusion_of({"confusion": {"codes": ["A", "B"], "counts": [[1, 0], [0, 1]], "source": "here"}})
    assert (other.codes, other.source) == (("A", "B"), "here")


def test_the_shipped_card_corrects_what_it_can():
    card = json.loads(files("napari_aml").joinpath("bundles/demo/bundle.json").read_text("utf-8"))
    known = one_against_rest(card)
    found = correct_counts(["MYO"] * 30 + ["NGS"] * 150 + ["LYT"] * 20, None, card)
    assert not found.refused and "held-out cells" in found.source
    row = found.row("NGS")
    assert row["low"] <= row["corrected"] <= row["high"]
    if confusion_of(card) is None:
        hits, n, wrong, others = known["NGS"]
        want = 100 * (150 / 200 - wrong / others) / (hits / n - wrong / others)
        assert row["corrected"] == pytest.approx(min(want, 100.0), abs=1e-6)
        assert "which class was taken for which" in found.row("BLASTS")["refused"]


@settings(deadline=None, max_examples=25)
@given(st.lists(st.sampled_from([*CODES, "UNK", "XYZ"]), min_size=1, max_size=50), st.integers(0, 2**20))
def test_corrected_shares_stay_within_bounds_and_add_up(codes, seed):
    rng = np.random.default_rng(seed)
    matrix = Confusion(CODES, rng.integers(0, 40, (6, 6)))
    found = correct_counts(codes, rng.random(len(codes)) < 0.3, matrix, seed=seed)
    rows = found.table[~found.table["code"].isin(["BLASTS", "BLASTS+PMB", "IMMATURE"])]
    fine = rows[rows["refused"] == ""] if len(rows) else rows
    assert ((fine["low"] <= fine["corrected"] + 1e-9) & (fine["corrected"] <= fine["high"] + 1e-9)).all()
    assert ((fine["corrected"] >= -1e-9) & (fine["corrected"] <= 100 + 1e-9)).all()
    if len(rows) and (rows["refused"] == "").all():
        assert fine["corrected"].sum() == pytest.approx(100, abs=1e-6)


# ---- groups and comparison ---------------------------------------------------------------------------------


def test_groups_add_up_and_uneven_fields_show():
    table = cells(["MYO"] * 20 + ["NGS"] * 20 + ["NGS"] * 60)
    counts = count_by(table, field_names(table, 1.0, side_um=400))
    assert sum(c.blasts.count for c in counts.values()) == 20
    assert sum(c.scored for c in counts.values()) == 100
    assert evenness(counts) < 1e-4
    even = cells(["MYO", "NGS", "NGS", "NGS"] * 25)
    assert evenness(count_by(even, field_names(even, 1.0, side_um=400))) > 0.5
    assert np.isnan(evenness({}))
    rows = summary_by(counts)
    assert rows["leukocytes"].sum() == 100 and rows["percent"].iloc[0] == 50.0
    assert list(count_by(table, [""] * 50 + ["p1"] * 50)) == ["p1"]


def test_fishers_test_is_that_of_scipy_and_holm_that_of_statsmodels():
    from scipy.stats import fisher_exact
    from statsmodels.stats.multitest import multipletests

    a = differential(["MYO"] * 20 + ["NGS"] * 60 + ["LYT"] * 20 + ["KSC"] * 9)
    b = differential(["MYO"] * 42 + ["NGS"] * 40 + ["LYT"] * 18)
    found = compare_counts(a, b)
    assert set(found["code"]) == {"MYO", "NGS", "LYT", "BLASTS", "BLASTS+PMB"}
    row = found.set_index("code").loc["MYO"]
    assert row["p"] == pytest.approx(fisher_exact([[20, 80], [42, 58]]).pvalue)
    assert row["difference"] == pytest.approx(22)
    np.testing.assert_allclose(found["p_adjusted"], multipletests(found["p"], method="holm")[1])
    assert "MYO: 20.0 % against 42.0 %" in " ".join(sentences(found))
    assert "No class differs" in sentences(compare_counts(a, a))[0]


def test_two_readers_of_the_same_cells_are_compared_as_pairs():
    from statsmodels.stats.contingency_tables import mcnemar

    first = ["MYO"] * 30 + ["MON"] * 20 + ["NGS"] * 50
    second = ["MYO"] * 20 + ["MON"] * 10 + ["MON"] * 18 + ["MYO"] * 2 + ["NGS"] * 50
    row = compare_readers(first, second).set_index("code").loc["MYO"]
    assert row["p"] == pytest.approx(mcnemar([[20, 10], [2, 68]], exact=True).pvalue)
    assert (row["first"], row["second"]) == (30, 22)
    with pytest.raises(InputError, match="One reader judged 1"):
        compare_readers(["MYO"], [])


def test_without_the_models_card_it_is_said_that_the_card_is_missing():
    found = count_cells(cells(["MYO"] * 5 + ["NGS"] * 5))
    assert "card of the model is not at hand" in " ".join(found.sentences())


def test_the_same_held_out_cells_seen_in_two_ways_count_once():
    def figures(recall):
        share = {"value": recall, "n": 50}
        return {"recall": {"MYO": share, "NGS": share}, "precision": {"MYO": share, "NGS": share}}

    card = {"metrics": {"A": figures(0.9), "A, one view of 28 µm": figures(0.8), "B": figures(0.7), "note": "text"}}
    assert one_against_rest(card)["MYO"] == (40 + 35, 100, 10 + 15, 100)
    del card["metrics"]["A, one view of 28 µm"]
    assert one_against_rest(card)["MYO"] == (45 + 35, 100, 5 + 15, 100)
