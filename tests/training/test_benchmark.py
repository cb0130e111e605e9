"""Comparisons: identical data, paired intervals, resumable, and an honest report."""

from __future__ import annotations

import json

import numpy as np
import pytest
from training_parts import tiny

from napari_aml import progress
from napari_aml.classify.training.benchmark import SUITES, arms_of, benchmark_steps
from napari_aml.classify.training.benchmark.comparing import Run, compare, draws
from napari_aml.classify.training.engine.judging import judged, temperature_of
from napari_aml.errors import InputError

CODES = ("MYO", "MYB", "MMZ", "NGS")


def run(seed: int, right: float, n: int = 200, groups: int = 40) -> Run:
    rng = np.random.default_rng(1)
    targets = rng.integers(0, 4, n)
    said = np.where(np.random.default_rng(seed).random(n) < right, targets, (targets + 1) % 4)
    return Run(seed, np.eye(4)[said] * 5, targets, rng.integers(0, groups, n), {"parameters": 10})


@pytest.fixture(scope="module")
def finished(easy, tmp_path_factory):
    out = tmp_path_factory.mktemp("bench")
    arguments = dict(suites=("backbones", "imbalance"), seeds=2, backbones=("test_convnext", "test_vit"))
    config = tiny(epochs=2, px=32)
    seen = []
    result = progress.run(benchmark_steps(easy, config, out, **arguments), seen.append)
    return result, out, arguments, config, seen


def test_the_report_has_every_arm_and_says_what_was_done(finished):
    result, out, _, _, _ = finished
    page = (out / "report.md").read_text()
    for text in ("test_convnext", "test_vit", "balanced-sampling", "Δ macro-F1", "patient", "For Research Use Only"):
        assert text in page
    assert "2 seed(s)" in page and not result.failed
    whole = result.report.read_text()
    assert whole.count("data:image/png") == 7 and "<script" not in whole
    held = json.loads((out / "results.json").read_text())
    assert set(held) == {"backbones", "imbalance"} and "macro_f1" in held["backbones"]["test_vit"]["difference"]


def test_what_is_done_is_not_done_again(finished, easy):
    _, out, arguments, config, _ = finished
    before = {p: p.stat().st_mtime_ns for p in (out / "runs").rglob("result.json")}
    # The control of an axis is trained once for all axes where it is the same recipe.
    assert len(before) == 2 * (2 + 4 - 1)
    progress.run(benchmark_steps(easy, config, out, **arguments))
    assert before == {p: p.stat().st_mtime_ns for p in (out / "runs").rglob("result.json")}
    assert not list((out / "runs").rglob("model.safetensors"))


def test_every_run_was_tested_on_the_same_cells(finished):
    _, out, *_ = finished
    tested = {tuple(np.load(p, allow_pickle=False)["uid"]) for p in (out / "runs").rglob("test.npz")}
    assert len(tested) == 1


def test_suites_vary_one_thing_and_have_one_control():
    config = tiny()
    for suite in SUITES:
        arms = arms_of(suite, config)
        assert sum(arm.control for arm in arms) == 1 and arms[0].control
        assert len({arm.name for arm in arms}) == len(arms) >= 3
        if suite != "backbones":
            assert arms[0].config == config
            assert all(arm.config.epochs == config.epochs and arm.config.px == config.px for arm in arms)
    assert [arm.name for arm in arms_of("backbones", config)] == ["convnext_tiny", "resnet50", "vit_small_patch16_224"]
    with pytest.raises(InputError, match="no suite"):
        arms_of("backbone", config)


def test_a_backbone_brings_arguments_of_its_own():
    arms = arms_of(
        "backbones", tiny(), ("vit_tiny_patch16_224:patch_size=8", "convnext_atto:patch_size=2", "resnet10t")
    )
    assert [a.name for a in arms] == [
        "vit_tiny_patch16_224 (patch_size=8)",
        "convnext_atto (patch_size=2)",
        "resnet10t",
    ]
    assert arms[0].config.backbone_args == {"patch_size": 8} and arms[0].control
    assert arms[1].config.backbone_args == {"ls_init_value": 0.3, "patch_size": 2}
    assert arms[2].config.backbone_args == {}
    with pytest.raises(InputError, match="no argument"):
        arms_of("backbones", tiny(), ("resnet10t:patch_size=",))


def test_paired_differences_find_a_better_arm_and_no_difference_where_there_is_none():
    arms = {
        "a": [run(s, 0.7) for s in (1, 2, 3)],
        "b": [run(s, 0.9) for s in (4, 5, 6)],
        "c": [run(s, 0.7) for s in (1, 2, 3)],
    }
    for runs in arms.values():
        for seed, r in enumerate(runs):
            r.seed = seed
    found = compare(arms, "a", CODES)
    value, low, high = found["b"].difference["macro_f1"]
    assert value > 0.1 and low > 0
    assert found["c"].difference["macro_f1"] == (0.0, 0.0, 0.0)
    assert found["a"].interval["accuracy"][0] < found["a"].mean["accuracy"] < found["a"].interval["accuracy"][1]
    assert 0 < found["a"].sd["accuracy"] < 0.1 and not found["a"].difference
    # MYO said for NGS is no neighbour, MYB for MYO neither: tolerance forgives MYB and MMZ alone.
    assert found["a"].mean["tolerant_accuracy"] > found["a"].mean["accuracy"]
    assert found["b"].per_class["MYB"]["n"] == (arms["b"][0].targets == 1).sum()


def test_draws_keep_groups_whole():
    groups = np.array([0, 0, 1, 2, 2, 2])
    counts = draws(groups, 50)
    assert (counts[:, 0] == counts[:, 1]).all() and (counts[:, 3] == counts[:, 5]).all()
    assert counts[:, [0, 2, 3]].sum(1).tolist() == [3] * 50


def test_judging_agrees_with_a_count_by_hand():
    targets = np.array([0, 0, 1, 2, 3, 3])
    said = np.array([0, 3, 2, 2, 3, 0])
    found = judged(np.eye(4)[said] * 9, targets, CODES, 1.0)
    assert found["accuracy"]["value"] == pytest.approx(0.5)
    assert found["tolerant_accuracy"]["value"] == pytest.approx(4 / 6, abs=1e-5)
    assert found["blast"]["sensitivity"]["value"] == 0.5 and found["blast"]["specificity"]["value"] == 0.75
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    logits = rng.normal(size=(50, 4))
    targets = rng.integers(0, 4, 50)
    prob = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert judged(logits, targets, CODES, 1.0)["blast"]["auroc"]["value"] == pytest.approx(
        roc_auc_score(targets == 0, prob[:, 0]), abs=1e-6
    )


def test_temperature_is_fitted_only_where_there_are_cells():
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 4, 400)
    logits = np.eye(4)[np.where(rng.random(400) < 0.7, targets, rng.integers(0, 4, 400))] * 20
    assert temperature_of(logits, targets) > 2 and temperature_of(logits[:10], targets[:10]) == 1.0
