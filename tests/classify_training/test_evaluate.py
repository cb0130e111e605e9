from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_aml.classify.training import evaluate
from napari_aml.classify.training.data import CLASS_CODES


@pytest.mark.parametrize(
    ("right", "n", "low", "high"), [(40, 200, 0.1469, 0.2622), (0, 200, 0.0, 0.0183), (3, 3, 0.2924, 1.0)]
)
def test_intervals_are_those_of_clopper_and_pearson(right: int, n: int, low: float, high: float) -> None:
    assert evaluate.exact_interval(right, n) == pytest.approx((low, high), abs=1e-4)


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_intervals_hold_the_share(counted: tuple[int, int]) -> None:
    right, n = counted
    low, high = evaluate.exact_interval(right, n)
    assert 0 <= low <= right / n <= high <= 1


def test_one_stage_off_is_tolerated_along_the_granulocytes_only() -> None:
    code = {c: i for i, c in enumerate(CLASS_CODES)}
    truth = [code[c] for c in ("PMO", "MYB", "NGB", "PMO", "MYO", "EOS", "EOS")]
    said = [code[c] for c in ("MYB", "MMZ", "NGS", "MMZ", "PMO", "NGS", "EOS")]
    near = evaluate.within_one_stage(np.array(truth), np.array(said), CLASS_CODES)
    assert near.tolist() == [True, True, True, False, False, False, True]


def test_temperature_makes_confidence_fit_accuracy() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, 4000)
    logits = rng.normal(0, 1, (1, 4000, 4))
    logits[0, np.arange(4000), truth] += 1.5
    parts = [(logits * 4, truth)]  # four times too sure
    probabilities = evaluate.mean_probability(parts[0][0], evaluate.choose_temperature(parts))
    hit = (probabilities.argmax(1) == truth).mean()
    assert abs(probabilities.max(1).mean() - hit) < 0.02
    before = evaluate.mean_probability(parts[0][0])
    assert evaluate.expected_calibration_error(before, truth) > 0.1
    assert evaluate.expected_calibration_error(probabilities, truth) < 0.03


def test_a_summary_counts_what_there_is() -> None:
    probabilities = np.eye(16)[[0, 0, 1, 5]] * 0.9 + 0.1 / 16
    summary = evaluate.summarise(probabilities, np.array([0, 1, 1, 5]), CLASS_CODES)
    assert summary["accuracy"]["value"] == 0.75 and summary["accuracy"]["n"] == 4
    assert summary["recall"]["EBO"]["value"] == 0.5 and set(summary["recall"]) == {"BAS", "EBO", "LYT"}


def test_a_view_of_a_fixed_field_shows_the_same_micrometres_of_each_source(made_up_cells) -> None:
    views = evaluate.views_of(made_up_cells, np.array([0, 40]), 96, evaluate.View(), field_um=17.5)
    half = made_up_cells.image(0)[40:120, 40:120]  # 17.5 of 35 µm
    assert np.abs(views[0].astype(int).mean((0, 1)) - half.mean((0, 1))).max() < 1.5
