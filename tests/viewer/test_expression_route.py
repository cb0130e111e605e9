"""The whole way: a picture analysed, a patient model's call of its cells, a linked sample, the card and the report."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import pytest
from qtpy.QtCore import QThreadPool
from qtpy.QtWidgets import QApplication

import napari_aml as aml
from napari_aml.patients import save_patient_bundle, simulated_cohort, study_steps
from napari_aml.patients.fitting import FitSettings
from napari_aml.patients.simulate import PROFILES
from napari_aml.progress import run
from napari_aml.review.comparison import State
from napari_aml.review.links import LinkFile
from napari_aml.samples import expression_path, sample_paths

pytestmark = pytest.mark.viewer
SHARED = ("CBFB::MYH11", "PML::RARA", "RUNX1::RUNX1T1")


@pytest.fixture(scope="module")
def picture():
    """The shipped picture of many AML cells."""
    return sample_paths("mosaic")[0]


@pytest.fixture(scope="module")
def analysed(picture):
    return aml.analyse(picture, cam=None)


@pytest.fixture(scope="module")
def models(analysed, tmp_path_factory):
    """Two patient models, alike but for what their cards say of their patients: simulated, or (made up here) real.

    Their patients are mixtures of the picture's own cells: that shows the route, and nothing about AML.
    """
    said, folder = analysed.predictions, tmp_path_factory.mktemp("patients")
    cohort = simulated_cohort(
        said.codes, [said.codes[i] for i in said.index], said.probabilities, said.embedding,
        analysed.cells.table["uid"].astype(str).tolist(), said.bundle_id,
        profiles={name: PROFILES[name] for name in SHARED}, patients=8, cells=60, pools=2,
    )  # fmt: skip
    study = run(study_steps(cohort, heads=("differential",), settings=FitSettings(epochs=5), control=False))
    for name, simulated in (("simulated", True), ("real", False)):
        save_patient_bundle(replace(study, cohort=replace(cohort, simulated=simulated)), folder / name, name)
    return folder


@pytest.fixture
def docks(make_napari_viewer_proxy, qtbot, tmp_path, analysed):
    """Both docks, the picture analysed in one and the example open in the other."""
    from napari_aml.viewer.dock import SmearReviewWidget
    from napari_aml.viewer.expression_dock import ExpressionWidget

    viewer = make_napari_viewer_proxy(show=True)
    review = SmearReviewWidget(viewer)
    viewer.window.add_dock_widget(review, name="Smear review", area="right")
    review.prepare()
    review.state.analysis = analysed
    dock = ExpressionWidget(viewer, LinkFile(tmp_path / "links.json"))
    viewer.window.add_dock_widget(dock, name="Expression", area="right")
    dock.prepare()
    with qtbot.waitSignal(dock.controller.openedChanged, timeout=120_000):
        dock.controller.open_example()
    qtbot.waitUntil(lambda: len(dock.links.value()) == 1, timeout=20_000)
    yield review, dock
    for widget in (dock, review):
        widget.shut_down()
    qtbot.waitUntil(lambda: QThreadPool.globalInstance().activeThreadCount() == 0, timeout=20_000)
    for widget in (dock, review):
        viewer.window.remove_dock_widget(widget)
        widget.deleteLater()
    QApplication.processEvents()


def sample_of(name, samples, other=False):
    return next(s for s in samples if (name.replace("::", "_") in s) != other and "other" not in s)


def test_the_card_holds_a_call_of_cells_against_a_linked_sample(docks, models, qtbot):
    review, dock = docks
    control, samples = dock.controller, dock.controller.opened.samples
    dock.links.tick(tuple(r.slide_id for r in dock.links.value()))
    dock.links.age.setValue(54)
    control.use_patient_model(models / "simulated")
    qtbot.waitUntil(lambda: control.image_call is not None, timeout=30_000)
    said = dock.card.value()
    assert said.state is State.INSUFFICIENT and "simulated" in dock.card.reasons.text() and said.fused is None

    control.use_patient_model(models / "real")
    qtbot.waitUntil(lambda: control.image_call is not None and control.image_call.passed, timeout=30_000)
    called = control.image_call.called
    assert called in SHARED and dock.card.value().image.bundle_id.startswith("real")
    for other, state in ((False, State.CONCORDANT), (True, State.DISCORDANT)):
        control.choose(sample_of(called, samples, other))
        dock.links.age.setValue(54)  # another sample is another person
        qtbot.waitUntil(lambda state=state: dock.card.value().state is state, timeout=10_000)
        assert called in dock.card.image[1].text() and "expression-similar to" in dock.card.expression[1].text()
        assert "not validated on paired data" in dock.card.notices.text() + dock.card.numbers.text()
        assert dock.card.value().fused is not None and state.value in dock.card.state.text()
    control.link(dock.links.ticked())
    part = control.part(dock.links.ticked()[0])
    assert part is not None and part.concordance.state is State.DISCORDANT


def test_the_command_line_goes_the_same_way(picture, models, analysed, tmp_path, monkeypatch, capsys):
    import napari_aml.cli as cli
    from napari_aml.patients import load_patient_bundle
    from napari_aml.review.from_models import call_from_pictures

    called = call_from_pictures([analysed], load_patient_bundle(models / "real")).called
    samples = expression_path().read_text("utf-8").split("\n", 1)[0].split(",")[1:]
    sample = sample_of(called, samples)
    monkeypatch.setattr(sys, "argv", [
        "napari-aml", "analyse", str(picture), "--out", str(tmp_path), "--cam", "none", "--expression",
        str(expression_path()), "--sample", sample, "--age", "54", "--patient-model", str(models / "real"),
    ])  # fmt: skip
    with pytest.raises(SystemExit) as stop:
        cli.main()
    out, err = capsys.readouterr()
    assert stop.value.code == 0, err
    folder = tmp_path / picture.stem
    told = json.loads((folder / "expression.json").read_text("utf-8"))["concordance"]
    html = (folder / "report.html").read_text("utf-8")
    assert told["state"] == "concordant" and "(concordant)" in out
    assert html.count(called) >= 2 and "not validated on paired data" in html
    section = html[html.index("The pictures") :]
    assert section.index("expression-similar to") < section.index("Fused")
