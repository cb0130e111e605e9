"""The bundle that the package ships: what its card says, and that it is wired as it was trained."""

from __future__ import annotations

import csv
import json
from importlib.resources import files
from pathlib import Path

import numpy as np

from napari_aml.classify import open_bundle, predict
from napari_aml.classify.predict import predict_steps
from napari_aml.classify.sources import ArrayCrops, centre_square
from napari_aml.classify.training.engine.recipes import Recipe
from napari_aml.classify.training.engine.settings import TrainConfig
from napari_aml.datasets.pictures import read_pixels
from napari_aml.progress import run

BUNDLE = Path(str(files("napari_aml"))) / "bundles" / "demo"


def test_the_shipped_bundle_is_small_and_says_what_it_is() -> None:
    bundle = open_bundle(BUNDLE).verify()
    assert sum(path.stat().st_size for path in BUNDLE.iterdir()) < 10_000_000
    assert bundle.backbone.startswith("convnext") and len(bundle.codes) == 16
    for name in ("test, pbc", "test, lmu"):
        accuracy = bundle.card["metrics"][name]["accuracy"]
        low, high = accuracy["interval_95"]
        assert 0 < low < accuracy["value"] < high < 1 and accuracy["n"] > 100
    data = bundle.card["training_data"]
    assert len(data) == 2 and all("CC BY" in d["licence"] and "doi" in d["source"] and d["n"] for d in data)
    assert "not for use in diagnostic" in bundle.card["intended_use"].lower()
    assert "demonstration" in bundle.card["title"].lower()


def test_the_shipped_bundle_was_made_by_the_shipped_recipe() -> None:
    card, last = open_bundle(BUNDLE).card, Recipe.read("demo").parts()[-1][1]
    # Settings that came later are at their defaults.
    made = {**json.loads(json.dumps(TrainConfig().decisive())), **card["training"]["settings"]}
    # What the recipe itself fills in, stage by stage: the teacher it trained, and where the last stage started.
    own = {"teacher", "start"}
    asked = json.loads(json.dumps(last.decisive()))
    assert {k: v for k, v in made.items() if k not in own} == {k: v for k, v in asked.items() if k not in own}
    assert card["teacher"]["backbone"] == "tf_efficientnet_lite0"
    assert (card["tta"], card["title"], card["version"]) == (last.tta, last.title, last.version)


def test_the_shipped_bundle_knows_cells_it_was_trained_on(shared_data: Path) -> None:
    """A test of wiring (colour order, scale, class order), not of how well unseen cells are told apart."""
    bundle = open_bundle(BUNDLE)
    folders = sorted((shared_data / "cells_pbc" / "fullres_sample").iterdir())
    with open(shared_data / "cells_pbc" / "manifest.csv", encoding="utf-8") as stream:
        codes = {row[1]: row[2].strip() for row in csv.reader(stream)}
    paths = [path for folder in folders for path in sorted(folder.iterdir())[:4]]
    crops = np.stack([centre_square(read_pixels(path), 120) for path in paths])
    truth = [codes[path.parent.name] for path in paths]
    right = (predict(bundle, crops, "cpu").code == truth).mean()
    assert right > 0.75
    turned = ArrayCrops(crops[..., ::-1].copy(), bundle.crop_px)  # blue for red
    assert (run(predict_steps(bundle, turned, "cpu")).code == truth).mean() < right - 0.2
