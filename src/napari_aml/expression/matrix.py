"""What a file of expression values is read into."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from napari_aml.expression.summary import Summary
    from napari_aml.expression.units import Units
    from napari_aml.expression.wanted import Wanted

#: Values of float32 in eight lines of the cache (neighbours come faster), and how many genes are turned at once.
_LINE, _TILE = 128, 256

#: Orientations by the names that files and the command line use.
GENES_IN_ROWS, SAMPLES_IN_ROWS = "genes-in-rows", "samples-in-rows"


@dataclass(frozen=True, slots=True)
class Detected:
    """A property of a file, and why it is believed.

    Attributes
    ----------
    value
        What it is, by the name that the override takes.
    evidence
        Why, in words for a person.
    by
        ``file`` where it was found in the file, ``person`` where it was given.
    sure
        Whether nothing else would have explained the file as well.
    """

    value: str
    evidence: str
    by: Literal["file", "person"] = "file"
    sure: bool = True

    def __str__(self) -> str:
        return f"{self.value} ({self.evidence})"


@dataclass
class Part:
    """The lines of a table that were kept, where only some genes are wanted.

    Attributes
    ----------
    lines
        Numbers of the lines whose values were kept, ascending, int64.
    summary
        Figures of all lines.
    wanted
        What was wanted.
    first
        Values of the first lines of all (lines, columns), as far as they are not known to be whole numbers; else None.
    """

    lines: np.ndarray
    summary: Summary
    wanted: Wanted
    first: np.ndarray | None = None


@dataclass
class RawTable:
    """A table as it stands in a file, before anyone asked which side the genes are on.

    Attributes
    ----------
    rows, columns
        Names as in the file.
    values
        float32 (rows, columns).
    format
        Name of the file format.
    notes
        What a person should know of how it was read.
    row_lengths
        Gene lengths in bases where the file has them, float32 (rows,), else None.
    units
        Units by the format's own word, with the evidence; else None.
    library_sizes
        Reads of each column where the file tells them apart from the values, else None.
    row_symbols
        A second column of gene names, where the file has one, else None.
    whole
        Whether all values are known to be whole numbers, none below zero; they are looked at where not.
    part
        Where `values` are only of the wanted genes' lines: which lines, and what is known of all; else None.
    doubts
        What a person should look at, a sentence each.
    """

    rows: list[str]
    columns: list[str]
    values: np.ndarray
    format: str
    notes: list[str] = field(default_factory=list)
    row_lengths: np.ndarray | None = None
    units: tuple[Units, str] | None = None
    library_sizes: np.ndarray | None = None
    row_symbols: list[str] | None = None
    whole: bool = False
    part: Part | None = None
    doubts: list[str] = field(default_factory=list)


@dataclass
class ExpressionMatrix:
    """Expression values of some samples, with what was found out about them.

    Attributes
    ----------
    name
        The file's name, for people.
    path
        Where it was read from.
    format
        ``CSV``, ``GCT 1.2``, ``featureCounts`` …
    values
        float32 (samples, genes) in the units of the file. Rows that named one gene are already summed (in linear
        space). The memory may run along the genes: index it, do not rely on its order.
    samples
        Names of the samples, unique.
    genes
        Current symbol of each gene, or the id as in the file where no symbol is known; unique; in the
        order of the file.
    gene_ids
        Id of each gene as in the file; of several that were summed, the first.
    units, orientation, ids
        What was detected or given.
    scale
        The units, for computing.
    totals
        Sum of each sample in linear space over all lines of the file, float64 (samples,).
    lengths
        Gene lengths in bases from the file itself, float32 (genes,), NaN where unknown; None where it has none.
    library_sizes
        Reads a sample, float64 (samples,), where the values are reads or the file tells; else None.
    unusable
        Sample → why it cannot be used (no reads at all).
    evidence
        How the file was understood, a sentence each.
    warnings
        What a person should look at, a sentence each.
    genes_in_file
        Genes of the file; more than there are in `genes` where only some were wanted.
    detected
        Genes of the file above zero in each sample, int64 (samples,), where only some genes are here; else None.
    """

    name: str
    path: Path | None
    format: str
    values: np.ndarray
    samples: tuple[str, ...]
    genes: tuple[str, ...]
    gene_ids: tuple[str, ...]
    units: Detected
    orientation: Detected
    ids: Detected
    scale: Units
    totals: np.ndarray
    lengths: np.ndarray | None = None
    library_sizes: np.ndarray | None = None
    unusable: dict[str, str] = field(default_factory=dict)
    evidence: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    genes_in_file: int = 0
    detected: np.ndarray | None = None

    def __post_init__(self) -> None:
        self.genes_in_file = self.genes_in_file or len(self.genes)

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of samples and of genes."""
        samples, genes = self.values.shape
        return samples, genes

    def __len__(self) -> int:
        return len(self.samples)

    def linear(self, rows: slice | np.ndarray, genes: np.ndarray | None = None) -> np.ndarray:
        """Return values in linear space: float64 (rows, genes); below-zero noise of logarithms is cut to 0."""
        return self.scale.linear(self.values[rows] if genes is None else self.taken(rows, genes))

    def taken(self, rows: slice | np.ndarray, genes: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Return values of some genes as they stand: float32 (rows, genes), rows one after the other in memory."""
        return _chosen(self.values[rows], genes, out)


def _chosen(values: np.ndarray, genes: np.ndarray, out: np.ndarray | None) -> np.ndarray:
    """Return some columns, rows one after the other in memory; in `out` where it is given.

    Tables have genes in lines, so the memory mostly runs along the genes: turning it is done in pieces of some lines of
    the cache by what fits into it.
    """
    made = np.empty((len(values), len(genes)), values.dtype) if out is None else out
    if values.flags.c_contiguous and not values.flags.f_contiguous:
        made[...] = values[:, genes]
        return made
    for row in range(0, len(values), _LINE):
        for gene in range(0, len(genes), _TILE):
            there = values.T[genes[gene : gene + _TILE], row : row + _LINE]
            made[row : row + _LINE, gene : gene + _TILE] = there.T
    return made
