"""From a key to the painted screen among 100,000 cells: gallery, and canvas of napari.

    xvfb-run -a python benchmarks/relabel.py

A key is pressed in the gallery; it ends when the record holds the decision, the gallery has gone on to the next cell
and Qt has painted what that asked for. With ``--canvas`` this happens in napari with the dock "Smear review" open, and
the class layer on the picture is recoloured, too: once with a few cells on the canvas, once with all of them, with the
gallery docked and with it floating. A window that holds a canvas of OpenGL is put together by OpenGL whenever anything
in it is painted; without a graphics card that is most of the time, so what a napari without this plugin needs to paint
100 pixels of a label stands beside. Medians of the runs; main-thread CPU beside wall-clock.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import QEvent, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QLabel, QWidget

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
    view = panel.view
    window = view.window()
    view.walk(1)
    return timed(lambda i: QTest.keyClick(view, KEYS[i % len(KEYS)]), window, runs)


def timed(do: Callable[[int], object], window: QWidget, runs: int) -> tuple[list[float], list[float]]:
    """Return wall-clock and main-thread CPU of doing something until its window is painted, seconds."""
    wall, cpu = [], []
    for i in range(runs):
        settle(0.02)
        start, begun = time.perf_counter(), time.thread_time()
        do(i)
        QApplication.sendPostedEvents(window, QEvent.Type.UpdateRequest.value)
        wall.append(time.perf_counter() - start)
        cpu.append(time.thread_time() - begun)
    return wall, cpu


def say(title: str, wall: list[float], cpu: list[float]) -> None:
    high = 1000 * float(np.quantile(wall, 0.95))
    print(f"{title:60s} {1000 * statistics.median(wall):7.1f} {high:9.1f} {1000 * statistics.median(cpu):14.1f}")


def bare(runs: int) -> None:
    """Paint a corner of a label in a napari that knows nothing of this package."""
    import napari

    viewer = napari.Viewer(show=True)
    viewer.add_image(np.random.default_rng(0).integers(0, 255, (2000, 3000, 3), np.uint8), rgb=True)
    label = QLabel("a label")
    label.setMinimumHeight(200)
    viewer.window.add_dock_widget(label, area="bottom")
    settle(2)
    window = viewer.window._qt_window
    say("10 x 10 pixels of a label in napari alone", *timed(lambda _: label.update(0, 0, 10, 10), window, runs))
    viewer.close()


def canvas(cells: int, runs: int) -> None:
    """Press keys in the gallery of a viewer."""
    import napari

    from napari_aml.viewer.gallery_dock import GalleryDock
    from napari_aml.viewer.sessions import review_of

    bare(runs)
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
    holder = viewer.window.add_dock_widget(dock, area="bottom")
    review.tabs.setCurrentIndex(1)
    settle(3)
    native = viewer.window._qt_viewer.canvas.native
    panel, window = dock.panel, viewer.window._qt_window
    print(f"classes are a pyramid: {viewer.layers['classes'].multiscale}")
    for title, zoom in (("all cells on the canvas", None), ("a few cells on the canvas", 8.0)):
        if zoom:
            panel.view.walk(1)
            control.open_cell(review.state.selected)
            viewer.scene.camera.zoom = zoom
        for place, floats in (("docked", False), ("floating", True)):
            holder.setFloating(floats)
            settle(2)
            if not floats:
                say(f"canvas drawn, nothing changed, {title}", *timed(lambda _: native.update(), window, 10))
            panel.window().activateWindow()
            panel.view.setFocus()
            say(f"key to gallery painted ({place}), {title}", *presses(panel, runs))
    decided = len(review.state.decided)
    assert decided > 3 * runs, f"only {decided} keys were heard"
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
