"""From a key to the painted screen among 100,000 cells: gallery, and canvas of napari.

    xvfb-run -a python benchmarks/relabel.py

A key is pressed in the gallery; it ends when the record holds the decision, the gallery has painted the cell anew
and gone on to the next one. With ``--canvas`` (a viewer, 20,000 cells in an array; 100,000 in a pyramid) the class
layer of the picture is recoloured, too. Medians of the runs; main-thread CPU beside wall-clock.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

sys.path.insert(0, str(Path(__file__).resolve().parent))
from gallery import panel_of

KEYS = (Qt.Key.Key_M, Qt.Key.Key_L, Qt.Key.Key_S, Qt.Key.Key_Space, Qt.Key.Key_E)


def settle(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        QApplication.processEvents()
        time.sleep(0.005)


def presses(panel: Any, runs: int) -> tuple[list[float], list[float]]:
    """Return wall-clock and main-thread CPU of each key, seconds."""
    wall, cpu = [], []
    view = panel.view
    view.walk(1)
    for i in range(runs):
        settle(0.02)
        start, begun = time.perf_counter(), time.thread_time()
        QTest.keyClick(view, KEYS[i % len(KEYS)])
        view.viewport().repaint()
        wall.append(time.perf_counter() - start)
        cpu.append(time.thread_time() - begun)
    return wall, cpu


def say(title: str, wall: list[float], cpu: list[float]) -> None:
    high = 1000 * float(np.quantile(wall, 0.95))
    print(f"{title:46s} {1000 * statistics.median(wall):7.1f} {high:9.1f} {1000 * statistics.median(cpu):14.1f}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=60)
    options = parser.parse_args()
    app = QApplication.instance() or QApplication([])
    print(f"{'[ms], ' + format(options.cells, ',') + ' cells':46s}  median      95 %  main-thread CPU")
    panel = panel_of(options.cells)
    panel.activateWindow()
    settle(0.5)
    say("key to paint, gallery, record in memory", *presses(panel, options.runs))
    decided = len(panel.state.decided)
    assert decided > 0.8 * options.runs, f"only {decided} keys were heard"
    with tempfile.TemporaryDirectory() as folder:
        from napari_aml.review.project import Project

        with Project.create(Path(folder) / "bench.amlproj") as project:
            panel.state.store = project
            say("key to paint, gallery, record on disk", *presses(panel, options.runs))
            print(f"{len(project.decisions())} decisions on disk")
            panel.close_panel()
    del app


if __name__ == "__main__":
    main()
