"""A kill at any moment loses no acknowledged decision and damages nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from project_parts import analysis_of, standing, verify, write_picture

from napari_aml.review.project import Project

HERE = Path(__file__).parent
KILLS = 220
pytestmark = pytest.mark.skipif(os.name == "nt", reason="kills by signal and fork")


def test_every_acknowledged_decision_survives_hundreds_of_kills(tmp_path):
    folder = tmp_path / "study.amlproj"
    Project.create(folder).close()
    done = subprocess.run(
        [sys.executable, HERE / "killing.py", folder, str(KILLS), "7"], capture_output=True, text=True, check=True
    )
    told = json.loads(done.stdout)
    assert told["kills"] >= 200 and len(told["said"]) > 200
    with Project.open(folder) as project:
        rows = {d.id: d for d in project.decisions()}
        assert [d.seq for d in project.decisions()] == list(range(1, len(rows) + 1))
        for seq, identity, uid, value, reader in told["said"]:
            d = rows[identity]
            assert (d.seq, d.uid, str(d.value), d.reader) == (int(seq), uid, value, reader)
        assert not project.others()
    assert standing(verify(folder)) == []
    assert standing(verify(folder, repair=True)) == []
    # The second copy is complete by now, and nothing else stands out but that these cells were made up.
    assert [f.text for f in verify(folder) if f.level != "ok"] == [
        "there are decisions on 1 slides that are not in the project: kept"
    ]


_SAVER = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from project_parts import analysis_of
from napari_aml.review.project import Project
analysis = analysis_of(Path(sys.argv[2]))
project = Project.open(sys.argv[1])
project.add_slide(analysis.slide, analysis)
print("ready", flush=True)
while True:
    project.save(analysis)
    print(len(project.runs), flush=True)
"""


def test_a_kill_while_cells_are_saved_leaves_whole_cells(tmp_path):
    picture = write_picture(tmp_path / "field.png")
    folder = tmp_path / "study.amlproj"
    Project.create(folder).close()
    for pause in (0.0, 0.031, 0.09):
        saver = subprocess.Popen(
            [sys.executable, "-c", _SAVER, folder, picture, HERE], stdout=subprocess.PIPE, text=True
        )
        assert saver.stdout.readline().strip() == "ready"
        time.sleep(pause)
        saver.send_signal(signal.SIGKILL)
        saver.communicate()
        with Project.open(folder) as project:
            slide_id = project.slides()[0].slide_id
            back = project.analysis(slide_id)
            assert (back.cells.masks.to_array() == analysis_of(picture).cells.masks.to_array()).all()
    verify(folder, repair=True)
    assert not [f for f in verify(folder) if f.level != "ok"]
