"""Holds what the pictures say against what the expression says: deterministic states, both inputs, then a number.

Late fusion of two models that were never trained on the same patients. Which state holds depends on the two calls, on
what is known of the person and on the two class lists alone; the order of the checks is that of `_judged`. A fused
number exists only in `CONCORDANT` and `DISCORDANT`, and never replaces the two inputs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from napari_aml.review.comparison import TITLES, Concordance, Reason, Row, State
from napari_aml.review.fusion import NOT_VALIDATED, Fused, FusionSettings, collapsed, divergence_bits, fuse
from napari_aml.review.sides import ExpressionCall, ImageCall, Morphology, Person
from napari_aml.review.subtypes import APL, SharedClasses, is_apl, is_control, is_rest, shared_classes

__all__ = ["APL_NOTICE", "CONTROL_BLASTS_PERCENT", "TITLES", "Concordance", "Reason", "Row", "State", "reconcile"]

#: A lower limit of the blasts beyond this (percent of leukocytes) contradicts pictures that are called "control".
CONTROL_BLASTS_PERCENT = 5.0

APL_NOTICE = (
    f"The pattern of the pictures overlaps the training class {APL} or its promyelocytes. This tool can neither "
    "confirm nor exclude APL; follow your laboratory's urgent-review procedure."
)


@dataclass(frozen=True)
class _Case:
    """Everything that a check may look at."""

    morphology: Morphology | None
    image: ImageCall | None
    expression: ExpressionCall | None
    person: Person

    @property
    def flagged(self) -> bool:
        """Whether the pictures raise the question of APL."""
        by_model = self.image is not None and is_apl(self.image.called)
        return by_model or (self.morphology is not None and self.morphology.flagged)

    @property
    def control(self) -> bool:
        """Whether the image model passed its gate and says control."""
        return self.image is not None and self.image.passed and is_control(self.image.called)


@dataclass(frozen=True)
class _Calls:
    """Two calls, what the expression is called, and what the two models share."""

    image: ImageCall
    expression: ExpressionCall
    called: str
    classes: SharedClasses

    @property
    def sides(self) -> tuple[ImageCall | ExpressionCall, ...]:
        """Both calls, that of the pictures first."""
        return self.image, self.expression

    @classmethod
    def of(cls, image: ImageCall | None, expression: ExpressionCall | None) -> _Calls | None:
        """Take both sides; None unless both call."""
        if image is None or expression is None or expression.called is None:
            return None
        return cls(image, expression, expression.called, shared_classes(image.classes, expression.classes))


def reconcile(
    morphology: Morphology | None,
    image: ImageCall | None,
    expression: ExpressionCall | None,
    person: Person | None = None,
    settings: FusionSettings | None = None,
) -> Concordance:
    """Hold the two sides against each other.

    Parameters
    ----------
    morphology
        What was counted in the pictures; None without pictures.
    image
        The image model's call of the patient; None where none was made, which is a state of its own kind.
    expression
        The expression model's call; None where no sample is linked.
    person
        Age, declared sex, pseudonyms. What is not given is not checked, except the age where a model states its scope.
    settings
        Weights and prior of the fused number.

    Returns
    -------
    Concordance
        The same for the same inputs, whatever happened before.

    Notes
    -----
    Order of the checks: identity, APL outside the scope, control, anything missing or out of scope, classes that only
    one side has, then agreement. The first that applies gives the state.
    """
    both = _Calls.of(image, expression)
    case = _Case(morphology, image, expression, person or Person())
    state, reasons = _judged(case, both)
    notices = [APL_NOTICE] if case.flagged else []
    suppressed = state is State.APL_SCOPE_CONFLICT
    apart = None
    classes = both.classes if both is not None else None
    if both is not None and both.classes.shared and not suppressed and state is not State.IDENTITY_MISMATCH:
        apart = divergence_bits(*(collapsed(c.classes, c.probabilities, both.classes) for c in both.sides))
    fused, why_not = _fused(state, both, settings)
    if fused is not None:
        notices.append(f"The fused number is {NOT_VALIDATED}.")
    return Concordance(
        state, tuple(reasons), morphology, image, expression, classes, suppressed, apart, fused, why_not,
        tuple(notices),
    )  # fmt: skip


_Told = tuple[State, list[Reason]]
_Found = _Told | None


def _judged(case: _Case, both: _Calls | None) -> _Told:
    """Return what the first check that applies says."""
    for check in (_identity, _apl_scope, _control, _insufficient):
        if (found := check(case)) is not None:
            return found
    assert both is not None, "a side that does not call is insufficient"
    return _image_only(both) or _expression_only(both) or _agreement(both)


def _identity(case: _Case) -> _Found:
    reasons = []
    a, b = case.person.image_patient, case.person.expression_patient
    if a and b and a.strip().casefold() != b.strip().casefold():
        reasons.append(Reason("patient", "The slide and the sample carry different patient pseudonyms."))
    told, found = case.person.sex, case.expression.sex if case.expression is not None else None
    if told and found and told != found:
        reasons.append(Reason("sex", f"The declared sex is {told}; XIST in the sample says {found}."))
    return (State.IDENTITY_MISMATCH, reasons) if reasons else None


def _apl_scope(case: _Case) -> _Found:
    said = case.expression
    if not case.flagged or said is None or said.called is None or any(is_apl(c) for c in said.classes):
        return None
    text = (
        f"The pictures raise the question of {APL}, and the expression model has no such class: whatever it calls, it "
        "could not have called that. Its call is withheld."
    )
    return State.APL_SCOPE_CONFLICT, [Reason("apl_not_in_expression_model", text)]


def _control(case: _Case) -> _Found:
    if not case.control:
        return None
    reasons, counted, said = [], case.morphology, case.expression
    if counted is not None and counted.low > CONTROL_BLASTS_PERCENT:
        reasons.append(Reason(
            "blasts_in_control",
            f"The image model says control, but blasts are {counted.low:.1f} % or more (lower limit of the interval).",
        ))  # fmt: skip
    if said is not None and said.called is not None and said.passed and not is_control(said.called):
        reasons.append(Reason(
            "call_on_control",
            f"The image model says control, yet the expression was called {said.called}: a normal sample or one in "
            "remission is outside what an expression model of AML knows.",
        ))  # fmt: skip
    return (State.CONTROL_CONFLICT, reasons) if reasons else None


def _insufficient(case: _Case) -> _Found:
    image, said, reasons = case.image, case.expression, []
    if image is None:
        counted = "The pictures give a blast percentage, but no subtype to compare."
        text = counted if case.morphology is not None else "No picture of this patient was analysed."
        reasons.append(Reason("no_image_call", text))
    elif not image.passed:
        reasons += [Reason("image_gate", f"Image: {text}") for text in image.reasons or ("the gate was not passed.",)]
    if said is None or said.called is None:
        why = "; ".join(said.reasons) if said is not None and said.reasons else "no sample is linked."
        reasons.append(Reason("no_expression_call", f"Expression: {why}"))
    else:
        if not said.passed:
            listed = said.reasons or ("the gate was not passed.",)
            reasons += [Reason("expression_gate", f"Expression: {text}") for text in listed]
        if said.conformal_set is not None and not said.conformal_set:
            reasons.append(Reason("empty_set", "Expression: the sample fits none of the model's classes well enough."))
    for side, call in (("image", image), ("expression", said)):
        if call is not None:
            reasons += _age(side, call.age_scope, case.person.age)
    return (State.INSUFFICIENT, reasons) if reasons else None


def _age(side: str, scope: tuple[float, float] | None, age: float | None) -> list[Reason]:
    if scope is None:
        return []
    low, high = scope
    if age is None or not math.isfinite(age):
        text = f"The {side} model was trained on ages {low:g} to {high:g} years; the person's age is not given."
        return [Reason("age_unknown", text)]
    if low <= age <= high:
        return []
    text = f"Out of training age range: {age:g} years; the {side} model was trained on {low:g} to {high:g}."
    return [Reason("age_out_of_range", text)]


def _image_only(both: _Calls) -> _Found:
    called = both.image.called
    if both.classes.spelled(called) is not None:
        return None
    if is_rest(called):
        text = "The image model says only that it is none of its named classes."
    else:
        text = f"The expression model has no class {called}: it can neither support nor contradict it."
    reasons = [Reason("not_in_expression_model", text)]
    other = _expression_only(both)
    return State.IMAGE_ONLY_CLASS, reasons + (other[1] if other else [])


def _expression_only(both: _Calls) -> _Found:
    called = both.called
    if both.classes.spelled(called) is not None:
        return None
    said = ", ".join(both.image.classes)
    if is_rest(called):
        text = (
            "The expression model says only that it is none of its named classes; the image model has no such class: "
            f"it must choose among {said}."
        )
    else:
        text = f"The image model has no class {called}: it must choose among {said}, whatever the patient has."
    return State.EXPRESSION_ONLY_CLASS, [Reason("not_in_image_model", text)]


def _agreement(both: _Calls) -> _Told:
    image, said = both.classes.spelled(both.image.called), both.classes.spelled(both.called)
    if image == said:
        return State.CONCORDANT, [Reason("same_class", f"Both sides name {said}, a class that both models have.")]
    text = f"The pictures resemble {image}, the expression {said}; both models have both classes."
    reasons = [Reason("different_classes", text)]
    kept = {both.classes.spelled(c) for c in both.expression.conformal_set or ()}
    if image in kept:
        reasons.append(Reason("in_set", f"The expression does not rule out {image} either."))
    return State.DISCORDANT, reasons


def _fused(state: State, both: _Calls | None, settings: FusionSettings | None) -> tuple[Fused | None, str]:
    """Return the fused number where it is allowed, else why there is none."""
    if both is None or state not in (State.CONCORDANT, State.DISCORDANT):
        return None, "A fused number exists only where both sides name a class that both models have."
    for side, call in zip(("image", "expression"), both.sides, strict=True):
        if not call.calibrated:
            return None, f"The {side} model's probabilities are not calibrated, so they are not fused."
        if not call.trained:
            return None, f"The {side} model's card does not say its training shares, so it cannot be re-based."
    pairs = [collapsed(call.classes, call.probabilities, both.classes) for call in both.sides]
    shares = [collapsed(call.classes, np.asarray(call.trained, float), both.classes) for call in both.sides]
    shares = [s / s.sum() for s in shares]
    return fuse(pairs[0], pairs[1], shares[0], shares[1], both.classes, settings), ""
