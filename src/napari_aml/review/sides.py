"""The two sides that are held against each other: what the pictures of a patient say, what the expression says.

Plain values only. The classes know neither networks nor files, so that every state can be tested from a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from napari_aml.errors import InputError
from napari_aml.review.counting import SUMS, exact_interval

if TYPE_CHECKING:
    import pandas as pd

#: Codes of the differential that can be promyelocytes of acute promyelocytic leukaemia.
_PROMYELOCYTES, _BILOBED = ("PMO", "PMB"), "PMB"


@dataclass(frozen=True, slots=True)
class PromyelocyteRule:
    """When promyelocytes are so many that the pictures may show acute promyelocytic leukaemia (APL).

    Neither limit is published or validated: they are set so that a left shift does not raise the flag. The flag asks
    a person to look; its absence says nothing.

    Attributes
    ----------
    bilobed
        So many bilobed promyelocytes (PMB) raise it.
    percent
        The lower limit of the exact interval of all promyelocytes (PMO and PMB), percent of leukocytes, beyond
        which it is raised.
    """

    bilobed: int = 3
    percent: float = 5.0


@dataclass(frozen=True, slots=True)
class Morphology:
    """What was counted in the pictures of one patient.

    Attributes
    ----------
    slide_ids
        The slides counted.
    blasts, leukocytes
        Blasts of leukocytes, over all slides.
    percent, low, high
        Percent of leukocytes and its exact interval; NaN without leukocytes.
    promyelocytes, bilobed
        PMO and PMB together; PMB alone.
    flagged
        Whether `PromyelocyteRule` was met.
    confidence
        Of the interval, 0…1.
    """

    slide_ids: tuple[str, ...]
    blasts: int
    leukocytes: int
    percent: float
    low: float
    high: float
    promyelocytes: int = 0
    bilobed: int = 0
    flagged: bool = False
    confidence: float = 0.95

    def sentences(self) -> list[str]:
        """Say it in words."""
        slides = f"{len(self.slide_ids)} slide{'s' if len(self.slide_ids) != 1 else ''}"
        if not self.leukocytes:
            return [f"No leukocytes were counted on {slides}."]
        out = [
            f"Blasts {self.percent:.1f} % ({self.blasts} of {self.leukocytes} leukocytes on {slides}; exact "
            f"{100 * self.confidence:g} % interval {self.low:.1f} to {self.high:.1f} %)."
        ]
        if self.flagged:
            out.append(f"Promyelocyte flag: {self.promyelocytes} promyelocytes, {self.bilobed} of them bilobed.")
        return out


def morphology(
    counts: Sequence[tuple[str, pd.DataFrame]], rule: PromyelocyteRule | None = None, confidence: float = 0.95
) -> Morphology:
    """Add up the differentials of a patient's slides.

    Parameters
    ----------
    counts
        (slide_id, table from `differential`) of each slide.
    rule
        When the promyelocyte flag is raised.
    confidence
        Of the interval, 0…1.

    Raises
    ------
    InputError
        Without any slide, or when a slide stands there twice.
    """
    rule = rule or PromyelocyteRule()
    ids = tuple(slide_id for slide_id, _ in counts)
    if not ids or len(set(ids)) != len(ids):
        raise InputError("Counting a patient's slides needs each slide once.", "Link each slide once.")
    blasts, white, all_promyelocytes, bilobed = (
        sum(_count(table, codes) for _, table in counts)
        for codes in (("BLASTS",), ("LEUKOCYTES",), _PROMYELOCYTES, (_BILOBED,))
    )
    low, high = (100 * float(v) for v in exact_interval(blasts, white, confidence))
    least = 100 * float(exact_interval(all_promyelocytes, white, confidence)[0])
    percent = 100 * blasts / white if white else float("nan")
    flagged = bilobed >= rule.bilobed or least > rule.percent
    return Morphology(ids, blasts, white, percent, low, high, all_promyelocytes, bilobed, flagged, confidence)


def _count(table: pd.DataFrame, codes: Sequence[str]) -> int:
    assert {"LEUKOCYTES", "BLASTS"} <= set(SUMS)
    return int(table.loc[table["code"].isin(codes), "count"].sum())


@dataclass(frozen=True, slots=True)
class ImageCall:
    """What an image model says of a patient's subtype, from the cells of their slides.

    Attributes
    ----------
    classes, probabilities
        (k,) the model's classes and what it gives them.
    bundle_id
        Which model.
    passed
        Whether its own gate (enough cells, like the training data) was passed.
    reasons
        Why not.
    calibrated
        Whether its probabilities were calibrated.
    trained
        (k,) shares of the classes in its training; empty where its card does not say them.
    age_scope
        Ages in years it was trained on, both included; None where its card does not say them.
    """

    classes: tuple[str, ...]
    probabilities: tuple[float, ...]
    bundle_id: str = ""
    passed: bool = True
    reasons: tuple[str, ...] = ()
    calibrated: bool = False
    trained: tuple[float, ...] = ()
    age_scope: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        _check(self.classes, self.probabilities, self.trained, "image")

    @property
    def called(self) -> str:
        """The most probable class; the first of equals."""
        return self.classes[int(np.argmax(self.probabilities))]

    @property
    def probability(self) -> float:
        """Its probability."""
        return float(max(self.probabilities))


@dataclass(frozen=True, slots=True)
class ExpressionCall:
    """What an expression model says of one sample.

    Attributes
    ----------
    sample
        Its name in the file.
    classes, probabilities
        (k,) the model's classes and what it gives them; both empty where the model refused the sample.
    bundle_id
        Which model.
    passed
        Whether quality control, the share of genes and the unlike-training score allow the call.
    reasons
        Why not.
    conformal_set
        Classes that the model cannot rule out; None where the bundle makes no sets, empty: none fits.
    calibrated, trained, age_scope
        As in `ImageCall`.
    sex
        ``female`` or ``male`` as XIST says it, None where it cannot say.
    """

    sample: str
    classes: tuple[str, ...] = ()
    probabilities: tuple[float, ...] = ()
    bundle_id: str = ""
    passed: bool = True
    reasons: tuple[str, ...] = ()
    conformal_set: tuple[str, ...] | None = None
    calibrated: bool = False
    trained: tuple[float, ...] = ()
    age_scope: tuple[float, float] | None = None
    sex: str | None = None

    def __post_init__(self) -> None:
        if self.classes or self.probabilities:
            _check(self.classes, self.probabilities, self.trained, "expression")

    @property
    def called(self) -> str | None:
        """The most probable class, the first of equals; None where the model refused the sample."""
        return self.classes[int(np.argmax(self.probabilities))] if self.classes else None

    @property
    def probability(self) -> float:
        """Its probability; NaN without a call."""
        return float(max(self.probabilities)) if self.classes else float("nan")


@dataclass(frozen=True, slots=True)
class Person:
    """What is known of the person whose slides and sample these are. Nothing here is an identity of the outside world.

    Attributes
    ----------
    age
        Years; None where nobody gave it.
    sex
        ``female`` or ``male`` as declared; None where nobody gave it.
    image_patient, expression_patient
        Pseudonyms of the patient on the slide's and on the sample's side; compared where both are given.
    """

    age: float | None = None
    sex: str | None = None
    image_patient: str | None = field(default=None)
    expression_patient: str | None = field(default=None)


def _check(classes: Sequence[str], probabilities: Sequence[float], trained: Sequence[float], side: str) -> None:
    p = np.asarray(probabilities, float)
    if not len(classes) or p.shape != (len(classes),) or len(set(classes)) != len(classes):
        raise InputError(
            f"The {side} call has {len(classes)} classes and {p.size} probabilities.", "Give one for each class, once."
        )
    if not np.isfinite(p).all() or (p < 0).any() or abs(p.sum() - 1) > 1e-3:
        raise InputError(f"The probabilities of the {side} call do not sum to 1.", "Check the bundle that made it.")
    if len(trained) not in (0, len(classes)):
        raise InputError(f"The {side} call has {len(trained)} training shares for {len(classes)} classes.")
