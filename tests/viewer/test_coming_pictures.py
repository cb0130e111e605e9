"""Nothing waits for a picture that has to be decoded: its cells are there before it, and it is drawn when it comes."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from qtpy.QtCore import QThreadPool
from qtpy.QtWidgets import QApplication

from napari_aml import slides
from napari_aml.errors import SlideReadError
from napari_aml.review.project import Project, pictures
from napari_aml.viewer import picture_layers
from napari_aml.viewer.gallery_dock import GalleryDock
from napari_aml.viewer.private import draw_letters
from napari_aml.viewer.reveal import Reveal

pytestmark = pytest.mark.viewer


@pytest.fixture
def held(monkeypatch):
    """Every picture counts as large, and none is decoded before the event is set."""
    event, decode = threading.Event(), slides.open_slide

    def slow(path, **keywords):
        assert event.wait(60)
        return decode(path, **keywords)

    monkeypatch.setattr(pictures, "DECODED_MEANWHILE", 0)
    monkeypatch.setattr(slides, "open_slide", slow)
    yield event
    event.set()


def opened(qtbot, dock, folder):
    dock.project.open(folder)
    qtbot.waitUntil(lambda: len(dock.controller.bridge._layers) == 4 and not dock.controller.busy, timeout=60_000)
    QApplication.processEvents()
    return [layer for layer in dock.viewer.layers if layer.name in ("0", "1")]


def come(qtbot, dock):
    qtbot.waitUntil(lambda: not dock.project.showing.busy, timeout=60_000)
    QApplication.processEvents()


@pytest.mark.parametrize("large", [False, True])
def test_cells_classes_and_words_are_there_before_the_picture(held, large, make_dock, qtbot, filled, monkeypatch):
    if large:
        monkeypatch.setattr(picture_layers, "IN_MEMORY_PIXELS", 0)
        monkeypatch.setattr(picture_layers, "OVERVIEW_PX", 40)
    dock = make_dock()
    gallery = GalleryDock(dock.viewer)
    dock.viewer.window.add_dock_widget(gallery, name="Cell gallery", area="bottom")
    gallery.show()
    layers = opened(qtbot, dock, filled)
    assert dock.project.showing.decoding and dock.status.text() == "The picture is being decoded …"
    assert len(dock.state.uids) == 6 and len(gallery.panel.model.cells) == 12 and len(dock.state.decided) == 4
    assert dock.viewer.layers["classes"].visible and dock.viewer.layers["cells"].data.any()
    uid = dock.state.uids[4]
    dock.state.selected = uid
    dock.controller.decider.decide([uid], "EOS")
    assert dock.state.decided[uid] == "EOS" and dock.inspector is not None
    for layer in layers:
        for level in layer.data if large else [layer.data]:
            assert (np.asarray(level) == picture_layers.BLANK).all()
    gallery.panel.view._want()
    assert gallery.panel.thumbnails.get(uid, 80) is None
    held.set()
    come(qtbot, dock)
    assert dock.status.text() == "" == dock.state.waiting
    with Project.open(filled, read_only=True) as project:
        for layer, entry in zip(layers, project.slides(), strict=True):
            real = project.open_slide(entry.slide_id)
            for made, expected in zip(
                layer.data if large else [layer.data], picture_layers.display_levels(real), strict=True
            ):
                np.testing.assert_array_equal(np.asarray(made), np.asarray(expected))
            assert layer.metadata[picture_layers.KEY]["slide"].slide_id == entry.slide_id
    shown = dock.controller.bridge.image
    assert not (np.asarray(shown._slice.image.view) == picture_layers.BLANK).all(), "it is drawn, not only there"
    gallery.panel.view._want()
    qtbot.waitUntil(lambda: gallery.panel.thumbnails.get(uid, 80) is not None, timeout=20_000)
    gallery.shut_down()
    dock.viewer.window.remove_dock_widget(gallery)


def test_a_picture_that_never_comes_is_told_and_goes_the_other_one_stays(held, make_dock, qtbot, filled, monkeypatch):
    decode = slides.open_slide

    def spoilt(path, **keywords):
        if path.name == "1.png":
            held.wait(60)
            raise SlideReadError(path, "it is truncated or damaged.")
        return decode(path, **keywords)

    monkeypatch.setattr(slides, "open_slide", spoilt)
    dock = make_dock()
    opened(qtbot, dock, filled)
    held.set()
    come(qtbot, dock)
    names = [layer.name for layer in dock.viewer.layers]
    assert "0" in names and "1" not in names
    assert "1.png" in dock.status.text() and "damaged" in dock.status.text()
    assert len(dock.project.project.decisions()) > 0, "decisions are safe"


def test_a_window_that_is_closed_meanwhile_waits_for_nothing(held, make_dock, qtbot, filled):
    dock = make_dock()
    gallery = GalleryDock(dock.viewer)
    dock.viewer.window.add_dock_widget(gallery, name="Cell gallery", area="bottom")
    opened(qtbot, dock, filled)
    gallery.panel.view._want()
    gallery.shut_down()
    dock.viewer.window.remove_dock_widget(gallery)
    dock.shut_down()
    qtbot.waitUntil(lambda: QThreadPool.globalInstance().activeThreadCount() == 0, timeout=20_000)
    assert not held.is_set()


def test_a_project_that_is_closed_meanwhile_leaves_its_pictures_on_the_screen(held, make_dock, qtbot, filled):
    dock = make_dock()
    layers = opened(qtbot, dock, filled)
    dock.project.close()
    held.set()
    come(qtbot, dock)
    assert all(not (layer.data == picture_layers.BLANK).all() for layer in layers)


class Thing:
    visible = False


def test_what_was_put_there_is_revealed_in_the_next_turn_and_also_when_the_rest_is_dropped():
    things = [Thing(), Thing(), Thing()]
    reveal = Reveal(things)

    def pieces():
        for thing in things:
            reveal(thing)
            yield
        yield  # a piece that shows nothing

    seen = [[thing.visible for thing in things] for _ in reveal.bit_by_bit(pieces())]
    assert seen[:4] == [[False] * 3, [True, False, False], [True, False, False], [True, True, False]]
    assert seen[-1] == [True] * 3
    for thing in things:
        thing.visible = False
    turns = reveal.bit_by_bit(pieces())
    next(turns)
    turns.close()
    assert [thing.visible for thing in things] == [True, False, False]
    reveal(things[2])
    assert things[2].visible, "at once, where nothing comes bit by bit"


def test_letters_are_drawn_one_at_a_time_and_a_viewer_without_a_window_has_none(make_napari_viewer):
    from napari.components import ViewerModel

    viewer = make_napari_viewer(show=False)
    assert sum(1 for _ in draw_letters(viewer, "MYM")) == 12, "M, Y and ten that are measured"
    info = viewer.window._qt_viewer.canvas.font_info()
    assert {"M", "Y", "Å"} <= set(info.font_manager.get_font(info.face)._glyphs)
    assert list(draw_letters(ViewerModel(), "M")) == []
