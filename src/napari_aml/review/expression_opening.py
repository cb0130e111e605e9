"""A file of expression values is opened for review: hashed, read, checked, called, each sample on its own."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_aml.progress import Progress, Result, Steps
from napari_aml.review.from_models import expression_side, quality_checks
from napari_aml.review.links import hash_steps
from napari_aml.review.patient_sample import OpenedExpression

if TYPE_CHECKING:
    from napari_aml.expression import ExpressionMatrix, GeneLengths, PreparedSamples
    from napari_aml.expression.bundle import ExpressionBundle

_SCALE = 1000


def open_expression_steps(
    path: str | Path,
    *,
    model: ExpressionBundle | str | Path | None = None,
    units: str | None = None,
    lengths: str | Path | None = None,
    samples: tuple[str, ...] | None = None,
    **reading: Any,
) -> Steps[OpenedExpression]:
    """Open a file of expression values and call its samples, yielding progress.

    Parameters
    ----------
    path
        A file, or a folder of one-sample files.
    model
        A bundle, its folder or name; None for the shipped one.
    units
        As a person says them; None looks.
    lengths
        Table or GTF with gene lengths; None takes those in the file, else the bundled ones.
    samples
        Names of the samples wanted; None takes all.
    **reading
        Further overrides of `expression.read_expression_steps`.

    Yields
    ------
    Progress

    Returns
    -------
    OpenedExpression

    Raises
    ------
    AmlError
        One of its subclasses, naming the file and the row, column, sample or gene.
    """
    from napari_aml.expression import prepare_steps, quality, read_expression_steps, read_lengths
    from napari_aml.expression.bundle import load_expression_bundle
    from napari_aml.expression.predict import call_steps

    path = Path(path)
    yield Progress(0, _SCALE, "Reading the model")
    bundle = load_expression_bundle(model)
    given: GeneLengths | None = None if lengths is None else read_lengths(lengths)
    read = read_expression_steps(path, units=units, samples=samples, genes=bundle.genes, **reading)
    matrix: ExpressionMatrix = yield from _share(read, 0, 500)
    sha256 = yield from _share(hash_steps(path), 500, 600)
    prepared: PreparedSamples = yield from _share(
        prepare_steps(
            matrix, bundle.genes, lengths=given,
            accepts_uncorrected=bundle.accepts_uncorrected and given is None,
            reference=bundle.reference if bundle.summary else None,
        ), 600, 700,
    )  # fmt: skip
    calls = yield from _share(call_steps(prepared, bundle), 700, 900)
    yield Progress(900, _SCALE, "Checking the samples")
    checked = {q.sample: q for q in quality(matrix, prepared)}
    missing = prepared.missing_share
    yield Progress(_SCALE, _SCALE, f"{len(calls)} samples")
    return OpenedExpression(
        path, sha256, matrix.format, tuple(matrix.samples), bundle.codes,
        {c.sample: expression_side(c, bundle, checked.get(c.sample)) for c in calls},
        {c.sample: quality_checks(c, missing, checked.get(c.sample)) for c in calls},
        {c.sample: tuple(dict.fromkeys((*c.warnings, *checked[c.sample].remarks))) for c in calls},
        tuple(matrix.warnings), _facts(matrix, prepared, bundle, sha256),
        None if bundle.conformal is None else 1 - bundle.conformal.alpha, bundle, prepared,
    )  # fmt: skip


def example_file() -> Path:
    """Return the shipped example: synthetic samples, drawn from class summaries, nobody's profile."""
    from napari_aml.samples import expression_path

    return expression_path()


def _share(steps: Steps[Result], start: int, end: int) -> Generator[Progress, None, Result]:
    """Map the progress of one part into that of the whole; closing this closes the part."""
    reached = start
    try:
        while True:
            event = next(steps)
            # A part may itself count from 0 more than once: the bar never goes back.
            reached = max(reached, round(start + (end - start) * event.fraction))
            yield replace(event, done=reached, total=_SCALE, payload=None)
    except StopIteration as stop:
        return stop.value
    finally:
        steps.close()


def _facts(
    matrix: ExpressionMatrix, prepared: PreparedSamples, bundle: ExpressionBundle, sha256: str
) -> tuple[tuple[str, str], ...]:
    """Return how the file was read: no path and no file name, either of which may name a patient."""
    genes = f"{len(prepared.panel) - len(prepared.missing):,} of the model's {len(prepared.panel):,}"
    some = f"; missing: {', '.join(prepared.missing[:8])}" + (" …" if len(prepared.missing) > 8 else "")
    return (
        ("File (SHA-256)", sha256), ("Format", matrix.format),
        ("Samples × genes", f"{len(matrix):,} × {matrix.genes_in_file:,}"), ("Orientation", str(matrix.orientation)),
        ("Gene ids", str(matrix.ids)), ("Units", str(matrix.units)),
        ("Genes", genes + (some if prepared.missing else "")),
        *((("Gene lengths", prepared.lengths),) if prepared.lengths else ()), ("Model", bundle.bundle_id),
    )  # fmt: skip
