"""A project in the review dock of a real window: made, filled, closed, opened again, dropped on the window."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image
from qtpy.QtCore import QMimeData, QPointF, Qt, QThreadPool, QUrl
from qtpy.QtGui import QDropEvent
from qtpy.QtWidgets import QApplication
from viewer_parts import analysis_at, idle, opened

from napari_aml.review.decisions import ADJUDICATOR, Decision
from napari_aml.review.project import Project

pytestmark = pytest.mark.viewer


def add_to(dock, analysis):
    """Show an analysis as if it had just been made."""
    from napari.layers import Layer

    from napari_aml.viewer.picture_layers import slide_layer

    layer = Layer.create(*slide_layer(analysis.slide))
    dock.controller.remember(layer, analysis)
    dock.viewer.add_layer(layer)
    return layer


def test_from_nothing_to_a_project_and_back(make_dock, qtbot, tmp_path):
    dock = make_dock()
    analysis = analysis_at(tmp_path / "field.png")
    add_to(dock, analysis)
    uids = analysis.cells.table["uid"].tolist()
    # Decided before there is a project: it goes in with the picture.
    dock.controller.decider.decide([uids[0]], "MOB")
    dock.project.create(tmp_path / "new")
    idle(qtbot, dock)
    project = dock.project.project
    assert dock.state.store is project and len(project.slides()) == 1
    assert dock.state.decided == {uids[0]: "MOB"}
    dock.controller.decider.decide([uids[1]], "LYA")
    assert [d.value for d in project.decisions()] == ["MOB", "LYA"]
    assert dock.project.page.slides.topLevelItemCount() == 1
    assert "new" in dock.project.page.title.text()
    # What another program says of the same folder while it is open here.
    with Project.open(tmp_path / "new.amlproj") as other:
        assert [d.value for d in other.decisions()] == ["MOB", "LYA"] and len(other.others()) == 1
    dock.project.close()
    assert dock.project.project is None and dock.state.decided == {}


def test_the_view_comes_back(make_dock, qtbot, filled):
    dock = make_dock()
    project = opened(qtbot, dock, filled)
    assert dock.state.reader == "ada" and len(dock.state.decided) == 4
    assert len(dock.project.page.slides.findItems("", Qt.MatchFlag.MatchContains)) == 2
    first = project.slides()[0].slide_id
    dock.project.show_slide(first)
    uid = dock.state.analysis.cells.table["uid"][3]
    dock.state.selected = uid
    dock.state.colour_by = "prediction"
    dock.viewer.camera.center, dock.viewer.camera.zoom = (0.0, 7.0, 9.0), 21.0
    dock.controller.bridge.layer("heatmap").visible = False
    dock.tabs.setCurrentIndex(3)
    dock.project.close()

    again = make_dock()
    project = opened(qtbot, again, filled)
    assert again.state.analysis.cells.slide_id == first and len(again.state.others) == 1
    assert again.state.selected == uid and again.state.colour_by == "prediction"
    assert tuple(again.viewer.camera.center) == pytest.approx((0.0, 7.0, 9.0)) and again.viewer.camera.zoom == 21.0
    assert not again.controller.bridge.layer("heatmap").visible
    assert again.tabs.currentIndex() == 3
    assert again.state.final_codes()[:4].tolist() == ["MYO", "LYT", "MON", "NGS"]


def test_gallery_filters_come_back(make_dock, qtbot, filled):
    from napari_aml.ui.gallery_query import GalleryQuery
    from napari_aml.viewer.gallery_dock import GalleryDock
    from napari_aml.viewer.project_views import capture, find_gallery, restore

    dock = make_dock()
    opened(qtbot, dock, filled)
    gallery = GalleryDock(dock.viewer)
    dock.viewer.window.add_dock_widget(gallery, name="Cell gallery", area="bottom")
    codes = frozenset({"MYO"})
    query = GalleryQuery("my", codes, "decided", "auer_rod", slide="S1", least_confidence=0.25, sort="margin")
    gallery.panel.filters.setChoices(["auer_rod"], {"S1": "field"}, [])
    gallery.panel.filters.setValue(query)
    told = capture(dock, set())
    gallery.panel.filters.setValue(GalleryQuery())
    restore(dock, told)
    assert find_gallery(dock).filters.value() == query
    restore(dock, {"gallery": {"query": {"text": 3, "nonsense": 1, "codes": 5}}, "camera": {"zoom": -1}, "tab": 99})
    gallery.shut_down()
    dock.viewer.window.remove_dock_widget(gallery)


def test_two_windows_on_one_project(make_dock, qtbot, filled):
    one, two = make_dock(), make_dock()
    opened(qtbot, one, filled)
    opened(qtbot, two, filled)
    two.project.set_reader("ben")
    assert "Also open elsewhere" in two.project.page.note.text()
    for dock in (one, two):
        dock.project.show_slide(dock.project.project.slides()[0].slide_id)
    uids = one.state.analysis.cells.table["uid"].tolist()
    one.controller.decider.decide([uids[4]], "EOS")
    two.controller.decider.decide([uids[4]], "BAS")
    assert one.state.decided[uids[4]] == "EOS" and two.state.decided[uids[4]] == "BAS"
    # The same reader at both: each window takes in what the other recorded.
    two.project.set_reader("ada")
    two.controller.decider.decide([uids[5]], "PLC")
    one.project.saving.look()
    assert one.state.decided[uids[5]] == "PLC"
    one.controller.decider.withdraw([uids[5]])
    two.project.saving.look()
    assert uids[5] not in two.state.decided
    assert len(one.project.project.decisions()) == 8 + 4


def test_masks_edited_by_hand_are_saved_by_themselves(make_dock, qtbot, filled):
    dock = make_dock()
    project = opened(qtbot, dock, filled)
    slide_id = dock.state.analysis.cells.slide_id
    dock.state.selected = gone = dock.state.analysis.cells.table["uid"][5]
    dock.controller.editor.delete_selected()
    dock.state.pending = frozenset()
    dock.project.saving._rest.start(0)
    qtbot.waitUntil(lambda: len(project.cells(slide_id)) == 5, timeout=20_000)
    assert gone not in set(project.cells(slide_id).table["uid"])
    dock.controller.editor.undo()
    dock.state.pending = frozenset()
    dock.project.close()  # saves what is left
    with Project.open(filled) as again:
        assert len(again.cells(slide_id)) == 6


def test_readers_beside_each_other_and_the_word_that_settles(make_dock, qtbot, filled):
    dock = make_dock()
    project = opened(qtbot, dock, filled)
    page = dock.project.page
    page.readers.compare_button.click()
    qtbot.waitUntil(lambda: page.readers.table.topLevelItemCount() == 2, timeout=30_000)
    assert "Cohen's κ 0.38" in page.readers.words.text() and "differ on 2 cells" in page.readers.words.text()
    item = page.readers.table.topLevelItem(0)
    assert item.text(1) in ("ada NGS, ben MYO", "ada MON, ben MOB")
    page.readers.table.itemDoubleClicked.emit(item, 0)
    assert dock.state.selected == item.data(0, Qt.ItemDataRole.UserRole)
    item.setSelected(True)
    page.readers.code.setCurrentIndex(page.readers.code.findData("PRM"))
    page.readers.settle_button.click()
    last = project.decisions()[-1]
    assert (last.reader, last.value, last.shown["adjudicator"]) == (ADJUDICATOR, "PRM", "ada")
    assert len(dock.state.decided) == 4  # the reader's own word stays
    qtbot.waitUntil(lambda: page.readers.table.topLevelItem(0).text(2) == "PRM", timeout=30_000)
    page.readers.queue_button.click()
    assert len(dock.state.queue) == 1 and "Readers differ" in dock.state.queue[0][1]


def test_blinded_reading_shows_no_words_of_others_on_undecided_cells(make_dock, qtbot, filled):
    with Project.open(filled) as project:
        first = project.slides()[0].slide_id
        uid = project.cells(first).table["uid"][5]
        project.record([Decision(uid, first, c, r) for r, c in (("ben", "MYO"), ("cem", "LYT"))])
    dock = make_dock()
    opened(qtbot, dock, filled)
    page = dock.project.page
    page.blinded.click()
    assert dock.state.blinded and dock.project.project.setting("blinded") == "1"
    page.readers.compare_button.click()
    qtbot.waitUntil(lambda: page.readers.table.topLevelItemCount() > 0, timeout=30_000)
    listed = {page.readers.table.topLevelItem(i).data(0, Qt.ItemDataRole.UserRole) for i in range(2)}
    assert page.readers.table.topLevelItemCount() == 2 and uid not in listed
    assert "you decided on" in page.readers.words.text()
    dock.project.close()
    again = make_dock()
    opened(qtbot, again, filled)
    assert again.state.blinded and again.project.page.blinded.isChecked()


def test_missing_and_changed_pictures_and_damaged_projects_are_said(make_dock, qtbot, filled, tmp_path):
    (tmp_path / "0.png").rename(tmp_path / "elsewhere.png")
    Image.fromarray(np.zeros((300, 400, 3), np.uint8)).save(tmp_path / "1.png")
    dock = make_dock()
    opened(qtbot, dock, filled)
    said = " ".join(dock.said)
    assert "is not found" in said and "has changed" in said and len(dock.viewer.layers) == 0
    (tmp_path / "search").mkdir()
    shutil.move(tmp_path / "elsewhere.png", tmp_path / "search" / "x.png")
    dock.project.search(tmp_path / "search")
    idle(qtbot, dock)
    dock.project.show_slide(dock.project.project.slides()[0].slide_id)
    idle(qtbot, dock)
    assert dock.state.n_cells == 6
    dock.project.close()
    (filled / "project.sqlite").write_bytes(b"x" * 9999)
    dock.project.open(filled)
    qtbot.waitUntil(lambda: "verify --repair" in dock.status.text(), timeout=20_000)
    assert dock.project.project is None


def test_a_decision_that_cannot_be_saved_is_not_shown(make_dock, qtbot, filled):
    dock = make_dock()
    project = opened(qtbot, dock, filled)
    (pages,) = project._record._db.execute("PRAGMA page_count").fetchone()
    project._record._db.execute(f"PRAGMA max_page_count = {pages}")
    uid = dock.state.analysis.cells.table["uid"][5]
    before = dict(dock.state.decided)
    for i in range(60):
        dock.controller.decider.note(uid, f"{i} " + "long " * 200)
    assert any("disk is full" in text for text in dock.said)
    dock.controller.decider.decide([uid] * 1, "EOS")
    kept = {d.uid: d.value for d in project.decisions() if d.reader == "ada" and d.kind == "class"}
    assert dock.state.decided == kept and (kept == before or kept == before | {uid: "EOS"})
    project._record._db.execute("PRAGMA max_page_count = 1000000")


@pytest.fixture
def npe2_plugins():
    """The real plugin, known to napari (its test viewers know none)."""
    from npe2 import PluginManager

    manager = PluginManager.instance()
    manager.discover()
    assert "napari-aml" in manager._manifests
    return manager


def test_drop_the_folder_on_the_window(npe2_plugins, make_napari_viewer, qtbot, filled):
    from napari_aml.viewer.readers import prefer_project_reader
    from napari_aml.viewer.sessions import find_review

    prefer_project_reader()  # as the dock does when it is opened for the first time
    viewer = make_napari_viewer(show=True)
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(filled))])
    window = viewer.window._qt_viewer
    event = QDropEvent(
        QPointF(50, 50), Qt.DropAction.CopyAction, mime, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    )
    window.dropEvent(event)
    qtbot.waitUntil(lambda: find_review(viewer) is not None, timeout=20_000)
    dock = find_review(viewer)
    qtbot.waitUntil(lambda: dock.project.project is not None and not dock.controller.busy, timeout=60_000)
    QApplication.processEvents()
    assert dock.state.n_cells == 6 and dock.tabs.tabText(dock.tabs.currentIndex()) in ("Project", "Analyse")
    assert {layer.name for layer in viewer.layers} >= {"0", "1", "cells", "classes", "heatmap"}
    dock.shut_down()
    qtbot.waitUntil(lambda: QThreadPool.globalInstance().activeThreadCount() == 0, timeout=10_000)


def test_without_a_window_a_project_gives_its_pictures(filled):
    from napari_aml.viewer.readers import get_project_reader, read_project

    assert get_project_reader(str(filled)) is read_project
    assert get_project_reader(str(filled.parent)) is None
    layers = read_project(str(filled))
    assert [layer[1]["name"] for layer in layers] == ["0", "1"]
