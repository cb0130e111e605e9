"""The widgets: what is set is shown and given back; a change is announced."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QAbstractItemModelTester

from napari_aml.review import differential
from napari_aml.ui.cell_view import Bar, CellView, Evidence
from napari_aml.ui.differential_table import DifferentialModel, DifferentialView
from napari_aml.ui.forms import AnalysisForm, AnalysisSettings, HeatmapForm
from napari_aml.ui.inspector import CellInspector
from napari_aml.ui.model_panel import ModelPanel
from napari_aml.ui.picture import coloured
from napari_aml.ui.state import PREDICTED, RUNNER_UP

LUT = np.stack([np.arange(256)] * 4, 1).astype(np.uint8)


def view(maps=(np.ones((4, 4), np.float32), np.zeros((4, 4), np.float32))):
    bars = (Bar("MYO", "myeloblast", "#d62728", 0.7), Bar("MOB", "monoblast", "#ff1493", 0.3))
    return CellView(
        "S1-000001", "MYO · <myeloblast> · 70 %", "Cell 1 of 3", "#d62728", np.full((64, 64, 3), 200, np.uint8),
        np.zeros((64, 64), bool), tuple(Evidence(f"for {i}", m) for i, m in enumerate(maps)), 1.0, bars,
        (("Area", "100 µm²"),), ("Cut off by the border.",),
    )  # fmt: skip


def test_the_inspector_shows_a_cell_and_then_none(qtbot):
    inspector = CellInspector(LUT)
    qtbot.addWidget(inspector)
    inspector.resize(340, 700)
    inspector.show()
    inspector.setValue(view())
    assert inspector.value().uid == "S1-000001" and "&lt;myeloblast&gt;" in inspector.title.text()
    assert all(p.isVisible() and p.hasHeat() for p in inspector.panels)
    assert inspector.bars.value()[0].code == "MYO" and inspector.remarks.text() == "• Cut off by the border."
    inspector.setValue(view(maps=(None,)))
    assert inspector.panels[0].isVisible() and not inspector.panels[0].hasHeat() and not inspector.panels[1].isVisible()
    inspector.setValue(None)
    assert inspector.value() is None and not inspector.split_button.isEnabled() and not inspector.bars.isVisible()


def test_without_a_picture_the_form_says_how_to_open_one_and_a_long_note_is_whole(qtbot):
    form = AnalysisForm()
    qtbot.addWidget(form)
    form.resize(340, 500)
    form.setPictures([])
    form.setPixelNote("The results rest on 0.0559 µm/px (guessed from nuclei). " * 3)
    form.show()
    note = form.pixel_note.native
    qtbot.waitUntil(lambda: 0 < note.heightForWidth(note.width()) <= note.height())
    assert note.width() > 300
    assert form.empty.isVisible() and "Open Sample" in form.empty.text()


def test_the_inspectors_buttons_ask(qtbot):
    inspector = CellInspector(LUT)
    qtbot.addWidget(inspector)
    inspector.setValue(view())
    for button, signal in (
        (inspector.split_button, inspector.splitRequested), (inspector.delete_button, inspector.deleteRequested),
        (inspector.undo_button, inspector.undoRequested), (inspector.redo_button, inspector.redoRequested),
    ):  # fmt: skip
        with qtbot.waitSignal(signal):
            qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    with qtbot.waitSignal(inspector.opacityChanged) as changed:
        inspector.opacity.setValue(30)
    assert changed.args == [0.3]


def test_the_colour_of_evidence_depends_on_the_common_scale_alone():
    faint, strong = np.full((2, 2), 0.1), np.full((2, 2), 1.0)
    assert coloured(faint, 1.0, LUT)[0, 0, 0] == 26 and coloured(strong, 1.0, LUT)[0, 0, 0] == 255
    assert coloured(-strong, 1.0, LUT).max() == 0 and coloured(strong, 0.0, LUT).max() == 0
    assert coloured(np.full((2, 2), np.nan), 1.0, LUT).max() == 0


def test_the_differential_model_keeps_qts_rules_and_shows_the_exact_interval(qtbot):
    model = DifferentialModel()
    tester = QAbstractItemModelTester(model, QAbstractItemModelTester.FailureReportingMode.Fatal)
    model.setValue(differential(["NGS"] * 7 + ["MYO"] * 3))
    codes = [row["code"] for row in model.value()]
    blast = codes.index("MYO")
    shown = [model.data(model.index(blast, c)) for c in range(6)]
    assert shown == ["MYO", "myeloblast", "3", "0", "30.0", "6.7 – 65.2"]  # Clopper and Pearson for 3 of 10
    changed = []
    model.dataChanged.connect(lambda a, b, *_: changed.append((a.row(), b.row())))
    model.setValue(differential(["NGS"] * 6 + ["MYO"] * 4))
    assert changed == [(0, len(codes) - 1)] and model.data(model.index(blast, 2)) == "4"
    model.setValue(None)
    assert model.rowCount() == 0
    del tester


def test_an_empty_differential_says_so(qtbot):
    widget = DifferentialView()
    qtbot.addWidget(widget)
    widget.setValue(differential([]), "none")
    assert widget.model.data(widget.model.index(0, 4)) == "–" and widget.summary.text() == "none"


@pytest.mark.parametrize(
    "settings",
    [
        AnalysisSettings(), AnalysisSettings(0.0712, "classical", "cpu", None, False),
        AnalysisSettings(1.5, cam="hirescam"),
    ],  # fmt: skip
)
def test_the_analysis_form_gives_back_what_was_set(qtbot, settings):
    form = AnalysisForm(("default", "classical"))
    qtbot.addWidget(form)
    form.setValue(settings)
    assert form.value() == settings


def test_the_form_keeps_the_chosen_picture_while_others_come_and_go(qtbot):
    class Layer:
        def __init__(self, name):
            self.name = name

    a, b, c = Layer("a"), Layer("b"), Layer("b")
    form = AnalysisForm()
    qtbot.addWidget(form)
    heard = []
    form.pictureChanged.connect(heard.append)
    form.setPictures([a, b])
    assert form.picture.value is b
    form.setPictures([a, b], a)
    form.setPictures([a, b, c])
    assert form.picture.value is a
    form.setPictures([b])
    assert form.picture.value is b
    form.setPictures([])
    assert form.picture.value is None and heard[-1] is None
    form.setBusy(False, has_cells=True)
    assert not form.analyse_button.isEnabled()


def test_the_heatmap_form_offers_the_models_classes(qtbot):
    form = HeatmapForm()
    qtbot.addWidget(form)
    form.setCodes(["MYO", "LYT"])
    form.setValue("layercam", "LYT", 2)
    assert form.value() == ("layercam", "LYT", 2)
    form.setCodes(["MYO"])
    assert form.value()[1] == PREDICTED and RUNNER_UP in form.target.choices
    with qtbot.waitSignal(form.limitChanged, timeout=1000):
        form.limit.value = 0.5
    with qtbot.assertNotEmitted(form.limitChanged):
        form.setLimit(0.7)


def test_the_model_panel_shows_the_card(qtbot):
    class Bundle:
        def __init__(self, name):
            self.name, self.version, self.bundle_id = name, "1", name

        def card_summary(self):
            return f"card of {self.name}"

    panel = ModelPanel()
    qtbot.addWidget(panel)
    panel.setBundles([Bundle("one"), Bundle("two")])
    assert panel.value().name == "one"
    with qtbot.waitSignal(panel.changed):
        panel.setValue(Bundle("three"))
    assert panel.value().name == "three" and panel.card.toPlainText() == "card of three"
    panel.setValue(Bundle("two"))
    assert panel.choice.count() == 3 and panel.value().name == "two"
    panel.setBundles([])
    assert panel.value() is None
