"""From a manifest with sex, age and site to figures by subgroup: train, then trust, as a person types them."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from training_parts import COLOURS, disc
from typer.testing import CliRunner

from napari_aml.cli.app import app
from napari_aml.datasets import write_dataset

RECIPE = """
backbone = "test_convnext"
px = 32
epochs = 4
batch = 16
rate = 3e-3
device = "cpu"
precision = "float32"
drop_path = 0.0
augmentation = "none"
mixup = 0.0
swa = 0.0
"""


def patients(path, n, first, swap):
    """Discs of patients; at the site `far` the labels of two classes are swapped, so that a model errs there."""
    codes = [code for code in COLOURS for _ in range(n)]
    pictures = [disc(code, first + i) for i, code in enumerate(codes)]
    patient = np.arange(len(codes)) % 12
    site = np.where(patient < 4, "far", "near")
    shown = [
        {"MYO": "LYT", "LYT": "MYO"}.get(c, c) if swap and s == "far" else c for c, s in zip(codes, site, strict=True)
    ]
    table = pd.DataFrame({
        "code": shown, "patient": [f"p{first}-{p}" for p in patient], "crop_um": 20.0, "site": site,
        "sex": np.where(patient % 2, "female", "male"), "age": np.where(patient == 0, 10.0, 30.0 + 5 * patient),
    })  # fmt: skip
    return write_dataset(path, table, pictures, {"name": path.name}, group_duplicates=False)


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    folder = tmp_path_factory.mktemp("subgroups")
    patients(folder / "learn", 24, 0, swap=False)
    patients(folder / "judge", 40, 1000, swap=True)
    (folder / "recipe.toml").write_text(RECIPE)
    shell = CliRunner()
    for arguments in (
        ["train", folder / "learn", "--config", folder / "recipe.toml", "--out", folder / "bundle"],
        ["trust", folder / "judge", "--model", folder / "bundle", "--out", folder / "trust", "--no-probes",
         "--device", "cpu"],
    ):  # fmt: skip
        result = shell.invoke(app, [str(a) for a in arguments])
        assert result.exit_code == 0, result.output
    return folder / "trust"


def test_each_subgroup_has_figures_intervals_and_patients(judged):
    table = pd.read_csv(judged / "subgroups.csv", keep_default_na=False)
    assert set(table["by"]) == {"sex", "age", "site"}
    for by in ("sex", "site"):
        assert table["n"][table["by"] == by].sum() == 120
    site = table[table["by"] == "site"].set_index("subgroup")
    assert float(site.loc["near", "accuracy"]) > 0.8 > float(site.loc["far", "accuracy"]) + 0.3
    assert float(site.loc["far", "high"]) < float(site.loc["near", "low"])  # the gap is larger than chance
    assert int(site.loc["far", "groups"]) == 4  # patients, whom the intervals keep whole
    sex = table[table["by"] == "sex"]
    assert (sex["low"].astype(float) <= sex["high"].astype(float)).all()


def test_small_subgroups_are_warned_of(judged):
    table = pd.read_csv(judged / "subgroups.csv", keep_default_na=False)
    few = table[table["n"] < 30]
    assert len(few) and (few["warning"] == "few cells").all()
    assert (table["warning"][table["n"] >= 30] == "").all()
    assert "few cells" in (judged / "trust.md").read_text("utf-8")
    assert json.loads((judged / "trust.json").read_text("utf-8"))
