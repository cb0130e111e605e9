"""napari-aml project export, import, report, as typed."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "review" / "exchange"))
from exchange_parts import make_study

from napari_aml.cli import app
from napari_aml.errors import InputError
from napari_aml.review import Project


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("study"))[0]


@pytest.fixture
def study(made, tmp_path):
    shutil.copytree(made.parent, tmp_path / "copy")
    return tmp_path / "copy" / made.name


def call(*words, code=0):
    done = CliRunner().invoke(app, ["project", *map(str, words)])
    if isinstance(done.exception, InputError):
        raise done.exception
    assert done.exit_code == code, (done.output, done.exception)
    return done.output


def test_export_and_import_by_hand(study, tmp_path):
    formats = ("--format", "csv", "--format", "coco")
    said = call("export", study, "--out", tmp_path / "out", *formats, "--licence", "CC BY 4.0")
    assert "12 cells of 2 slides exported" in said
    told = json.loads((tmp_path / "out" / "provenance.json").read_text("utf-8"))
    assert told["formats"] == ["csv", "coco"] and told["licence"] == "CC BY 4.0" and told["pseudonyms"]
    assert "0 decisions recorded" in call("import", study, tmp_path / "out", "--reader", "eve")
    cells = (tmp_path / "out" / "cells.csv").read_text("utf-8")
    assert "lovelace" not in cells
    # The same key every time: two exports of one project can be joined.
    call("export", study, "--out", tmp_path / "again", "--format", "csv")
    assert (tmp_path / "again" / "cells.csv").read_text("utf-8") == cells
    named = call("export", study, "--out", tmp_path / "named", "--names")
    assert "holds names" in named and "lovelace" in (tmp_path / "named" / "cells.csv").read_text("utf-8")


def test_import_maps_classes_and_can_be_tried_first(study, tmp_path):
    with Project.open(study, read_only=True) as project:
        slide = project.slides()[0].slide_id
    path = tmp_path / "theirs.csv"
    path.write_text(f"uid,code\n{slide}-000005,lymph\n{slide}-000006,odd\n", "utf-8")
    said = call("import", study, path, "--reader", "eve", "--map", "lymph=LYT", "--dry-run")
    assert "1 decisions would be recorded" in said and "'odd' (1)" in said
    maps = ("--map", "lymph=LYT", "--map", "odd=")
    assert "1 decisions recorded" in call("import", study, path, "--reader", "eve", *maps)
    with pytest.raises(InputError, match="no CLASS=CODE"):
        call("import", study, path, "--reader", "eve", "--map", "lymph=XXX")
    with pytest.raises(InputError, match="no file"):
        call("import", study, tmp_path / "gone.csv", "--reader", "eve")


def test_report_says_all_escapes_all_and_needs_nothing_from_elsewhere(study, tmp_path):
    import re

    out = tmp_path / "report.html"
    call("report", study, "--out", out, "--names", "--pmb-as-blasts", "--smudge-cells", "lymphocytes")
    html = out.read_text("utf-8")
    for words in (
        "For Research Use Only", "Who looked at what", "Agreement", "Cohen’s kappa", "lovelace", "hopper", "Audit",
        "Anna_Muster_1", "toy 1", "Readers differ (1)", "Decided: PMO promyelocyte (1)", "Doubtful, not confirmed",
        "1 outside the regions", "auer_rod", "among the blasts",
    ):  # fmt: skip
        assert words in html, words
    assert "<script" not in html and "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", html)
    assert "url(" not in html and "@import" not in html
    call("report", study, "--out", out)
    html = out.read_text("utf-8")
    for name in ("lovelace", "hopper", "Anna", "case-0", "alert(1)"):
        assert name not in html, name
    assert "pseudonyms here" in html
