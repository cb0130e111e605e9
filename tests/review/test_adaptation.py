"""A bundle adapts to a new site, and says what it was before."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from small_models import make_bundle

from napari_aml.classify import ArrayCrops, predict
from napari_aml.errors import InputError
from napari_aml.progress import run
from napari_aml.review.adaptation import MOST_CELLS, WAYS, _moved_normalisation, adapt_steps, offsets, save_adapted


@pytest.fixture(scope="module")
def small_bundle_32(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("adapt") / "small", crop_px=32)


def cells(n, seed=0):
    """Crops of two classes that differ in the size of a dark disc."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:32, :32] - 15.5
    out = np.empty((n, 32, 32, 3), np.uint8)
    which = np.arange(n) % 2
    for i in range(n):
        disc = np.hypot(y, x) < (6 if which[i] else 12)
        out[i] = np.where(disc[..., None], (90, 50, 140), (225, 210, 215)) + rng.integers(-9, 9, (32, 32, 3))
    return out, which


@pytest.fixture(scope="module")
def adapted(small_bundle_32):
    crops, which = cells(60)
    labels = np.array(["MYO", "LYT"], object)[which]
    return crops, labels, run(adapt_steps(small_bundle_32, ArrayCrops(crops, 32), labels, device="cpu", folds=2))


def test_every_way_is_judged_on_the_same_cells_and_the_best_kept(adapted):
    _, _, done = adapted
    # Its card names neither colours nor stains.
    assert [a.way for a in done.attempts] == [w for w in WAYS if "colours" not in w and "stain" not in w]
    assert done.chosen in ("head", "fine-tune")
    assert done.chosen == min(done.attempts, key=lambda a: a.log_loss).way
    before, after = done.attempt("as it was"), done.attempt("head")
    assert after.metrics["accuracy"]["value"] > 0.9 > before.metrics["accuracy"]["value"]
    assert after.log_loss < before.log_loss
    assert any("normalisation was not moved" in note for note in done.notes)


def test_a_fine_tune_is_judged_and_kept_like_the_others(small_bundle_32, tmp_path, monkeypatch):
    from napari_aml.review import adaptation, tuning

    monkeypatch.setitem(tuning.SETTINGS, "epochs", 30)
    monkeypatch.setitem(tuning.SETTINGS, "rate", 3e-3)
    crops, which = cells(60)
    labels = np.array(["MYO", "LYT"], object)[which]
    monkeypatch.setattr(adaptation, "_choose", lambda attempts: "fine-tune")
    done = run(adapt_steps(small_bundle_32, ArrayCrops(crops, 32), labels, device="cpu", folds=2))
    tuned = done.attempt("fine-tune")
    assert tuned.metrics["accuracy"]["value"] > 0.9 and tuned.log_loss < done.attempt("as it was").log_loss
    new = save_adapted(done, tmp_path / "new", site="elsewhere")
    assert new.card["adaptation"]["way"] == "fine-tune" and new.temperature != done.bundle.temperature
    assert (predict(new, crops, "cpu").code == labels).mean() > 0.95
    after = new.state_dict()  # stored as float16
    moved = {k for k, v in done.bundle.state_dict().items() if not np.array_equal(v.half(), after[k].half())}
    assert moved and not any(name.startswith(("stem.", "stages.0.")) for name in moved)


def test_the_correction_sits_in_the_weights(small_bundle_32, tmp_path):
    crops, which = cells(60)
    labels = np.array(["MYO", "LYT"], object)[which]
    done = run(adapt_steps(small_bundle_32, ArrayCrops(crops, 32), labels, device="cpu", fine_tune=False))
    assert done.chosen == "head"
    new = save_adapted(done, tmp_path / "new", site="elsewhere", licence="CC0-1.0")
    said = predict(done.bundle, crops, "cpu")
    wanted = done.head.probabilities(said.embedding, offsets(said.probabilities))
    np.testing.assert_allclose(predict(new, crops, "cpu").probabilities, wanted, atol=0.02)  # stored as float16
    assert new.card["adaptation"]["parent"] == done.bundle.bundle_id
    assert new.card["training_data"][-1] == {"name": "elsewhere (adaptation)", "n": 60, "licence": "CC0-1.0"}
    assert (predict(new, crops, "cpu").code == labels).mean() > 0.95


def test_a_colour_cast_is_taken_back(small_bundle_32):
    crops, which = cells(40)
    labels = np.array(["MYO", "LYT"], object)[which]
    pixels = crops.reshape(-1, 3) / 255
    colours = {"mean": pixels.mean(0).tolist(), "std": pixels.std(0).tolist()}
    card = {**small_bundle_32.card, "picture_statistics": colours}
    bundle = dataclasses.replace(small_bundle_32, card=card, _idle={})
    cast = np.rint(crops * np.array([0.7, 0.9, 0.8]) + np.array([20, 5, 12])).astype(np.uint8)
    done = run(adapt_steps(bundle, ArrayCrops(cast, 32), labels, device="cpu", fine_tune=False))
    assert [a.way for a in done.attempts] == [w for w in WAYS if w != "fine-tune" and "stain" not in w]
    mean, std = run(_moved_normalisation(bundle, ArrayCrops(cast, 32)))
    moved = dataclasses.replace(bundle, card={**card, "mean": list(mean), "std": list(std)}, _idle={})
    np.testing.assert_allclose(
        predict(moved, cast, "cpu").probabilities, predict(bundle, crops, "cpu").probabilities, atol=0.02
    )


def test_too_few_and_unknown_cells_are_said(small_bundle_32):
    crops, which = cells(12)
    labels = np.array(["MYO", "LYT"], object)[which]
    with pytest.raises(InputError, match="too few"):
        run(adapt_steps(small_bundle_32, ArrayCrops(crops[:6], 32), labels[:6]))
    labels[:1] = "HAC"
    done = run(adapt_steps(small_bundle_32, ArrayCrops(crops, 32), labels, device="cpu", fine_tune=False))
    assert done.cells == 11 and any("'HAC'" in note for note in done.notes)


def test_no_more_than_a_hundred_cells_evenly_over_the_classes(small_bundle_32):
    crops, _ = cells(160)
    labels = np.array(["MYO"] * 150 + ["LYT"] * 10, object)
    done = run(adapt_steps(small_bundle_32, ArrayCrops(crops, 32), labels, device="cpu", fine_tune=False))
    assert done.cells == MOST_CELLS
    n = {code: entry["n"] for code, entry in done.attempts[0].metrics["per_class"].items()}
    assert n["LYT"] == 10 and n["MYO"] == 90


def test_cells_of_another_stain_are_recoloured_and_slides_go_the_same_way(small_bundle_32, monkeypatch, tmp_path):
    """Where recoloured cells are kept the parent's stains hold; else the new site's stain is one that is known."""
    from napari_aml.cells.stain import Recolouring, Stain
    from napari_aml.classify.recolouring import StainChoice
    from napari_aml.review import adaptation

    known = Stain((250.0, 230.0, 210.0), (0.9, 1.5, 0.3), (0.2, 0.3, 0.2))
    strange = Stain((200.0, 200.0, 195.0), (0.3, 0.6, 0.1), (0.1, 0.2, 0.2))

    def measured(crops, um, stains):
        yield from ()
        return strange, StainChoice(Recolouring(strange, known), "home", 40.0)

    monkeypatch.setattr(adaptation, "crops_stain_steps", measured)
    crops, which = cells(40)
    labels = np.array(["MYO", "LYT"], object)[which]
    card = {**small_bundle_32.card, "stains": [{"source": "home", **known.facts()}]}
    bundle = dataclasses.replace(small_bundle_32, card=card, _idle={})
    done = run(adapt_steps(bundle, ArrayCrops(crops, 32), labels, device="cpu", fine_tune=False))
    assert {"stain", "stain+head"} <= {a.way for a in done.attempts}
    kept = {way: dataclasses.replace(done, chosen=way) for way in ("stain+head", "head")}
    kept = {way: [n for n, _ in save_adapted(d, tmp_path / way, site="lab").stains] for way, d in kept.items()}
    assert kept == {"stain+head": ["home"], "head": ["lab", "home"]}
