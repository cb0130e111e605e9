"""The page about Python runs as written."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]


def test_the_python_page_runs_as_written(tmp_path, monkeypatch):
    page = REPO / "docs" / "python.md"
    if not page.is_file():
        pytest.skip("the docs are not beside the tests")
    from napari_aml.samples import sample_paths

    shutil.copy(sample_paths("smear")[0], tmp_path / "smear.png")  # read by content, whatever its suffix
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    assert len(blocks) == 4
    names: dict[str, object] = {}
    for block in blocks[:3]:
        exec(compile(block, str(page), "exec"), names)
    assert (tmp_path / "results" / "smear" / "report.html").is_file()
    assert len(names["maps"]) == len(names["said"]) == len(names["cells"]) >= 1
