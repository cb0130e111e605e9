"""From a key to the painted screen among 100,000 cells: gallery, and canvas of napari.

    xvfb-run -a python benchmarks/relabel.py

A key is pressed in the gallery; it ends when the record holds the decision, the gallery has gone on to the next cell
and Qt has painted what that asked for. With ``--canvas`` this happens in napari with the dock "Smear review" open, and
the class layer on the picture is recoloured, too: once with a few cells on the canvas, once with all of them. The
canvas itself is drawn by software here; how long that takes with nothing changed stands beside. Medians of the runs;
main-thread CPU beside wall-clock.
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
from qtpy.QtCore import QEvent, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

sys.path.insert(0, str(Path(__file__).resolve().parent))
from gallery import analysis_of, panel_of

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
        QApplication.sendPostedEvents(None, QEvent.Type.UpdateRequest.value)
        wall.append(time.perf_counter() - start)
        cpu.append(time.thread_time() - begun)
    return wall, cpu


def say(title: str, wall: list[float], cpu: list[float]) -> None:
    high = 1000 * float(np.quantile(wall, 0.95))
    print(f"{title:60s} {1000 * statistics.median(wall):7.1f} {high:9.1f} {1000 * statistics.median(cpu):14.1f}")


def canvas(cells: int, runs: int) -> None:
    """Press keys in the gallery of a viewer."""
    import napari

    from napari_aml.viewer.gallery_dock import GalleryDock
    from napari_aml.viewer.sessions import review_of

    data = analysis_of(cells, pitch=28)
    viewer = napari.Viewer(show=True)
    review = review_of(viewer)
    review.prepare()
    pixels = data.slide.region(0, 0, 0, *data.slide.shape)
    image = viewer.add_image([pixels[::step, ::step] for step in (1, 4, 16)], rgb=True, multiscale=True)
    control = review.controller
    control.choose_picture(image)
    control._take(data)
    dock = GalleryDock(viewer)
    viewer.window.add_dock_widget(dock, area="bottom")
    review.tabs.setCurrentIndex(1)
    settle(3)
    native = viewer.window._qt_viewer.canvas.native
    panel = dock.panel
    viewer.window._qt_window.activateWindow()
    print(f"classes are a pyramid: {viewer.layers['classes'].multiscale}")
    for title, zoom in (("all cells on the canvas", None), ("a few cells on the canvas", 8.0)):
        if zoom:
            panel.view.walk(1)
            control.open_cell(review.state.selected)
            viewer.scene.camera.zoom = zoom
        settle(2)
        bare, bare_cpu = [], []
        for _ in range(10):
            start, begun = time.perf_counter(), time.thread_time()
            native.update()
            QApplication.processEvents()
            bare.append(time.perf_counter() - start)
            bare_cpu.append(time.thread_time() - begun)
        say(f"canvas drawn, nothing changed, {title}", bare, bare_cpu)
        panel.view.setFocus()
        wall, cpu = presses(panel, runs)
        say(f"key to gallery painted, {title}", wall, cpu)
    decided = len(review.state.decided)
    assert decided > runs, f"only {decided} keys were heard"
    dock.shut_down()
    review.shut_down()
    viewer.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--canvas", action="store_true")
    parser.add_argument("--runs", type=int, default=60)
    options = parser.parse_args()
    app = QApplication.instance() or QApplication([])
    print(f"{'[ms], ' + format(options.cells, ',') + ' cells':60s}  median      95 %  main-thread CPU")
    if options.canvas:
        canvas(options.cells, options.runs)
        return
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
