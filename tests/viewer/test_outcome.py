"""The live count and the export of a real dock."""

from __future__ import annotations

import json

import pytest

from napari_aml.errors import AmlError
from napari_aml.ui.export_dialog import ExportChoice

pytestmark = pytest.mark.viewer


@pytest.fixture
def dock(make_napari_viewer_proxy, analysis, qtbot):
    """The dock over an analysis made by hand."""
    from napari_aml.viewer.dock import SmearReviewWidget

    viewer = make_napari_viewer_proxy()
    viewer.add_image(analysis.slide.region(0, 0, 0, *analysis.slide.shape), rgb=True, name="hand")
    widget = SmearReviewWidget(viewer)
    qtbot.addWidget(widget)
    widget.controller.choose_picture(widget.form.picture.value)
    widget.controller._take(analysis)
    yield widget
    widget.shut_down()


def test_counts_follow_decisions_and_rules(dock, qtbot):
    view, state = dock.differential, dock.state
    uids = state.analysis.cells.table["uid"].tolist()
    dock.controller.decider.decide(uids[:2], "MYO")
    dock.controller.decider.decide(uids[2:3], "KSC")
    qtbot.waitUntil(lambda: {r["code"]: r["confirmed"] for r in view.model.value()}.get("MYO") == 2)
    qtbot.waitUntil(lambda: "3 confirmed by a person" in view.details.text(), timeout=20_000)
    before = {r["code"]: r["count"] for r in view.model.value()}
    view.rules.smudge.setCurrentIndex(1)
    after = {r["code"]: r["count"] for r in view.model.value()}
    assert after["LEUKOCYTES"] == before["LEUKOCYTES"] + before["KSC"]


def test_what_leaves_the_dock_holds_masks_and_decisions(dock, qtbot, tmp_path):
    from napari_aml.review.exchange import read_annotations

    uids = dock.state.analysis.cells.table["uid"].tolist()
    dock.controller.decider.decide(uids[:1], "PMO")
    assert dock.exporting.button.isEnabled()
    dock.exporting.ask()
    assert dock.exporting.dialog.isVisible()
    dock.exporting.dialog.hide()
    dock.exporting.export(tmp_path / "out", ExportChoice(("geojson", "csv"), licence="CC0"))
    with pytest.raises(AmlError, match="still running"):
        dock.exporting.export(tmp_path / "two", ExportChoice())
    qtbot.waitUntil(lambda: not dock.controller.busy, timeout=60_000)
    (slide,) = read_annotations(tmp_path / "out").slides
    assert len(slide.masks) == 6 and slide.table["code_final"].tolist()[0] == "PMO"
    told = json.loads((tmp_path / "out" / "provenance.json").read_text("utf-8"))
    assert told["licence"] == "CC0" and told["pseudonyms"] is True
    assert "Exported to" in dock.status.text()
