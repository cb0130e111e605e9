"""Counting rules, the choice of the last column, the choice of an export: what is set is shown and given back."""

from __future__ import annotations

import pytest
from qtpy.QtCore import Qt

from napari_aml.export.formats import FORMATS
from napari_aml.review import CountingSettings, differential
from napari_aml.ui.counting_panel import CountingPanel
from napari_aml.ui.differential_table import CORRECTED, INTERVAL, PEOPLE, DifferentialView
from napari_aml.ui.export_dialog import ExportChoice, ExportDialog


@pytest.mark.parametrize(
    "rules",
    [
        CountingSettings(),
        CountingSettings(0.35, 0.99, (10.0, 20.0), "lymphocytes", True, False, 5.0),
        CountingSettings(confidence=0.8),
    ],
)
def test_the_rules_give_back_what_was_set_and_say_nothing(qtbot, rules):
    panel = CountingPanel()
    qtbot.addWidget(panel)
    with qtbot.assertNotEmitted(panel.changed):
        panel.setValue(rules)
    assert panel.value() == rules


def test_a_person_changes_a_rule(qtbot):
    view = DifferentialView()
    qtbot.addWidget(view)
    view.resize(380, 640)
    view.show()
    assert not view.rules.box.isVisible()
    qtbot.mouseClick(view.rules.fold, Qt.MouseButton.LeftButton)
    assert view.rules.box.isVisible()
    with qtbot.waitSignal(view.settingsChanged):
        view.rules.pmb.click()
    assert view.settings().pmb_as_blasts
    assert view.minimumSizeHint().width() <= 400


def test_the_last_column_shows_what_was_chosen(qtbot):
    view = DifferentialView()
    qtbot.addWidget(view)
    table = differential(["MYO"] * 3 + ["NGS"] * 7, [True] + [False] * 9)
    view.setValue(table, "words")
    row = [r["code"] for r in view.model.value()].index("MYO")

    def text():
        return view.model.data(view.model.index(row, 5))

    assert view.model.data(view.model.index(row, 3)) == "1" and text() == "6.7 – 65.2"
    view.shown.setCurrentIndex(view.shown.findData(CORRECTED))
    assert text() == "…"
    more = table.assign(
        corrected=25.0, corrected_low=5.0, corrected_high=60.0, not_corrected="", people_percent=100.0, people_low=2.5,
        people_high=100.0,
    )  # fmt: skip
    view.setDetails(more, "advice", "rules")
    assert text() == "25.0 (5.0 – 60.0)" and view.details.text() == "advice"
    view.shown.setCurrentIndex(view.shown.findData(PEOPLE))
    assert text() == "100.0 (2.5 – 100.0)"
    view.rules.confidence.setCurrentIndex(view.rules.confidence.findData(0.99))
    view.shown.setCurrentIndex(view.shown.findData(INTERVAL))
    assert view.model.headerData(5, Qt.Orientation.Horizontal) == "99 % interval"
    more["corrected"] = float("nan")
    view.setDetails(more.assign(not_corrected="only 3 held-out cells of it"))
    view.shown.setCurrentIndex(view.shown.findData(CORRECTED))
    assert "only 3 held-out" in view.model.data(view.model.index(row, 5), Qt.ItemDataRole.ToolTipRole)
    view.setDetails(None)
    assert not view.details.isVisible()


def test_the_export_dialog_gives_back_what_was_set(qtbot):
    dialog = ExportDialog(FORMATS)
    qtbot.addWidget(dialog)
    dialog.show()
    choice = ExportChoice(("coco", "h5ad"), False, False, True, True, "CC BY 4.0", "here")
    dialog.setValue(choice)
    assert dialog.value() == choice and dialog.warning.isVisible()
    with qtbot.waitSignal(dialog.exportRequested) as asked:
        qtbot.mouseClick(dialog.go, Qt.MouseButton.LeftButton)
    assert asked.args == [choice]
    dialog.setValue(ExportChoice(()))
    assert not dialog.go.isEnabled() and dialog.notes.isEnabled()
    assert dialog.minimumSizeHint().height() <= 700
