"""Samples become rows that a model reads: log2 of TPM within the model's genes, plus 1, in the model's order.

A model's genes are its panel. Values are taken back to linear space, reads are divided by gene length where the model
wants that, the panel alone is kept and scaled to a million, and log2(x + 1) is taken. Each row is made from its own
sample only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from napari_aml.expression.errors import PanelError
from napari_aml.expression.genes import current_names
from napari_aml.expression.lengths import BUNDLED, GeneLengths, lengths_of
from napari_aml.expression.matrix import ExpressionMatrix
from napari_aml.expression.memory import zeros
from napari_aml.expression.threads import in_threads
from napari_aml.progress import Progress, Steps, run

Status = Literal["ok", "warning", "unstable", "unusable"]
#: Shares of the panel that may be missing: with a remark above the first, unstable above the second, refused above
#: the third.
FEW, SOME, MOST = 0.01, 0.05, 0.10
#: Samples that a thread is given at a time, and those that are worked on at once: they stay in its cache.
_CHUNK, _IN_CACHE = 128, 8


@dataclass(frozen=True)
class PreparedSamples:
    """Samples as a model reads them.

    Attributes
    ----------
    samples
        Names.
    panel
        Genes, in the model's order.
    values
        float32 (samples, genes): log2(TPM within the panel + 1); missing genes are 0.
    reference_values
        The same with missing genes at the model's reference values, where there are missing genes and a reference;
        else None. Where a call differs between the two, it rests on what is not known.
    missing
        Genes of the panel that the file does not have.
    status
        For each sample: ``ok``, ``warning`` (some genes missing), ``unstable`` (more than 5 % of them), ``unusable``.
    warnings
        For each sample, a sentence each.
    share
        Share of each sample's total that lies in the panel, float64 (samples,).
    units
        Units of the file.
    lengths
        Where gene lengths are from, empty where none were needed.
    """

    samples: tuple[str, ...]
    panel: tuple[str, ...]
    values: np.ndarray
    reference_values: np.ndarray | None
    missing: tuple[str, ...]
    status: tuple[Status, ...]
    warnings: tuple[tuple[str, ...], ...]
    share: np.ndarray
    units: str
    lengths: str = ""

    @property
    def missing_share(self) -> float:
        """Share of the panel that is missing, 0…1."""
        return len(self.missing) / len(self.panel)

    def __len__(self) -> int:
        return len(self.samples)


def places_in_panel(matrix: ExpressionMatrix, panel: Sequence[str]) -> np.ndarray:
    """Return where each gene of a panel stands in a matrix, -1 where it does not: int64 (genes,).

    Both sides are compared by current symbol; then by the names as they stand.
    """
    current = {gene: place for place, gene in enumerate(matrix.genes)}
    made = np.array([current.get(gene, -1) for gene in current_names(panel)])
    lacking = np.flatnonzero(made < 0)
    if lacking.size:
        stated = {name: place for place, name in reversed(list(enumerate(matrix.gene_ids)))}
        made[lacking] = [stated.get(panel[place], -1) for place in lacking.tolist()]
    return made


def prepare_steps(
    matrix: ExpressionMatrix, panel: Sequence[str], *, lengths: GeneLengths | None = None,
    accepts_uncorrected: bool = False, reference: np.ndarray | None = None,
) -> Steps[PreparedSamples]:
    """Make a model's rows from samples, yielding progress.

    Parameters
    ----------
    matrix
        The samples.
    panel
        The model's genes, in its order.
    lengths
        Gene lengths, needed for reads only; None takes those in the file, else the bundled ones.
    accepts_uncorrected
        Whether the model was trained on values not divided by gene length; then lengths are not asked for.
    reference
        The model's reference values of the genes, log2 (genes,): what missing genes are set to for comparison.

    Yields
    ------
    Progress

    Returns
    -------
    PreparedSamples

    Raises
    ------
    PanelError
        Where more than 10 % of the panel is missing.
    LengthsNeededError
        Where reads need lengths that are not there.
    """
    panel = tuple(panel)
    yield Progress(0, len(matrix), "Finding the model's genes")
    places = places_in_panel(matrix, panel)
    factors, source = np.ones(len(panel)), ""
    uncorrected = matrix.scale.per_length is False
    if uncorrected and not accepts_uncorrected and (places >= 0).any():
        there = np.flatnonzero(places >= 0)
        found, source = lengths_of(matrix, places[there], lengths)
        factors[there] = 1000.0 / found
        places[there[np.isnan(found)]] = -1  # without a length a gene is as good as missing
    missing = tuple(panel[i] for i in np.flatnonzero(places < 0))
    _check_missing(matrix, panel, missing)
    there = np.flatnonzero(places >= 0)
    values = zeros((len(matrix), len(panel)))
    filled = zeros(values.shape) if missing and reference is not None else None
    inside, share = np.zeros(len(matrix)), np.zeros(len(matrix))
    all_there = len(there) == len(panel)

    def make(start: int) -> int:
        stop = min(start + _CHUNK, len(matrix))
        taken = matrix.taken(slice(start, stop), places[there], values[start:stop] if all_there else None)
        for first in range(start, stop, _IN_CACHE):
            rows = slice(first, min(first + _IN_CACHE, stop))
            # Rows lie one after the other in memory, so that a row's sum is the same whatever rows stand beside it.
            part = matrix.scale.linear(taken[first - start : rows.stop - start])
            share[rows] = part.sum(1)
            if uncorrected:
                part *= factors[there]
            inside[rows] = part.sum(1)
            part *= (1e6 / np.where(inside[rows] > 0, inside[rows], np.inf))[:, None]
            if filled is not None:
                filled[rows] = _fill(part / 1e6, there, np.asarray(reference, np.float64))
            part += 1.0
            if all_there:
                np.log2(part, out=values[rows], casting="same_kind")
            else:
                values[rows, there] = np.log2(part, out=part)
        return stop

    for done in in_threads(make, range(0, len(matrix), _CHUNK)):
        yield Progress(done, len(matrix), "Preparing samples")
    status, said = _status(matrix, panel, missing, inside, source, accepts_uncorrected)
    share = np.clip(share / np.maximum(matrix.totals, 1e-300), 0.0, 1.0)
    return PreparedSamples(
        matrix.samples, panel, values, filled, missing, status, said, share, matrix.units.value, source
    )


def prepare(matrix: ExpressionMatrix, panel: Sequence[str], **settings: Any) -> PreparedSamples:
    """Make a model's rows from samples; `prepare_steps` driven to its end."""
    return run(prepare_steps(matrix, panel, **settings))


def _fill(part: np.ndarray, there: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Rows with missing genes at the reference, the rest scaled so that the total stays a million."""
    linear = np.exp2(reference) - 1.0
    linear *= 1e6 / max(linear.sum(), 1e-12)
    made = np.broadcast_to(linear, (len(part), linear.size)).copy()
    made[:, there] = part * linear[there].sum()
    return np.log2(made + 1.0).astype(np.float32)


def _check_missing(matrix: ExpressionMatrix, panel: tuple[str, ...], missing: tuple[str, ...]) -> None:
    if len(missing) > MOST * len(panel):
        raise PanelError(
            f"'{matrix.name}' lacks {len(missing):,} of the {len(panel):,} genes that the model needs "
            f"({100 * len(missing) / len(panel):.1f} %), such as {', '.join(missing[:5])}; at most "
            f"{100 * MOST:.0f} % may be missing.",
            "Give the whole table of the sample, not a selection of genes, or a model made for these genes.",
        )  # fmt: skip


def _status(
    matrix: ExpressionMatrix, panel: tuple[str, ...], missing: tuple[str, ...], inside: np.ndarray, source: str,
    accepts_uncorrected: bool,
) -> tuple[tuple[Status, ...], tuple[tuple[str, ...], ...]]:
    share = len(missing) / len(panel)
    of_all: Status = "ok" if share <= FEW else "warning" if share <= SOME else "unstable"
    said: list[str] = []
    if of_all != "ok":
        word = "the call is unstable" if of_all == "unstable" else "the call may be less sure"
        said.append(f"{len(missing):,} of {len(panel):,} genes are missing ({100 * share:.1f} %): {word}.")
    if matrix.scale.per_length is None and not accepts_uncorrected:
        said.append("Whether values are divided by gene length cannot be told; they were taken as TPM or FPKM.")
    if source == BUNDLED:
        said.append(f"Reads were divided by gene lengths ({source}).")
    status: list[Status] = []
    warnings: list[tuple[str, ...]] = []
    for name, total in zip(matrix.samples, inside, strict=True):
        unusable = matrix.unusable.get(name) or ("" if total > 0 else "all of the model's genes are 0")
        status.append("unusable" if unusable else of_all)
        warnings.append((*([f"It cannot be used: {unusable}."] if unusable else []), *said))
    return tuple(status), tuple(warnings)

