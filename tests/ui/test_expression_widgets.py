"""The widgets of the Expression dock on plain values: what they show, what a click on them says."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QLabel

from napari_aml.review.concordance import State, reconcile
from napari_aml.review.sides import ExpressionCall, ImageCall, Morphology, Person
from napari_aml.ui.concordance_card import ConcordanceCard
from napari_aml.ui.expression_call import CallPanel, QcLights, WhyPanel
from napari_aml.ui.expression_file import FileForm, ReadingOptions
from napari_aml.ui.expression_links import SlideLinks, SlideRow
from napari_aml.ui.expression_map import SampleMap
from napari_aml.ui.expression_plots import AttributionPlot, ProbabilityPlot
from napari_aml.ui.expression_samples import SampleChooser
from napari_aml.ui.expression_view import (
    AttributionView,
    CallView,
    GeneBar,
    Level,
    Light,
    MapView,
    ProbabilityBar,
    SampleRow,
    subtype_colours,
)


@pytest.fixture
def made(qtbot):
    """Show a widget; it is closed afterwards."""

    def show(widget):
        qtbot.addWidget(widget)
        widget.resize(380, 420)
        widget.show()
        qtbot.waitExposed(widget)
        return widget

    return show


def rows(n=40):
    return [SampleRow(f"S{i:03d}", ("NPM1", "KMT2Ar")[i % 2], 0.7, Level.GOOD) for i in range(n)]


# ---- colours -----------------------------------------------------------------------------------------------


def test_every_class_has_its_colour():
    classes = [f"class {i}" for i in range(21)] + ["other", "control"]
    colours = subtype_colours(classes)
    assert len(set(colours.values())) == 23 and colours == subtype_colours(classes)
    assert all(c.startswith("#") and len(c) == 7 for c in colours.values())


# ---- choosing a sample -------------------------------------------------------------------------------------


def test_search_by_name_and_by_subtype(made):
    chooser = made(SampleChooser())
    chooser.setSamples(rows())
    QTest.keyClicks(chooser.search, "s01")
    assert chooser.count.text() == "10 of 40 samples"
    chooser.search.clear()
    QTest.keyClicks(chooser.search, "kmt2a")
    assert chooser.count.text() == "20 of 40 samples"
    chooser.search.setText("nobody")
    assert chooser.count.text() == "0 of 40 samples"


def test_a_click_chooses(made, qtbot):
    chooser = made(SampleChooser())
    chooser.setSamples(rows())
    place = chooser.list.visualRect(chooser.list.model().index(2, 0)).center()
    with qtbot.waitSignal(chooser.sampleChosen) as said:
        QTest.mouseClick(chooser.list.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert said.args == ["S002"] and chooser.value() == "S002"


def test_a_hidden_sample_is_found_when_it_is_chosen_elsewhere(made):
    chooser = made(SampleChooser())
    chooser.setSamples(rows())
    chooser.search.setText("S001")
    chooser.setValue("S007")
    assert chooser.value() == "S007" and chooser.search.text() == ""
    chooser.setValue("nobody")
    assert chooser.value() is None


def test_looking_for_a_sample_chooses_none(made, qtbot):
    chooser = made(SampleChooser())
    chooser.setSamples(rows())
    chooser.setValue("S000")
    with qtbot.assertNotEmitted(chooser.sampleChosen, wait=20):
        QTest.keyClicks(chooser.search, "s01")
        assert chooser.value() == "S000" and not chooser.list.currentIndex().isValid()
        chooser.search.setText("nobody")
        chooser.search.clear()
    assert chooser.value() == "S000" and chooser.list.currentIndex().row() == 0
    QTest.keyClicks(chooser.search, "s01")
    QTest.keyClick(chooser.search, Qt.Key.Key_Down)  # into the list: the first one found
    assert chooser.value() == "S010"
    QTest.keyClick(chooser.list, Qt.Key.Key_Down)
    assert chooser.value() == "S011"
    chooser.setSamples(rows(5))
    assert chooser.value() is None


def test_new_calls_keep_the_place(made):
    chooser = made(SampleChooser())
    chooser.setSamples([SampleRow(f"S{i}") for i in range(9)])
    chooser.setValue("S4")
    chooser.setSamples([SampleRow(f"S{i}", "NPM1", 0.5) for i in range(9)])
    assert chooser.value() == "S4"
    chooser.setSamples([SampleRow("other"), SampleRow("S4")])
    assert chooser.value() == "S4"


def test_thousands_of_samples_are_quickly_searched(made):
    chooser = made(SampleChooser())
    chooser.setSamples([SampleRow(f"TCGA-{i:05d}") for i in range(20_000)])
    chooser.search.setText("19999")
    assert chooser.count.text() == "1 of 20000 samples"


# ---- the call ----------------------------------------------------------------------------------------------


def bars(p=(0.7, 0.2, 0.1), kept=(True, True, False)):
    names = ("NPM1", "CBFB::MYH11", "other")
    return tuple(ProbabilityBar(n, v, k, "#0072b2") for n, v, k in zip(names, p, kept, strict=True))


def test_a_call_in_words_and_bars(made):
    panel = made(CallPanel())
    light = Light("Genes", Level.LOOK, "96.2 % of the model's genes")
    panel.setValue(CallView("S1", "NPM1", 0.7, bars(), "Not ruled out: NPM1, CBFB::MYH11.", (light,), ("Mind this.",)))
    assert "expression-similar to <b>NPM1</b>" in panel.title.text() and "0.70" in panel.title.text()
    assert panel.plot.value() == bars() and panel.plot.isVisible()
    assert "Not ruled out" in panel.set_text.text() and "Mind this" in panel.remarks.text()
    assert panel.lights.value() == (light,)
    panel.setValue(None)
    assert not panel.plot.isVisible() and not panel.lights.isVisible()


def test_a_withheld_call_is_not_drawn(made):
    panel = made(CallPanel())
    panel.setValue(CallView("S1", "NPM1", 0.7, bars(), withheld="The pictures raise the question of APL."))
    assert not panel.plot.isVisible() and panel.plot.value() == () and "NPM1" not in panel.title.text()
    assert "APL" in panel.set_text.text()


def test_no_call_is_said(made):
    panel = made(CallPanel())
    panel.setValue(CallView("S1", lights=(Light("Genes", Level.BAD, "40 % are missing"),)))
    assert "no call" in panel.title.text() and panel.lights.isVisible()


def test_names_from_files_are_no_markup(made):
    panel = made(CallPanel())
    panel.setValue(CallView("<img src=x>", "<b>x", 0.5, lights=(Light("<i>", Level.GOOD, "<u>"),)))
    assert "<img" not in panel.title.text() and "&lt;b&gt;x" in panel.title.text()


def test_members_of_the_set_are_full_and_all_are_shown(made):
    plot = made(ProbabilityPlot())
    many = tuple(ProbabilityBar(f"c{i}", 0.04, i in (0, 18), "#0072b2") for i in range(20))
    plot.setValue(many)
    ticks = [text for _, text in plot.getAxis("left")._tickLevels[0]]
    assert len(ticks) == plot.most + 1 and ticks[0] == "● c0" and ticks[-1] == "● c18"
    assert "c19" in plot.toolTip()


def test_lights_of_the_sample_before_do_not_shine_through(made):
    lights = made(QcLights())
    lights.show()
    for text in ("before", "now"):
        lights.setValue([Light(name, Level.GOOD, text) for name in ("Genes", "Reads")])
        QApplication.processEvents()  # lays out and draws, but deletes nothing yet
    shown = [label.text() for label in lights.findChildren(QLabel) if label.isVisible()]
    assert len(shown) == 4 and not any("before" in text for text in shown)


def test_lights_carry_a_sign_besides_their_colour(made):
    lights = made(QcLights())
    lights.setValue([Light(level.name, level, "text") for level in Level])
    assert len({level.sign for level in Level}) == len({level.colour for level in Level}) == len(Level)
    lights.setValue([])
    assert lights.value() == ()


# ---- why ---------------------------------------------------------------------------------------------------


def test_attributions_and_their_check(made):
    panel = made(WhyPanel())
    genes = tuple(GeneBar(f"G{i}", (-1) ** i / (i + 1)) for i in range(30))
    panel.setValue(AttributionView("S1", "NPM1", genes, "Sum 1.0, difference 1.0.", True))
    assert "NPM1" in panel.title.text() and panel.note.text() == "Sum 1.0, difference 1.0."
    assert len(panel.plot.getAxis("left")._tickLevels[0]) == AttributionPlot.most
    panel.setValue(AttributionView("S1", "NPM1", genes, "Sum 1.0, difference 2.0.", False))
    assert panel.note.text().startswith("⚠")
    panel.setValue(None, "There is no call to explain.")
    assert panel.title.text() == "There is no call to explain." and not panel.plot.isVisible()


# ---- the map -----------------------------------------------------------------------------------------------


def test_a_click_on_a_point_chooses_its_sample(made, qtbot):
    chart = made(SampleMap())
    places = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.4, 0.6]])
    chart.setValue(MapView(("a", "b", "c", "d", "e"), tuple("xxyyy"), places, {"x": "#0072b2", "y": "#d55e00"}))
    QTest.qWait(20)
    where = chart.plot.mapFromScene(chart.screen_place("e"))
    with qtbot.waitSignal(chart.sampleChosen) as said:
        QTest.mouseClick(chart.plot.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(where.x() + 2, where.y() - 1))
    assert said.args == ["e"] and chart.chosen() == "e"
    empty = chart.plot.mapFromScene(chart.screen_place("e")) + QPoint(40, 20)
    with qtbot.assertNotEmitted(chart.sampleChosen, wait=50):
        QTest.mouseClick(chart.plot.viewport(), Qt.MouseButton.LeftButton, pos=empty)
    assert "x&nbsp;(2)" in chart.legend.text() and "y&nbsp;(3)" in chart.legend.text()


def test_a_map_can_be_emptied_and_ring_what_is_not_there(made):
    chart = made(SampleMap())
    chart.choose("nobody")
    chart.setValue(MapView(("a",), ("x",), np.zeros((1, 2))))
    assert chart.chosen() == "nobody"
    chart.setValue(None)
    assert chart.legend.text() == "" and "No samples" in chart.note.text()


# ---- file and links ----------------------------------------------------------------------------------------


class Bundle:
    def __init__(self, name):
        self.name, self.version = name, "1"


def test_reading_options(made, qtbot, tmp_path):
    form = made(FileForm((("counts", "counts"), ("tpm", "TPM"))))
    assert form.value() == ReadingOptions(None, None)
    with qtbot.waitSignal(form.optionsChanged):
        form.units.setCurrentIndex(2)
    assert form.value() == ReadingOptions("tpm", None)
    assert form.more.text() == "Units: TPM"  # seen while it is folded away
    form.setValue(ReadingOptions("counts", tmp_path / "lengths.csv"))
    assert form.more.text() == "Units: counts · Lengths: lengths.csv"
    assert form.value() == ReadingOptions("counts", tmp_path / "lengths.csv")
    form.setBusy(True)
    assert not form.open_button.isEnabled()


def test_models_are_offered(made, qtbot):
    form = made(FileForm())
    assert form.bundle() is None
    one, two = Bundle("one"), Bundle("two")
    form.setBundles([one])
    with qtbot.waitSignal(form.modelChosen) as said:
        form.addBundle(two)
    assert said.args == [two] and form.bundle() is two


def test_slides_are_ticked_and_linked(made, qtbot):
    links = made(SlideLinks())
    assert not links.link_button.isEnabled() and "No slide is open" in links.note.text()
    links.setValue([SlideRow("s1", "smear 1")])
    assert links.ticked() == ("s1",)  # the only one there is
    links.setValue([SlideRow("s1", "smear 1"), SlideRow("s2", "smear 2")])
    assert links.ticked() == ("s1",)
    links.tick(["s1", "s2"])
    assert not links.link_button.isEnabled()  # no sample yet
    links.setSample("A")
    with qtbot.waitSignal(links.linkRequested) as said:
        QTest.mouseClick(links.link_button, Qt.MouseButton.LeftButton)
    assert said.args == [("s1", "s2")] and not links.unlink_button.isEnabled()
    links.setValue([SlideRow("s1", "smear 1", "A", "the file has changed since it was linked"), SlideRow("s2", "two")])
    assert links.unlink_button.isEnabled() and "changed" in links.note.text()
    assert "not to the chosen" not in links.note.text()
    links.setSample("B")
    assert "smear 1 is linked to A, not to the chosen sample B" in links.note.text()
    links.tick(["s2"])
    assert "not to the chosen" not in links.note.text()


def test_what_is_not_given_is_none(made):
    links = made(SlideLinks())
    assert links.person() == Person()
    links.setPerson(Person(age=0.0, sex="female"))
    assert links.person() == Person(age=0.0, sex="female")
    links.setPerson(Person())
    assert links.person() == Person()


# ---- the card ----------------------------------------------------------------------------------------------

COUNTED = Morphology(("s",), 60, 100, 60.0, 49.7, 69.7)


def called(subtype, **more):
    classes = ("CBFB::MYH11", "NPM1", "RUNX1::RUNX1T1")
    p = tuple(0.8 if c == subtype else 0.1 for c in classes)
    return dict(classes=classes, probabilities=p, calibrated=True, trained=(1 / 3,) * 3, **more)


def test_the_card_shows_inputs_then_state_then_number(made):
    card = made(ConcordanceCard())
    assert card.value() is None and "Link a slide" in card.state.text()
    said = reconcile(COUNTED, ImageCall(**called("NPM1")), ExpressionCall("S1", **called("NPM1")))
    card.setValue(said)
    assert said.state is State.CONCORDANT
    order = [card.image[1], card.expression[1], card.state, card.reasons, card.numbers]
    places = [card.layout().indexOf(w) for w in order]
    assert places == sorted(places) and all(w.isVisible() for w in order)
    text = card.numbers.text()
    assert text.index("Jensen") < text.index("Fused") and "not validated on paired data" in text
    assert "60.0 %" in card.image[1].text() and "expression-similar to NPM1" in card.expression[1].text()


def test_the_card_withholds(made):
    card = made(ConcordanceCard())
    flagged = Morphology(("s",), 5, 100, 5.0, 1.6, 11.3, 60, 10, True)
    card.setValue(reconcile(flagged, None, ExpressionCall("S1", **called("NPM1"))))
    shown = " ".join(w.text() for w in (*card.image, *card.expression, card.state, card.reasons, card.numbers))
    assert "NPM1" not in shown and "apl_scope_conflict" in shown and "urgent-review" in card.notices.text()
    assert not card.numbers.isVisible()


def test_no_image_call_is_said(made):
    card = made(ConcordanceCard())
    card.setValue(reconcile(COUNTED, None, ExpressionCall("S1", **called("NPM1"))))
    assert "No image call" in card.state.text() and "60.0 %" in card.image[1].text()
