"""What the card says of its heatmaps stands beside the map."""

from __future__ import annotations

from napari_aml.ui.forms import HeatmapForm
from napari_aml.ui.heatmap_tests import words_of_tests

ENTRY = {
    "n": 60, "recommended": "layercam@2", "reasons": ["a reason"],
    "methods": {
        "gradcam@3": {"over_random": [0.2, 0.1, 0.3], "over_centre": [-0.1, -0.2, 0.0], "in_nucleus": 1.6},
        "layercam@2": {"over_random": [0.3, 0.2, 0.4], "over_centre": [0.1, 0.02, 0.2], "in_nucleus": 2.1},
    },
}  # fmt: skip


def test_words_follow_the_chosen_method(qtbot):
    form = HeatmapForm()
    qtbot.addWidget(form)
    form.setTests(None)
    assert "not tested" in form.tested.text()
    form.setTests(ENTRY)
    assert "60 cells" in form.tested.text() and "Recommended: layercam, stage 2" in form.tested.text()
    assert "not shown to be better" in form.tested.text()
    form.setValue("layercam", form.target.value, 2)
    assert form.tested.text().endswith("Recommended.") and "not shown" not in form.tested.text()
    form.setValue("eigencam", form.target.value, 2)
    assert form.tested.text().startswith("This method and stage were not tested")


def test_none_recommended_gives_no_advice():
    assert "Recommended" not in words_of_tests({**ENTRY, "recommended": None}, "gradcam", 3)
