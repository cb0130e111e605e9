"""A real file of counts opened with a small model: every sample called and checked, nothing of its path let out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_aml.errors import InputError
from napari_aml.expression import SampleQuality
from napari_aml.expression.bundle import save_expression_bundle
from napari_aml.expression.errors import PanelError, SampleNameError
from napari_aml.expression.predict import SubtypeCall
from napari_aml.progress import run
from napari_aml.review.expression_opening import open_expression_steps
from napari_aml.review.from_models import expression_side, quality_checks, training_shares
from napari_aml.review.links import hash_steps
from napari_aml.review.patient_sample import sex_check
from napari_aml.review.sides import ExpressionCall

CLASSES = ("CBFB::MYH11", "NPM1", "other")
GENES = ("TP53", "FLT3", "MYH11", "XIST", "CD34", "KIT", "HOXA9", "MEIS1", "GATA1", "MPO", "ACTB", "GAPDH")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A linear model with weights from a seed on twelve genes."""
    from napari_aml._torch import torch
    from napari_aml.expression.models.building import build

    network = build("logistic", len(GENES), len(CLASSES), {})
    weights = np.random.default_rng(1).normal(0, 0.3, (len(CLASSES), len(GENES))).astype(np.float32)
    network.linear.weight.data = torch.from_numpy(weights)
    card = {
        "name": "small", "version": "1", "model": "logistic", "classes": list(CLASSES), "age_range": [18, 80],
        "training_data": [{"name": "made up", "classes": {"CBFB::MYH11": 10, "NPM1": 30, "other": 60}}],
    }  # fmt: skip
    return save_expression_bundle(tmp_path_factory.mktemp("bundle") / "small", network, GENES, card)


@pytest.fixture(scope="module")
def counts(tmp_path_factory, bundle):
    """Counts of 40 genes, three samples, one of them of a man."""
    rng = np.random.default_rng(0)
    more = ("RPS4Y1", "DDX3Y", "KDM5D", "MT-CO1", "HBB", "B2M", "CD74", "LYZ", "S100A8", "S100A9")
    values = rng.integers(1000, 50_000, (len(GENES) + len(more), 3))
    names = [*GENES, *more]
    for gene, row in (("XIST", (90_000, 0, 0)), ("RPS4Y1", (0, 40_000, 0)), ("DDX3Y", (0, 30_000, 0)),
                      ("KDM5D", (0, 9000, 0))):  # fmt: skip
        values[names.index(gene)] = row
    path = tmp_path_factory.mktemp("data") / "Muster_Anna_1961.csv"
    lines = ["gene,S1,S2,S3"] + [f"{g},{','.join(map(str, v))}" for g, v in zip(names, values, strict=True)]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def opened(counts, bundle):
    return run(open_expression_steps(counts, model=bundle))


def test_every_sample_is_called_and_checked(opened, counts, bundle):
    assert opened.samples == ("S1", "S2", "S3") and opened.sha256 == run(hash_steps(counts))
    for sample in opened.samples:
        call = opened.call(sample)
        assert call.classes == CLASSES and abs(sum(call.probabilities) - 1) < 1e-6
        assert call.bundle_id == bundle.bundle_id and call.age_scope == (18, 80) and call.trained == (0.1, 0.3, 0.6)
        assert not call.calibrated and call.conformal_set is None
        names = [c.name for c in opened.checks(sample)]
        assert names[0] == "Genes of the model" and names[-1] == "Sex" and len(names) == len(set(names))
    assert [opened.call(s).sex for s in opened.samples] == ["female", "male", None]
    assert dict(opened.facts)["Genes"] == "12 of the model's 12" and "counts" in dict(opened.facts)["Units"]


def test_progress_runs_once_to_its_end(counts, bundle):
    events = []
    run(open_expression_steps(counts, model=bundle), events.append)
    done = [e.fraction for e in events]
    assert done == sorted(done) and done[-1] == 1


def test_overrides_reach_the_reader(counts, bundle, opened):
    tpm = run(open_expression_steps(counts, model=bundle, units="tpm", samples=("S2",)))
    assert tpm.samples == ("S2",) and "tpm" in dict(tpm.facts)["Units"]
    assert tpm.call("S2").probabilities != opened.call("S2").probabilities


def test_what_cannot_be_opened_is_named(tmp_path, bundle, counts):
    few = tmp_path / "few.csv"
    few.write_text("gene,S1,S2\nTP53,100,200\nFLT3,300,400\nB2M,100,200\n")
    with pytest.raises(PanelError, match=r"few\.csv"):
        run(open_expression_steps(few, model=bundle, units="tpm"))
    with pytest.raises(InputError, match=r"gone\.csv"):
        run(open_expression_steps(tmp_path / "gone.csv", model=bundle))
    with pytest.raises(SampleNameError, match="S9"):
        run(open_expression_steps(counts, model=bundle, samples=("S9",)))


def test_picture_and_sample_are_compared(opened):
    from napari_aml.pipeline import compare_expression
    from napari_aml.review.sides import Person

    said = compare_expression([], opened, "S1", person=Person(age=50, sex="female"))
    assert {r.code for r in said.reasons} == {"no_image_call"}
    assert compare_expression([], opened, "S1", person=Person(sex="male")).state.value == "identity_mismatch"
    with pytest.raises(SampleNameError, match="S9"):
        compare_expression([], opened, "S9")


def test_the_report_names_neither_file_nor_path(opened, counts):
    import json

    from napari_aml.export.expression_section import report_part, write_expression
    from napari_aml.pipeline import compare_expression

    part = report_part(opened, "S2", compare_expression([], opened, "S2"), sex="female")
    text = json.loads(write_expression(part, counts.parent).read_text("utf-8"))
    said = json.dumps(text)
    assert "Muster" not in said and str(counts.parent) not in said and text["sample"] == "S2"
    assert "S1" not in said and "in sample 1 of 3" in text["read"]["Units"]  # other people's samples are not named
    assert {"level": "bad", "name": "Sex"}.items() <= text["quality"][-1].items()


# ---- from models' words ------------------------------------------------------------------------------------


def subtype_call(status="ok", **more):
    given = {
        "sample": "S1", "subtype": "NPM1", "probability": 0.7, "conformal_set": ("NPM1",), "insufficient": (),
        "probabilities": {"NPM1": 0.7, "other": 0.2, "CBFB::MYH11": 0.1}, "missing": (), "warnings": ("Mind.",),
        "unlike": 1.0, "unlike_threshold": 2.0, "units": "tpm", **more,
    }  # fmt: skip
    return SubtypeCall(status=status, **given)


@pytest.mark.parametrize(("status", "passed"), [
    ("ok", True), ("warning", True), ("unstable", False), ("unlike training", False),
    ("out of training age range", False),
])  # fmt: skip
def test_the_gate(bundle, status, passed):
    side = expression_side(subtype_call(status), bundle)
    assert side.passed is passed and bool(side.reasons) is not passed
    assert side.probabilities == (0.1, 0.7, 0.2)  # in the bundle's order
    refused = expression_side(subtype_call("refused", subtype="", probabilities={}, conformal_set=None), bundle)
    assert refused.called is None and not refused.passed and refused.reasons == ("Mind.",)


def figures(**more):
    given = dict(
        sample="S1", usable=True, panel_present=1.0, panel_expressed=1.0, library_size=3e7, genes_detected=20_000,
        mitochondrial=0.05, haemoglobin=0.0, without_tail=0.0, xist=50.0, y_genes=0.0, sex="female", declared_sex="",
        correlation=0.9, nearest="S2", nearest_correlation=0.95, remarks=(),
    )  # fmt: skip
    return SampleQuality(**{**given, **more})


@pytest.mark.parametrize(("given", "name", "level"), [
    ({}, "Reads", "fine"), ({"library_size": 1e6}, "Reads", "look"), ({"library_size": np.nan}, "Reads", "not known"),
    ({"mitochondrial": 0.5}, "Mitochondrial", "look"), ({"haemoglobin": np.nan}, "Haemoglobin", "not known"),
    ({"remarks": ("Unlike the other samples: x",)}, "Like the other samples", "look"),
    ({"usable": False, "remarks": ("It has no reads.",)}, "Sample", "bad"),
])  # fmt: skip
def test_lights_of_quality(given, name, level):
    found = {c.name: c.level for c in quality_checks(subtype_call(), 0.0, figures(**given))}
    assert found[name] == level


@pytest.mark.parametrize(("missing", "level"), [(0, "fine"), (0.01, "fine"), (0.03, "look"), (0.07, "bad")])
def test_light_of_missing_genes(missing, level):
    assert quality_checks(subtype_call(), missing, None)[0].level == level


def test_light_of_likeness():
    assert quality_checks(subtype_call(unlike=3.0), 0, None)[1].level == "bad"
    assert quality_checks(subtype_call(unlike=np.nan), 0, None)[1].level == "not known"


@pytest.mark.parametrize(("found", "declared", "level"), [
    ("female", "female", "fine"), ("female", "male", "bad"), ("male", None, "not known"), (None, "male", "not known"),
])  # fmt: skip
def test_light_of_sex(found, declared, level):
    assert sex_check(found, declared).level == level


def test_training_shares():
    card = {"training_data": [{"classes": {"A": 1, "B": 2}}, {"patients": {"A": 1}}, "other"]}
    assert training_shares(("A", "B"), card) == (0.5, 0.5)
    assert training_shares(("A", "C"), card) == () and training_shares(("A",), {}) == ()


# ---- why, and where ----------------------------------------------------------------------------------------


def test_attributions_add_up(opened):
    from napari_aml.review.expression_evidence import gene_evidence_steps

    found = run(gene_evidence_steps(opened, "S2"))
    assert found.target == opened.call("S2").called and found.complete and "complete" in found.note
    values = [abs(v) for _, v, _ in found.genes]
    assert len(values) == len(GENES) and values == sorted(values, reverse=True)
    other = next(c for c in CLASSES if c != found.target)
    assert run(gene_evidence_steps(opened, "S2", other)).target == other
    with pytest.raises(InputError, match="no class 'x'"):
        run(gene_evidence_steps(opened, "S2", "x"))
    refused = replace(opened, calls={**opened.calls, "S2": ExpressionCall("S2", passed=False)})
    with pytest.raises(InputError, match="S2 has no call"):
        run(gene_evidence_steps(refused, "S2"))
    assert run(gene_evidence_steps(refused, "S2", other)).target == other


@pytest.mark.parametrize("space", ["network", "expression"])
def test_samples_are_placed(opened, space):
    from napari_aml.review.expression_evidence import places_steps

    found = run(places_steps(opened, "pca", space))
    assert found.samples == opened.samples and found.places.shape == (3, 2) and "%" in found.axes[0]
    assert "PCA of" in found.note


def test_two_samples_make_no_map(counts, bundle):
    from napari_aml.review.expression_evidence import places_steps

    two = run(open_expression_steps(counts, model=bundle, samples=("S1", "S2")))
    with pytest.raises(InputError, match="no map"):
        run(places_steps(two))


@pytest.mark.parametrize(("cells", "simulated", "passed"), [(60, False, True), (58, False, False), (60, True, False)])
def test_the_gate_of_the_image_side(cells, simulated, passed):
    from types import SimpleNamespace

    from napari_aml.patients.calling import PatientCall
    from napari_aml.review.from_models import image_side

    none = np.zeros((cells, 2))
    said = PatientCall(
        "p", ("NPM1", "control"), np.array([0.7, 0.3]), influence=none, shares=none, uids=("u",) * cells,
        bundle_id="heads 1",
    )  # fmt: skip
    card = {"training_data": [{"patients": {"NPM1": 30, "control": 10}}], "age_range": [18, 90]}
    side = image_side(said, SimpleNamespace(simulated=simulated, card=card))
    assert side.passed is passed and side.called == "NPM1" and side.trained == (0.75, 0.25)
    assert side.age_scope == (18, 90) and side.bundle_id == "heads 1"
