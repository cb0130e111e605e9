"""The differential: exact intervals, denominators, invariants."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_aml.errors import InputError
from napari_aml.review import CountingSettings, blast_summary, differential, exact_interval, sure_codes
from napari_aml.review.counting import COLUMNS, SUMS
from napari_aml.taxonomy import BY_CODE, Role, cell_class

# Observed percent → interval (percent) for 100, 200, 400, 500 and 1000 cells: the exact binomial limits that are
# printed beside manual differentials.
PUBLISHED = {
    0: ("0.0-3.6", "0.0-1.8", "0.0-0.9", "0.0-0.7", "0.0-0.4"),
    1: ("0.0-5.4", "0.1-3.6", "0.3-2.5", "0.3-2.3", "0.5-1.8"),
    5: ("1.6-11.3", "2.4-9.0", "3.1-7.6", "3.3-7.3", "3.7-6.5"),
    10: ("4.9-17.6", "6.2-15.0", "7.2-13.4", "7.5-13.0", "8.2-12.0"),
    20: ("12.7-29.2", "14.7-26.2", "16.2-24.3", "16.6-23.8", "17.6-22.6"),
    50: ("39.8-60.2", "42.9-57.1", "45.0-55.0", "45.5-54.5", "46.9-53.1"),
}
CODES = st.lists(st.sampled_from([*BY_CODE, "XYZ"]), max_size=60)


def row(table, code):
    return table.set_index("code").loc[code]


@pytest.mark.parametrize("percent", PUBLISHED)
def test_intervals_are_the_published_ones(percent):
    totals = np.array([100, 200, 400, 500, 1000])
    low, high = exact_interval(totals * percent // 100, totals)
    assert [f"{100 * a:.1f}-{100 * b:.1f}" for a, b in zip(low, high, strict=True)] == list(PUBLISHED[percent])


def test_interval_agrees_with_the_binomial_test_of_scipy():
    from scipy.stats import binomtest

    for k, n in ((0, 7), (1, 7), (7, 7), (13, 40), (299, 300)):
        want = binomtest(k, n).proportion_ci(0.95, method="exact")
        low, high = exact_interval(k, n)
        assert (float(low), float(high)) == pytest.approx((want.low, want.high), abs=1e-9)


def test_interval_of_nothing_is_undefined():
    assert np.isnan(exact_interval(0, 0)).all()


def test_a_differential_reads_as_a_haematologist_counts():
    codes = ["NGS"] * 120 + ["LYT"] * 40 + ["MYO"] * 40 + ["EBO"] * 10 + ["KSC"] * 5 + ["PLT"] * 3 + ["UNK"] * 2
    table = differential(codes)
    assert row(table, "MYO")["percent"] == pytest.approx(20.0)
    assert (row(table, "MYO")["low"], row(table, "MYO")["high"]) == pytest.approx((14.7, 26.2), abs=0.05)
    # Erythroblasts stand beside the leukocytes, not among them.
    assert row(table, "EBO")["percent"] == pytest.approx(5.0)
    assert row(table, "EBO")["of"] == "100 leukocytes"
    assert row(table, "LEUKOCYTES")["count"] == 200
    # Smudge cells, platelets and unknowns are outside the leukocytes and reported of all cells.
    for code, count in (("KSC", 5), ("PLT", 3), ("UNK", 2)):
        assert row(table, code)["percent"] == pytest.approx(100 * count / 220)
        assert row(table, code)["of"] == "cells found"


def test_erythroblasts_may_exceed_the_leukocytes():
    line = row(differential(["EBO"] * 30 + ["LYT"] * 10), "EBO")
    assert line["percent"] == pytest.approx(300.0)
    # The exact limits of 30 of 40, as odds.
    low, high = exact_interval(30, 40)
    assert (line["low"], line["high"]) == pytest.approx((100 * low / (1 - low), 100 * high / (1 - high)))


def test_bilobed_promyelocytes_are_blasts_in_one_sum_only():
    table = differential(["PMB"] * 10 + ["MYO"] * 20 + ["PMO"] * 5 + ["NGS"] * 65)
    assert row(table, "BLASTS")["count"] == 20
    assert row(table, "BLASTS+PMB")["count"] == 30
    assert row(table, "IMMATURE")["count"] == 5


def test_myelocyte_is_no_blast_and_myeloblast_is():
    table = differential(["MYB"] * 3 + ["MYO"] * 2 + ["MOB"] + ["MMZ"])
    assert row(table, "BLASTS")["count"] == 3


def test_classes_that_could_be_said_get_a_row_with_an_upper_limit():
    line = row(differential(["NGS"] * 200, classes=["MYO", "NGS"]), "MYO")
    assert line["count"] == 0
    assert (line["low"], round(line["high"], 1)) == (0.0, 1.8)


def test_no_cells():
    table = differential([], classes=["NGS", "MYO"])
    assert list(table.columns) == list(COLUMNS)
    assert (table["count"] == 0).all()
    assert table[["percent", "low", "high"]].isna().all(axis=None)
    assert differential([])["code"].tolist() == list(SUMS)


def test_only_unknown_cells_leave_no_percentage():
    table = differential(["UNK", "ART"])
    assert np.isnan(row(table, "BLASTS")["percent"])
    assert row(table, "UNK")["percent"] == 50.0


def test_a_foreign_code_is_reported_not_dropped():
    table = differential(["NGS", "QQQ"])
    assert row(table, "QQQ")["count"] == 1
    assert row(table, "LEUKOCYTES")["count"] == 1


def test_doubtful_cells_count_as_unknown_unless_a_person_confirmed_them():
    codes, sure = ["MYO", "MYO", "NGS", "NGS"], [0.3, 0.3, 0.9, float("nan")]
    counting = CountingSettings(least_probability=0.5)
    table = differential(codes, [True, False, False, False], counting, probabilities=sure)
    assert row(table, "MYO")["count"] == 1
    assert row(table, "MYO")["confirmed"] == 1
    assert row(table, "UNK")["count"] == 2
    assert row(table, "LEUKOCYTES")["count"] == 2


def test_confirmed_cells_are_counted_apart_from_the_models():
    table = differential(["MYO", "MYO", "NGS"], np.array([True, False, True]))
    assert row(table, "MYO")["confirmed"] == 1
    assert row(table, "LEUKOCYTES")["confirmed"] == 2


@settings(deadline=None, max_examples=40)
@given(CODES)
def test_percentages_of_leukocytes_sum_to_a_hundred(codes):
    table = differential(codes)
    of_leukocytes = table[table["role"].isin([r.value for r in Role if r.is_leukocyte])]
    if any(cell_class(c).role.is_leukocyte for c in codes):
        assert of_leukocytes["percent"].sum() == pytest.approx(100)
    else:
        assert of_leukocytes.empty


@settings(deadline=None, max_examples=40)
@given(CODES)
def test_every_cell_is_counted_once(codes):
    table = differential(codes)
    assert table.loc[table["role"] != "sum", "count"].sum() == len(codes)


@settings(deadline=None, max_examples=40)
@given(CODES, st.randoms())
def test_the_order_of_the_cells_does_not_matter(codes, random):
    mixed = list(codes)
    random.shuffle(mixed)
    assert differential(codes).equals(differential(mixed))


@settings(deadline=None, max_examples=40)
@given(CODES)
def test_intervals_hold_the_figure(codes):
    table = differential(codes).dropna(subset=["percent"])
    assert (table["low"] <= table["percent"] + 1e-9).all()
    assert (table["high"] >= table["percent"] - 1e-9).all()


@settings(deadline=None, max_examples=40)
@given(CODES, st.floats(0, 1), st.data())
def test_a_higher_threshold_never_counts_more_leukocytes(codes, least, data):
    p = data.draw(st.lists(st.floats(0, 1), min_size=len(codes), max_size=len(codes)))
    strict = differential(codes, settings=CountingSettings(least_probability=least), probabilities=p)
    free = differential(codes)
    assert row(strict, "LEUKOCYTES")["count"] <= row(free, "LEUKOCYTES")["count"]
    assert strict.loc[strict["role"] != "sum", "count"].sum() == len(codes)


def test_sure_codes_leave_all_as_they_are_without_a_threshold():
    assert sure_codes(["MYO"], [0.1]).tolist() == ["MYO"]


@pytest.mark.parametrize("field", ["confirmed", "probabilities"])
def test_inputs_of_another_length_are_refused(field):
    with pytest.raises(InputError, match=field):
        differential(["NGS", "MYO"], **{field: [1]})


@pytest.mark.parametrize("wrong", [{"least_probability": 1.2}, {"confidence": 1.0}, {"confidence": 95}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(InputError):
        CountingSettings(**wrong)


@pytest.mark.parametrize(
    ("blasts", "total", "included", "below", "above"),
    [
        (0, 200, (), (10.0, 20.0), ()),
        (40, 200, (20.0,), (), (10.0,)),
        (60, 400, (), (20.0,), (10.0,)),
        (3, 16, (10.0, 20.0), (), ()),
        (180, 200, (), (), (10.0, 20.0)),
    ],
)
def test_blasts_against_the_cut_offs(blasts, total, included, below, above):
    table = differential(["MYO"] * blasts + ["NGS"] * (total - blasts))
    found = blast_summary(table)
    assert (found.included, found.below, found.above) == (included, below, above)
    listed = row(table, "BLASTS")["cut_offs_in_interval"]
    assert listed == "; ".join(f"{c:g} %" for c in included)


def test_blasts_in_words_say_figures_and_never_a_diagnosis():
    said = " ".join(blast_summary(differential(["MYO"] * 40 + ["NGS"] * 160)).sentences())
    assert "40 of 200 leukocytes (20.0 %)" in said
    assert "14.7 to 26.2" in said
    assert "includes the published cut-off of 20 %" in said
    assert "AML" not in said
    assert "No leukocytes" in blast_summary(differential([])).sentences()[0]
