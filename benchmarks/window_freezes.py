"""How long does the window stand still? A project of 100,000 cells in napari, what a person does, step by step.

    xvfb-run -a python benchmarks/window_freezes.py [--cells 100000] [--open] [--slide png] [--profile STEP]

For each step: main-thread CPU of the step itself, and of the longest uninterrupted piece of work in the event loop
after it (counts, layers and lists that follow; decisions on very many cells are on the disk by then, too). Beyond 50 ms
a person feels it; what takes longer belongs in a thread. ``--open`` stops once the project is open. For opening: the
clock, the main thread's CPU and that of the process until the picture, the outlines, the first page of the gallery
with all its thumbnails and the map are there. More on opening, with other slides and starts: ``window_opening.py``.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from qtpy.QtWidgets import QApplication

sys.path.insert(0, str(Path(__file__).resolve().parent))
from window_opening import Watch, project_at

FEW, MANY = 200, 20_000


def longest(seconds: float, least: float = 0.3, busy: Callable[[], bool] = lambda: False) -> float:
    """Let the window live for a while (until it rests and is not `busy`); return the longest piece of work, CPU s."""
    most, quiet, end = 0.0, time.perf_counter() + least, time.perf_counter() + seconds
    while time.perf_counter() < min(quiet, end):
        begun = time.thread_time()
        QApplication.processEvents()
        took = time.thread_time() - begun
        most = max(most, took)
        if took > 0.004 or busy():
            quiet = time.perf_counter() + least
        time.sleep(0.002)
    return most


def steps_of(review: object, gallery: object, mapped: object) -> list[tuple[str, Callable[[], object]]]:
    """Return what a person does, in order."""
    from napari_aml.ui.gallery_query import UNDECIDED, GalleryQuery

    state, control, panel = review.state, review.controller, gallery.panel
    uids, rng = state.uids, np.random.default_rng(0)
    many = [uids[i] for i in rng.choice(len(uids), MANY, replace=False)]
    some = uids[1000 : 1000 + FEW]

    def query(**asked: object) -> Callable[[], object]:
        return lambda: panel.filters.setValue(GalleryQuery(**asked))

    return [
        ("choose one cell", lambda: state.select([uids[500]])),
        ("click on the picture", lambda: state.uid_at(1000.0, 1000.0)),
        ("fly to it", lambda: control.open_cell(uids[600])),
        (f"choose {FEW}", lambda: state.select(some)),
        (f"decide {FEW}", lambda: control.decider.decide(some, "MON")),
        (f"choose {MANY:,}", lambda: state.select(many)),
        (f"decide {MANY:,}", lambda: control.decider.decide(many, "LYT")),
        (f"undo {MANY:,}", control.editor.undo),
        (f"redo {MANY:,}", control.editor.redo),
        (f"tag {MANY:,}", lambda: control.decider.tag(many, "auer_rod", True)),
        ("filter: tag", query(tag="auer_rod")),
        ("filter: text", query(text="mono")),
        ("filter: not decided", query(decided=UNDECIDED)),
        ("filter: reader", query(reader="ada")),
        ("sort by confidence", query(sort="confidence", grouped=False)),
        ("all again", query()),
        ("open the list of filters", panel._list_choices),
        ("count", review._count),
        ("count with more cells wanted", lambda: review.differential.settingsChanged.emit()),
        ("only some cells", lambda: setattr(state, "only", ("some", tuple(many)))),
        ("all cells", lambda: setattr(state, "only", None)),
        ("blinded", lambda: setattr(state, "blinded", True)),
        ("not blinded", lambda: setattr(state, "blinded", False)),
        ("cells like this one", lambda: mapped.panel.show_alike(uids[500])),
        ("another reader", lambda: review.project.set_reader("bob")),
        ("back", lambda: review.project.set_reader("ada")),
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--open", action="store_true", help="only open the project")
    parser.add_argument("--slide", choices=("png", "photo", "pyramid", "fields"), default="png")
    parser.add_argument("--profile", default="", help="profile the steps whose name begins so")
    options = parser.parse_args()
    import napari

    from napari_aml.viewer.gallery_dock import GalleryDock
    from napari_aml.viewer.map_dock import MapDock
    from napari_aml.viewer.sessions import review_of

    app = QApplication.instance() or QApplication([])
    with tempfile.TemporaryDirectory() as folder:
        path = project_at(Path(folder), options.cells, options.slide)
        viewer = napari.Viewer(show=True)
        review = review_of(viewer)
        review.prepare()
        gallery, mapped = GalleryDock(viewer), MapDock(viewer)
        viewer.window.add_dock_widget(gallery, area="bottom")
        viewer.window.add_dock_widget(mapped, area="right")
        longest(5)
        print(f"{'[ms of main-thread CPU], ' + format(options.cells, ',') + ' cells':44s}   step   longest after")

        def tell(name: str, action: Callable[[], object]) -> None:
            profile = cProfile.Profile() if options.profile and name.startswith(options.profile) else None
            if profile:
                profile.enable()
            begun = time.thread_time()
            action()
            own = time.thread_time() - begun
            after = longest(20, busy=lambda: review.controller.decider.recording)
            if profile:
                profile.disable()
            print(f"{name:44s} {1000 * own:8.0f} {1000 * after:8.0f}", flush=True)
            if profile:
                pstats.Stats(profile).sort_stats("cumulative").print_stats(130)

        def opened() -> None:
            review.project.open(path)
            while watch.look():
                most.append(longest(0.01, 0.01))

        most: list[float] = []
        longest(10, 2.0)  # as long as it takes a person to choose the folder
        watch = Watch(review, gallery, mapped)
        tell("open the project", opened)
        print(f"{'':6s}longest while it opens {1000 * max(most):.0f}")
        watch.say()
        for name, action in [] if options.open else steps_of(review, gallery, mapped):
            tell(name, action)
        gallery.shut_down()
        mapped.shut_down()
        review.shut_down()
        viewer.close()
    del app


if __name__ == "__main__":
    main()
