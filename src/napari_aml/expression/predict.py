"""Prepared samples become subtype calls: one sample's call never depends on the others."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_aml.errors import InputError
from napari_aml.expression.bundle import ExpressionBundle, load_expression_bundle
from napari_aml.progress import Progress, Steps, run
from napari_aml.statistics.calibration import softmax

if TYPE_CHECKING:
    from napari_aml.expression.matrix import ExpressionMatrix
    from napari_aml.expression.prepare import PreparedSamples

Status = Literal["ok", "warning", "unstable", "unlike training", "out of training age range", "refused"]


@dataclass(frozen=True)
class SubtypeCall:
    """What a model says of one sample: which training class its expression is similar to. Never a diagnosis.

    Attributes
    ----------
    sample
        Name.
    subtype
        The likeliest class; empty where refused.
    probability
        Its calibrated probability, among the model's classes; NaN where refused.
    probabilities
        Class → probability, in the model's order; empty where refused.
    conformal_set
        Classes that cannot be excluded at the model's stated error, likeliest first, the called one always among
        them; None where the model was not
        calibrated.
    insufficient
        Classes with too few calibration samples ever to be excluded.
    status
        ``ok``; ``warning`` (see `warnings`); ``unstable`` (many genes missing, or the call hangs on how they are
        filled); ``unlike training``; ``out of training age range``; ``refused``.
    missing
        Genes of the panel that the file lacks.
    warnings
        A sentence each.
    unlike, unlike_threshold
        Score of unlikeness (`ProfileLikeness`: one minus a correlation) and its threshold; NaN where the model has
        none.
    units
        Units of the file.
    """

    sample: str
    subtype: str
    probability: float
    probabilities: dict[str, float]
    conformal_set: tuple[str, ...] | None
    insufficient: tuple[str, ...]
    status: Status
    missing: tuple[str, ...]
    warnings: tuple[str, ...]
    unlike: float
    unlike_threshold: float
    units: str

    @property
    def statement(self) -> str:
        """The call in words."""
        if self.status == "refused":
            return "No call."
        return f"Expression-similar to {self.subtype} ({100 * self.probability:.0f} %)."


def call_steps(
    prepared: PreparedSamples, bundle: ExpressionBundle, ages: Mapping[str, float] | None = None
) -> Steps[list[SubtypeCall]]:
    """Call prepared samples, yielding progress.

    Parameters
    ----------
    prepared
        Samples in the bundle's panel.
    bundle
        The model.
    ages
        Sample → age in years, as far as known: compared with the ages the model was trained on.

    Raises
    ------
    InputError
        When the samples were prepared for another panel.
    """
    from napari_aml._torch import torch

    if tuple(prepared.panel) != tuple(bundle.genes):
        raise InputError("The samples were prepared for another model's genes.", "Prepare them for this bundle.")
    network = bundle.network()
    calls: list[SubtypeCall] = []
    last = time.monotonic()
    values = prepared.values
    # Missing genes are filled with the training mean where there is one: "not measured" is not "not expressed".
    filled = prepared.reference_values if prepared.reference_values is not None else values
    for i in range(len(prepared.samples)):
        # One row at a time: in a larger product the order of additions, and with it the last digits, may change.
        with torch.inference_mode():
            rows = (filled[i : i + 1],) if filled is values else (filled[i : i + 1], values[i : i + 1])
            logits = [network(torch.from_numpy(np.ascontiguousarray(r, np.float32))).double().numpy()[0] for r in rows]
        calls.append(_call(prepared, bundle, i, logits, filled[i], (ages or {}).get(prepared.samples[i])))
        if time.monotonic() - last > 0.2:
            last = time.monotonic()
            yield Progress(i + 1, len(prepared.samples), "Calling samples")
    yield Progress(len(prepared.samples), len(prepared.samples), "Calling samples")
    return calls


def call(
    prepared: PreparedSamples, bundle: ExpressionBundle, ages: Mapping[str, float] | None = None
) -> list[SubtypeCall]:
    """Call prepared samples; `call_steps` driven to its end."""
    return run(call_steps(prepared, bundle, ages))


def predict_steps(
    data: str | Path | ExpressionMatrix,
    bundle: str | Path | ExpressionBundle | None = None,
    *,
    ages: Mapping[str, float] | None = None,
    lengths: Any = None,
    **reading: Any,
) -> Steps[list[SubtypeCall]]:
    """Read a file, prepare its samples for a bundle and call them, yielding progress.

    Parameters
    ----------
    data
        An expression file, or a matrix already read.
    bundle
        See `load_expression_bundle`.
    ages
        See `call_steps`.
    lengths
        `GeneLengths` or a table of them.
    reading
        Overrides of `read_expression`.
    """
    from napari_aml.expression.lengths import GeneLengths, read_lengths
    from napari_aml.expression.prepare import prepare_steps
    from napari_aml.expression.reading import read_expression_steps

    model = load_expression_bundle(bundle)
    if isinstance(data, str | Path):
        matrix = yield from read_expression_steps(data, genes=model.genes, **reading)
    else:
        matrix = data
    held = lengths if lengths is None or isinstance(lengths, GeneLengths) else read_lengths(lengths)
    prepared = yield from prepare_steps(
        matrix, model.genes, lengths=held, accepts_uncorrected=model.accepts_uncorrected and held is None,
        reference=model.reference if model.summary else None,
    )  # fmt: skip
    return (yield from call_steps(prepared, model, ages))


def predict(data: str | Path | ExpressionMatrix, bundle: Any = None, **settings: Any) -> list[SubtypeCall]:
    """Read, prepare and call; `predict_steps` driven to its end."""
    return run(predict_steps(data, bundle, **settings))


def unlikeness(bundle: ExpressionBundle, x: np.ndarray) -> np.ndarray:
    """Return the score of unlikeness of prepared rows (n, genes), NaN where the bundle has none."""
    if bundle.likeness is None:
        return np.full(len(x), np.nan)
    return bundle.likeness.score(x)


def _call(
    prepared: PreparedSamples, bundle: ExpressionBundle, i: int, logits: list[np.ndarray], row: np.ndarray,
    age: float | None,
) -> SubtypeCall:  # fmt: skip
    warnings = list(prepared.warnings[i])
    of_sample = partial(SubtypeCall, sample=prepared.samples[i], missing=prepared.missing, units=prepared.units)
    insufficient = bundle.conformal.insufficient if bundle.conformal else ()
    threshold = bundle.likeness.threshold if bundle.likeness else float("nan")
    if prepared.status[i] == "unusable" or not all(np.isfinite(v).all() for v in logits):
        return of_sample(
            subtype="", probability=float("nan"), probabilities={}, conformal_set=None, insufficient=insufficient,
            status="refused", warnings=tuple(warnings), unlike=float("nan"), unlike_threshold=threshold,
        )  # fmt: skip
    main, zeros = softmax(logits[0], bundle.temperature), softmax(logits[-1], bundle.temperature)
    best = int(main.argmax())
    codes = bundle.codes
    flipped = int(zeros.argmax()) != best
    if flipped:
        warnings.append(
            f"With missing genes as zero the call would be {codes[int(zeros.argmax())]} ({100 * zeros.max():.0f} %): "
            "it hangs on genes that were not measured."
        )
    unlike = float(unlikeness(bundle, row[None])[0])
    if unlike > threshold:
        warnings.append(
            f"Unlike anything in training: it correlates by {1 - unlike:.2f} with the most similar typical profile of "
            f"the training data; below {1 - threshold:.2f} a sample counts as unlike."
        )
    ages = bundle.age_range
    outside = False
    if age is not None and ages is not None and not ages[0] <= age <= ages[1]:
        outside = True
        warnings.append(f"Age {age:g} is outside the training samples' range of {ages[0]:g} to {ages[1]:g} years.")
    held = bundle.conformal.sets(main[None], with_best=True)[0] if bundle.conformal else None
    return of_sample(
        subtype=codes[best], probability=float(main[best]),
        probabilities={c: float(p) for c, p in zip(codes, main, strict=True)}, conformal_set=held,
        insufficient=insufficient, status=_status(prepared.status[i], flipped, unlike > threshold, outside),
        warnings=tuple(warnings), unlike=unlike, unlike_threshold=threshold,
    )  # fmt: skip


def _status(prepared: str, flipped: bool, unlike: bool, outside: bool) -> Status:
    """Return the gravest."""
    if outside:
        return "out of training age range"
    if unlike:
        return "unlike training"
    if flipped or prepared == "unstable":
        return "unstable"
    return "warning" if prepared == "warning" else "ok"
