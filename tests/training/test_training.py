"""Training: it learns, it goes on exactly after a kill, it stops well, and its settings are what they say."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from training_parts import COLOURS, disc, easy_dataset, tiny

from napari_aml import progress
from napari_aml.classify.training.engine import TrainConfig, TrainingDivergedError, train, train_steps
from napari_aml.errors import BundleError, InputError, OutputError


def weights(bundle) -> dict[str, torch.Tensor]:
    return bundle.state_dict()


def same(a, b) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


FULL = {
    "epochs": 4, "augmentation": "standard", "mixup": 0.2, "swa": 0.5, "drop_path": 0.1, "imbalance": "class-weights",
}  # fmt: skip


@pytest.fixture(scope="module")
def learnt(easy, tmp_path_factory):
    where = tmp_path_factory.mktemp("learnt")
    seen = []
    steps = train_steps(easy, tiny(epochs=12, swa=0.25, label_smoothing=0.0), where / "bundle")
    return progress.run(steps, seen.append), seen, where


def test_it_learns_and_leaves_a_bundle_with_a_card(learnt, easy):
    result, seen, where = learnt
    assert result.figures["accuracy"]["value"] > 0.8
    epochs = [event.payload for event in seen if event.payload is not None]
    assert [e.epoch for e in epochs] == list(range(1, 13)) and epochs[-1].loss < epochs[0].loss
    card = result.bundle.card
    assert card["leakage_level"] == "patient" and "patient" in card["split_level"]
    assert card["training_data"][0]["fingerprint"] == easy.fingerprint() and card["licence"] == "CC0"
    assert card["metrics"]["test"]["macro_f1"]["interval_95"] and card["per_class"]["MYO"]["n"]
    assert card["temperature"] == 1.0, "nine validation cells say nothing about confidence"
    assert {"sensitivity", "specificity", "auroc"} <= set(card["metrics"]["test"]["blast"])
    assert not (where / "bundle.training" / "checkpoint.pt").exists()
    held = np.load(where / "bundle.training" / "test.npz", allow_pickle=False)
    assert held["logits"].shape == (len(held["uid"]), 3)


def test_the_bundle_predicts_what_was_judged(learnt):
    from napari_aml.classify import predict

    result, _, _ = learnt
    crops = np.stack([disc(code, 900 + i) for code in COLOURS for i in range(5)])
    said = predict(result.bundle, crops, "cpu")
    truth = np.array([code for code in COLOURS for _ in range(5)])
    assert (said.code == truth).mean() > 0.8


def test_the_same_seed_gives_the_same_weights_and_another_does_not(easy, tmp_path):
    a, b, c = (train(easy, tiny(**FULL, seed=s), tmp_path / n) for n, s in (("a", 0), ("b", 0), ("c", 1)))
    assert same(weights(a.bundle), weights(b.bundle))
    assert not same(weights(a.bundle), weights(c.bundle))
    assert a.history[-1].loss == b.history[-1].loss


@pytest.mark.parametrize("stop_after", [1, 3])
def test_a_run_that_was_closed_goes_on_to_the_very_same_result(easy, tmp_path, stop_after):
    whole = train(easy, tiny(**FULL, ema=0.9, patience=9), tmp_path / "whole")
    steps = train_steps(easy, tiny(**FULL, ema=0.9, patience=9), tmp_path / "parts")
    for event in steps:
        if event.payload is not None and event.payload.epoch == stop_after:
            steps.close()
    assert (tmp_path / "parts.training" / "checkpoint.pt").exists() and not (tmp_path / "parts").exists()
    again = train(easy, tiny(**FULL, ema=0.9, patience=9), tmp_path / "parts")
    assert any("Taken up again" in note for note in again.notes)
    assert same(weights(whole.bundle), weights(again.bundle))
    assert [e.loss for e in whole.history] == [e.loss for e in again.history]


COMMAND = [sys.executable, "-m", "napari_aml.cli", "train"]
LONG = tiny(epochs=12, drop_path=0.1, augmentation="standard", swa=0.25, checkpoint_minutes=0.0001)


def _spawn(dataset, out: Path) -> subprocess.Popen:
    command = [*COMMAND, str(dataset.path), "--out", str(out)]
    command += [f"--set={k}={v}" for k, v in LONG.to_dict().items() if v != getattr(TrainConfig(), k)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def test_a_second_run_in_the_same_folder_is_refused_while_the_first_is_at_work(easy, tmp_path):
    steps = train_steps(easy, tiny(epochs=2), tmp_path / "bundle")
    for event in steps:
        if event.payload is not None:  # an epoch is done
            break
    with pytest.raises(InputError, match="Another training is at work"):
        train(easy, tiny(epochs=2), tmp_path / "bundle")
    steps.close()
    assert not list(tmp_path.glob("*.lock"))
    assert train(easy, tiny(epochs=2), tmp_path / "bundle").bundle is not None


def test_a_folder_that_cannot_be_made_is_named(easy, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"Cannot write to '.*file'"):
        train(easy, tiny(epochs=2), tmp_path / "file" / "bundle")


def test_killed_and_taken_up_again_from_the_command_line(easy, tmp_path):
    checkpoint = tmp_path / "killed.training" / "checkpoint.pt"
    process = _spawn(easy, tmp_path / "killed")
    deadline = time.monotonic() + 300
    while not checkpoint.exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert checkpoint.exists() and not (tmp_path / "killed" / "bundle.json").exists()
    again = _spawn(easy, tmp_path / "killed")
    _, words = again.communicate(timeout=600)
    assert again.returncode == 0, words
    assert "Taken up again" in words
    train(easy, LONG, tmp_path / "whole")
    files = [tmp_path / name / "model.safetensors" for name in ("killed", "whole")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_other_settings_do_not_go_on_from_a_checkpoint(easy, tmp_path):
    steps = train_steps(easy, tiny(), tmp_path / "b")
    next(event for event in steps if event.payload is not None)
    steps.close()
    with pytest.raises(InputError, match=r"rate was 0\.003, is 0\.001"):
        train(easy, tiny(rate=1e-3), tmp_path / "b")
    assert train(easy, tiny(rate=1e-3, epochs=1), tmp_path / "b", fresh=True).bundle is not None


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_state(easy, tmp_path, monkeypatch):
    from napari_aml.classify.training.engine import loop

    true = loop.learning_rate
    monkeypatch.setattr(loop, "learning_rate", lambda update, *a: 1e30 if update >= 6 else true(update, *a))
    with pytest.raises(TrainingDivergedError, match=r"(?s)stopped being a number.*last-good") as caught:
        train(easy, tiny(clip=0, weight_decay=0), tmp_path / "b")
    assert "--base" in caught.value.hint and not (tmp_path / "b").exists()
    from napari_aml.classify import load_bundle

    kept = load_bundle(tmp_path / "b.training" / "last-good")
    assert all(bool(v.isfinite().all()) for v in weights(kept).values())
    monkeypatch.setattr(loop, "learning_rate", true)
    assert train(easy, tiny(clip=0, weight_decay=0), tmp_path / "b").bundle is not None, "the checkpoint is still good"


def test_a_full_disk_at_a_checkpoint_loses_nothing(easy, tmp_path, monkeypatch):
    true = Path.write_bytes
    failed = []

    def full(self, data):
        if "checkpoint" in self.name and len(failed) < 2:
            failed.append(self.name)
            raise OSError(28, "No space left on device")
        return true(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    seen = []
    result = progress.run(train_steps(easy, tiny(), tmp_path / "b"), seen.append)
    assert len(failed) == 2 and result.bundle is not None
    assert any("No space left" in event.message for event in seen)
    assert not list((tmp_path / "b.training").glob(".*"))


def test_two_processes_give_what_one_gives(easy, tmp_path):
    """Gradients are averaged: the same batch shared by two is the same update, up to rounding."""
    script = tmp_path / "two.py"
    script.write_text(
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import torch; torch.set_num_threads(1)\n"
        "from training_parts import tiny\n"
        "from napari_aml.classify.training.engine import train\n"
        "train(sys.argv[2], tiny(epochs=2), sys.argv[3])\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29533", str(script),
         str(Path(__file__).parent), str(easy.path), str(tmp_path / "two")],
        capture_output=True, text=True, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    one = train(easy, tiny(epochs=2), tmp_path / "one")
    from napari_aml.classify import load_bundle

    two = weights(load_bundle(tmp_path / "two"))
    for key, value in weights(one.bundle).items():
        assert torch.allclose(value, two[key], atol=2e-3), key
    history = json.loads((tmp_path / "two.training" / "history.json").read_text())
    assert history[-1]["loss"] == pytest.approx(one.history[-1].loss, rel=1e-2)


def test_micro_batches_and_a_file_of_crops_change_nothing(easy, tmp_path):
    plain = train(easy, tiny(epochs=2), tmp_path / "a")
    small = train(easy, tiny(epochs=2, accumulate=4), tmp_path / "b")
    mapped = train(easy, tiny(epochs=2, cache="file"), tmp_path / "c")
    assert same(weights(plain.bundle), weights(mapped.bundle))
    assert not list((tmp_path / "c.training").glob("crops-*"))
    for key, value in weights(plain.bundle).items():
        assert torch.allclose(value, weights(small.bundle)[key], atol=2e-3), key


def test_early_stopping_keeps_the_best_epoch(easy, tmp_path):
    result = train(easy, tiny(epochs=60, patience=2, monitor="accuracy"), tmp_path / "b")
    assert len(result.history) < 60 and any("Stopped early" in note for note in result.notes)
    best = max(e.validation["accuracy"] for e in result.history)
    kept = result.held_out["validation"]
    assert (kept["logits"].argmax(1) == kept["targets"]).mean() == pytest.approx(best)


def test_going_on_from_a_bundle_with_other_classes(learnt, tmp_path):
    base = learnt[0].bundle
    data = easy_dataset(tmp_path / "d", 12, ("MYO", "NGS"))
    head = train(data, tiny(epochs=1, train_only="head", rate=1e-4), tmp_path / "b", base=base)
    assert any("LYT" in note and "given up" in note for note in head.notes)
    assert head.bundle.card["parent"]["sha256"] == base.sha256 and head.bundle.codes == ("MYO", "NGS")
    assert head.bundle.crop_px == base.crop_px and head.figures["accuracy"]["value"] > 0.7
    a, b = weights(base), weights(head.bundle)
    assert all(torch.equal(a[k], b[k]) for k in b if not k.startswith("head.fc")), "only the head was to learn"
    table = data.table.assign(code=["BAS"] * 12 + ["EOS"] * 12)
    from napari_aml.datasets import Dataset

    with pytest.raises(BundleError, match="none is shared"):
        train(Dataset(data.path, data.meta, table), tiny(), tmp_path / "c", base=base)


@pytest.mark.parametrize("imbalance", ["none", "logit-adjustment", "class-weights", "balanced-sampling"])
@pytest.mark.parametrize("backbone", ["test_resnet"])
def test_every_way_of_imbalance_and_batch_norm_with_swa(easy, tmp_path, imbalance, backbone):
    config = tiny(
        backbone=backbone, imbalance=imbalance, epochs=2, swa=0.5, optimiser="sgd", rate=1e-2, precision="bfloat16"
    )
    result = train(easy, config, tmp_path / "b")
    averaged = result.bundle.card["training"]["weights_kept"]
    assert averaged.startswith(("average of the last 1", "epoch"))
    assert any("Batch statistics" in note for note in result.notes)


def test_an_exponential_average_forgets_the_random_start(easy, tmp_path):
    config = tiny(backbone="test_resnet", epochs=6, ema=0.999, rate=1e-2)
    plain = train(easy, config.changed(ema=0.0), tmp_path / "plain").history[-1].validation
    averaged = train(easy, config, tmp_path / "averaged").history[-1].validation
    assert averaged["loss"] < 0.5 * np.log(3) + 0.5 * plain["loss"]  # nearer to what was learnt than to chance


def test_settings_are_checked(tmp_path):
    with pytest.raises(InputError, match="label_smoothing"):
        TrainConfig().changed(label_smothing=0.1)
    with pytest.raises(InputError, match="exclude each other"):
        TrainConfig().changed(imbalance="class-weights,balanced-sampling")
    with pytest.raises(InputError, match="rate"):
        TrainConfig().changed(rate=-1.0)
    with pytest.raises(InputError, match="views"):
        TrainConfig().changed(views={"stian": 1})
    file = tmp_path / "recipe.toml"
    file.write_text('epochs = 3\n[optimising]\nrate = 1\noptimiser = "sgd"\n[views]\nscale = [0.9, 1.1]\n')
    held = TrainConfig.read(file)
    assert (held.epochs, held.rate, held.optimiser, held.variation.scale) == (3, 1.0, "sgd", (0.9, 1.1))
    file.write_text("epochs = = 3")
    with pytest.raises(InputError, match="no TOML"):
        TrainConfig.read(file)


def test_unknown_backbones_optimisers_and_data(easy, tmp_path):
    with pytest.raises(BundleError, match="Did you mean"):
        train(easy, tiny(backbone="convnxt_tiny"), tmp_path / "b")
    with pytest.raises(InputError, match="optimiser"):
        train(easy, tiny(optimiser="adammm"), tmp_path / "b")
    with pytest.raises(InputError, match="two are needed"):
        train(easy, tiny(min_cells=1000), tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_unreadable_pictures_are_named_or_refused(tmp_path):
    data = easy_dataset(tmp_path / "d", 10)
    (data.path / data.table["picture"].iat[3]).write_bytes(b"broken")
    result = train(data, tiny(epochs=1), tmp_path / "b")
    assert sum("Left out" in note for note in result.notes) == 1
    with pytest.raises(InputError, match="cannot be used"):
        train(data, tiny(epochs=1, unreadable="refuse"), tmp_path / "c")
