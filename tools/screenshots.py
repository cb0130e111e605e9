"""Make the pictures of docs/napari.md and docs/gallery.md: the docks in a window of 1366 x 768 pixels.

``xvfb-run -a -s "-screen 0 1400x900x24" python tools/screenshots.py [review] [gallery]``
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import napari
from qtpy.QtCore import QEventLoop, QTimer

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "images"


def wait(milliseconds: int) -> None:
    """Let Qt work for a while."""
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


def until(condition: Callable[[], bool], seconds: float = 600) -> None:
    """Let Qt work until something holds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("the dock did not finish")
        wait(50)


def shoot(viewer: napari.Viewer, name: str) -> None:
    """Save the window as a picture."""
    wait(600)
    FOLDER.mkdir(parents=True, exist_ok=True)
    viewer.window._qt_window.grab().save(str(FOLDER / f"{name}.png"))


def analyse(viewer: napari.Viewer, dock: object, sample: str) -> None:
    """Open a sample and analyse it."""
    viewer.layers.clear()
    viewer.open_sample("napari-aml", sample)
    viewer.reset_view()
    dock.tabs.setCurrentIndex(0)
    dock.analyse()
    until(lambda: not dock.controller.busy)
    until(lambda: dock.controller.follow_up.comparison is not None or not dock.state.n_cells, 120)


def gallery(viewer: napari.Viewer, dock: object) -> None:
    """Gallery and map below and beside a mosaic: three cells decided, one with a tag and a note."""
    analyse(viewer, dock, "aml_mosaic")
    dock.tabs.setCurrentIndex(1)
    panel = viewer.window.add_plugin_dock_widget("napari-aml", "Cell gallery")[1].panel
    wait(1500)
    model, decider = panel.model, dock.controller.decider
    first = [model.uid(row) for row in range(3)]
    decider.confirm(first)
    decider.tag(first[:1], "ambiguous", True)
    decider.tag(first[1:2], "auer_rod", True)
    decider.note(first[1], "one rod at the upper edge")
    dock.state.select([first[1]], first[1])
    dock.controller.bridge.look_at(first[1])
    viewer.camera.zoom = 2.2
    wait(2500)
    shoot(viewer, "gallery")
    chart = viewer.window.add_plugin_dock_widget("napari-aml", "Embedding map")[1].panel
    wait(1000)
    cells = model.cells
    blasts = [cells.uids[i] for i in range(len(cells)) if cells.codes[i] == "MOB"]
    chart.show_alike(blasts[0])
    dock.controller.bridge.look_at(blasts[0])
    wait(1500)
    shoot(viewer, "map")


def review(viewer: napari.Viewer, dock: object) -> None:
    """The pages of the dock "Smear review"."""
    analyse(viewer, dock, "smear_touching")
    shoot(viewer, "dock")
    dock.tabs.setCurrentIndex(2)
    shoot(viewer, "heatmap")
    dock.tabs.setCurrentIndex(0)
    shoot(viewer, "analyse")
    dock.tabs.setCurrentIndex(1)
    viewer.layers["heatmap"].visible = False
    dock.controller.editor.split_selected()
    until(lambda: not dock.state.pending and not dock.controller.follow_up.busy, 120)
    shoot(viewer, "split")
    analyse(viewer, dock, "aml_mosaic")
    dock.heatmap_form.shown.value = False
    dock.tabs.setCurrentIndex(3)
    shoot(viewer, "differential")


def main() -> None:
    """Make all pictures, or those that are named."""
    viewer = napari.Viewer(show=True)
    viewer.window._qt_window.resize(1366, 768)
    _, dock = viewer.window.add_plugin_dock_widget("napari-aml", "Smear review")
    wait(500)
    for make in (review, gallery):
        if make.__name__ in (sys.argv[1:] or ("review", "gallery")):
            make(viewer, dock)
    viewer.close()


if __name__ == "__main__":
    main()
