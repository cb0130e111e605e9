"""From one analysed picture to another: time until the other's cells, classes and heatmaps are on the screen.

    xvfb-run -a python benchmarks/picture_switching.py

Two shipped smear fields are analysed (so that all that an analysis imports is in memory) and chosen in turns. Napari
collects garbage whenever layers are removed; that part, which grows with all that is imported, is told apart.
"""

from __future__ import annotations

import gc
import statistics
import time

import napari
from qtpy.QtWidgets import QApplication

import napari_aml as aml
from napari_aml.samples import sample_paths
from napari_aml.viewer.dock import SmearReviewWidget

RUNS = 20


class Collections:
    """Counts and times the collections of all generations."""

    def __init__(self) -> None:
        self.count, self.seconds, self._since = 0, 0.0, 0.0
        gc.callbacks.append(self)

    def __call__(self, phase: str, info: dict[str, int]) -> None:
        """Take note of the beginning or the end of a collection."""
        if info["generation"] < 2:
            return
        if phase == "start":
            self._since = time.perf_counter()
        else:
            self.count += 1
            self.seconds += time.perf_counter() - self._since


def main() -> None:
    viewer = napari.Viewer(show=True)
    dock = SmearReviewWidget(viewer)
    viewer.window.add_dock_widget(dock, name="Smear review")
    layers = []
    for path in sample_paths()[:2]:
        found = aml.analyse(path)
        layers.append(viewer.add_image(found.slide.region(0, 0, 0, *found.slide.shape), rgb=True, name=path.stem))
        dock.choose_picture(layers[-1])
        dock.controller.show_result(layers[-1], found)
    QApplication.processEvents()
    walls, garbage, counts = [], [], []
    for run in range(RUNS):
        seen, clock = Collections(), time.perf_counter()
        dock.choose_picture(layers[run % 2])
        QApplication.processEvents()
        walls.append(time.perf_counter() - clock)
        gc.callbacks.remove(seen)
        garbage.append(seen.seconds)
        counts.append(seen.count)
    results = len(viewer.layers) - len(layers)
    said = f"choosing another analysed picture, {results} result layers, {RUNS} runs"
    print(f"{said}: median {statistics.median(walls):.2f} s, of it")
    print(f"garbage collection {statistics.median(garbage):.2f} s in {statistics.median(counts):.0f} collection(s)")
    dock.shut_down()
    viewer.close()


if __name__ == "__main__":
    main()
