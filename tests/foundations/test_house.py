"""The house rules that a machine can hold: import direction, light imports, small files, no machine's own paths."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
SOURCES = sorted((REPO / "src" / "napari_aml").rglob("*.py"))


def _python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def test_imports_run_downwards():
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()"],
        cwd=REPO, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "kept, 0 broken" in done.stdout


def test_types_fit(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--num-workers", "2", "--cache-dir", str(tmp_path)],
        cwd=REPO, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_importing_the_package_is_light():
    loaded = _python("import napari_aml, sys; print(*sys.modules)").split()
    heavy = {"torch", "timm", "napari", "qtpy", "PySide6", "PyQt6", "numpy", "pandas", "cv2", "skimage", "sklearn"}
    assert not heavy & set(loaded)


@pytest.mark.parametrize("module", ["slides", "cells", "classify", "explain", "review", "export", "pipeline", "cli"])
def test_lower_rooms_load_neither_torch_nor_qt_nor_napari(module):
    loaded = _python(f"import napari_aml.{module}, sys; print(*sys.modules)").split()
    assert not {"torch", "timm", "napari", "qtpy", "PySide6", "PyQt6"} & set(loaded)


def test_every_public_name_resolves():
    import napari_aml as aml

    for name in aml.__all__:
        assert getattr(aml, name) is not None
        if callable(getattr(aml, name)):
            assert getattr(aml, name).__doc__, f"{name} has no docstring"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.relative_to(REPO / "src").as_posix())
def test_files_can_be_read_in_one_sitting(path):
    assert len(path.read_text("utf-8").splitlines()) <= 400


def test_no_tracked_text_names_a_machine():
    listed = subprocess.run(["git", "ls-files"], cwd=REPO, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    private = re.compile(r"(?<![\w.])/(?:root|work|home/\w+|Users/\w+)/")
    for name in listed.stdout.splitlines():
        path = REPO / name
        if path.suffix in {".py", ".md", ".toml", ".yaml", ".json", ".txt", ".sh", ".html", ".csv"} and path.exists():
            assert not private.search(path.read_text("utf-8", errors="replace")), name


def test_ruff_is_content():
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "src", "tests", "benchmarks"], cwd=REPO, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
