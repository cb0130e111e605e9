"""Agreement coefficients against independent programs and by hand."""

from __future__ import annotations

import krippendorff
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import aggregate_raters
from statsmodels.stats.inter_rater import cohens_kappa as sm_cohen
from statsmodels.stats.inter_rater import fleiss_kappa as sm_fleiss

from napari_aml.errors import InputError
from napari_aml.statistics.agreement import cohen_kappa, fleiss_kappa, krippendorff_alpha

FAST = {"repeats": 50}


def readers(n=200, m=3, k=4, noise=0.3, seed=0, missing=0.0):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, k, n)
    said = np.where(rng.random((m, n)) < noise, rng.integers(0, k, (m, n)), truth)
    names = np.array(list("abcdefgh"))[said].astype(object)
    names[rng.random((m, n)) < missing] = None
    return [list(row) for row in names], said


@pytest.mark.parametrize("seed", range(3))
def test_cohen_against_statsmodels_and_sklearn(seed):
    (a, b), said = readers(m=2, seed=seed)
    ours = cohen_kappa(a, b)
    assert ours.value == pytest.approx(cohen_kappa_score(a, b), abs=1e-12)
    theirs = sm_cohen(np.histogram2d(said[0], said[1], bins=4)[0])
    assert ours.value == pytest.approx(theirs.kappa, abs=1e-12)
    # The bootstrap agrees with the asymptotic interval.
    assert (ours.low, ours.high) == pytest.approx((theirs.kappa_low, theirs.kappa_upp), abs=0.02)
    assert ours.observed == np.mean(said[0] == said[1]) and ours.n == 200


def test_weighted_cohen_against_sklearn():
    (a, b), _ = readers(m=2, seed=5)
    def squared(x, y): return (ord(x) - ord(y)) ** 2
    assert cohen_kappa(a, b, distance=squared, **FAST).value == pytest.approx(
        cohen_kappa_score(a, b, weights="quadratic"), abs=1e-12
    )


@pytest.mark.parametrize("m", [2, 3, 5])
def test_fleiss_against_statsmodels(m):
    said, numbers = readers(m=m, seed=m)
    ours = fleiss_kappa(said, **FAST)
    assert ours.value == pytest.approx(sm_fleiss(aggregate_raters(numbers.T)[0]), abs=1e-12)


def test_fleiss_takes_only_cells_that_all_read():
    said, _ = readers(m=3, seed=1)
    more = [[*row, None if i else "a"] for i, row in enumerate(said)]
    assert fleiss_kappa(more, **FAST) == fleiss_kappa(said, **FAST)


@pytest.mark.parametrize("missing", [0.0, 0.2, 0.6])
def test_alpha_against_krippendorff(missing):
    said, _ = readers(m=4, seed=2, missing=missing)
    numbers = np.array([[np.nan if v is None else ord(v) - 97 for v in row] for row in said])
    ours = krippendorff_alpha(said, **FAST)
    theirs = krippendorff.alpha(numbers, level_of_measurement="nominal")
    assert ours.value == pytest.approx(theirs, abs=1e-12)
    squared = krippendorff_alpha(said, distance=lambda x, y: (ord(x) - ord(y)) ** 2, **FAST)
    assert squared.value == pytest.approx(krippendorff.alpha(numbers, level_of_measurement="interval"), abs=1e-12)


def test_the_bootstrap_covers_the_truth_about_as_often_as_it_says():
    # Two readers who err independently: kappa is known.
    noise, k = 0.3, 4
    agree = (1 - noise * (1 - 1 / k)) ** 2 + (k - 1) * (noise / k) ** 2
    truth = (agree - 1 / k) / (1 - 1 / k)
    inside = 0
    for seed in range(100):
        (a, b), _ = readers(n=150, m=2, seed=1000 + seed)
        found = cohen_kappa(a, b, repeats=300, seed=seed)
        inside += found.low <= truth <= found.high
    assert 87 <= inside <= 100


def test_whole_slides_are_drawn_where_groups_are_given():
    (a, b), _ = readers(n=300, m=2, seed=3)
    # Ten slides of copies of the same cells: thirty cells' worth of evidence, not three hundred.
    a, b = a[:30] * 10, b[:30] * 10
    slides = [i % 30 for i in range(300)]
    plain, grouped = cohen_kappa(a, b), cohen_kappa(a, b, groups=slides)
    assert grouped.value == plain.value
    assert grouped.high - grouped.low > 2 * (plain.high - plain.low)
    assert np.isnan(cohen_kappa(a, b, groups=["one"] * 300).low)


def test_what_is_undefined_is_said_to_be():
    for found in (
        cohen_kappa([], []), cohen_kappa(["a"] * 5, ["a"] * 5), cohen_kappa(["a", None], [None, "b"]),
        krippendorff_alpha([["a", "a"], ["a", "a"]]), fleiss_kappa([[None], ["a"]]),
    ):  # fmt: skip
        assert np.isnan(found.value) and np.isnan(found.low) and "undefined" in str(found)
    assert cohen_kappa(list("ab"), list("ab")).value == 1
    with pytest.raises(InputError, match="length"):
        cohen_kappa(["a"], ["a", "b"])
    with pytest.raises(InputError, match="two readers"):
        fleiss_kappa([["a"]])


_WORDS = st.sampled_from(["x", "y", "z", None])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(*[_WORDS] * 3), min_size=2, max_size=40), st.permutations(range(3)))
def test_neither_the_order_of_readers_nor_of_cells_matters(rows, order):
    said = [list(column) for column in zip(*rows, strict=True)]
    turned = [list(column) for column in zip(*rows[::-1], strict=True)]
    for coefficient in (krippendorff_alpha, fleiss_kappa):
        one = coefficient(said, **FAST)
        for other in (coefficient([said[i] for i in order], **FAST), coefficient(turned, **FAST)):
            assert one.value == pytest.approx(other.value, nan_ok=True)
        assert np.isnan(one.value) or one.value <= 1 + 1e-12
