"""``analyse IMAGE --expression FILE --sample ID`` as a person meets it: files, words, exit codes."""

from __future__ import annotations

import json
import sys

import pytest

import napari_aml.cli as cli
from napari_aml.samples import expression_path, sample_paths

NAME = "bccd_00176.jpg"


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


@pytest.fixture(scope="module")
def picture():
    return next(p for p in sample_paths("smear") if p.name == NAME)


@pytest.fixture(scope="module")
def samples():
    return expression_path().read_text("utf-8").split("\n", 1)[0].split(",")[1:]


def analyse(shell, picture, out, *more):
    return shell("analyse", picture, "--out", out, "--cam", "none", *more)


def test_the_report_gains_the_section(shell, picture, samples, tmp_path):
    sample = next(s for s in samples if "CBFB" in s)
    code, out, err = analyse(
        shell, picture, tmp_path, "--expression", expression_path(), "--sample", sample, "--age", 54, "--sex", "f"
    )
    folder = tmp_path / "bccd_00176"
    assert code == 0, err
    assert "expression-similar to CBFB::MYH11" in out and "No image call" in out
    html, told = ((folder / name).read_text("utf-8") for name in ("report.html", "expression.json"))
    assert "expression-similar to CBFB::MYH11" in html and "Blasts" in html and "not validated" not in html
    assert json.loads(told)["concordance"]["state"] == "insufficient" and json.loads(told)["attributions"]
    for text in (html, told):
        assert expression_path().name not in text and str(tmp_path) not in text
        assert not any(other in text for other in samples if other != sample)


@pytest.mark.parametrize(("more", "words"), [
    (("--sample", "S1"), "--expression FILE"),
    (("--age", 3), "--expression FILE"),
    (("--expression", "EXAMPLE"), "--sample"),
    (("--expression", "EXAMPLE", "--sample", "nobody"), "nobody"),
    (("--expression", "EXAMPLE", "--sample", "nobody", "--sex", "x"), "--sex 'x'"),
    (("--expression", "gone.csv", "--sample", "S1"), "gone.csv"),
    (("--expression", "EXAMPLE", "--expression-model", "gone"), "gone"),
    (("--expression", "EXAMPLE", "--expression-units", "furlongs"), "furlongs"),
])  # fmt: skip
def test_what_is_wrong_is_said_before_the_picture_is_analysed(shell, picture, tmp_path, more, words):
    more = tuple(expression_path() if m == "EXAMPLE" else m for m in more)
    code, out, err = analyse(shell, picture, tmp_path / "out", *more)
    assert code == 2 and words in err and "Traceback" not in err
    assert not (tmp_path / "out" / "bccd_00176").exists()
