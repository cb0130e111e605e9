"""The dock Teach in a real viewer: queue, teaching, what changed, the way back, fields of the matrix in the gallery."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt, QThreadPool
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication
from viewer_parts import UM, cells_of, discs

from napari_aml.analysis import Analysis
from napari_aml.classify import Predictions
from napari_aml.review.teach import Comparison, EpochDone, FineTuned
from napari_aml.slides import ArraySlide, PixelSize

pytestmark = pytest.mark.viewer
CODES, N = ("LYT", "MON", "NGS"), 48


@pytest.fixture(scope="module")
def three_kinds():
    """48 cells in three clear groups; the model takes monocytes for neutrophils."""
    centres = [(40 + 60 * (i // 8), 40 + 60 * (i % 8)) for i in range(N)]
    labels, nuclei = discs((400, 540), centres, 20)
    picture = np.full((400, 540, 3), 235, np.uint8)
    picture[labels > 0] = (150, 110, 190)
    slide = ArraySlide([picture], "three kinds", pixel_size=PixelSize(UM, "person"))
    cells = cells_of(labels, nuclei, slide_id=slide.slide_id)
    truth, rng = np.arange(N) % 3, np.random.default_rng(0)
    embedding = (4 * np.eye(3, 6)[truth] + rng.normal(0, 0.3, (N, 6))).astype(np.float32)
    p = np.full((N, 3), 0.2, np.float32)
    p[np.arange(N), np.where(truth == 1, 2, truth)] = 0.6
    said = Predictions(CODES, p, embedding, np.full(N, np.nan, np.float32), "model")
    return Analysis(slide, cells, said), truth


@pytest.fixture
def dock(make_napari_viewer_proxy, qtbot, three_kinds):
    from napari_aml.viewer.sessions import review_of
    from napari_aml.viewer.teach_dock import TeachDock

    viewer = make_napari_viewer_proxy(show=True)
    image = viewer.add_image(three_kinds[0].slide.region(0, 0, 0, 400, 540), rgb=True, name="three kinds")
    review = review_of(viewer)
    review.controller.bridge.anchor(image)
    review.state.analysis = replace(three_kinds[0])
    widget = TeachDock(viewer)
    viewer.window.add_dock_widget(widget, name="Teach", area="right")
    QApplication.processEvents()
    yield widget
    widget.shut_down()
    review.shut_down()
    qtbot.waitUntil(lambda: QThreadPool.globalInstance().activeThreadCount() == 0, timeout=30_000)


def settled(qtbot, dock):
    qtbot.waitUntil(lambda: not dock.teaching.busy, timeout=60_000)


def test_queue_teaching_and_the_way_back_in_the_viewer(dock, qtbot, three_kinds):
    state, control, truth = dock.state, dock.review.controller, three_kinds[1]
    uids = state.analysis.cells.table["uid"].tolist()
    qtbot.mouseClick(dock.queue.fill_button, Qt.MouseButton.LeftButton)
    settled(qtbot, dock)
    assert len(state.queue) == N
    before = state.model_codes()
    layer = control.bridge.layer("classes")
    painted = layer.data.copy()
    dock.tabs.setCurrentWidget(dock.teach)
    qtbot.mouseClick(dock.teach.switch, Qt.MouseButton.LeftButton, pos=QPoint(8, dock.teach.switch.height() // 2))
    assert dock.teaching.on
    for uid, _ in state.queue[:20]:
        control.decider.decide([uid], CODES[truth[uids.index(uid)]])
    settled(qtbot, dock)
    assert (state.model_codes() == np.array(CODES)[truth]).mean() > 0.9
    assert (layer.data != painted).any(), "the canvas shows what changed"
    assert len(state.queue) == N - 20, "the queue follows"
    item = dock.teach.changes.topLevelItem(0)
    dock.teach.changes.itemClicked.emit(item, 0)
    assert state.only[0] == "NGS → MON" and state.selection == frozenset(state.only[1])
    qtbot.mouseClick(dock.teach.back_button, Qt.MouseButton.LeftButton)
    settled(qtbot, dock)
    assert (state.model_codes() == before).all() and len(state.decided) == 20
    assert not dock.teach.switch.isChecked()


def test_a_field_of_the_matrix_opens_its_cells_in_the_gallery(dock, qtbot, tmp_path):
    uids = dock.state.analysis.cells.table["uid"].tolist()[:40]
    truth = ["MON" if i % 2 else "LYT" for i in range(40)]
    new = ["LYT" if i == 1 else t for i, t in enumerate(truth)]
    share = {"value": 0.9, "n": 20, "interval_95": [0.7, 1.0]}
    figures = {"per_class": {c: {"n": 20, "recall": share, "precision": share} for c in ("LYT", "MON")}}
    compared = Comparison(tuple(uids), tuple(truth), tuple(truth), tuple(new), figures, figures, "Split by field.")
    dock.tabs.setCurrentIndex(2)
    dock.fine_tune.setValue(FineTuned(tmp_path, (EpochDone(1, 0.4, {"loss": 0.5, "accuracy": 0.9}),), compared))
    QApplication.processEvents()
    matrix = dock.fine_tune.confusion
    codes, _ = matrix.value()
    at = matrix.centre(codes.index("MON"), codes.index("LYT"))
    QTest.mouseClick(matrix, Qt.MouseButton.LeftButton, pos=QPoint(*at))
    assert dock.state.selection == frozenset([uids[1]])
    assert dock.state.only == ("people: MON, new model: LYT", (uids[1],))


def test_the_dock_fits_a_laptop(dock):
    assert dock.minimumSizeHint().height() < 600 and dock.minimumSizeHint().width() < 480


def test_two_models_that_differ_fill_the_queue(dock, qtbot, three_kinds):
    analysis, _ = three_kinds
    uids = analysis.cells.table["uid"].tolist()
    other = np.zeros((N, 3), np.float32)
    other[np.arange(N), analysis.predictions.index] = 1
    other[3], other[9] = (0, 0, 1), 0  # another word on one cell, none on another
    said = replace(analysis.predictions, probabilities=other, bundle_id="other")
    dock.teaching.setSecond({analysis.cells.slide_id: (uids[::-1], said.take(np.arange(N)[::-1]))})
    dock.queue.setValue("disagreement")
    assert dock.queue.second.isVisibleTo(dock.queue)
    QTest.mouseClick(dock.queue.fill_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bool(dock.state.queue), timeout=30_000)
    assert dock.state.queue == [(uids[3], "one model says LYT, the other NGS")]
    settled(qtbot, dock)


def test_a_refusal_is_taken_back_once_there_is_something_to_learn_from(dock, qtbot):
    dock.review.prepare()
    QTest.mouseClick(dock.fine_tune.start_button, Qt.MouseButton.LeftButton)
    assert "No cell of these slides is decided yet" in dock.fine_tune.message.text()
    dock.review.controller.decider.decide([dock.state.analysis.cells.table["uid"].iloc[0]], "LYT")
    qtbot.waitUntil(lambda: not dock.fine_tune.message.text())
    assert "1 decided cell of 1 slide" in dock.fine_tune.form.data.text()


def test_the_cells_that_speak_for_a_patients_call_come_first(dock, tmp_path, three_kinds):
    uids = three_kinds[0].cells.table["uid"].tolist()
    path = tmp_path / "calls_cells.csv"
    rows = [f"{uids[2]},0.1,-0.2", f"{uids[7]},0.9,0.0", "elsewhere-000001,5,5", f"{uids[5]},-0.3,0.4"]
    path.write_text("\n".join(["uid,influence_NPM1,influence_control", *rows]), "utf-8")
    dock.queue.speaking.fileChosen.emit(str(path))
    assert dock.queue.speaking.subtype.currentText() == "NPM1"
    assert [uid for uid, _ in dock.state.queue] == [uids[7], uids[2], uids[5]] == list(dock.state.only[1])
    assert "speaks for NPM1 (+0.900" in dock.state.queue[0][1] and "against" in dock.state.queue[2][1]
    assert dock.state.selected == uids[7]
    dock.queue.speaking.subtypeChosen.emit("control")
    assert [uid for uid, _ in dock.state.queue] == [uids[5], uids[7], uids[2]]
    path.write_text("uid,influence_NPM1\nelsewhere-000001,0.5\n", "utf-8")
    dock.queue.speaking.fileChosen.emit(str(path))
    assert "None of the 1 cells" in dock.status.text()
    path.write_text("uid,influence_NPM1\nx,much\n", "utf-8")
    dock.queue.speaking.fileChosen.emit(str(path))
    assert "row 2" in dock.status.text()


def test_a_second_model_reads_the_cells_and_the_queue_asks_where_they_disagree(dock, qtbot):
    page, state = dock.queue, dock.state
    page.orders.setCurrentIndex(page.orders.findData("disagreement"))
    page.orders.activated.emit(page.orders.currentIndex())
    place = next(i for i in range(page.second.choice.count()) if page.second.choice.itemText(i).startswith("demo "))
    page.second.choice.setCurrentIndex(place)
    job_bar = dock.review.job_bar
    page.second.choice.activated.emit(place)
    qtbot.waitUntil(lambda: not job_bar.busy, timeout=60_000)
    qtbot.mouseClick(page.fill_button, Qt.MouseButton.LeftButton)
    settled(qtbot, dock)
    cells = state.analysis.cells
    uids, second = cells.table["uid"].tolist(), dock.teaching._second[cells.slide_id]
    assert second[0] == uids and second[1].bundle_id.startswith("demo ") and len(second[1].code) == N
    assert set(second[1].code.astype(str)) != set(state.model_codes())
    assert state.queue and {uid for uid, _ in state.queue} <= set(uids)
    first = uids.index(state.queue[0][0])
    assert str(second[1].code[first]) in state.queue[0][1], "the reason names the other model's class"
