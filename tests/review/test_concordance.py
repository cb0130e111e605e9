"""Every state of the comparison from a table; what two class lists share; when a fused number may exist."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_aml.errors import InputError
from napari_aml.review.concordance import APL_NOTICE, State, reconcile
from napari_aml.review.counting import differential
from napari_aml.review.fusion import NOT_VALIDATED, FusionSettings, divergence_bits, fuse
from napari_aml.review.sides import ExpressionCall, ImageCall, Morphology, Person, PromyelocyteRule, morphology
from napari_aml.review.subtypes import same_name, shared_classes

#: The five classes of a cell-bag model trained on MLL_Helmholtz.
IMAGE = ("CBFB_MYH11", "NPM1", "PML_RARA", "RUNX1_RUNX1T1", "control")
#: The published order of AttentionAML.
ATTENTION_AML = (
    "BCL11B", "CBFB-GDXY", "CBFB::MYH11", "CEBPA", "DEK::NUP214", "ETS family", "GATA1", "GLISr", "HOXr", "KAT6Ar",
    "KMT2A-PTD", "KMT2Ar", "MECOM", "MNX1", "NPM1", "NUP98r", "PICALM::MLLT10", "RBM15::MKL1", "RUNX1::RUNX1T1",
    "RUNX1::RUNX1T1-like", "UBTF",
)  # fmt: skip
#: Classes that TCGA-LAML can teach.
TCGA = ("CBFB::MYH11", "PML::RARA", "RUNX1::RUNX1T1", "other")


def spread(classes, called, top=0.8):
    rest = (1 - top) / (len(classes) - 1)
    return tuple(top if c == called else rest for c in classes)


def image(called, classes=IMAGE, **more):
    given = {"calibrated": True, "trained": (1 / len(classes),) * len(classes), **more}
    return ImageCall(classes, spread(classes, called), "image-model", **given)


def expression(called, classes=ATTENTION_AML, **more):
    if called is None:
        return ExpressionCall("S1", reasons=("12 % of the model's genes are missing.",), passed=False, **more)
    given = {"calibrated": True, "trained": (1 / len(classes),) * len(classes), "conformal_set": (called,), **more}
    return ExpressionCall("S1", classes, spread(classes, called), "expression-model", **given)


def counted(blasts=60, white=100, promyelocytes=0, bilobed=0):
    codes = ["MYO"] * blasts + ["PMB"] * bilobed + ["PMO"] * (promyelocytes - bilobed)
    return morphology([("slide", differential(codes + ["NGS"] * (white - len(codes))))])


NORMAL = counted(blasts=0)
MANY_PROMYELOCYTES = counted(blasts=5, promyelocytes=60, bilobed=10)

# what is counted, image call, expression call, person → state, codes of the reasons
STATES = {
    "same class": (
        counted(), image("NPM1"), expression("NPM1"), None, State.CONCORDANT, {"same_class"}),
    "same fusion, spelled in two ways": (
        counted(), image("CBFB_MYH11"), expression("CBFB::MYH11"), None, State.CONCORDANT, {"same_class"}),
    "APL that both models have": (
        MANY_PROMYELOCYTES, image("PML_RARA"), expression("PML::RARA", TCGA), None, State.CONCORDANT, {"same_class"}),
    "two shared classes that differ": (
        counted(), image("NPM1"), expression("RUNX1::RUNX1T1"), None, State.DISCORDANT, {"different_classes"}),
    "they differ, but the set holds the image's": (
        counted(), image("NPM1"), expression("CBFB::MYH11", conformal_set=("CBFB::MYH11", "NPM1")), None,
        State.DISCORDANT, {"different_classes", "in_set"}),
    "image class unknown to the expression model": (
        counted(), image("NPM1"), expression("CBFB::MYH11", TCGA), None,
        State.IMAGE_ONLY_CLASS, {"not_in_expression_model"}),
    "either names what the other lacks": (
        counted(), image("NPM1"), expression("other", TCGA), None,
        State.IMAGE_ONLY_CLASS, {"not_in_expression_model", "not_in_image_model"}),
    "expression class unknown to the image model": (
        counted(), image("NPM1"), expression("KMT2Ar"), None,
        State.EXPRESSION_ONLY_CLASS, {"not_in_image_model"}),
    "a near name is not the same class": (
        counted(), image("RUNX1_RUNX1T1"), expression("RUNX1::RUNX1T1-like"), None,
        State.EXPRESSION_ONLY_CLASS, {"not_in_image_model"}),
    "the expression model's rest": (
        counted(), image("CBFB_MYH11"), expression("other", TCGA), None,
        State.EXPRESSION_ONLY_CLASS, {"not_in_image_model"}),
    "image says APL, expression model has none": (
        counted(), image("PML_RARA"), expression("NPM1"), None,
        State.APL_SCOPE_CONFLICT, {"apl_not_in_expression_model"}),
    "promyelocytes, expression model has no APL": (
        MANY_PROMYELOCYTES, image("NPM1"), expression("NPM1"), None,
        State.APL_SCOPE_CONFLICT, {"apl_not_in_expression_model"}),
    "promyelocytes alone, no image model": (
        MANY_PROMYELOCYTES, None, expression("NPM1"), None,
        State.APL_SCOPE_CONFLICT, {"apl_not_in_expression_model"}),
    "promyelocytes, a call that failed its gate is withheld, too": (
        MANY_PROMYELOCYTES, None, expression("NPM1", passed=False), None,
        State.APL_SCOPE_CONFLICT, {"apl_not_in_expression_model"}),
    "control with blasts": (
        counted(blasts=20), image("control"), None, None, State.CONTROL_CONFLICT, {"blasts_in_control"}),
    "control, yet a call": (
        NORMAL, image("control"), expression("NPM1"), None, State.CONTROL_CONFLICT, {"call_on_control"}),
    "control with blasts and a call": (
        counted(blasts=20), image("control"), expression("NPM1"), None,
        State.CONTROL_CONFLICT, {"blasts_in_control", "call_on_control"}),
    "control on both sides": (
        NORMAL, image("control"), expression("normal", ("NPM1", "normal")), None, State.CONCORDANT, {"same_class"}),
    "control whose blasts may be few, no call": (
        counted(blasts=8), image("control"), None, None, State.INSUFFICIENT, {"no_expression_call"}),
    "no image call": (
        counted(), None, expression("NPM1"), None, State.INSUFFICIENT, {"no_image_call"}),
    "no picture at all": (
        None, None, expression("NPM1"), None, State.INSUFFICIENT, {"no_image_call"}),
    "no sample linked": (
        counted(), image("NPM1"), None, None, State.INSUFFICIENT, {"no_expression_call"}),
    "the sample was refused": (
        counted(), image("NPM1"), expression(None), None, State.INSUFFICIENT, {"no_expression_call"}),
    "quality control failed": (
        counted(), image("NPM1"), expression("NPM1", passed=False, reasons=("unlike anything in training.",)), None,
        State.INSUFFICIENT, {"expression_gate"}),
    "the image model's gate failed": (
        counted(), image("NPM1", passed=False, reasons=("only 12 cells.",)), expression("NPM1"), None,
        State.INSUFFICIENT, {"image_gate"}),
    "nothing fits": (
        counted(), image("NPM1"), expression("NPM1", conformal_set=()), None, State.INSUFFICIENT, {"empty_set"}),
    "age beyond the expression model": (
        counted(), image("NPM1"), expression("NPM1", age_scope=(0, 29)), Person(age=61),
        State.INSUFFICIENT, {"age_out_of_range"}),
    "age beyond the image model": (
        counted(), image("NPM1", age_scope=(18, 100)), expression("NPM1", age_scope=(0, 29)), Person(age=9),
        State.INSUFFICIENT, {"age_out_of_range"}),
    "a scope, but no age": (
        counted(), image("NPM1"), expression("NPM1", age_scope=(0, 29)), None, State.INSUFFICIENT, {"age_unknown"}),
    "within both scopes": (
        counted(), image("NPM1", age_scope=(18, 100)), expression("NPM1", age_scope=(0, 29)), Person(age=29),
        State.CONCORDANT, {"same_class"}),
    "XIST against the declared sex": (
        counted(), image("NPM1"), expression("NPM1", sex="female"), Person(sex="male"),
        State.IDENTITY_MISMATCH, {"sex"}),
    "two pseudonyms": (
        counted(), image("NPM1"), expression("NPM1"), Person(image_patient="P1", expression_patient="P2"),
        State.IDENTITY_MISMATCH, {"patient"}),
    "both, before anything else": (
        MANY_PROMYELOCYTES, image("PML_RARA"), expression("NPM1", sex="male", passed=False),
        Person(sex="female", image_patient="P1", expression_patient="P2"), State.IDENTITY_MISMATCH, {"sex", "patient"}),
    "one pseudonym, written in two ways": (
        counted(), image("NPM1"), expression("NPM1", sex="male"),
        Person(sex="male", image_patient="p1", expression_patient="P1 "), State.CONCORDANT, {"same_class"}),
}  # fmt: skip


@pytest.mark.parametrize("name", STATES)
def test_every_state(name):
    counts, pictures, sample, person, state, codes = STATES[name]
    said = reconcile(counts, pictures, sample, person)
    assert said.state is state
    assert {r.code for r in said.reasons} == codes
    assert all(r.text.strip() and r.text[-1] in ".:" for r in said.reasons)
    assert (said.fused is not None) == (state in (State.CONCORDANT, State.DISCORDANT))
    assert bool(said.fused_why_not) == (said.fused is None)
    assert said.suppressed == (state is State.APL_SCOPE_CONFLICT)
    assert said.title and "diagnos" not in json.dumps(said.to_dict()).replace("diagnostic procedures", "")
    json.dumps(said.to_dict(), allow_nan=False)  # a file can hold it
    assert reconcile(counts, pictures, sample, person) == said  # the same again


def test_the_table_covers_every_state():
    assert {case[4] for case in STATES.values()} == set(State)


def test_inputs_come_before_anything_fused():
    said = reconcile(counted(), image("NPM1"), expression("NPM1"))
    keys = list(said.to_dict())
    assert keys.index("image") < keys.index("state") < keys.index("jensen_shannon_bits") < keys.index("fused")
    assert keys.index("expression") < keys.index("state")
    assert NOT_VALIDATED in said.fused.note and any(NOT_VALIDATED in n for n in said.notices)
    assert "expression-similar to NPM1" in said.expression_sentences()[0]
    assert "60.0 %" in said.image_sentences()[0]
    rows = {r.name: r for r in said.rows()}
    assert rows["NPM1"].image == rows["NPM1"].expression == 0.8 and math.isnan(rows["control"].expression)
    assert math.isnan(rows["KMT2Ar"].image) and rows["NPM1"].fused > 0.8  # AttentionAML alone spreads over 21


def test_a_withheld_call_is_shown_nowhere():
    said = reconcile(MANY_PROMYELOCYTES, image("PML_RARA"), expression("NPM1"))
    assert "NPM1" not in " ".join(said.expression_sentences()) and said.rows() == []
    assert said.to_dict()["expression"]["probabilities"] == {} and said.divergence_bits is None
    assert APL_NOTICE in said.notices


def test_the_apl_notice_stands_even_where_both_agree():
    assert APL_NOTICE in reconcile(MANY_PROMYELOCYTES, None, expression("other", TCGA)).notices
    assert reconcile(counted(), None, expression("other", TCGA)).notices == ()


@pytest.mark.parametrize("side", ["image", "expression"])
@pytest.mark.parametrize(("lacks", "word"), [({"calibrated": False}, "not calibrated"), ({"trained": ()}, "shares")])
def test_no_fused_number_without_calibration_and_shares(side, lacks, word):
    pictures = image("NPM1", **(lacks if side == "image" else {}))
    sample = expression("NPM1", **(lacks if side == "expression" else {}))
    said = reconcile(counted(), pictures, sample)
    assert said.state is State.CONCORDANT and said.fused is None
    assert word in said.fused_why_not and side in said.fused_why_not


# ---- what two lists of classes share -----------------------------------------------------------------------


def test_shared_classes_of_the_published_models():
    found = shared_classes(IMAGE, ATTENTION_AML)
    assert found.shared == ("CBFB::MYH11", "NPM1", "RUNX1::RUNX1T1")
    assert found.image_only == ("PML_RARA", "control")
    assert len(found.expression_only) == 18
    assert shared_classes(IMAGE, TCGA).shared == ("CBFB::MYH11", "PML::RARA", "RUNX1::RUNX1T1")


@pytest.mark.parametrize(("a", "b"), [
    ("RBM15::MKL1", "RBM15::MRTFA"), ("PML-RARA", "PML_RARA"), ("APL", "PML::RARA"), ("inv(16)", "CBFB::MYH11"),
    ("MNX1::ETV6", "ETV6::MNX1"), ("MLLr", "KMT2A rearrangement"), ("AML with NPM1 mutation", "NPM1"),
    ("KMT2A_PTD", "KMT2A-PTD"), ("ETS_family", "ETS family"), ("Healthy", "control"), ("t(8;21)", "RUNX1_RUNX1T1"),
])  # fmt: skip
def test_same_class_in_two_spellings(a, b):
    assert same_name(a) == same_name(b)


@pytest.mark.parametrize(("a", "b"), [
    ("RUNX1::RUNX1T1", "RUNX1::RUNX1T1-like"), ("CBFB::MYH11", "CBFB-GDXY"), ("KMT2Ar", "KMT2A-PTD"),
    ("control", "other"), ("NPM1", "NUP98r"), ("CEBPA", "CBFB"), ("GATA1", "GATA2"),
])  # fmt: skip
def test_near_names_stay_apart(a, b):
    assert same_name(a) != same_name(b)


def test_the_published_classes_are_all_different():
    assert len({same_name(c) for c in ATTENTION_AML}) == 21


def test_a_rest_is_never_shared():
    assert shared_classes(("NPM1", "other"), ("NPM1", "other")).shared == ("NPM1",)


# ---- what is counted ---------------------------------------------------------------------------------------


def test_slides_of_one_patient_are_added_up():
    a, b = differential(["MYO"] * 10 + ["NGS"] * 40), differential(["MOB"] * 30 + ["LYT"] * 20 + ["EBO"] * 9)
    both = morphology([("a", a), ("b", b)])
    assert (both.blasts, both.leukocytes, both.percent) == (40, 100, 40.0)
    assert (round(both.low, 1), round(both.high, 1)) == (30.3, 50.3)  # Clopper–Pearson, 40 of 100
    with pytest.raises(InputError, match="once"):
        morphology([("a", a), ("a", b)])


def test_no_leukocytes_is_said():
    empty = morphology([("a", differential([]))])
    assert math.isnan(empty.percent) and not empty.flagged and "No leukocytes" in empty.sentences()[0]


@pytest.mark.parametrize(("promyelocytes", "bilobed", "flagged"), [
    (0, 0, False), (2, 2, False), (3, 3, True), (8, 0, False), (20, 0, True),
])  # fmt: skip
def test_promyelocyte_flag(promyelocytes, bilobed, flagged):
    assert counted(blasts=0, promyelocytes=promyelocytes, bilobed=bilobed).flagged is flagged


def test_the_rule_can_be_set():
    table = differential(["PMB"] + ["NGS"] * 99)
    assert morphology([("a", table)], PromyelocyteRule(bilobed=1)).flagged
    assert isinstance(table, pd.DataFrame)


# ---- the fused number --------------------------------------------------------------------------------------

SHARED = shared_classes(("A", "B", "x"), ("A", "B", "y"))


def test_equal_weights_are_the_geometric_mean():
    p, q, flat = np.array([0.7, 0.2, 0.1]), np.array([0.5, 0.1, 0.4]), np.ones(3) / 3
    wanted = np.sqrt(p * q) / np.sqrt(p * q).sum()
    assert np.allclose(fuse(p, q, flat, flat, SHARED).probabilities, wanted)


def test_full_weights_are_bayes_with_independent_views():
    """With α = β = 1 the pool is p·q/π: two likelihoods and the prior once."""
    prior = np.array([0.2, 0.3, 0.5])
    like_a, like_b = np.array([0.9, 0.2, 0.4]), np.array([0.3, 0.8, 0.1])
    a, b = like_a * prior / (like_a * prior).sum(), like_b * prior / (like_b * prior).sum()
    wanted = like_a * like_b * prior / (like_a * like_b * prior).sum()
    options = FusionSettings(1, 1, dict(zip(("A", "B", "other"), prior, strict=True)))
    assert np.allclose(fuse(a, b, prior, prior, SHARED, options).probabilities, wanted)


def test_re_basing_takes_the_training_shares_out():
    """A model that only repeats its training shares leaves the prior as it is."""
    shares, prior = np.array([0.6, 0.3, 0.1]), {"A": 0.1, "B": 0.2, "other": 0.7}
    assert np.allclose(fuse(shares, shares, shares, shares, SHARED, FusionSettings(1, 1, prior)).probabilities,
                       [0.1, 0.2, 0.7])  # fmt: skip


def test_a_model_without_a_rest_says_nothing_of_it():
    p, trained = np.array([0.9, 0.1, 0.0]), np.array([0.5, 0.5, 0.0])
    prior = {"A": 0.3, "B": 0.3, "other": 0.4}
    out = fuse(p, np.array([0.3, 0.3, 0.4]), trained, np.array([0.3, 0.3, 0.4]), SHARED, FusionSettings(1, 1, prior))
    assert np.isclose(sum(out.probabilities), 1) and out.probabilities[2] == pytest.approx(0.4, abs=0.02)


def test_the_prior_must_fit():
    p = np.ones(3) / 3
    with pytest.raises(InputError, match="names 'C'"):
        fuse(p, p, p, p, SHARED, FusionSettings(prior={"C": 1}))
    with pytest.raises(InputError, match="all 0"):
        fuse(p, p, p, p, SHARED, FusionSettings(prior={"A": 0}))
    with pytest.raises(InputError, match="alpha"):
        FusionSettings(alpha=1.5)


simplex = st.lists(st.floats(0.001, 1), min_size=3, max_size=3).map(lambda v: np.array(v) / np.sum(v))


@settings(deadline=None)
@given(simplex, simplex, simplex, simplex, st.floats(0, 1), st.floats(0, 1))
def test_the_fused_number_is_a_distribution_and_symmetric(p, q, s, t, alpha, beta):
    one = fuse(p, q, s, t, SHARED, FusionSettings(alpha, beta)).probabilities
    other = fuse(q, p, t, s, SHARED, FusionSettings(beta, alpha)).probabilities
    assert np.isclose(sum(one), 1) and min(one) >= 0 and np.allclose(one, other)


@settings(deadline=None)
@given(simplex, simplex)
def test_divergence(p, q):
    from scipy.spatial.distance import jensenshannon

    assert divergence_bits(p, q) == pytest.approx(jensenshannon(p, q, 2) ** 2, abs=1e-9)
    assert divergence_bits(p, p) == 0
    assert divergence_bits(np.array([1, 0, 0]), np.array([0, 1, 0])) == 1


@pytest.mark.parametrize("wrong", [
    {"classes": ("A", "A"), "probabilities": (0.5, 0.5)}, {"classes": ("A", "B"), "probabilities": (0.5, 0.2)},
    {"classes": ("A", "B"), "probabilities": (float("nan"), 1.0)}, {"classes": ("A",), "probabilities": (0.5, 0.5)},
    {"classes": ("A", "B"), "probabilities": (0.5, 0.5), "trained": (1.0,)},
])  # fmt: skip
def test_calls_that_make_no_sense_are_refused(wrong):
    with pytest.raises(InputError):
        ImageCall(**wrong)
    with pytest.raises(InputError):
        ExpressionCall("S", **wrong)


def test_morphology_is_a_plain_value():
    assert counted() == counted() and isinstance(counted(), Morphology)
