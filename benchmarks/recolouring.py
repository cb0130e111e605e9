"""Recolour one cell among 20,000: time until the picture on the screen has changed.

    xvfb-run -a python benchmarks/recolouring.py

One label layer of 20,000 cells, coloured by class: the class layer of this plugin (one value a class, constant
colours) against one instance layer whose direct colour map is rebuilt, and against redrawing the whole class layer.
Medians of 30 runs in one window: the change itself (it sends only the cell's pixels to the texture), and until the
canvas has been drawn again, which with software OpenGL is mostly the drawing of all layers, changed or not.
"""

from __future__ import annotations

import statistics
import time

import napari
import numpy as np
from napari.utils.colormaps import DirectLabelColormap
from qtpy.QtWidgets import QApplication

from napari_aml.analysis import Analysis
from napari_aml.cells import CellMasks, Cells
from napari_aml.classify import Predictions
from napari_aml.slides import ArraySlide, PixelSize
from napari_aml.taxonomy import LMU_CODES, cell_class
from napari_aml.ui.state import ReviewState
from napari_aml.viewer.bridge import ReviewBridge

CELLS, PITCH, RUNS = 20_000, 40, 30


def analysis() -> Analysis:
    import pandas as pd

    from napari_aml.cells import COLUMNS

    across = int(np.ceil(np.sqrt(CELLS)))
    masks = CellMasks((across * PITCH, across * PITCH))
    rows, columns = np.ogrid[:32, :32]
    patch = ((rows - 15.5) ** 2 + (columns - 15.5) ** 2 <= 15.5**2).astype(np.uint8)
    table = []
    for label in range(1, CELLS + 1):
        y, x = divmod(label - 1, across)
        masks.put(label, y * PITCH + 4, x * PITCH + 4, patch)
        y0, x0 = y * PITCH + 4, x * PITCH + 4
        table.append((f"S-{label:06d}", "S", label, y0 + 15.5, x0 + 15.5, y0, x0, y0 + 32, x0 + 32))
    frame = pd.DataFrame(table, columns=["uid", "slide_id", "label", "y", "x", "y0", "x0", "y1", "x1"])
    for column in COLUMNS:
        if column not in frame:
            frame[column] = 1
    cells = Cells("S", masks, frame.astype(COLUMNS)[list(COLUMNS)], 0.4)
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.full(len(LMU_CODES), 0.2), CELLS).astype(np.float32)
    said = Predictions(LMU_CODES, p, np.zeros((CELLS, 1), np.float32), np.full(CELLS, np.nan, np.float32))
    slide = ArraySlide([np.full((*masks.shape, 3), 235, np.uint8)], "many", pixel_size=PixelSize(0.4, "person"))
    return Analysis(slide, cells, said)


def measure(viewer: napari.Viewer, change: object, runs: int = RUNS) -> dict[str, float]:
    """Return medians in ms: the change itself, the change until the canvas is drawn, main-thread CPU of the change."""
    native = viewer.window._qt_viewer.canvas.native
    times: dict[str, list[float]] = {"change": [], "drawn": [], "cpu": []}
    for i in range(runs):
        start, cpu = time.perf_counter(), time.thread_time()
        change(i)
        times["change"].append(time.perf_counter() - start)
        times["cpu"].append(time.thread_time() - cpu)
        native.repaint()
        QApplication.processEvents()
        times["drawn"].append(time.perf_counter() - start)
    return {name: 1000 * statistics.median(values) for name, values in times.items()}


def main() -> None:
    data = analysis()
    viewer = napari.Viewer(show=True)
    state = ReviewState()
    bridge = ReviewBridge(viewer, state)
    bridge.anchor(viewer.add_image(data.slide.region(0, 0, 0, *data.slide.shape), rgb=True))
    state.analysis = data
    uids = data.cells.table["uid"].tolist()
    rng = np.random.default_rng(1)

    def one_cell(i: int) -> None:
        said = data.predictions.take([int(rng.integers(CELLS))])
        state.fill([uids[int(rng.integers(CELLS))]], said, None)

    def nothing(_: int) -> None:
        pass

    classes = bridge.layer("classes")
    bare = measure(viewer, nothing)
    ours = measure(viewer, one_cell)
    whole = measure(viewer, lambda _: classes.refresh(), 5)
    colours = {label: cell_class(code).colour for label, code in enumerate(state.codes(), start=1)}
    instances = viewer.add_labels(data.cells.masks.to_array(), name="instances")

    def rebuild(i: int) -> None:
        colours[i + 1] = "red"
        instances.colormap = DirectLabelColormap(color_dict={0: "transparent", None: "grey", **colours})

    rebuilt = measure(viewer, rebuild, 3)
    print(
        f"{CELLS} cells in {data.slide.shape[0]} x {data.slide.shape[1]} pixels, "
        f"canvas {viewer.window._qt_viewer.canvas.size}"
    )
    print("                                                     change   main-thread CPU   until drawn   [ms, medians]")
    for title, times in (
        ("drawing the canvas, nothing changed", bare), ("recolour one cell (class layer)", ours),
        ("redraw the whole class layer", whole), ("rebuild a colour map of one colour a cell", rebuilt),
    ):  # fmt: skip
        print(f"{title:50s} {times['change']:8.1f} {times['cpu']:14.1f} {times['drawn']:16.1f}")
    print(f"recolouring one cell: {ours['change']:.1f} ms (CPU {ours['cpu']:.1f} ms; aim: at most 16 ms);")
    print(f"{whole['cpu'] / ours['cpu']:.0f} x less CPU than redrawing the layer, ", end="")
    print(f"{rebuilt['cpu'] / ours['cpu']:.0f} x less than rebuilding the colour map")
    bridge.close()
    viewer.close()


if __name__ == "__main__":
    main()
