"""The report's expression section: both inputs before the state, the state before any fused number."""

from __future__ import annotations

import json
import re

import pytest

from napari_aml import RESEARCH_USE
from napari_aml.export import write_results
from napari_aml.export.expression_section import ExpressionPart, expression_context
from napari_aml.review.concordance import reconcile
from napari_aml.review.sides import ExpressionCall, ImageCall, Morphology

CLASSES = ("CBFB::MYH11", "NPM1", "RUNX1::RUNX1T1")
COUNTED = Morphology(("s",), 60, 100, 60.0, 49.7, 69.7)
FLAGGED = Morphology(("s",), 5, 100, 5.0, 1.6, 11.3, 60, 10, True)


def called(subtype):
    p = tuple(0.8 if c == subtype else 0.1 for c in CLASSES)
    return {"classes": CLASSES, "probabilities": p, "calibrated": True, "trained": (1 / 3,) * 3}


def part(morphology=COUNTED, image=True, sample="P<1>"):
    said = reconcile(
        morphology,
        ImageCall(**called("NPM1"), bundle_id="image 1") if image else None,
        ExpressionCall(sample, **called("CBFB::MYH11"), conformal_set=("CBFB::MYH11",), bundle_id="expression 1"),
    )
    return ExpressionPart(
        said, (("File (SHA-256)", "0" * 64), ("Units", "TPM")), (("fine", "Genes", "all there"),), ("Mind this.",),
        (("HOXA9", 1.2), ("MEIS1", -0.4)), "Sum 0.8, difference 0.8.", ("card line",),
    )  # fmt: skip


@pytest.fixture
def written(tmp_path, analysis):
    folder = write_results(analysis, tmp_path / "out", expression=part())
    return folder, (folder / "report.html").read_text("utf-8")


def test_the_order_of_the_section(written):
    _, html = written
    words = [
        "The pictures say", "The expression says", "expression-similar to CBFB::MYH11",
        "The two sides name different classes", "Jensen–Shannon divergence",
        "Fused – not validated on paired data",
    ]  # fmt: skip
    places = [html.index(w) for w in words]
    assert places == sorted(places)
    assert 'href="#expression"' in html and html.count('id="expression"') == 1
    assert "HOXA9" in html and "Mind this." in html and RESEARCH_USE in html
    assert "P&lt;1&gt;" in html and "P<1>" not in html
    assert not re.search(r"diagnos(is|es|ed)", html)


def test_the_file_says_the_same(written):
    folder, _ = written
    told = json.loads((folder / "expression.json").read_text("utf-8"))
    assert told["research_use"] == RESEARCH_USE and told["sample"] == "P<1>"
    assert told["concordance"]["state"] == "discordant" and told["attributions"]["HOXA9"] == 1.2
    assert "expression.json" in json.loads((folder / "provenance.json").read_text("utf-8"))["files"]


def test_a_withheld_call_stands_nowhere_in_the_results(tmp_path, analysis):
    folder = write_results(analysis, tmp_path / "out", expression=part(FLAGGED))
    html, told = ((folder / name).read_text("utf-8") for name in ("report.html", "expression.json"))
    assert "apl_scope_conflict" in html and "urgent-review" in html
    assert "CBFB::MYH11" not in html and "HOXA9" not in html + told
    assert json.loads(told)["concordance"]["expression"]["probabilities"] == {} and "similar to" not in told


def test_without_an_image_call_it_is_said(tmp_path, analysis):
    html = (write_results(analysis, tmp_path / "out", expression=part(image=False)) / "report.html").read_text("utf-8")
    assert "No image call to compare with" in html and "60.0 %" in html and "Fused –" not in html


def test_without_a_sample_nothing_is_written(tmp_path, analysis):
    folder = write_results(analysis, tmp_path / "out")
    assert not (folder / "expression.json").exists()
    assert "xpression" not in re.sub(r"(?s)<style>.*?</style>", "", (folder / "report.html").read_text("utf-8"))
    write_results(analysis, folder, expression=part())
    write_results(analysis, folder)  # the sample was unlinked: what the earlier run said of it goes, too
    assert not (folder / "expression.json").exists()


def test_many_classes_are_cut_to_those_that_matter():
    classes = tuple(f"c{i}" for i in range(21))
    p = (0.6, 0.2, *[0.2 / 19] * 19)
    said = reconcile(COUNTED, None, ExpressionCall("S", classes, p, conformal_set=("c0", "c20")))
    bars = expression_context(ExpressionPart(said))["bars"]
    assert [b["name"] for b in bars][:2] == ["c0", "c1"] and len(bars) == 9 and bars[-1]["name"] == "c20"
