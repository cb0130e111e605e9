"""The Expression dock in a real viewer: opened, called, mapped, linked to slides, held against pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import Qt, QThreadPool
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication
from viewer_parts import CODES

from napari_aml import RESEARCH_USE
from napari_aml.classify import Predictions
from napari_aml.progress import run
from napari_aml.review.comparison import State
from napari_aml.review.links import LinkFile, hash_steps
from napari_aml.review.patient_sample import FINE, Check, OpenedExpression
from napari_aml.review.sides import ExpressionCall
from napari_aml.ui.expression_file import ReadingOptions

pytestmark = pytest.mark.viewer

CLASSES = ("CBFB::MYH11", "NPM1", "RUNX1::RUNX1T1", "other")


@pytest.fixture
def viewer(make_napari_viewer_proxy, request):
    """A viewer on the screen; hidden where a test asks for it."""
    return make_napari_viewer_proxy(show=getattr(request, "param", True))


@pytest.fixture
def make_dock(viewer, qtbot, monkeypatch, tmp_path):
    """Open the dock; afterwards no worker of its own is left."""
    from napari_aml.viewer.expression_dock import ExpressionWidget

    said = []
    monkeypatch.setattr("napari.utils.notifications.show_error", said.append)
    made = []

    def make():
        dock = ExpressionWidget(viewer, LinkFile(tmp_path / "links.json"))
        viewer.window.add_dock_widget(dock, name=f"Expression {len(made)}", area="right")
        dock.said = said
        dock.prepare()
        made.append(dock)
        return dock

    yield make
    for dock in made:
        dock.shut_down()
    qtbot.waitUntil(lambda: QThreadPool.globalInstance().activeThreadCount() == 0, timeout=10_000)
    for dock in made:
        viewer.window.remove_dock_widget(dock)
        dock.deleteLater()
    QApplication.processEvents()


@pytest.fixture
def dock(make_dock):
    return make_dock()


@pytest.fixture
def opened(tmp_path):
    """A file that is there, with calls made by hand: no model, so nothing to explain or to map."""
    path = tmp_path / "values.csv"
    path.write_text("gene,A,B\nTP53,1,2\n")
    calls = {
        name: ExpressionCall(
            name, CLASSES, tuple(0.7 if c == called else 0.1 for c in CLASSES), "by hand",
            conformal_set=(called,), sex="female",
        )
        for name, called in (("A", "NPM1"), ("B", "other"))
    }  # fmt: skip
    checks = {name: (Check("Genes of the model", FINE, "all there"),) for name in calls}
    facts = (("Format", "CSV"), ("Units", "counts"))
    return OpenedExpression(
        path, run(hash_steps(path)), "CSV", ("A", "B"), CLASSES, calls, checks, {}, (), facts, 0.9
    )


def wait_for_slides(qtbot, dock, n=1):
    qtbot.waitUntil(lambda: len(dock.links.value()) == n, timeout=20_000)


def picture(value=0):
    rng = np.random.default_rng(value)
    return rng.integers(0, 255, (60, 80, 3), dtype=np.uint8)


# ---- the shipped model on the shipped example --------------------------------------------------------------


def test_the_example_does_the_main_job(dock, qtbot):
    with qtbot.waitSignal(dock.controller.openedChanged, timeout=120_000):
        QTest.mouseClick(dock.form.example_button, Qt.MouseButton.LeftButton)
        assert not dock.form.open_button.isEnabled()
    assert not dock.said
    n = len(dock.controller.opened.samples)
    assert n >= 4 and dock.chooser.count.text() == f"{n} samples"
    call = dock.call.value()
    assert call.sample == dock.chooser.value() == dock.controller.opened.samples[0]
    assert abs(sum(b.probability for b in call.bars) - 1) < 1e-4 and len(call.lights) >= 4
    qtbot.waitUntil(lambda: dock.why.value() is not None and dock.map.value() is not None, timeout=60_000)
    why = dock.why.value()
    assert why.target == call.subtype and why.complete and len(why.genes) >= 10
    assert abs(why.genes[0].value) >= abs(why.genes[9].value) > 0
    assert "synthetic" in dock.form.path.text().lower() or "example" in dock.form.path.text().lower()
    assert RESEARCH_USE in [w.text() for w in dock.findChildren(type(dock.status))]


def test_a_click_on_the_map_chooses_the_sample(dock, qtbot):
    with qtbot.waitSignal(dock.controller.openedChanged, timeout=120_000):
        dock.controller.open_example()
    qtbot.waitUntil(lambda: dock.map.value() is not None, timeout=60_000)
    dock.tabs.setCurrentIndex(2)
    QTest.qWait(50)
    view = dock.map.value()
    wanted = next(s for s in view.names if s in dock.controller.opened.samples and s != dock.controller.sample)
    where = dock.map.plot.mapFromScene(dock.map.screen_place(wanted))
    near = dock.map.nearest(dock.map.screen_place(wanted))  # two samples may lie on one another
    QTest.mouseClick(dock.map.plot.viewport(), Qt.MouseButton.LeftButton, pos=where)
    qtbot.waitUntil(lambda: dock.controller.sample == near, timeout=5_000)
    assert dock.call.value().sample == dock.chooser.value() == near


def test_another_class_can_be_explained(dock, qtbot):
    with qtbot.waitSignal(dock.controller.openedChanged, timeout=120_000):
        dock.controller.open_example()
    qtbot.waitUntil(lambda: dock.why.value() is not None, timeout=60_000)
    other = next(c for c in dock.controller.opened.classes if c != dock.why.value().target)
    dock.target.setCurrentIndex(dock.target.findData(other))
    dock.target.activated.emit(dock.target.currentIndex())
    qtbot.waitUntil(lambda: dock.why.value() is not None and dock.why.value().target == other, timeout=60_000)
    # The next sample is explained for the class that the box names; another file starts with the called class.
    following = dock.controller.opened.samples[1]
    dock.controller.choose(following)
    qtbot.waitUntil(lambda: dock.why.value() is not None and dock.why.value().sample == following, timeout=60_000)
    assert dock.why.value().target == other == dock.target.currentData()
    with qtbot.waitSignal(dock.controller.openedChanged, timeout=120_000):
        dock.controller.open_example()
    qtbot.waitUntil(lambda: dock.why.value() is not None, timeout=60_000)
    assert dock.target.currentData() is None and dock.why.value().target == dock.call.value().subtype


def test_another_file_takes_the_place_of_map_banner_and_units(viewer, make_dock, qtbot, opened, tmp_path):
    """The map of other samples goes, the kind of map stays, the link is told, the example is read as it is."""
    viewer.add_image(picture(), rgb=True, name="smear")
    dock = make_dock()
    wait_for_slides(qtbot, dock, 1)
    dock.controller._take(opened)
    dock.links.tick([dock.links.value()[0].slide_id])
    QTest.mouseClick(dock.links.link_button, Qt.MouseButton.LeftButton)
    assert dock.linked_row.isHidden() and "Linked to A" in dock.status.text()
    dock.chooser.setValue("B")
    assert dock.status.text() == ""
    assert not dock.linked_row.isHidden() and "linked to A in values.csv" in dock.linked.text()
    QTest.mouseClick(dock.linked_button, Qt.MouseButton.LeftButton)
    assert dock.controller.sample == "A" and dock.linked_row.isHidden()

    dock.form.setValue(ReadingOptions("counts"))
    QTest.keyClick(dock.map_kind, Qt.Key.Key_Down)  # plain expression
    for _ in range(2):
        with qtbot.waitSignal(dock.controller.openedChanged, timeout=120_000):
            QTest.mouseClick(dock.form.example_button, Qt.MouseButton.LeftButton)
        assert dock.form.value() == ReadingOptions()
        qtbot.waitUntil(lambda: dock.map.value() is not None, timeout=60_000)
        assert dock.map.note.text().startswith("PCA of plain expression"), dock.map.note.text()
    assert not dock.linked_row.isHidden()
    names = dock.controller.opened.samples
    dock.controller._take(opened)  # other samples while the map of these is shown
    assert dock.controller.sample == "A" and dock.map.value() is None and names != opened.samples


@pytest.mark.parametrize("content", [b"", b"gene,A\nTP53,x\n", b"\x80\x04not a table", b"a,b,c\n1,2\n"])
def test_a_bad_file_is_said_and_what_was_open_stays(dock, qtbot, opened, tmp_path, content):
    dock.controller._take(opened)
    bad = tmp_path / "bad.csv"
    bad.write_bytes(content)
    with qtbot.waitSignal(dock.controller.failed, timeout=60_000):
        dock.controller.open(bad)
    assert "bad.csv" in dock.status.text() and dock.said and "Traceback" not in dock.said[-1]
    assert dock.controller.opened is opened and dock.form.open_button.isEnabled()


def test_opening_can_be_cancelled(dock, qtbot, opened, tmp_path):
    """A large file: the window goes on, Cancel stops it, what was open stays."""
    dock.controller._take(opened)
    big = tmp_path / "big.csv"
    row = ",".join(["12345"] * 400)
    with open(big, "w") as stream:
        stream.write("gene," + ",".join(f"S{i}" for i in range(400)) + "\n")
        for i in range(20_000):
            stream.write(f"ENSG{i:011d},{row}\n")
    dock.controller.open(big)
    qtbot.waitUntil(lambda: dock.job_bar.bar.value() > 0, timeout=60_000)
    QTest.mouseClick(dock.job_bar.cancel_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not dock.controller.busy, timeout=5_000)
    assert dock.controller.opened is opened and not dock.said


# ---- links -------------------------------------------------------------------------------------------------


def test_a_link_is_kept_and_checked(viewer, make_dock, qtbot, opened):
    viewer.add_image(picture(), rgb=True, name="smear 1")
    viewer.add_image(picture(1), rgb=True, name="smear 2")
    dock = make_dock()
    dock.controller._take(opened)
    wait_for_slides(qtbot, dock, 2)
    dock.chooser.setValue("B")
    ids = tuple(r.slide_id for r in dock.links.value())
    dock.links.tick(ids)
    QTest.mouseClick(dock.links.link_button, Qt.MouseButton.LeftButton)
    assert [r.linked for r in dock.links.value()] == ["B", "B"]
    dock.links.age.setValue(41)

    again = make_dock()  # as if napari had been closed
    wait_for_slides(qtbot, again, 2)
    assert [r.linked for r in again.links.value()] == ["B", "B"]
    qtbot.waitUntil(lambda: len(again.controller.link_states) == 2, timeout=10_000)
    assert [r.note for r in again.links.value()] == ["", ""]
    assert "linked to B in values.csv" in again.linked.text() and not again.linked_row.isHidden()
    assert again.controller.link_of(ids[0]).age == 41

    opened.path.write_text("gene,A,B\nTP53,1,3\n")
    changed = make_dock()
    wait_for_slides(qtbot, changed, 2)
    qtbot.waitUntil(lambda: all("changed" in r.note for r in changed.links.value()), timeout=10_000)
    assert "changed" in changed.linked.text() and "changed" in changed.links.note.text()

    opened.path.unlink()
    gone = make_dock()
    wait_for_slides(qtbot, gone, 2)
    qtbot.waitUntil(lambda: all("no longer" in r.note for r in gone.links.value()), timeout=10_000)
    QTest.mouseClick(gone.linked_button, Qt.MouseButton.LeftButton)
    assert "values.csv" in gone.said[-1] and not gone.controller.busy

    gone.links.tick(ids[:1])
    QTest.mouseClick(gone.links.unlink_button, Qt.MouseButton.LeftButton)
    assert [bool(r.linked) for r in gone.links.value()] == [False, True]


# Hidden: vispy on a software renderer can crash when it draws after a layer is gone, with or without this dock.
@pytest.mark.parametrize("viewer", [False], indirect=True)
def test_slides_that_come_and_go(viewer, dock, qtbot):
    layer = viewer.add_image(picture(), rgb=True, name="smear")
    viewer.add_points(np.array([[5.0, 5.0]]), name="no smear")
    wait_for_slides(qtbot, dock, 1)
    assert dock.links.value()[0].title == "smear" and dock.links.ticked() == (dock.links.value()[0].slide_id,)
    viewer.layers.remove(layer)
    wait_for_slides(qtbot, dock, 0)


def test_a_damaged_file_of_links_is_said(viewer, make_dock, qtbot, tmp_path):
    (tmp_path / "links.json").write_text("{")
    viewer.add_image(picture(), rgb=True, name="smear")
    dock = make_dock()
    wait_for_slides(qtbot, dock, 1)
    assert "links.json" in dock.said[-1]


# ---- beside the review dock --------------------------------------------------------------------------------


@pytest.fixture
def review(viewer, qtbot, analysis):
    """The review dock with an analysed slide."""
    from napari_aml.viewer.dock import SmearReviewWidget

    widget = SmearReviewWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Smear review", area="right")
    widget.prepare()
    widget.state.analysis = analysis
    yield widget
    widget.shut_down()
    viewer.window.remove_dock_widget(widget)
    widget.deleteLater()


def say(analysis, code):
    """The same slide, every cell named `code`."""
    p = np.full((len(analysis.cells), len(CODES)), 0.01, np.float32)
    p[:, CODES.index(code)] = 1 - 0.01 * (len(CODES) - 1)
    n = len(analysis.cells)
    said = Predictions(CODES, p, np.zeros((n, 4), np.float32), np.full(n, np.nan, np.float32), "hand")
    return replace(analysis, predictions=said, heatmaps=None)


def test_the_window_keeps_its_height(viewer, review, make_dock, qtbot):
    window = viewer.window._qt_window
    window.resize(1366, 700)  # a laptop's
    QTest.qWait(200)
    before = window.height()
    dock = make_dock()
    qtbot.waitUntil(dock.tabs.isVisible, timeout=5_000)
    QTest.qWait(200)
    assert window.height() == before
    assert dock.minimumSizeHint().height() < 400  # room for the gallery below it


def test_pictures_and_expression_are_compared(dock, review, qtbot, opened, analysis):
    review.state.analysis = say(analysis, "MYO")
    dock.controller._take(opened)
    wait_for_slides(qtbot, dock, 1)
    qtbot.waitUntil(lambda: dock.card.value() is not None and dock.card.value().morphology is not None, timeout=10_000)
    said = dock.card.value()
    assert said.morphology.blasts == 6 and said.state is State.INSUFFICIENT
    assert "No image call" in dock.card.state.text() and "100.0 %" in dock.card.image[1].text()
    assert "expression-similar to NPM1" in dock.card.expression[1].text()
    dock.links.sex.setCurrentIndex(dock.links.sex.findData("male"))
    assert dock.card.value().state is State.IDENTITY_MISMATCH
    assert any(light.name == "Sex" and light.level.word == "bad" for light in dock.call.value().lights)
    dock.chooser.setValue("B")  # another sample is another person
    assert dock.links.person().sex is None and dock.card.value().state is State.INSUFFICIENT
    dock.chooser.setValue("A")
    assert dock.links.person().sex == "male" and dock.card.value().state is State.IDENTITY_MISMATCH


def test_promyelocytes_withhold_a_call_of_a_model_without_apl(dock, review, qtbot, opened, analysis):
    dock.controller._take(opened)
    wait_for_slides(qtbot, dock, 1)
    assert dock.call.value().subtype == "NPM1"
    review.state.analysis = say(analysis, "PMB")
    qtbot.waitUntil(lambda: dock.card.value().state is State.APL_SCOPE_CONFLICT, timeout=10_000)
    assert dock.call.value().withheld and not dock.call.plot.value()
    assert [r.subtype for r in dock.chooser.model.rows()] == ["withheld", "other"]
    assert "withheld" in dock.why.title.text() and "urgent-review" in dock.card.notices.text()
    review.state.analysis = say(analysis, "NGS")
    qtbot.waitUntil(lambda: dock.card.value().state is State.INSUFFICIENT, timeout=10_000)
    assert dock.call.value().subtype == "NPM1" and not dock.call.value().withheld


def test_saved_results_carry_the_linked_sample(dock, review, qtbot, opened, analysis, tmp_path):
    dock.controller._take(opened)
    wait_for_slides(qtbot, dock, 1)
    review.controller.save(tmp_path / "before")
    qtbot.waitUntil(lambda: not review.controller.busy, timeout=60_000)
    dock.controller.link(dock.links.ticked())
    review.controller.save(tmp_path / "after")
    qtbot.waitUntil(lambda: not review.controller.busy, timeout=60_000)
    found = {Path(p).parts[-3] for p in map(str, tmp_path.rglob("expression.json"))}
    assert found == {"after"}
    html = next((tmp_path / "after").rglob("report.html")).read_text("utf-8")
    assert "expression-similar to NPM1" in html and "values.csv" not in html and str(tmp_path) not in html


def test_the_dock_is_offered_and_closes_cleanly(viewer, qtbot, monkeypatch, tmp_path):
    monkeypatch.setattr("napari_aml.viewer.expression_controller.default_links", lambda: LinkFile(tmp_path / "l.json"))
    _, widget = viewer.window.add_plugin_dock_widget("napari-aml", "Expression")
    viewer.add_image(picture(), rgb=True, name="smear")
    wait_for_slides(qtbot, widget, 1)
    viewer.window.remove_dock_widget(widget)
    widget.deleteLater()
    QApplication.processEvents()
    viewer.add_image(picture(1), rgb=True, name="after it is gone")
    QTest.qWait(400)
