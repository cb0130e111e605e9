"""The pages about exchange and the differential run as written."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from exchange_parts import make_study
from typer.testing import CliRunner

from napari_aml.cli import app

DOCS = Path(__file__).resolve().parents[3] / "docs"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("pages")
    make_study(place)
    return place


@pytest.mark.parametrize("page", ["exchange.md", "differential.md"])
def test_commands_and_code_run_as_written(folder, page, monkeypatch):
    if not (DOCS / page).is_file():
        pytest.skip("the docs are not beside the tests")
    monkeypatch.chdir(folder)
    blocks = re.findall(r"```(sh|python)\n(.*?)```", (DOCS / page).read_text("utf-8"), re.DOTALL)
    assert {kind for kind, _ in blocks} == {"sh", "python"}
    for kind, block in blocks:
        if kind == "python":
            exec(compile(block, page, "exec"), {})
            continue
        for line in block.strip().splitlines():
            if "out/cells.csv" in line:  # the page exported CSV above
                assert Path("out/cells.csv").is_file()
            words = shlex.split(line)
            assert words[0] == "napari-aml"
            done = CliRunner().invoke(app, words[1:])
            assert done.exit_code == 0, (line, done.output, done.exception)
    assert Path("out/coco.json" if page == "exchange.md" else "report.html").is_file()
