"""A file or folder of expression values becomes an `ExpressionMatrix`: everything detected, everything said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_aml.expression import genes as gene_names
from napari_aml.expression.delimited import WIDE, read_rows_steps
from napari_aml.expression.errors import ExpressionError, ExpressionReadError, SampleNameError, WholeTableNeeded
from napari_aml.expression.folders import read_folder_steps
from napari_aml.expression.formats import STRANDS, TextFormat, recognise
from napari_aml.expression.layout import Layout
from napari_aml.expression.matrix import GENES_IN_ROWS, SAMPLES_IN_ROWS, ExpressionMatrix, RawTable
from napari_aml.expression.merging import merge, merge_part
from napari_aml.expression.opening import TextFile, kind_of
from napari_aml.expression.orientation import find_orientation
from napari_aml.expression.streaming import read_wanted_steps
from napari_aml.expression.units import detect_units_steps, facts_of
from napari_aml.expression.wanted import Wanted
from napari_aml.progress import Progress, Steps, run

_WORDS = {"tab": "\t", "tabs": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "space": " ", "bar": "|"}


def read_expression_steps(
    path: str | Path, *, orientation: str | None = None, ids: str | None = None, units: str | None = None,
    delimiter: str | None = None, strand: str | None = None, samples: Sequence[str] | None = None,
    genes: Sequence[str] | None = None, memory_limit: int | None = None,
) -> Steps[ExpressionMatrix]:
    """Read a file of expression values, yielding progress.

    Parameters
    ----------
    path
        A table (CSV, TSV, semicolons; GCT; Parquet, Feather; AnnData), a file of featureCounts, STAR, HTSeq, Salmon,
        RSEM, the GDC or StringTie, any text packed with gzip, or a folder of one-sample files.
    orientation
        ``genes-in-rows`` or ``samples-in-rows``; None looks.
    ids
        ``ensembl``, ``symbol`` or ``entrez``; None looks.
    units
        ``counts``, ``tpm``, ``fpkm``, ``normalised-counts``, ``cpm``, or these after ``log2-``, ``ln-``, ``log10-``;
        None looks.
    delimiter
        Between the cells of a text table (a character, or ``tab``); None looks.
    strand
        Which of STAR's three counts: ``unstranded``, ``forward``, ``reverse``; None looks.
    samples
        Names of the samples wanted; None takes all.
    genes
        Genes that are wanted, by any name: values of others may be left out, except of those by which quality is
        judged. Every cell is read and checked all the same, and units, sums and what is said of the file are of all.
        Spares time and memory where genes are the lines of a text table. None keeps all.
    memory_limit
        Bytes that may be used; None asks the machine.

    Yields
    ------
    Progress

    Returns
    -------
    ExpressionMatrix

    Raises
    ------
    ExpressionReadError
        And its kinds: `CellValueError`, `GeneIdError`, `SampleNameError`, `UnitsError`, `TooLargeError`.
    """
    path = Path(path)
    def raw_steps(one: Path, kept: Sequence[str] | None = None) -> Steps[RawTable]:
        return _raw_steps(one, delimiter, strand, memory_limit, kept)

    def matrix_steps(raw: RawTable) -> Steps[ExpressionMatrix]:
        return _understand_steps(path, raw, orientation, ids, units, samples)

    try:
        if path.is_dir():
            raw = yield from read_folder_steps(path, raw_steps)
        else:
            raw = yield from raw_steps(path, None if orientation == SAMPLES_IN_ROWS else genes)
        try:
            return (yield from matrix_steps(raw))
        except WholeTableNeeded:
            raw = yield from raw_steps(path)
        return (yield from matrix_steps(raw))
    except (MemoryError, PermissionError) as error:
        words = ("it does not fit into memory.", "Split the file into parts of fewer samples.")
        if isinstance(error, PermissionError):
            words = ("there is no permission to read it.", "Ask its owner for access.")
        raise ExpressionReadError(path, *words) from error


def read_expression(path: str | Path, **settings: Any) -> ExpressionMatrix:
    """Read a file of expression values; `read_expression_steps` driven to its end."""
    return run(read_expression_steps(path, **settings))


def _raw_steps(
    path: Path, delimiter: str | None, strand: str | None, limit: int | None, genes: Sequence[str] | None
) -> Steps[RawTable]:
    from napari_aml.expression import columnar

    yield Progress(0, 0, f"Opening {path.name}")
    kind, packed = kind_of(path)
    if kind == "hdf5":
        return (yield from columnar.read_anndata_steps(path, limit))
    if kind in ("parquet", "arrow"):
        return (yield from columnar.read_columnar_steps(path, kind, limit))
    if delimiter is not None:
        delimiter = _WORDS.get(delimiter.lower(), delimiter)
        if len(delimiter) != 1:
            raise ExpressionError(f"'{delimiter}' is no delimiter.", "Give one character, or 'tab'.")
    text = TextFile(path, packed)
    known = recognise(path, text.head_lines(60), delimiter, strand)
    return (yield from _text_steps(path, text, known, strand, limit, genes))


def _text_steps(
    path: Path, text: TextFile, known: TextFormat, strand: str | None, limit: int | None,
    genes: Sequence[str] | None,
) -> Steps[RawTable]:
    layout = known.layout
    if known.counts is not None:
        layout = layout.with_values((*layout.values, known.counts))
    elif known.strands is None and genes is not None and _genes_are_lines(layout):
        try:
            return (yield from _some_lines_steps(path, text, known, limit, genes))
        except WholeTableNeeded:
            yield Progress(0, 0, f"Reading {path.name}")
    read = yield from read_rows_steps(text, layout, limit)
    columns = layout.sample_names
    if not read.names:
        raise ExpressionReadError(path, "it has no lines of values.")
    notes = [*text.notes, *layout.notes]
    doubts = _doubts(known, len(read.names))
    table = RawTable(read.names, columns, read.values, known.name, notes, read.lengths, None, None, read.symbols,
                     read.whole, doubts=doubts)  # fmt: skip
    if known.units is not None:
        table.units = (known.units, f"{known.name} says so")
    _leave_out(table, known.drop)
    if known.counts is not None:
        table.library_sizes = table.values[:, 1].sum(keepdims=True, dtype=np.float64)
        table.values, table.columns = table.values[:, :1], table.columns[:1]
    if known.strands is not None:
        _choose_strand(table, known, strand)
    return table


def _genes_are_lines(layout: Layout) -> bool:
    """Whether a table of several samples seems to have its genes in lines; all its names are asked afterwards."""
    return 1 < len(layout.values) <= WIDE and gene_names.known_share(layout.sample_names) < 0.5


def _some_lines_steps(
    path: Path, text: TextFile, known: TextFormat, limit: int | None, genes: Sequence[str]
) -> Steps[RawTable]:
    """Read a table for some of its genes; see `read_wanted_steps`."""
    layout = known.layout
    read, part, left_out = yield from read_wanted_steps(text, layout, Wanted(genes, known.drop), limit)
    if not read.names and not left_out:
        raise ExpressionReadError(path, "it has no lines of values.")
    notes = [*text.notes, *layout.notes, *([_left_out(left_out)] if left_out else [])]
    table = RawTable(read.names, layout.sample_names, read.values, known.name, notes, read.lengths, None, None,
                     read.symbols, read.whole, part, _doubts(known, len(read.names) + left_out))  # fmt: skip
    if known.units is not None:
        table.units = (known.units, f"{known.name} says so")
    return table


def _doubts(known: TextFormat, lines: int) -> list[str]:
    if known.rows is None or known.rows == lines:
        return []
    return [f"Its second line promises {known.rows:,} rows and it has {lines:,}: it may be cut short."]


def _left_out(lines: int) -> str:
    if lines == 1:
        return "1 line that counts reads outside genes was left out."
    return f"{lines:,} lines that count reads outside genes were left out."


def _leave_out(table: RawTable, beginnings: tuple[str, ...]) -> None:
    """Leave out lines such as __no_feature that count reads of no gene."""
    heads = {beginning[:2] for beginning in beginnings}
    if heads.isdisjoint({name[:2] for name in table.rows}):  # the common case, at once
        return
    if not any(name.startswith(beginnings) for name in table.rows):
        return
    keep = [i for i, name in enumerate(table.rows) if not name.startswith(beginnings)]
    table.notes.append(_left_out(len(table.rows) - len(keep)))
    table.rows = [table.rows[i] for i in keep]
    table.values = table.values[keep]
    if table.row_lengths is not None:
        table.row_lengths = table.row_lengths[keep]
    if table.row_symbols is not None:
        table.row_symbols = [table.row_symbols[i] for i in keep]


def _choose_strand(table: RawTable, known: TextFormat, strand: str | None) -> None:
    """Take one of STAR's three columns: the strand that holds nearly all reads, else both together."""
    assert known.strands is not None
    _, forward, reverse = sums = table.values.sum(0, dtype=np.float64)
    if strand is None:
        ratio = (forward + 1) / (reverse + 1)
        strand = STRANDS[1] if ratio > 4 else STRANDS[2] if ratio < 0.25 else STRANDS[0]
        table.notes.append(f"The {strand} counts were taken: {forward:,.0f} reads forward, {reverse:,.0f} reverse.")
    chosen = known.strands[strand]
    table.values, table.columns = table.values[:, [chosen]], [known.sample or "sample"]
    table.library_sizes = sums[[chosen]]


def _understand_steps(
    path: Path, raw: RawTable, orientation: str | None, ids: str | None, units: str | None,
    wanted: Sequence[str] | None,
) -> Steps[ExpressionMatrix]:
    yield Progress(0, 0, "Looking at genes and samples")
    side = find_orientation(path, raw.rows, raw.columns, orientation)
    upright = side.value == GENES_IN_ROWS
    names, samples = (raw.rows, raw.columns) if upright else (raw.columns, raw.rows)
    values = raw.values.T if upright else raw.values
    part = raw.part
    if part is not None and not upright:
        raise WholeTableNeeded
    notes = list(raw.notes)
    if not upright:
        raw.row_symbols = raw.row_lengths = None
    samples = _unique_samples(path, samples)
    sizes, rows = raw.library_sizes, np.arange(len(samples))
    if wanted is not None:
        rows = _wanted(path, samples, wanted)
        values, samples = values[rows], [samples[i] for i in rows]
        sizes = None if sizes is None else sizes[rows]
    resolved = gene_names.resolve(path, names, ids)
    if len(set(resolved.genes[:1000]) - {""}) < 2 and len(set(resolved.genes) - {""}) < 2:
        raise ExpressionReadError(path, f"it holds one gene only ('{names[0][:40]}').", "A call needs thousands.")
    given = units or (raw.units[0].name if raw.units else None)
    scale, detected, unusable, totals = yield from detect_units_steps(
        path, None if part else values, samples, names, given, raw.whole,
        facts_of(part.summary, rows.tolist()) if part else (),
        part.first.T[rows] if part and part.first is not None else None,
    )
    if raw.units and not units:
        detected = replace(detected, evidence=raw.units[1], by="file")
    if sizes is None and scale.quantity in ("counts", "normalised-counts") and not scale.log:
        sizes = totals
    warnings = [*raw.doubts, *resolved.warnings]
    for why, count in Counter(unusable.values()).items():  # which these are is said with their own calls
        warnings.append(f"{count} of {len(samples)} samples cannot be used: {why}.")
    if not detected.sure:
        warnings.append(f"The units are not certain: {detected}. If that is wrong, give them (--units).")
    yield Progress(0, 0, "Joining lines of one gene")
    if part is None:
        merged = merge(values, names, resolved.genes, raw.row_lengths, scale)
    else:
        merged = merge_part(part, values, names, resolved, raw.row_lengths, scale, rows)
    if merged.summed:
        warnings.append(f"{merged.summed:,} lines named a gene that another line names as well; they were summed in "
                        f"linear space, such as '{merged.example}'.")  # fmt: skip
    evidence = [f"Format: {raw.format}.", f"Orientation: {side}.", f"Gene ids: {resolved.kind}.",
                f"Units: {detected}.", *notes]  # fmt: skip
    return ExpressionMatrix(
        path.name, path, raw.format, merged.values, tuple(samples), tuple(merged.genes), tuple(merged.ids), detected,
        side, resolved.kind, scale, totals, merged.lengths, sizes, unusable, tuple(evidence), tuple(warnings),
        merged.genes_in_file, merged.detected,
    )  # fmt: skip


def _unique_samples(path: Path, samples: Sequence[str]) -> list[str]:
    names = [name.strip() for name in samples]
    for place, name in enumerate(names, 1):
        if not name:
            raise SampleNameError(path, f"sample number {place} has no name.", "Name every sample.")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise SampleNameError(path, f"the sample '{twice[0][:60]}' is there {names.count(twice[0])} times"
                              + (f", and {len(twice) - 1} others are doubled as well" if twice[1:] else "") + ".",
                              "Give every sample its own name, or leave the copies out.")  # fmt: skip
    return names


def _wanted(path: Path, samples: list[str], wanted: Sequence[str]) -> np.ndarray:
    place = {name: i for i, name in enumerate(samples)}
    lacking = [name for name in wanted if name not in place]
    if lacking:
        shown = ", ".join(f"'{name}'" for name in samples[:5]) + (" …" if len(samples) > 5 else "")
        raise SampleNameError(path, f"there is no sample '{lacking[0][:60]}'.", f"It has {len(samples)}: {shown}")
    return np.array([place[name] for name in wanted])
