"""``napari-aml project …`` as a person meets it."""

from __future__ import annotations

import json
import shutil
import sys

import pandas as pd
import pytest
from small_models import make_bundle

import napari_aml.cli as cli
from napari_aml.review.decisions import ADJUDICATOR, Decision
from napari_aml.review.project import Project
from napari_aml.samples import sample_paths


@pytest.fixture
def shell(monkeypatch, capsys):
    """Run the command line in this process: returns (exit code, standard output, standard error)."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["napari-aml", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out, err = capsys.readouterr()
        return stop.value.code, out, err

    return call


@pytest.fixture
def picture(tmp_path):
    return shutil.copy(sample_paths("smear")[0], tmp_path / "field.jpg")


@pytest.fixture
def model(tmp_path):
    """A small network with random weights."""
    return make_bundle(tmp_path / "tiny").path


def test_create_add_info_verify(shell, tmp_path, picture, model):
    folder = tmp_path / "study.amlproj"
    code, out, _ = shell("project", "create", tmp_path / "study", "--name", "Pilot", "--reader", "ada")
    assert code == 0 and str(folder) in out
    assert shell("project", "create", folder)[0] == 2
    code, out, err = shell(
        "project", "add", folder, picture, "--segmenter", "classical", "--device", "cpu", "--patient", "P1",
        "--model", model,
    )  # fmt: skip
    assert code == 0 and "added as S" in out, err
    code, out, _ = shell("project", "add", folder, picture, "--no-analyse")
    assert code == 0 and "brought up to date" in out
    code, out, _ = shell("project", "info", folder, "--json")
    told = json.loads(out)
    (slide,) = told["slides"]
    assert told["name"] == "Pilot" and told["readers"] == ["ada"] and told["cells"] == slide["cells"] > 0
    assert slide["patient"] == "P1" and slide["picture"] == "there" and slide["model"]
    assert "Pilot" in shell("project", "info", folder)[1]
    code, out, _ = shell("project", "verify", folder)
    assert code == 0 and "The project is whole." in out
    shutil.move(picture, tmp_path / "moved.jpg")
    code, out, err = shell("project", "verify", folder)
    assert code == 1 and "is missing" in out and "1 error stands" in err
    code, out, _ = shell("project", "verify", folder, "--look-in", tmp_path)
    assert code == 0 and "repaired:" in out


def test_a_damaged_project_says_what_to_do_and_doing_it_helps(shell, tmp_path):
    folder = tmp_path / "study.amlproj"
    with Project.create(folder) as project:
        project.record([Decision("c1", "S1", "MYO", "ada")])
    (folder / "project.sqlite").write_bytes(b"nonsense" * 1000)
    code, _, err = shell("project", "info", folder)
    assert code == 2 and "verify --repair" in err and "Traceback" not in err
    assert shell("project", "verify", folder)[0] == 1
    code, out, _ = shell("project", "verify", folder, "--repair")
    assert code == 0 and "1 decisions" in out
    assert shell("project", "info", folder)[0] == 0
    assert shell("project", "verify", tmp_path)[0] == 2


def test_agree_says_kappas_and_writes_the_disagreements(shell, tmp_path):
    folder, out_file = tmp_path / "study.amlproj", tmp_path / "differ.csv"
    codes = ["MYO", "LYT", "NGS", "MON"] * 5
    with Project.create(folder) as project:
        project.record([Decision(f"c{i}", "S1", code, "ada") for i, code in enumerate(codes)])
        code, out, _ = shell("project", "agree", folder)
        assert code == 0 and "needs two readers" in out
        project.record([Decision(f"c{i}", "S1", "=1" if i == 3 else code, "ben") for i, code in enumerate(codes)])
        project.record([Decision("c3", "S1", "MON", ADJUDICATOR)])
    code, out, _ = shell("project", "agree", folder, "--out", out_file)
    assert code == 0 and "Cohen's kappa ada / ben: 0.93" in out and "Krippendorff's alpha: 0.93" in out
    assert "differ on 1 cells, 1 of them adjudicated" in out
    assert pd.read_csv(out_file).iloc[0].tolist() == ["c3", "S1", "MON", "'=1", "MON"]
    code, _, err = shell("project", "agree", folder, "--readers", "ada,dan")
    assert code == 2 and "no reader 'dan'" in err
