"""Analyses made by hand, a bundle with random weights, a real viewer that leaves nothing behind."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from qtpy.QtCore import QThreadPool
from qtpy.QtWidgets import QApplication
from viewer_parts import CENTRES, UM, analysis_at, cells_of, discs, heatmaps_for, predictions_for

from napari_aml.analysis import Analysis
from napari_aml.review.decisions import Decision
from napari_aml.review.project import Project
from napari_aml.slides import ArraySlide, PixelSize


@pytest.fixture(scope="session", autouse=True)
def frozen():
    """What the tests before have imported is no garbage: napari's fixture looks for it four times a window."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def analysis():
    """Six round cells in a picture of 300 x 400 pixels, 0.1 µm each."""
    shape = (300, 400)
    labels, nuclei = discs(shape, CENTRES, 40)
    picture = np.full((*shape, 3), 235, np.uint8)
    picture[labels > 0] = (200, 180, 220)
    picture[nuclei > 0] = (90, 50, 140)
    slide = ArraySlide([picture], "hand", pixel_size=PixelSize(UM, "person"))
    cells = cells_of(labels, nuclei, slide_id=slide.slide_id)
    said = predictions_for(len(cells))
    return Analysis(slide, cells, said, heatmaps_for(cells, said))


@pytest.fixture(scope="session")
def bundle():
    """The shipped demonstration bundle."""
    from napari_aml.classify import load_bundle

    return load_bundle()


@pytest.fixture
def filled(tmp_path):
    """A closed project of two slides with two readers' decisions on the first one."""
    with Project.create(tmp_path / "study", reader="ada") as project:
        for number in range(2):
            one = analysis_at(tmp_path / f"{number}.png", number)
            project.add_slide(one.slide, one)
        first = project.slides()[0].slide_id
        uids = project.cells(first).table["uid"].tolist()
        ada, ben = ["MYO", "LYT", "MON", "NGS"], ["MYO", "LYT", "MOB", "MYO"]
        for reader, codes in (("ada", ada), ("ben", ben)):
            project.record([Decision(u, first, c, reader) for u, c in zip(uids, codes, strict=False)])
        project.session.save("ada", {})
    return project.folder


@pytest.fixture
def make_dock(make_napari_viewer, qtbot, monkeypatch):
    """Return a function that opens a window with the review dock; all are closed afterwards."""
    from napari_aml.viewer.dock import SmearReviewWidget

    docks, said = [], []
    monkeypatch.setattr("napari.utils.notifications.show_error", said.append)

    def make():
        viewer = make_napari_viewer(show=False)
        widget = SmearReviewWidget(viewer)
        viewer.window.add_dock_widget(widget, name="Smear review", area="right")
        widget.said = said
        docks.append(widget)
        QApplication.processEvents()
        return widget

    yield make
    for widget in docks:
        widget.shut_down()
    qtbot.waitUntil(lambda: QThreadPool.globalInstance().activeThreadCount() == 0, timeout=10_000)
    for widget in docks:
        widget.viewer.window.remove_dock_widget(widget)
        widget.deleteLater()
    QApplication.processEvents()


@pytest.fixture
def dock(make_dock, analysis):
    """A dock with an analysed picture."""
    dock = make_dock()
    picture = analysis.slide.region(0, 0, 0, *analysis.slide.shape)
    dock.viewer.add_image(picture, rgb=True, name="first", metadata={"pixel_size_um": 0.1})
    dock.controller._take(analysis)
    return dock
