"""Lines of one gene become one, summed in linear space; lines of no gene go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_aml.expression.errors import WholeTableNeeded
from napari_aml.expression.genes import ResolvedGenes, ensembl_genes, ids_of
from napari_aml.expression.matrix import Part
from napari_aml.expression.units import Units


@dataclass
class Merged:
    """Values with one column a gene.

    Attributes
    ----------
    values
        float32 (samples, genes).
    genes, ids
        What the columns stand for, and the name in the file; of several that were summed, the first.
    lengths
        In bases, where the file has them.
    summed, example
        How many lines named a gene that another line names as well, and one that was named so.
    genes_in_file
        Genes of the file.
    detected
        Genes of the file above zero in each sample, where only some genes are here.
    """

    values: np.ndarray
    genes: list[str]
    ids: list[str]
    lengths: np.ndarray | None
    summed: int = 0
    example: str = ""
    genes_in_file: int = 0
    detected: np.ndarray | None = None


def merge(
    values: np.ndarray, ids: Sequence[str], genes: Sequence[str], lengths: np.ndarray | None, scale: Units
) -> Merged:
    """Sum the lines of one gene in linear space and leave out those without one; in place, so no copy is made.

    Parameters
    ----------
    values
        float32 (samples, lines); changed.
    ids, genes
        Names of the lines in the file, and the genes they stand for; empty for none.
    lengths
        Of the lines, changed; or None.
    scale
        Units.
    """
    first, extra = _lines_of(genes)
    if len(first) == len(genes):
        return Merged(values, list(genes), list(ids), lengths, genes_in_file=len(first))
    values = values if values.flags.writeable else values.copy()
    for place, others in extra.items():
        total = scale.linear(values[:, [place, *others]]).sum(1)
        values[:, place] = scale.stored(total)
        if lengths is not None:  # where the copies differ, the longest stands for the gene
            lengths[place] = np.nanmax(lengths[[place, *others]])
    keep = np.fromiter(first.values(), int, len(first))
    _move(values, keep)
    return Merged(
        values[:, : len(keep)], list(first), [ids[i] for i in keep], None if lengths is None else lengths[keep],
        sum(map(len, extra.values())), ids[next(iter(extra))][:40] if extra else "", len(first),
    )  # fmt: skip


def merge_part(
    part: Part, values: np.ndarray, ids: Sequence[str], resolved: ResolvedGenes, lengths: np.ndarray | None,
    scale: Units, samples: np.ndarray,
) -> Merged:
    """Do the same where values are of some lines only, and names, genes and lengths of all.

    Parameters
    ----------
    part
        Which lines.
    values
        float32 (samples, lines kept); changed.
    ids, lengths, scale
        As in `merge`.
    resolved
        The genes that the lines stand for.
    samples
        Which samples of the file these are.

    Raises
    ------
    WholeTableNeeded
        Where a line of a wanted gene was not kept.
    """
    genes, places = resolved.genes, resolved.places
    lines = part.wanted.lines(ids, genes, places)
    if not np.isin(lines, part.lines, assume_unique=True).all():
        raise WholeTableNeeded
    if len(lines) != len(part.lines):
        values = values if values.flags.writeable else values.copy()
        _move(values, np.searchsorted(part.lines, lines))
        values = values[:, : len(lines)]
    here = lines.tolist()
    made = merge(values, [ids[i] for i in here], [genes[i] for i in here],
                 None if lengths is None else lengths[lines], scale)  # fmt: skip
    # Most lines are of known Ensembl ids that come once and share their gene with no other: these need no looking up.
    book = ensembl_genes()
    by_id = places >= 0
    asked = book.shared | (np.bincount(places[by_id], minlength=len(book.genes)) > 1)
    if by_id.any():  # other lines may name the same genes
        asked[book.index.places([one for i in np.flatnonzero(~by_id).tolist() for one in ids_of(genes[i])])] = True
    looked_at = np.flatnonzero(~by_id | asked[places]).tolist()
    some = [genes[i] for i in looked_at]
    first, extra = _lines_of(some)
    together = [[looked_at[place], *(looked_at[other] for other in others)] for place, others in extra.items()]
    nobody = [i for i, gene in zip(looked_at, some, strict=True) if not gene]
    made.summed, made.genes_in_file = sum(map(len, extra.values())), len(genes) - len(some) + len(first)
    made.example = ids[together[0][0]][:40] if together else ""
    made.detected = part.summary.genes_on(nobody, together)[samples]
    return made


def _lines_of(genes: Sequence[str]) -> tuple[dict[str, int], dict[int, list[int]]]:
    """Return the first line of every gene, and the other lines of a gene by its first."""
    first = dict(zip(genes, range(len(genes)), strict=True))  # for now the last line of every gene
    again = [place for place, gene in enumerate(genes) if first[gene] != place] if len(first) < len(genes) else []
    first.pop("", None)
    lines: dict[str, list[int]] = {}
    for place in again:
        if gene := genes[place]:
            lines.setdefault(gene, []).append(place)
    for gene, places in lines.items():
        places.append(first[gene])
        first[gene] = places[0]
    extra = {places[0]: places[1:] for places in sorted(lines.values(), key=lambda places: places[1])}
    return first, extra


def _move(values: np.ndarray, keep: np.ndarray) -> None:
    """Move columns to the beginning, ascending, within the same memory."""
    if values.flags.f_contiguous:
        along_genes = values.T
        still = int(np.count_nonzero(keep == np.arange(len(keep))))  # before the first line left out nothing moves
        for start in range(still, len(keep), 1024):
            taken = keep[start : start + 1024]
            along_genes[start : start + len(taken)] = along_genes[taken]
    else:
        for row in values:
            row[: len(keep)] = row[keep]
