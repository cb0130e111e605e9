"""A file or folder of expression values becomes an `ExpressionMatrix`: everything detected, everything said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_aml.expression import genes as gene_names
from napari_aml.expression.delimited import read_rows_steps
from napari_aml.expression.errors import ExpressionError, ExpressionReadError, SampleNameError
from napari_aml.expression.folders import read_folder_steps
from napari_aml.expression.formats import STRANDS, TextFormat, recognise
from napari_aml.expression.matrix import GENES_IN_ROWS, ExpressionMatrix, RawTable
from napari_aml.expression.opening import TextFile, kind_of
from napari_aml.expression.orientation import find_orientation
from napari_aml.expression.units import Units, detect_units_steps
from napari_aml.progress import Progress, Steps, run

_WORDS = {"tab": "\t", "tabs": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "space": " ", "bar": "|"}


def read_expression_steps(
    path: str | Path, *, orientation: str | None = None, ids: str | None = None, units: str | None = None,
    delimiter: str | None = None, strand: str | None = None, samples: Sequence[str] | None = None,
    memory_limit: int | None = None,
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
    try:
        if path.is_dir():
            raw = yield from read_folder_steps(path, lambda one: _raw_steps(one, delimiter, strand, memory_limit))
        else:
            raw = yield from _raw_steps(path, delimiter, strand, memory_limit)
        return (yield from _understand_steps(path, raw, orientation, ids, units, samples))
    except (MemoryError, PermissionError) as error:
        words = ("it does not fit into memory.", "Split the file into parts of fewer samples.")
        if isinstance(error, PermissionError):
            words = ("there is no permission to read it.", "Ask its owner for access.")
        raise ExpressionReadError(path, *words) from error


def read_expression(path: str | Path, **settings: object) -> ExpressionMatrix:
    """Read a file of expression values; `read_expression_steps` driven to its end."""
    return run(read_expression_steps(path, **settings))  # type: ignore[arg-type]


def _raw_steps(path: Path, delimiter: str | None, strand: str | None, limit: int | None) -> Steps[RawTable]:
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
    return (yield from _text_steps(path, text, known, strand, limit))


def _text_steps(
    path: Path, text: TextFile, known: TextFormat, strand: str | None, limit: int | None
) -> Steps[RawTable]:
    layout = known.layout
    if known.counts is not None:
        layout = layout.with_values((*layout.values, known.counts))
    read = yield from read_rows_steps(text, layout, limit)
    columns = layout.sample_names
    if not read.names:
        raise ExpressionReadError(path, "it has no lines of values.")
    notes = [*text.notes, *layout.notes]
    table = RawTable(read.names, columns, read.values, known.name, notes, read.lengths, None, None, read.symbols,
                     read.whole)  # fmt: skip
    if known.units is not None:
        table.units = (known.units, f"{known.name} says so")
    _leave_out(table, known.drop)
    if known.counts is not None:
        table.library_sizes = table.values[:, 1].sum(keepdims=True, dtype=np.float64)
        table.values, table.columns = table.values[:, :1], table.columns[:1]
    if known.strands is not None:
        _choose_strand(table, known, strand)
    return table


def _leave_out(table: RawTable, beginnings: tuple[str, ...]) -> None:
    """Leave out lines such as __no_feature that count reads of no gene."""
    heads = {beginning[:2] for beginning in beginnings}
    if heads.isdisjoint({name[:2] for name in table.rows}):  # the common case, at once
        return
    if not any(name.startswith(beginnings) for name in table.rows):
        return
    keep = [i for i, name in enumerate(table.rows) if not name.startswith(beginnings)]
    table.notes.append(f"{len(table.rows) - len(keep)} lines that count reads outside genes were left out.")
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
    notes = list(raw.notes)
    if raw.row_symbols and not upright:
        raw.row_symbols = raw.row_lengths = None
    samples = _unique_samples(path, samples)
    sizes = raw.library_sizes
    if wanted is not None:
        rows = _wanted(path, samples, wanted)
        values, samples = values[rows], [samples[i] for i in rows]
        sizes = None if sizes is None else sizes[rows]
    resolved = gene_names.resolve(path, names, ids)
    if len(set(resolved.genes) - {""}) < 2:
        raise ExpressionReadError(path, f"it holds one gene only ('{names[0][:40]}').", "A call needs thousands.")
    given = units or (raw.units[0].name if raw.units else None)
    scale, detected, unusable, totals = yield from detect_units_steps(
        path, values, samples, names, given, raw.whole
    )
    if raw.units and not units:
        detected = replace(detected, evidence=raw.units[1], by="file")
    if sizes is None and scale.quantity in ("counts", "normalised-counts") and not scale.log:
        sizes = totals
    warnings = [*resolved.warnings]
    for why, count in Counter(unusable.values()).items():  # which these are is said with their own calls
        warnings.append(f"{count} of {len(samples)} samples cannot be used: {why}.")
    if not detected.sure:
        warnings.append(f"The units are not certain: {detected}. If that is wrong, give them (--units).")
    yield Progress(0, 0, "Joining lines of one gene")
    merged = _merge(values, names, resolved.genes, raw.row_lengths, scale)
    if merged.summed:
        warnings.append(f"{merged.summed:,} lines named a gene that another line names as well; they were summed in "
                        f"linear space, such as '{merged.example}'.")  # fmt: skip
    evidence = [f"Format: {raw.format}.", f"Orientation: {side}.", f"Gene ids: {resolved.kind}.",
                f"Units: {detected}.", *notes]  # fmt: skip
    return ExpressionMatrix(
        path.name, path, raw.format, merged.values, tuple(samples), tuple(merged.genes), tuple(merged.ids), detected,
        side, resolved.kind, scale, totals, merged.lengths, sizes, unusable, tuple(evidence), tuple(warnings),
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


class _Merged:
    """Values with one column a gene."""

    def __init__(self, values: np.ndarray, genes: list[str], ids: list[str], lengths: np.ndarray | None) -> None:
        self.values, self.genes, self.ids, self.lengths = values, genes, ids, lengths
        self.summed, self.example = 0, ""


def _merge(
    values: np.ndarray, ids: Sequence[str], genes: Sequence[str], lengths: np.ndarray | None, scale: Units
) -> _Merged:
    """Sum the lines of one gene in linear space and leave out those without one; in place, so no copy is made."""
    first: dict[str, int] = {}
    extra: dict[int, list[int]] = {}
    for place, gene in enumerate(genes):
        if gene and first.setdefault(gene, place) != place:
            extra.setdefault(first[gene], []).append(place)
    if len(first) == len(genes):
        return _Merged(values, list(genes), list(ids), lengths)
    values = values if values.flags.writeable else values.copy()
    for place, others in extra.items():
        total = scale.linear(values[:, [place, *others]]).sum(1)
        values[:, place] = scale.stored(total)
        if lengths is not None:  # where the copies differ, the longest stands for the gene
            lengths[place] = np.nanmax(lengths[[place, *others]])
    keep = np.fromiter(first.values(), int, len(first))
    if values.flags.f_contiguous:  # rows move up within the same memory
        along_genes = values.T
        still = int(np.count_nonzero(keep == np.arange(len(keep))))  # before the first line left out nothing moves
        for start in range(still, len(keep), 1024):
            taken = keep[start : start + 1024]
            along_genes[start : start + len(taken)] = along_genes[taken]
    else:
        for row in values:
            row[: len(keep)] = row[keep]
    kept = values[:, : len(keep)]
    made = _Merged(kept, list(first), [ids[i] for i in keep], None if lengths is None else lengths[keep])
    made.summed = sum(map(len, extra.values()))
    made.example = ids[next(iter(extra))][:40] if extra else ""
    return made
