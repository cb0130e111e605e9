"""How long until a person can act? A project of 100,000 cells is opened in napari; says when what is there.

    xvfb-run -a -s "-screen 0 1920x1080x24" python benchmarks/window_opening.py
        [--slide png|photo|pyramid|fields] [--start docks|drop|cold] [--cells 100000] [--times 1] [--shot PICTURE]

``--slide``: what the cells lie on. One PNG, flat (``png``) or as noisy as a photograph (``photo``); one tiled pyramid,
JPEG-compressed, as scanners write it (``pyramid``); 400 JPEGs of a camera (``fields``; the first four are shown).
``--start``: where the clock starts. ``docks``: napari runs with review, gallery and map open, the folder is chosen;
``drop``: napari runs, the folder is dropped on its bare window; ``cold``: `napari FOLDER` in a shell, from the start of
the process. The window is as large as the screen allows, at most 1,900 x 1,000: the larger, the more there is to draw.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "ui"))

FIELDS = 400


# ---- projects ----------------------------------------------------------------------------------------------------


def _write(slide: str, picture: Path, pixels: np.ndarray) -> Path:
    """Write RGB pixels as a picture of the wanted kind; return its path."""
    import cv2

    if slide == "pyramid":
        import tifffile

        settings = {"tile": (512, 512), "compression": "jpeg", "photometric": "rgb"}
        um = {"resolution": (1e4 / 0.4, 1e4 / 0.4), "resolutionunit": "CENTIMETER"}
        path = picture.with_suffix(".tif")
        levels = [pixels]
        while max(levels[-1].shape) > 1024:
            levels.append(cv2.resize(levels[-1], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
        with tifffile.TiffWriter(path) as tif:
            tif.write(levels[0], subifds=len(levels) - 1, **um, **settings)
            for level in levels[1:]:
                tif.write(level, subfiletype=1, **settings)
        return path
    path = picture.with_suffix(".jpg" if slide == "fields" else ".png")
    if slide == "photo":
        rng = np.random.default_rng(0)
        for y in range(0, len(pixels), 512):
            part = pixels[y : y + 512]
            noisy = part.astype(np.int16) + rng.integers(-6, 7, part.shape, np.int16)
            part[:] = np.clip(noisy, 0, 255)
    cv2.imwrite(str(path), pixels[..., ::-1])
    return path


def _put(project: Any, slide: str, picture: Path, made: Any) -> list[str]:
    """Write the picture of an analysis, put both into a project; return slide id and uids."""
    from napari_aml.slides import open_slide

    path = _write(slide, picture, made.slide.region(0, 0, 0, *made.slide.shape))
    shown = open_slide(path, pixel_size_um=0.4)
    table = made.cells.table.assign(slide_id=shown.slide_id)
    table["uid"] = [f"{shown.slide_id}-{label:06d}" for label in table["label"]]
    cells = replace(made.cells, table=table, slide_id=shown.slide_id)
    project.add_slide(shown, replace(made, slide=shown, cells=cells))
    return [shown.slide_id, *table["uid"]]


def project_at(folder: Path, n: int, slide: str = "png") -> Path:
    """Make a project with n cells, a twentieth of them decided.

    Parameters
    ----------
    folder
        Where the project and its pictures go.
    n
        How many cells.
    slide
        ``png``, ``photo``, ``pyramid`` or ``fields``.
    """
    from state_parts import analysis_of

    from napari_aml.review.decisions import Decision
    from napari_aml.review.project import Project

    with Project.create(folder / "many", reader="ada") as project:
        if slide == "fields":
            each = n // FIELDS
            one = analysis_of(each, pitch=140, dim=32)
            pixels = one.slide.region(0, 0, 0, *one.slide.shape)
            put = []
            for i in range(FIELDS):
                for bit in range(9):  # its number, so that each is a file of its own
                    pixels[:16, 16 * bit : 16 * bit + 16] = 255 * (i >> bit & 1)
                made = replace(one, slide=type(one.slide)([pixels], "field", pixel_size=one.slide.pixel_size))
                put.append(_put(project, slide, folder / f"field{i:03d}", made))
        else:
            put = [_put(project, slide, folder / "smear", analysis_of(n, pitch=28, dim=32))]
        for slide_id, *uids in put:
            project.record([Decision(uid, slide_id, "MYO", "ada") for uid in uids[::20]])
        return project.folder


# ---- watching ----------------------------------------------------------------------------------------------------


class Watch:
    """Notes when what a person waits for is there: seconds by the clock, of the main thread and of the process.

    Parameters
    ----------
    review, gallery, mapped
        The docks; gallery and map may be None where they are not open.
    begun
        Clock (`time.time`) at which the waiting began; now by default.
    """

    def __init__(self, review: Any, gallery: Any = None, mapped: Any = None, begun: float | None = None) -> None:
        self.review, self._gallery, self._map = review, gallery, mapped
        self._begun = time.time() if begun is None else begun, time.thread_time(), time.process_time()
        self.marks: dict[str, tuple[float, ...]] = {}

    def look(self) -> bool:
        """Note what is there by now; returns whether something is missing."""
        if self.review is None:
            return True
        showing, n = self.review.project.showing, self.review.state.n_cells
        layers = [self.review.controller.bridge.layer(name) for name in ("cells", "classes")]
        there = {
            "the picture": len(self.review.viewer.layers) > 0 and not showing.decoding,
            "outlines and classes": n > 0 and all(layer is not None and layer.visible for layer in layers),
        }
        if self._gallery is not None:
            panel = self._gallery.panel
            rows, side, model = panel.view.visible_rows(), panel.view.side(), panel.model
            there["the gallery's cells"] = len(rows) > 0
            there["the gallery's first page"] = len(rows) > 0 and all(
                panel.thumbnails.get(model.uid(r), side) for r in rows
            )
        if self._map is not None:
            there["the map"] = len(self._map.panel.layout_of) > 0
        there["everything"] = n > 0 and all(there.values()) and not showing.busy
        now = time.time(), time.thread_time(), time.process_time()
        for name, is_there in there.items():
            if is_there and name not in self.marks:
                self.marks[name] = tuple(b - a for a, b in zip(self._begun, now, strict=True))
        return len(self.marks) < len(there)

    def say(self) -> None:
        """Print it."""
        for name, (clock, main, process) in self.marks.items():
            print(
                f"{'':6s}{name:30s} {clock:6.2f} s by the clock, CPU: main thread {main:5.2f}, process {process:5.2f}"
            )


def wait(watch: Watch, seconds: float = 60.0) -> float:
    """Let the window live until all is there; return the longest uninterrupted piece of work in it, CPU s."""
    from qtpy.QtWidgets import QApplication

    most, end = 0.0, time.perf_counter() + seconds
    while watch.look() and time.perf_counter() < end:
        begun = time.thread_time()
        QApplication.processEvents()
        most = max(most, time.thread_time() - begun)
        time.sleep(0.002)
    return most


def rest(seconds: float) -> None:
    """Let the window live for a while."""
    from qtpy.QtWidgets import QApplication

    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        QApplication.processEvents()
        time.sleep(0.005)


def _large(viewer: Any) -> None:
    from qtpy.QtWidgets import QApplication

    room = QApplication.primaryScreen().availableSize()
    viewer.window._qt_window.resize(min(1900, room.width() - 10), min(1000, room.height() - 40))


def measure(path: Path, start: str, shot: str = "", begun: float | None = None) -> None:
    """Open a project in this process; print when what was there."""
    import napari

    from napari_aml.viewer.sessions import find_review, review_of

    viewer = napari.Viewer(show=True)
    _large(viewer)
    gallery = mapped = None
    if start == "docks":
        from napari_aml.viewer.gallery_dock import GalleryDock
        from napari_aml.viewer.map_dock import MapDock

        review = review_of(viewer)
        gallery, mapped = GalleryDock(viewer), MapDock(viewer)
        viewer.window.add_dock_widget(gallery, area="bottom")
        viewer.window.add_dock_widget(mapped, area="right")
    if start != "cold":
        rest(6.0)  # as long as it takes a person to choose the folder
    watch = Watch(review if start == "docks" else None, gallery, mapped, begun)
    at = time.thread_time()
    if start == "docks":
        review.project.open(path)
    else:
        viewer.open(path, plugin="napari-aml")
        watch.review = find_review(viewer)
    longest = max(time.thread_time() - at, wait(watch))
    canvas = viewer.window._qt_viewer.canvas.native.size()
    print(f"canvas {canvas.width()} x {canvas.height()}; longest piece on the main thread {1000 * longest:.0f} ms CPU")
    watch.say()
    if shot:
        rest(1.0)
        viewer.window._qt_window.grab().save(shot)
    for dock in (gallery, mapped, watch.review):
        if dock is not None:
            dock.shut_down()
    viewer.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--slide", choices=("png", "photo", "pyramid", "fields"), default="png")
    parser.add_argument("--start", choices=("docks", "drop", "cold"), default="docks")
    parser.add_argument("--times", type=int, default=1, help="measure so many times, each in a process of its own")
    parser.add_argument("--shot", default="", help="save a picture of the window there")
    parser.add_argument("--project", default="", help="a project to open in place of one that is made")
    parser.add_argument("--begun", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.begun is not None:
        measure(Path(options.project), options.start, options.shot, options.begun or None)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = options.project or project_at(Path(folder), options.cells, options.slide)
        print(f"{options.cells:,} cells on {options.slide}, start: {options.start}", flush=True)
        for _ in range(options.times):
            begun = time.time() if options.start == "cold" else 0.0
            told = ["--project", str(path), "--start", options.start, "--shot", options.shot, "--begun", str(begun)]
            subprocess.run([sys.executable, __file__, *told], check=True)


if __name__ == "__main__":
    main()
