"""Models against each other: the same folds, no leak, everything written."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from model_parts import small_rows

from napari_aml.errors import InputError
from napari_aml.expression import benchmarking
from napari_aml.expression.benchmark_report import write_benchmark
from napari_aml.expression.benchmarking import MODELS, benchmark_steps
from napari_aml.progress import Progress, run

FEW = ("logistic regression", "linear SVM", "nearest neighbours")


@pytest.fixture(scope="module")
def judged():
    models = (*FEW, "gene-attention")
    return run(benchmark_steps(small_rows(45), models, folds=3, inner=2, repeats=2, members=1, epochs=2))


def test_every_sample_is_answered_once_a_repeat(judged):
    for one in judged.judged:
        assert one.prob.shape == (2, 45, 3)
        assert one.prob.sum(-1) == pytest.approx(np.ones((2, 45)))
        assert len(one.chosen) == 6
        assert one.metrics["accuracy"]["value"] > 0.85
        assert one.metrics["mcc"]["interval_95"][0] <= one.metrics["mcc"]["value"]


def test_labels_without_meaning_are_not_learnt():
    rows = small_rows(60)
    rows = replace(rows, targets=np.random.default_rng(1).permutation(rows.targets))
    made = run(benchmark_steps(rows, ("logistic regression", "random forest"), folds=3, inner=2, repeats=1))
    for one in made.judged:
        assert abs(one.metrics["mcc"]["value"]) < 0.35


def test_processes_give_the_same_answers(judged):
    again = run(benchmark_steps(small_rows(45), FEW[:1], folds=3, inner=2, repeats=2, jobs=2))
    assert again.judged[0].prob == pytest.approx(judged.judged[0].prob, abs=1e-9)


def test_a_run_that_was_broken_off_goes_on_from_its_finished_folds(tmp_path, monkeypatch):
    settings = {"folds": 3, "inner": 2, "repeats": 1, "members": 1, "epochs": 1, "keep": tmp_path}
    rows, models = small_rows(45), (FEW[0], "gene-attention")
    steps = benchmark_steps(rows, models, **settings)
    while next(steps).done < 3:
        pass
    steps.close()
    kept = sorted(tmp_path.rglob("*.npz"))
    assert len(kept) == 3
    kept[0].write_bytes(b"cut short")
    begun: list[str] = []
    answer = benchmarking._answer_steps
    monkeypatch.setattr(benchmarking, "_answer_steps", lambda task, *a: begun.append(task.model) or answer(task, *a))
    again = run(benchmark_steps(rows, models, **settings))
    assert len(begun) == 4  # three that were never begun, one that cannot be read
    fresh = run(benchmark_steps(rows, models, **{**settings, "keep": None}))
    for one, other in zip(again.judged, fresh.judged, strict=True):
        assert (one.prob == other.prob).all()
        assert (one.chosen, one.silhouette) == (other.chosen, other.silhouette)
    begun.clear()
    run(benchmark_steps(rows, models, **{**settings, "seed": 1}))
    assert len(begun) == 6  # other settings, other folds


def test_a_comparison_is_written_whole(judged, tmp_path):
    folder = write_benchmark(judged, tmp_path / "out", "napari-aml expression benchmark <x>")
    models = pd.read_csv(folder / "models.csv")
    assert list(models["model"]) and models["mcc"].is_monotonic_decreasing
    for key in ("accuracy", "balanced_accuracy", "macro_precision", "macro_recall", "macro_f1", "mcc", "ece", "brier"):
        assert {key, f"{key}_low", f"{key}_high"} <= set(models)
    per_class = pd.read_csv(folder / "per_class.csv")
    assert len(per_class) == 4 * 3 and {"precision", "recall", "f1", "recall_low"} <= set(per_class)
    assert len(pd.read_csv(folder / "answers.csv")) == 4 * 45
    page = (folder / "index.html").read_text()
    assert "&lt;x&gt;" in page and "<x>" not in page and "Research Use Only" in page
    assert (folder / "models.png").stat().st_size > 5000 and (folder / "calibration.png").exists()
    assert "gene-attention" in (folder / "README.md").read_text()


def test_unknown_models_are_refused_and_a_job_can_be_closed():
    with pytest.raises(InputError, match="perceptron"):
        run(benchmark_steps(small_rows(), ("perceptron",)))
    steps = benchmark_steps(small_rows(), MODELS[:1], members=1)
    assert isinstance(next(steps), Progress)
    steps.close()
