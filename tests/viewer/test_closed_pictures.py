"""A picture layer is closed: what was found in it goes with it, a job on it stops. No window is drawn."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication
from viewer_parts import cells_of, discs, idle

from napari_aml.analysis import Analysis
from napari_aml.progress import Progress
from napari_aml.slides import ArraySlide, PixelSize

pytestmark = pytest.mark.viewer


def add_second(dock):
    labels, nuclei = discs((120, 160), [(60, 40), (60, 120)], 20)
    picture = np.full((120, 160, 3), 235, np.uint8)
    picture[nuclei > 0] = (90, 50, 140)
    slide = ArraySlide([picture], "second", pixel_size=PixelSize(0.1, "person"))
    layer = dock.viewer.add_image(picture, rgb=True, name="second")
    return layer, Analysis(slide, cells_of(labels, nuclei, slide_id=slide.slide_id))


def names(dock):
    return [layer.name for layer in dock.viewer.layers]


def test_what_was_found_in_a_closed_picture_is_gone(dock, analysis):
    state, control = dock.state, dock.controller
    _, other = add_second(dock)
    control._take(other)
    assert [a.slide.name for a in state.others] == ["hand"]
    dock.viewer.layers.remove("second")
    assert state.analysis is analysis and state.others == ()
    _, other = add_second(dock)
    control._take(other)
    dock.viewer.layers.remove("first")  # not the one under review
    assert state.analysis is other and state.others == ()
    dock.viewer.layers.remove("second")
    assert state.analysis is None and state.others == () and names(dock) == []
    # Opened once more: nothing of it is there twice, and nothing at all before it is analysed.
    add_second(dock)
    assert state.n_cells == 0 and state.others == ()


@pytest.mark.parametrize("closed", ["second", "first"])
def test_a_job_on_a_closed_picture_stops_and_leaves_nothing(dock, qtbot, monkeypatch, analysis, closed):
    """The other picture of the session shows what was found in it."""
    state, go = dock.state, threading.Event()
    _, other = add_second(dock)

    def steps(source, **_):
        yield Progress(0, 3, "cells", other.cells)
        yield Progress(1, 3, "found", other)
        while not go.is_set():
            time.sleep(0.01)
            yield Progress(2, 3)
        return other

    monkeypatch.setattr("napari_aml.pipeline.analyse_steps", steps)
    QTest.mouseClick(dock.form.analyse_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: state.n_cells == 2)
    dock.viewer.layers.remove(closed)
    if closed == "second":
        idle(qtbot, dock)
        assert state.analysis is analysis and "cells" in names(dock) and dock.picture().name == "first"
        assert dock.job_bar.message.text() == "Stopped."
    else:
        assert dock.controller.busy and state.n_cells == 2
        go.set()
        idle(qtbot, dock)
        assert state.analysis is other and state.others == ()
    QApplication.processEvents()
    assert not dock.said


def test_a_picture_that_is_closed_alone_leaves_an_empty_window(dock, qtbot, monkeypatch, analysis):
    """Analysed once before: the earlier result does not come back without its picture."""

    def steps(source, **_):
        yield Progress(0, 3, "found", replace(analysis, predictions=None, heatmaps=None))
        while True:
            time.sleep(0.01)
            yield Progress(2, 3)

    monkeypatch.setattr("napari_aml.pipeline.analyse_steps", steps)
    dock.controller.analyse(dock.controller.bridge.image)
    qtbot.waitUntil(lambda: dock.state.n_cells == 6)
    dock.viewer.layers.remove("first")
    idle(qtbot, dock)
    assert dock.state.analysis is None and names(dock) == [] and not dock.said


def test_saving_goes_on_when_its_picture_is_closed(dock, qtbot, monkeypatch, tmp_path):
    go = threading.Event()

    def steps(analysis, target, **_):
        while not go.is_set():
            time.sleep(0.01)
            yield Progress(0, 1, "Saving")
        return target

    monkeypatch.setattr("napari_aml.export.write_results_steps", steps)
    dock.controller.save(tmp_path)
    dock.viewer.layers.remove("first")
    go.set()
    idle(qtbot, dock)
    assert "Saved to" in dock.status.text() and dock.state.analysis is None and names(dock) == []
