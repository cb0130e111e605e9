"""Make the pictures of docs/napari.md: the dock in a window of 1366 x 768 pixels.

``xvfb-run -a -s "-screen 0 1400x900x24" python tools/screenshots.py``
"""

from __future__ import annotations

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


def main() -> None:
    """Make all pictures."""
    viewer = napari.Viewer(show=True)
    viewer.window._qt_window.resize(1366, 768)
    _, dock = viewer.window.add_plugin_dock_widget("napari-aml", "Smear review")
    wait(500)
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
    viewer.close()


if __name__ == "__main__":
    main()
