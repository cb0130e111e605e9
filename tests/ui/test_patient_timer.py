"""What can wait does not run while cells are put on the screen."""

from __future__ import annotations

from qtpy.QtCore import QObject

from napari_aml.ui.patient_timer import SHOWING, PatientTimer
from napari_aml.ui.state import ReviewState


def test_it_waits_until_the_cells_are_shown_and_calls_once(qapp, qtbot):
    state, owner, called = ReviewState(), QObject(), []
    timer = PatientTimer(state, 1, lambda: called.append(state.waiting), owner)
    state.waiting = SHOWING
    timer.start()
    qtbot.wait(60)
    assert called == [] and timer.isActive()
    state.waiting = "The picture is being decoded …"  # this it does not wait for
    qtbot.waitUntil(lambda: called == ["The picture is being decoded …"])
    qtbot.wait(30)
    assert len(called) == 1 and not timer.isActive()


def test_what_is_stopped_meanwhile_is_not_done(qapp, qtbot):
    state, owner, called = ReviewState(), QObject(), []
    timer = PatientTimer(state, 1, lambda: called.append(1), owner)
    state.waiting = SHOWING
    timer.start()
    qtbot.wait(20)
    timer.stop()
    state.waiting = ""
    qtbot.wait(30)
    assert called == []
