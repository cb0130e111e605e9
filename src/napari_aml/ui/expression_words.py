"""From an opened expression file to what the dock's widgets show. Plain functions without Qt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

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

if TYPE_CHECKING:
    from napari_aml.review.patient_sample import Check, GeneEvidence, OpenedExpression, SamplePlaces
    from napari_aml.review.sides import ExpressionCall

_LEVELS = {level.word: level for level in Level}
_WORST = (Level.BAD, Level.LOOK, Level.UNKNOWN, Level.GOOD)


def lights(checks: Sequence[Check]) -> tuple[Light, ...]:
    """Return quality control as lights."""
    return tuple(Light(c.name, _LEVELS[c.level], c.text) for c in checks)


def sample_rows(opened: OpenedExpression, withheld: frozenset[str] = frozenset()) -> tuple[SampleRow, ...]:
    """Return the samples of a file for the chooser, in the file's order.

    Parameters
    ----------
    opened
        The file.
    withheld
        Samples whose call must not be shown.
    """
    rows = []
    for sample in opened.samples:
        call = opened.call(sample)
        levels = {light.level for light in lights(opened.checks(sample))}
        bad = call.called is None or not call.passed
        level = Level.BAD if bad else next((w for w in _WORST if w in levels and w is not Level.UNKNOWN), Level.GOOD)
        if sample in withheld:
            rows.append(SampleRow(sample, "withheld", level=Level.BAD))
            continue
        rows.append(SampleRow(sample, call.called or "no call", call.probability, level))
    return tuple(rows)


def call_view(opened: OpenedExpression, sample: str, sex: str | None = None, withheld: str = "") -> CallView:
    """Return one sample's call for the call panel.

    Parameters
    ----------
    opened, sample
        The file and one of its samples.
    sex
        Declared sex, compared with that of the sample.
    withheld
        Why the call must not be shown; empty where it may.
    """
    call = opened.call(sample)
    shown = lights(opened.checks(sample, sex))
    if withheld:
        return CallView(sample, lights=shown, of_file=opened.file_warnings, withheld=withheld)
    remarks = tuple(dict.fromkeys((*call.reasons, *opened.remarks.get(sample, ()))))
    return CallView(
        sample, call.called or "", call.probability, _bars(call), _set_text(call, opened.set_level), shown, remarks,
        opened.file_warnings, call.passed,
    )  # fmt: skip


def _bars(call: ExpressionCall) -> tuple[ProbabilityBar, ...]:
    colours = subtype_colours(call.classes)
    order = np.argsort(-np.asarray(call.probabilities, float), kind="stable")
    # Without sets nothing is ruled out: no bar is pale.
    kept = call.classes if call.conformal_set is None else call.conformal_set
    return tuple(
        ProbabilityBar(call.classes[k], float(call.probabilities[k]), call.classes[k] in kept, colours[call.classes[k]])
        for k in order
    )


def _set_text(call: ExpressionCall, level: float | None) -> str:
    if call.called is None:
        return ""
    if call.conformal_set is None:
        return "This model makes no sets of classes: it was not calibrated."
    at = "" if level is None else f" at {100 * level:g} %"
    if not call.conformal_set:
        return f"No class fits the sample well enough{at}."
    if len(call.conformal_set) == 1:
        return f"● Every other class is ruled out{at}."
    return f"● Not ruled out{at}: {', '.join(call.conformal_set)}."


def attribution_view(sample: str, found: GeneEvidence) -> AttributionView:
    """Return one sample's gene attributions for the panel."""
    genes = tuple(GeneBar(g, float(v), t) for g, v, t in found.genes)
    return AttributionView(sample, found.target, genes, found.note, found.complete)


def map_view(opened: OpenedExpression, places: SamplePlaces, withheld: frozenset[str] = frozenset()) -> MapView:
    """Return the sample map, coloured by call.

    Parameters
    ----------
    opened, places
        The file and where its samples lie.
    withheld
        Samples whose call must not be shown.
    """
    calls = {s: ("withheld" if s in withheld else opened.call(s).called or "no call") for s in places.samples}
    groups = tuple(places.groups.get(s) or calls[s] for s in places.samples)
    colours = subtype_colours(opened.call(opened.samples[0]).classes or opened.classes)
    known = dict(subtype_colours(opened.classes), **colours)
    return MapView(places.samples, groups, places.places, known, places.axes, places.note)
