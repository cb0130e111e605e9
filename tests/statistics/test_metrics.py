"""Metrics and intervals against the references: scikit-learn, statsmodels, the printed tables."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from napari_aml.errors import InputError
from napari_aml.statistics import (
    bootstrap_interval,
    classification_metrics,
    confusion,
    exact_interval,
    grouped_stratified_folds,
    summaries,
)

CODES = ("A", "B", "C", "D")
LABELS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=80)


def answers(n=200, seed=0, sharp=2.0):
    rng = np.random.default_rng(seed)
    targets = rng.choice(4, n, p=(0.6, 0.2, 0.15, 0.05))
    logits = rng.normal(size=(n, 4)) + sharp * np.eye(4)[targets]
    prob = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return targets, prob


@pytest.mark.parametrize(("k", "n"), [(0, 200), (40, 200), (13, 40), (7, 7)])
def test_exact_intervals_are_those_of_statsmodels(k, n):
    from statsmodels.stats.proportion import proportion_confint

    low, high = exact_interval(k, n)
    assert (float(low), float(high)) == pytest.approx(proportion_confint(k, n, method="beta"), abs=1e-9)


def test_twenty_percent_of_two_hundred_cells_is_what_the_table_prints():
    low, high = exact_interval(np.array([40, 0]), np.array([200, 200]))
    assert np.round(100 * low, 1).tolist() == [14.7, 0.0]
    assert np.round(100 * high, 1).tolist() == [26.2, 1.8]


def test_the_room_above_still_names_the_interval():
    from napari_aml import review

    assert review.exact_interval is exact_interval


@pytest.mark.filterwarnings("ignore:A single label:UserWarning")
@settings(deadline=None, max_examples=60)
@given(LABELS)
def test_summaries_are_those_of_scikit_learn(pairs):
    targets, said = np.array(pairs).T
    got = {k: float(v) for k, v in summaries(confusion(targets, said, 4)).items()}
    options = {"average": "macro", "zero_division": 0}
    assert got["accuracy"] == pytest.approx(reference.accuracy_score(targets, said))
    assert got["mcc"] == pytest.approx(reference.matthews_corrcoef(targets, said))
    assert got["macro_precision"] == pytest.approx(reference.precision_score(targets, said, **options))
    assert got["macro_f1"] == pytest.approx(reference.f1_score(targets, said, **options))
    recall = reference.recall_score(targets, said, labels=np.unique(targets), **options)
    assert got["balanced_accuracy"] == pytest.approx(recall)


def test_every_figure_has_an_interval_that_holds_it():
    targets, prob = answers()
    got = classification_metrics(targets, prob, CODES)
    for key in ("accuracy", "balanced_accuracy", "macro_precision", "macro_recall", "macro_f1", "mcc", "brier"):
        low, high = got[key]["interval_95"]
        assert low <= got[key]["value"] <= high, key
    assert got["brier"]["value"] == pytest.approx(float(((prob - np.eye(4)[targets]) ** 2).sum(1).mean()), abs=1e-6)
    assert got["accuracy"]["interval_95"] == pytest.approx(
        [float(v) for v in exact_interval(int(np.trace(got["confusion"])), 200)], abs=1e-6
    )
    assert sum(entry["n"] for entry in got["per_class"].values()) == 200
    assert got["per_class"]["B"]["recall"]["value"] == pytest.approx(
        reference.recall_score(targets, prob.argmax(1), labels=[1], average=None)[0], abs=1e-6
    )


def test_a_class_that_is_absent_has_no_recall_and_does_not_count():
    targets, prob = np.array([0, 0, 1, 1]), np.eye(4)[[0, 0, 1, 1]]
    got = classification_metrics(targets, prob, CODES, repeats=200)
    assert got["per_class"]["C"]["recall"]["value"] is None
    assert got["balanced_accuracy"]["value"] == 1.0
    assert got["mcc"]["value"] == 1.0


def test_rows_of_one_patient_widen_the_interval():
    targets, prob = answers(60)
    targets, prob = np.repeat(targets, 10), np.repeat(prob, 10, axis=0)
    alone = classification_metrics(targets, prob, CODES)["accuracy"]["interval_95"]
    together = classification_metrics(targets, prob, CODES, groups=np.repeat(np.arange(60), 10))["accuracy"]
    assert together["interval_95"][1] - together["interval_95"][0] > 2 * (alone[1] - alone[0])


def test_bootstrap_of_a_mean_is_near_the_normal_interval():
    values = np.random.default_rng(1).normal(size=400)
    low, high = bootstrap_interval(lambda rows: values[rows].mean(), 400)
    half = 1.96 * values.std() / 20
    assert low == pytest.approx(values.mean() - half, abs=0.03)
    assert high == pytest.approx(values.mean() + half, abs=0.03)


@pytest.mark.parametrize(
    ("targets", "prob"), [([0, 1], np.eye(4)[[0]]), ([0, 9], np.eye(4)[[0, 1]]), ([], np.zeros((0, 4)))]
)
def test_what_does_not_fit_is_refused(targets, prob):
    with pytest.raises(InputError):
        classification_metrics(np.array(targets, int), prob, CODES)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 14)), min_size=8, max_size=90),
    st.integers(2, 5), st.integers(0, 9),
)  # fmt: skip
def test_folds_keep_groups_whole_and_use_every_fold(pairs, k, seed):
    targets, groups = np.array(pairs).T
    if len(np.unique(groups)) < k:
        with pytest.raises(InputError):
            grouped_stratified_folds(targets, groups, k, seed)
        return
    folds = grouped_stratified_folds(targets, groups, k, seed)
    assert all(len(np.unique(folds[groups == g])) == 1 for g in np.unique(groups))
    assert set(folds) == set(range(k))
    assert (folds == grouped_stratified_folds(targets, groups, k, seed)).all()


def test_folds_spread_rare_classes_as_evenly_as_can_be():
    targets = np.array([0] * 143 + [1] * 16 + [2] * 7 + [3] * 7)
    for seed in range(5):
        folds = grouped_stratified_folds(targets, None, 5, seed)
        for c in range(4):
            held = np.bincount(folds[targets == c], minlength=5)
            assert held.max() - held.min() <= 1
        assert np.ptp(np.bincount(folds)) <= 3
    assert (grouped_stratified_folds(targets, None, 5, 0) != grouped_stratified_folds(targets, None, 5, 1)).any()
