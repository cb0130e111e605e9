"""The gallery with 100,000 cells: a frame of scrolling, laying out, filtering, choosing.

    xvfb-run -a python benchmarks/gallery.py

A window of 1366 x 500 pixels over cells made by hand. A frame is one step of the scroll bar until the widget is
painted. The frame is also measured with 1,000 cells: their ratio says whether what is drawn grows with what there is.
Medians and 95th percentiles; main-thread CPU beside wall-clock, because other work on a machine stretches the latter.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from qtpy.QtGui import QUndoStack
from qtpy.QtWidgets import QApplication

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "ui"))
from state_parts import analysis_of

from napari_aml.ui.deciding import Decider
from napari_aml.ui.gallery_panel import GalleryPanel
from napari_aml.ui.gallery_query import UNDECIDED, GalleryQuery
from napari_aml.ui.shortcuts import KeyTable
from napari_aml.ui.state import ReviewState

LUT = np.tile(np.arange(256, dtype=np.uint8)[:, None], (1, 4))


def panel_of(n: int) -> GalleryPanel:
    state = ReviewState()
    state.analysis = analysis_of(n, pitch=28)
    stack = QUndoStack()
    panel = GalleryPanel(Decider(state, stack, stack), KeyTable(), LUT, stack.undo, stack.redo)
    panel.stack = stack
    panel.resize(1366, 500)
    panel.show()
    for _ in range(200):
        QApplication.processEvents()
        time.sleep(0.01)
        if not panel.thumbnails.busy:
            break
    return panel


def timed(action: Callable[[int], object], runs: int) -> tuple[float, float, float]:
    """Return median and 95th percentile of the wall-clock, and median main-thread CPU, ms."""
    wall, cpu = [], []
    for i in range(runs):
        start, begun = time.perf_counter(), time.thread_time()
        action(i)
        cpu.append(time.thread_time() - begun)
        wall.append(time.perf_counter() - start)
    return 1000 * statistics.median(wall), 1000 * float(np.quantile(wall, 0.95)), 1000 * statistics.median(cpu)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cells", type=int, default=100_000)
    options = parser.parse_args()
    app = QApplication.instance() or QApplication([])
    frames = {}
    rows: list[tuple[str, tuple[float, float, float]]] = []
    for n in (1000, options.cells):
        begun = time.perf_counter()
        panel = panel_of(n)
        view, model, state = panel.view, panel.model, panel.state
        bar = view.verticalScrollBar()
        print(f"{n} cells: made and shown in {time.perf_counter() - begun:.1f} s (making the picture counted in)")

        def scroll(i: int, bar=bar, view=view) -> None:
            bar.setValue((bar.value() + 40) % max(1, bar.maximum()))
            view.viewport().repaint()

        def jump(i: int, bar=bar, view=view) -> None:
            bar.setValue((i * 7919) % max(1, bar.maximum()))
            view.viewport().repaint()

        frames[n] = timed(scroll, 200)
        rows.append((f"scroll one step, {n} cells, {len(view.visible_rows())} on the screen", frames[n]))
        rows.append((f"jump anywhere, {n} cells", timed(jump, 60)))
        if n == 1000:
            panel.close_panel()
            panel.hide()
    uids = model.cells.uids
    queries = [GalleryQuery(sort=s, grouped=g) for s in ("confidence", "margin", "size") for g in (True, False)]
    rows.append(("sort and group all", timed(lambda i: model.setQuery(queries[i % len(queries)]), 12)))
    asked = [GalleryQuery(decided=UNDECIDED), GalleryQuery(text="myelo"), GalleryQuery(most_confidence=0.6)]
    rows.append(("filter", timed(lambda i: model.setQuery(asked[i % 3]), 9)))
    model.setQuery(GalleryQuery())
    rng = np.random.default_rng(0)
    lassos = [[uids[k] for k in rng.choice(len(uids), 20_000, replace=False)] for _ in range(3)]
    rows.append(("choose 20,000 scattered cells", timed(lambda i: state.select(lassos[i % 3]), 6)))
    print(f"\n{'[ms]':58s}   median      95 %   main-thread CPU")
    for title, (median, high, cpu) in rows:
        print(f"{title:58s} {median:8.1f}  {high:8.1f}  {cpu:8.1f}")
    many, few = frames[options.cells], frames[1000]
    print(f"\na frame of scrolling: {many[0]:.1f} ms (CPU {many[2]:.1f} ms; 60 frames a second leave 16.7 ms)")
    print(f"{options.cells:,} cells against 1,000: {many[2] / few[2]:.2f} x the CPU of a frame")
    panel.close_panel()
    del app


if __name__ == "__main__":
    main()
