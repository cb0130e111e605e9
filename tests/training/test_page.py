"""The page about training: its commands and settings exist (they were run by hand; here they are only parsed)."""

from __future__ import annotations

import dataclasses
import re
import shlex
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "train-and-compare.md"


@pytest.fixture(scope="module")
def page() -> str:
    if not PAGE.is_file():
        pytest.skip("the docs are not beside the tests")
    return PAGE.read_text("utf-8")


def test_every_command_is_one(page):
    import typer

    from napari_aml.cli.app import app

    group = typer.main.get_command(app)
    lines = [line for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) for line in block.splitlines()]
    commands = [line.split("napari-aml ")[1] for line in lines if line.startswith("napari-aml ")]
    commands += [re.search(r"napari_aml\.cli (.*)", line)[1] for line in lines if "-m napari_aml.cli" in line]
    commands += re.findall(r"^\| `napari-aml ([^`]+)`", page, re.MULTILINE)
    assert len(commands) >= 13
    for command in commands:
        name, *arguments = shlex.split(command)
        context = group.commands[name].make_context(name, arguments)
        assert context.params


def test_the_settings_are_those_that_there_are(page, tmp_path):
    from napari_aml.classify.training.engine import PRESETS, TrainConfig

    (tmp_path / "recipe.toml").write_text(re.search(r"```toml\n(.*?)```", page, re.DOTALL)[1])
    held = TrainConfig.read(tmp_path / "recipe.toml")
    assert held.px == 64 and held.variation.scale == (0.9, 1.15) and held.backbone_args == {"ls_init_value": 0.3}
    table = page[page.index("### Settings") : page.index("### Several processes")]
    named = {
        name for row in re.findall(r"^\| (`[^|]+) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }
    known = {f.name for f in dataclasses.fields(TrainConfig)}
    assert named <= known
    assert known - named <= {"checkpoint_minutes", "unreadable"}
    assert all(f"`{name}`" in table for name in PRESETS)
