"""The type hints of the lowest rooms hold."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("statistics", "datasets", "taxonomy.py")


def test_type_hints_of_the_lower_rooms_hold(tmp_path):
    pytest.importorskip("mypy")
    rooms = [str(found) for name in ROOMS if (found := ROOT / "src" / "napari_aml" / name).exists()]
    assert len(rooms) == len(ROOMS)
    command = [sys.executable, "-m", "mypy", "--follow-imports=silent", "--cache-dir", str(tmp_path), *rooms]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
