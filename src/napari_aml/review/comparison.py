"""What comes out of holding picture and expression against each other: a state, why, and both inputs.

The two inputs come before anything that was computed from them, in every form this takes: sentences, rows, file.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from napari_aml import RESEARCH_USE
from napari_aml.review.fusion import Fused
from napari_aml.review.sides import ExpressionCall, ImageCall, Morphology
from napari_aml.review.subtypes import OTHER, SharedClasses, similar_to


class State(StrEnum):
    """How the two sides stand to each other."""

    CONCORDANT = "concordant"
    DISCORDANT = "discordant"
    IMAGE_ONLY_CLASS = "image_only_class"
    EXPRESSION_ONLY_CLASS = "expr_only_class"
    APL_SCOPE_CONFLICT = "apl_scope_conflict"
    CONTROL_CONFLICT = "control_conflict"
    INSUFFICIENT = "insufficient"
    IDENTITY_MISMATCH = "identity_mismatch"


TITLES: dict[State, str] = {
    State.CONCORDANT: "Both sides name the same class",
    State.DISCORDANT: "The two sides name different classes",
    State.IMAGE_ONLY_CLASS: "The expression model has no such class",
    State.EXPRESSION_ONLY_CLASS: "The image model has no such class",
    State.APL_SCOPE_CONFLICT: "The pictures may lie outside what the expression model knows (APL)",
    State.CONTROL_CONFLICT: "Pictures of a control, and yet signs of leukaemia",
    State.INSUFFICIENT: "Not enough to compare",
    State.IDENTITY_MISMATCH: "Slide and sample may not be of one person",
}


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a state holds.

    Attributes
    ----------
    code
        A word for machines: ``no_image_call``, ``sex``, ``age_out_of_range`` …
    text
        For people.
    """

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Row:
    """One class of the comparison; NaN where a side does not have it."""

    name: str
    image: float
    expression: float
    fused: float = math.nan


@dataclass(frozen=True)
class Concordance:
    """How picture and expression stand to each other, with both inputs.

    Attributes
    ----------
    state, reasons
        The state and why it holds.
    morphology, image, expression
        Both inputs as they came; shown before anything computed from them.
    classes
        What the two models share; None unless both called.
    suppressed
        Whether the expression call must not be shown as a call (`State.APL_SCOPE_CONFLICT`).
    divergence_bits
        Jensen–Shannon divergence of the two calls over the shared classes and the rest, 0…1; None where they cannot be
        compared.
    fused
        Only where `state` allows and both sides are calibrated.
    fused_why_not
        Why there is no fused number; empty where there is one.
    notices
        What must be read whatever the state.
    """

    state: State
    reasons: tuple[Reason, ...]
    morphology: Morphology | None
    image: ImageCall | None
    expression: ExpressionCall | None
    classes: SharedClasses | None = None
    suppressed: bool = False
    divergence_bits: float | None = None
    fused: Fused | None = None
    fused_why_not: str = ""
    notices: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The state in words."""
        codes = {r.code for r in self.reasons}
        if self.state is State.INSUFFICIENT and "no_image_call" in codes:
            return "No image call to compare with"
        if self.state is State.INSUFFICIENT and "no_expression_call" in codes:
            return "No expression call to compare with"
        if codes & {"age_out_of_range"}:
            return "Out of training age range"
        return TITLES[self.state]

    def image_sentences(self) -> list[str]:
        """Say what the pictures say, on its own."""
        counted = self.morphology
        out = ["No picture was analysed, so nothing was counted."] if counted is None else counted.sentences()
        if self.image is None:
            out.append("No subtype was called from the pictures.")
        else:
            out.append(f"Image model: resembles {self.image.called} ({self.image.probability:.2f}).")
        return out

    def expression_sentences(self) -> list[str]:
        """Say what the expression says, on its own; a suppressed call is not said."""
        said = self.expression
        if said is None:
            return ["No expression sample is linked."]
        if said.called is None:
            return [f"Sample {said.sample}: no call.", *said.reasons]
        if self.suppressed:
            return [f"Sample {said.sample}: the call is withheld, see the state."]
        out = [f"Sample {said.sample}: {similar_to(said.called, said.probability)}."]
        if not said.passed:
            out.append("The call did not pass its checks: do not rely on it.")
        if said.conformal_set is not None:
            named = ", ".join(said.conformal_set) or "none of the classes"
            out.append(f"Not ruled out: {named}.")
        return out

    def rows(self) -> list[Row]:
        """Return the classes of both calls: the shared ones with both numbers, then each side's own."""
        if self.classes is None or self.image is None or self.expression is None or self.suppressed:
            return []
        mine = dict(zip(self.image.classes, self.image.probabilities, strict=True))
        theirs = dict(zip(self.expression.classes, self.expression.probabilities, strict=True))
        spelled = {self.classes.spelled(name): p for name, p in mine.items()}
        fused = dict(zip(self.fused.classes, self.fused.probabilities, strict=True)) if self.fused else {}
        out = [Row(c, spelled[c], theirs[c], fused.get(c, math.nan)) for c in self.classes.shared]
        out += [Row(c, mine[c], math.nan) for c in self.classes.image_only]
        out += [Row(c, math.nan, theirs[c]) for c in self.classes.expression_only]
        if self.fused:
            out.append(Row(f"{OTHER} (fused)", math.nan, math.nan, fused[OTHER]))
        return out

    def to_dict(self) -> dict[str, Any]:
        """Return it for a file: plain values, the inputs before what follows from them."""
        image, said = self.image, self.expression
        return {
            "research_use": RESEARCH_USE,
            "image": {
                "says": self.image_sentences(),
                "probabilities": {} if image is None else dict(zip(image.classes, image.probabilities, strict=True)),
                "model": image.bundle_id if image is not None else None,
            },
            "expression": {
                "says": self.expression_sentences(),
                "probabilities": (
                    {} if said is None or self.suppressed
                    else dict(zip(said.classes, said.probabilities, strict=True))
                ),
                "model": said.bundle_id if said is not None else None,
            },
            "state": self.state.value,
            "title": self.title,
            "reasons": [{"code": r.code, "text": r.text} for r in self.reasons],
            "shared_classes": list(self.classes.shared) if self.classes is not None else [],
            "jensen_shannon_bits": self.divergence_bits,
            "fused": None if self.fused is None else {
                "probabilities": dict(zip(self.fused.classes, self.fused.probabilities, strict=True)),
                "prior": dict(zip(self.fused.classes, self.fused.prior, strict=True)),
                "alpha": self.fused.alpha, "beta": self.fused.beta, "note": self.fused.note,
            },
            "fused_why_not": self.fused_why_not,
            "notices": list(self.notices),
        }  # fmt: skip
