"""The commands for models, as a person types them."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from napari_aml.cli.app import app
from napari_aml.errors import InputError
from napari_aml.expression.models.attention_aml import AttentionAML
from napari_aml.samples import expression_path

RUN = CliRunner()


def typed(*words):
    done = RUN.invoke(app, ["expression", *map(str, words)])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    samples = pd.read_csv(expression_path(), index_col=0, nrows=1).columns
    path = tmp_path_factory.mktemp("labels") / "labels.csv"
    rows = [f"{s},{s.removeprefix('SYNTHETIC_').rsplit('_', 1)[0]}" for s in samples]
    path.write_text("sample,subtype\n" + "\n".join(rows) + "\n")
    return path


def test_train_writes_a_bundle_that_explains_and_maps(labels, tmp_path):
    said = typed("train", expression_path(), "--labels", labels, "--out", tmp_path / "b", "--model", "logistic",
                 "--folds", 3, "--alpha", 0.3)  # fmt: skip
    assert "genes, 4 classes: CBFB_MYH11" in said
    card = json.loads((tmp_path / "b" / "bundle.json").read_text())
    assert card["metrics"]["accuracy"]["n"] == 12
    said = typed("explain", expression_path(), "--model", tmp_path / "b", "--out", tmp_path / "e", "--labels", labels)
    assert "Completeness: 12 of 12" in said and "Removing the 5 top genes" in said
    assert (tmp_path / "e" / "markers.png").exists()
    said = typed("map", expression_path(), "--out", tmp_path / "m")
    assert "last layer, pca: silhouette" in said and "expression, pca" in said
    assert set(pd.read_csv(tmp_path / "m" / "map.csv")["space"]) == {"last layer", "expression"}


def test_benchmark_writes_its_page(labels, tmp_path):
    said = typed("benchmark", expression_path(), "--labels", labels, "--out", tmp_path / "o", "--models",
                 "logistic regression,nearest neighbours", "--folds", 3, "--inner", 2, "--repeats", 1)  # fmt: skip
    assert "MCC" in said and (tmp_path / "o" / "index.html").exists()


def test_import_checkpoint_takes_published_weights(tmp_path):
    torch.save(AttentionAML(9, 21, hidden=8, second=4).state_dict(), tmp_path / "w.pth")
    (tmp_path / "g.txt").write_text("\n".join(f"G{i}" for i in range(9)))
    said = typed("import-checkpoint", tmp_path / "w.pth", "--genes", tmp_path / "g.txt", "--out", tmp_path / "b")
    assert "attention-aml, 9 genes, 21 classes" in said
    assert "constant" in said  # what attention at length one is


def test_errors_are_plain_and_have_their_exit_code(tmp_path):
    (tmp_path / "l.csv").write_text("sample,subtype\nnobody,A\n")
    with pytest.raises(InputError, match="No sample"):
        typed("train", expression_path(), "--labels", tmp_path / "l.csv", "--out", tmp_path / "b")
    command = [sys.executable, "-m", "napari_aml.cli", "expression", "import-checkpoint", "missing.pth", "--genes",
               "g.txt", "--out", str(tmp_path / "b")]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env={**os.environ})
    assert done.returncode == 2
    assert "There is no weight file 'missing.pth'" in done.stderr and "Traceback" not in done.stderr


def test_calls_of_the_shell_and_of_python_are_the_same(tmp_path):
    from napari_aml.expression.predict import predict

    typed("predict", expression_path(), "--out", tmp_path / "calls.csv")
    table = pd.read_csv(tmp_path / "calls.csv").set_index("sample")
    for one in predict(expression_path()):
        assert table.loc[one.sample, "subtype"] == one.subtype
        assert np.isclose(table.loc[one.sample, "probability"], one.probability, atol=1e-3)
