"""Temperature, calibration errors, conformal sets, likeness."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_aml.errors import InputError
from napari_aml.statistics import (
    ConformalSets,
    EmbeddingScore,
    brier,
    classwise_ece,
    ece,
    energy,
    fit_temperature,
    least_rows,
    negative_log_likelihood,
    reliability,
    risk_coverage,
    set_summary,
    softmax,
)


def drawn(n, temperature=1.0, k=3, seed=0):
    """Targets drawn from the probabilities themselves: perfectly calibrated at the stated temperature."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, k)) * 2
    prob = softmax(logits)
    targets = (rng.random(n)[:, None] > prob.cumsum(1)).sum(1)
    return logits * temperature, targets


def test_softmax_is_scipys():
    from scipy.special import softmax as reference

    logits = np.random.default_rng(0).normal(size=(5, 7)) * 300
    assert softmax(logits) == pytest.approx(reference(logits, axis=1))
    assert softmax(logits, 10.0) == pytest.approx(reference(logits / 10, axis=1))


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_temperature_that_was_used_is_found(temperature):
    logits, targets = drawn(4000, temperature)
    assert fit_temperature(logits, targets) == pytest.approx(temperature, rel=0.08)


def test_without_errors_a_prior_keeps_the_temperature_sober():
    logits = 4 * np.eye(3)[np.zeros(10, int)]
    targets = np.zeros(10, int)
    assert fit_temperature(logits, targets) < 0.1
    assert 0.3 < fit_temperature(logits, targets, prior=1.0) < 1
    assert fit_temperature(np.zeros((0, 3)), np.zeros(0, int)) == 1.0


def test_likelihood_and_brier_are_those_of_scikit_learn():
    from sklearn.metrics import log_loss

    logits, targets = drawn(300)
    prob = softmax(logits)
    assert negative_log_likelihood(prob, targets) == pytest.approx(log_loss(targets, prob, labels=[0, 1, 2]))
    one_hot = np.eye(3)[targets]
    assert brier(prob, targets) == pytest.approx(3 * np.mean((prob - one_hot) ** 2))


def test_calibrated_answers_have_small_errors_and_sharpened_ones_do_not():
    logits, targets = drawn(20000)
    good, sharp = softmax(logits), softmax(logits, 0.25)
    assert ece(good, targets) < 0.02 < 0.1 < ece(sharp, targets)
    assert classwise_ece(good, targets) < 0.02 < 0.05 < classwise_ece(sharp, targets)


def test_ece_of_a_known_case():
    # Two parts of two rows: confidence .6 and .9, accuracy .5 and 1.
    prob = np.array([[0.6, 0.4], [0.6, 0.4], [0.9, 0.1], [0.9, 0.1]])
    assert ece(prob, np.array([0, 1, 0, 0]), bins=2) == pytest.approx((0.1 + 0.1) / 2)


def test_reliability_counts_every_row_once():
    logits, targets = drawn(101)
    curve = reliability(softmax(logits), targets, bins=10)
    assert curve.count.sum() == 101
    assert (np.diff(curve.confidence) >= 0).all()
    assert ((curve.low <= curve.accuracy) & (curve.accuracy <= curve.high)).all()


def test_risk_grows_with_coverage_to_the_error_of_all():
    logits, targets = drawn(5000)
    prob = softmax(logits)
    curve = risk_coverage(prob, targets)
    assert curve.coverage[-1] == 1
    assert curve.risk[-1] == pytest.approx((prob.argmax(1) != targets).mean())
    assert curve.area < curve.risk[-1]


@pytest.mark.parametrize(("alpha", "rows"), [(0.1, 9), (0.05, 19), (0.2, 4), (0.01, 99)])
def test_a_class_needs_so_many_rows(alpha, rows):
    assert least_rows(alpha) == rows
    prob = np.full((2 * rows - 1, 2), 0.5)
    targets = np.array([0] * rows + [1] * (rows - 1))
    fitted = ConformalSets.fit(prob, targets, ("A", "B"), alpha)
    assert fitted.insufficient == ("B",)
    # What cannot be excluded is in every set, however small its probability.
    assert "B" in fitted.sets(np.array([[1.0, 0.0]]))[0]


@pytest.mark.parametrize("method", ["lac", "aps"])
def test_every_class_is_covered_as_promised(method):
    logits, targets = drawn(12000, k=4)
    prob = softmax(logits)
    fitted = ConformalSets.fit(prob[:6000], targets[:6000], "ABCD", 0.1, method=method)
    said = set_summary(fitted.sets(prob[6000:]), targets[6000:], fitted.codes)
    assert min(said["per_class"].values()) > 0.87
    assert said["mean_size"] < 4
    again = ConformalSets.from_dict(json.loads(json.dumps(fitted.to_dict())))
    assert again.sets(prob[:50]) == fitted.sets(prob[:50])


def test_each_patient_gives_one_score():
    prob = np.tile([[0.9, 0.1]], (40, 1))
    prob[0] = 0.2, 0.8
    fitted = ConformalSets.fit(prob, np.zeros(40, int), "AB", 0.1, groups=np.repeat(np.arange(10), 4))
    assert fitted.counts == (10, 0)
    # One patient of ten is misread, and ten patients allow a miss of one in eleven at best.
    assert fitted.quantiles[0] == pytest.approx(0.8)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 30), st.integers(0, 5), st.floats(0.02, 0.5))
def test_a_larger_error_never_makes_a_set_larger(n, seed, alpha):
    logits, targets = drawn(n, seed=seed)
    prob = softmax(logits)
    strict = ConformalSets.fit(prob, targets, "ABC", alpha).membership(prob)
    loose = ConformalSets.fit(prob, targets, "ABC", min(0.9, 1.7 * alpha)).membership(prob)
    assert (loose <= strict).all()


def test_a_set_can_be_made_to_hold_the_likeliest_class_always():
    fitted = ConformalSets.fit(np.tile([[0.99, 0.01]], (50, 1)), np.zeros(50, int), "AB")
    prob = np.array([[0.97, 0.03], [0.995, 0.005]])
    # B has no samples, hence is never excluded.
    assert fitted.sets(prob) == [("B",), ("A", "B")]
    assert fitted.sets(prob, with_best=True) == [("A", "B"), ("A", "B")]


def test_a_damaged_entry_is_refused():
    values = ConformalSets.fit(np.full((4, 2), 0.5), np.zeros(4, int), "AB").to_dict()
    for broken in ({}, {**values, "codes": ["A"]}, {**values, "method": "new"}, {**values, "quantiles": ["x", 1]}):
        with pytest.raises(InputError):
            ConformalSets.from_dict(broken)
    with pytest.raises(InputError):
        ConformalSets.fit(np.full((4, 2), 0.5), np.zeros(4, int), "AB", 1.5)


def test_energy_is_minus_the_log_sum():
    logits = np.array([[0.0, 0.0], [1000.0, 0.0]])
    assert energy(logits) == pytest.approx([-np.log(2), -1000])


@pytest.mark.parametrize("method", ["mahalanobis", "knn"])
@pytest.mark.parametrize("with_logits", [False, True])
def test_what_is_far_is_unlike_and_what_is_near_mostly_passes(method, with_logits):
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 3, 400)
    centres = 4 * rng.normal(size=(3, 8))
    near = centres[targets] + rng.normal(size=(400, 8))
    far = 25 + rng.normal(size=(50, 8))
    logits = 8 * np.eye(3)[targets] + rng.normal(size=(400, 3))
    given = logits if with_logits else None
    score = EmbeddingScore.fit(near[:200], None if given is None else given[:200], targets[:200], method=method)
    assert score.unlike(near[200:], None if given is None else given[200:]).mean() < 0.15
    assert score.unlike(far, rng.normal(size=(50, 3)) if with_logits else None).all()
    again = EmbeddingScore.from_dict(json.loads(json.dumps(score.to_dict())), score.arrays())
    x = near[200:260]
    assert again.score(x, None if given is None else given[200:260]) == pytest.approx(
        score.score(x, None if given is None else given[200:260]), abs=1e-3
    )
    if with_logits:
        with pytest.raises(InputError):
            score.score(near)


def test_weak_logits_alone_make_a_row_unlike():
    rng = np.random.default_rng(1)
    x, logits = rng.normal(size=(200, 4)), 10 * np.eye(3)[rng.integers(0, 3, 200)] + rng.normal(size=(200, 3))
    score = EmbeddingScore.fit(x, logits)
    assert score.unlike(x[:20] * 0, np.zeros((20, 3))).all()


def test_likeness_refuses_what_it_cannot_use():
    x = np.random.default_rng(0).normal(size=(20, 3))
    with pytest.raises(InputError):
        EmbeddingScore.fit(x[:5])
    with pytest.raises(InputError):
        EmbeddingScore.fit(np.where(x > 1, np.nan, x))
    with pytest.raises(InputError):
        EmbeddingScore.fit(x).score(x[:, :2])
    with pytest.raises(InputError):
        EmbeddingScore.from_dict({"method": "knn"}, {})
