"""The report's section on the patient's expression, and expression.json: both inputs, the state, then numbers."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from napari_aml import RESEARCH_USE
from napari_aml.review.comparison import Concordance, State

if TYPE_CHECKING:
    from napari_aml.review.patient_sample import GeneEvidence, OpenedExpression

#: The file in a results folder.
FILE = "expression.json"
FORMAT = "napari-aml-expression"
#: State → colour of its band, dark enough for white text.
_BANDS = {
    State.CONCORDANT: "#2e7d4f", State.DISCORDANT: "#b3541e", State.CONTROL_CONFLICT: "#b3541e",
    State.APL_SCOPE_CONFLICT: "#b02a37", State.IDENTITY_MISMATCH: "#b02a37",
}  # fmt: skip
_GREY = "#5a6472"
_MOST_GENES = 12
#: A class that only one side has is listed from this probability on.
_LEAST = 0.02


@dataclass(frozen=True)
class ExpressionPart:
    """What a report says of the expression of a slide's patient.

    Attributes
    ----------
    concordance
        Both inputs and how they stand to each other.
    facts
        Name and value of what was read: hash of the file, units, genes, model. Neither paths nor file names.
    quality
        (level, name, text) of each quality-control light; levels ``fine``, ``look``, ``bad``, ``not known``.
    warnings
        What a reader must know before believing the call.
    genes
        (gene, attribution), strongest first.
    genes_note
        What the attributions rest on, with the completeness check.
    model
        The model's card in lines.
    """

    concordance: Concordance
    facts: tuple[tuple[str, str], ...] = ()
    quality: tuple[tuple[str, str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    genes: tuple[tuple[str, float], ...] = ()
    genes_note: str = ""
    model: tuple[str, ...] = ()


def report_part(
    opened: OpenedExpression,
    sample: str,
    concordance: Concordance,
    evidence: GeneEvidence | None = None,
    sex: str | None = None,
) -> ExpressionPart:
    """Return what a report says of a sample.

    Parameters
    ----------
    opened, sample
        The file and the sample.
    concordance
        Both inputs and how they stand to each other.
    evidence
        The genes that the call rests on; None where there is no call to explain, or it is withheld.
    sex
        Declared sex.
    """

    def clean(text: str) -> str:
        """Take out the file's path and name, and the names of its other samples: each may name a patient."""
        for name in (str(opened.path.absolute()), str(opened.path), opened.path.name):
            text = text.replace(f"'{name}'", "the file").replace(name, "the file")
        for other in others:
            text = text.replace(f"'{other}'", "another sample")
        return text

    others = [name for name in opened.samples if name != sample]

    genes: tuple[tuple[str, float], ...] = ()
    note = ""
    if evidence is not None and not concordance.suppressed:
        genes = tuple((gene, float(value)) for gene, value, _ in evidence.genes)
        note = f"Attributions for {evidence.target}. {evidence.note}"
    card = [] if opened.bundle is None else opened.bundle.card_summary().splitlines()
    return ExpressionPart(
        concordance,
        tuple((name, clean(value)) for name, value in opened.facts),
        tuple((c.level, c.name, clean(c.text)) for c in opened.checks(sample, sex)),
        tuple(dict.fromkeys(clean(w) for w in opened.warnings(sample))),
        genes,
        note,
        tuple(line.strip() for line in card if line.strip()),
    )


def expression_context(part: ExpressionPart) -> dict[str, Any]:
    """Return what the template of the section needs.

    Parameters
    ----------
    part
        What is to be said.
    """
    said, call = part.concordance, part.concordance.expression
    rows = [r for r in said.rows() if not (math.isnan(r.image) and math.isnan(r.expression))]
    listed = [r for r in rows if _shared(r) or max(_or_zero(r.image), _or_zero(r.expression)) >= _LEAST]
    genes = [] if said.suppressed else part.genes[:_MOST_GENES]
    most = max((abs(v) for _, v in genes), default=1.0) or 1.0
    return {
        "said": said,
        "band": _BANDS.get(said.state, _GREY),
        "title": said.title,
        "image": said.image_sentences(),
        "expression": said.expression_sentences(),
        "bars": [] if said.suppressed or call is None else _bars(call.classes, call.probabilities, call.conformal_set),
        "rows": [(r.name, _figure(r.image), _figure(r.expression)) for r in listed],
        "few": len(rows) - len(listed),
        "fused": [] if said.fused is None else [
            (c, _figure(p), _figure(s))
            for c, p, s in zip(said.fused.classes, said.fused.probabilities, said.fused.prior, strict=True)
        ],
        "facts": part.facts, "quality": part.quality, "warnings": part.warnings, "model": part.model,
        "genes": [(g, f"{v:+.3g}", _gene_bar(v / most)) for g, v in genes], "genes_note": part.genes_note,
    }  # fmt: skip


def _shared(row: Any) -> bool:
    return not (math.isnan(row.image) or math.isnan(row.expression))


def _or_zero(value: float) -> float:
    return 0.0 if math.isnan(value) else value


def _figure(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f}"


def _bars(
    classes: tuple[str, ...], probabilities: tuple[float, ...], kept: tuple[str, ...] | None
) -> list[dict[str, Any]]:
    """Return the classes with their probabilities, most probable first: the first eight and all of the set."""
    ranked = sorted(zip(classes, probabilities, strict=True), key=lambda pair: -pair[1])
    return [
        {"name": name, "probability": p, "in_set": kept is not None and name in kept}
        for i, (name, p) in enumerate(ranked)
        if i < 8 or (kept is not None and name in kept)
    ]


def _gene_bar(share: float, width: int = 220) -> Markup:
    """Return one bar around a middle line: right for the class, left against it."""
    middle, length = width / 2, abs(share) * width / 2
    x, colour = (middle, "#d55e00") if share >= 0 else (middle - length, "#0072b2")
    return Markup(
        f'<svg class="bar" viewBox="0 0 {width} 14" width="{width}" height="14" role="img" '
        f'aria-label="{escape(f"{share:+.2f} of the strongest")}">'
        f'<rect x="{x:.1f}" y="2" width="{max(length, 0.5):.1f}" height="10" fill="{colour}"/>'
        f'<line x1="{middle}" x2="{middle}" y1="0" y2="14" stroke="#1f2933"/></svg>'
    )


def write_expression(part: ExpressionPart, folder: Path) -> Path:
    """Write expression.json: inputs, state and numbers as plain values; no path, no file name.

    Parameters
    ----------
    part
        What is to be said.
    folder
        The results folder.
    """
    said = part.concordance
    told = {
        "format": FORMAT, "format_version": 1, "research_use": RESEARCH_USE,
        "sample": None if said.expression is None else said.expression.sample,
        "read": dict(part.facts),
        "quality": [{"level": level, "name": name, "text": text} for level, name, text in part.quality],
        "warnings": list(part.warnings),
        "attributions": {} if said.suppressed else {gene: float(value) for gene, value in part.genes},
        "concordance": said.to_dict(),
    }  # fmt: skip
    path = folder / FILE
    path.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return path
