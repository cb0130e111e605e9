"""Which of the known text formats a file is, and how it is laid out: tables, GCT, and what counting programs write."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from napari_aml.expression.errors import ExpressionError, ExpressionReadError
from napari_aml.expression.layout import Layout, find_layout, split
from napari_aml.expression.units import Units

#: Suffixes of files that may be tables; what a file is, its content says.
SUFFIXES = (
    ".csv", ".tsv", ".txt", ".tab", ".gct", ".parquet", ".feather", ".arrow", ".h5ad", ".sf", ".results", ".counts",
    ".gz",
)  # fmt: skip
STRANDS = ("unstranded", "forward", "reverse")
#: Beginnings of lines that count reads of no gene: HTSeq's, those of its first releases, and STAR's.
_NO_GENES = ("__", "N_unmapped", "N_multimapping", "N_noFeature", "N_ambiguous", "no_feature", "ambiguous",
             "too_low_aQual", "not_aligned", "alignment_not_unique")  # fmt: skip
_ALIGNED = re.compile(
    r"[._-]?(?:Aligned)?(?:\.sortedByCoord)?(?:\.out)?(?:\.sorted)?\.(?:[bs]am|cram)$", re.IGNORECASE
)
_AFTER_SAMPLE = re.compile(
    r"(?:[._-]*ReadsPerGene\.out\.tab|\.genes\.results|\.rna_seq\.augmented_star_gene_counts\.tsv|\.featureCounts"
    r"(?:\.txt|\.tsv)?|\.FPKM(?:-UQ)?(?:\.txt|\.tsv)?|\.htseq(?:[._-]?counts?)?(?:\.txt|\.tsv)?|[._-]?(?:gene_?)?counts?(?:\.txt|\.tsv)?|"
    r"\.quant\.genes\.sf|\.gct|\.csv|\.tsv|\.txt|\.tab|\.sf)$", re.IGNORECASE,
)  # fmt: skip


@dataclass(frozen=True)
class OneSample:
    """A file of one sample, as a counting program writes it.

    Attributes
    ----------
    name
        The program.
    header
        Columns by which it is known.
    id, value
        Columns of gene ids and of values.
    units
        Units of the values.
    counts
        Column of reads, for the library size, else None.
    symbol
        Column of gene names, else None.
    """

    name: str
    header: frozenset[str]
    id: str
    value: str
    units: Units
    counts: str | None = None
    symbol: str | None = None


_TPM = Units("tpm")
ONE_SAMPLE = (
    OneSample("Salmon quant.genes.sf", frozenset({"Name", "EffectiveLength", "TPM", "NumReads"}), "Name", "TPM", _TPM,
              "NumReads"),
    OneSample("RSEM genes.results", frozenset({"gene_id", "effective_length", "expected_count", "TPM", "FPKM"}),
              "gene_id", "TPM", _TPM, "expected_count"),
    OneSample("GDC STAR counts", frozenset({"gene_id", "gene_name", "unstranded", "tpm_unstranded"}), "gene_id",
              "tpm_unstranded", _TPM, "unstranded", "gene_name"),
    OneSample("StringTie gene abundances", frozenset({"Gene ID", "Gene Name", "FPKM", "TPM"}), "Gene ID", "TPM", _TPM,
              None, "Gene Name"),
    OneSample("kallisto abundance.tsv", frozenset({"target_id", "eff_length", "est_counts", "tpm"}), "target_id", "tpm",
              _TPM, "est_counts"),
)  # fmt: skip


@dataclass(frozen=True)
class TextFormat:
    """A text file's format: its layout, and what the format itself says of the values.

    Attributes
    ----------
    name
        For people.
    layout
        Where values stand.
    sample
        The sample's name where the file is of one sample, else None.
    units
        Units by the format's word, else None.
    counts
        Column (number in the file) of reads besides the values, else None.
    drop
        Row names that are sums or remarks, not genes, by their beginnings.
    strands
        Columns for the three kinds of library that STAR counts, else None.
    rows
        Lines of values that the file says it has, else None.
    """

    name: str
    layout: Layout
    sample: str | None = None
    units: Units | None = None
    counts: int | None = None
    drop: tuple[str, ...] = ()
    strands: dict[str, int] | None = None
    rows: int | None = None


def sample_of(path: Path) -> str:
    """Name of the sample of a one-sample file: the file's, else the folder's where all files are called the same."""
    stem = path.name.removesuffix(".gz")
    if stem.lower() in ("quant.genes.sf", "quant.sf", "abundance.tsv", "readspergene.out.tab", "gene_abundances.tsv"):
        return path.absolute().parent.name
    return _AFTER_SAMPLE.sub("", stem) or stem


def recognise(path: Path, lines: Sequence[str], delimiter: str | None = None, strand: str | None = None) -> TextFormat:
    """Say which format a text file is in.

    Parameters
    ----------
    path
        The file, for messages and the sample's name.
    lines
        Its first lines, at least a few.
    delimiter
        As a person gives it; None looks.
    strand
        ``unstranded``, ``forward`` or ``reverse`` for STAR's counts; None looks at the sums.

    Raises
    ------
    ExpressionReadError
        Where it is no table.
    """
    if strand is not None and strand not in STRANDS:
        raise ExpressionError(f"'{strand}' is no kind of library.", f"Known: {', '.join(STRANDS)}.")
    lines = [line.rstrip("\r") for line in lines]
    first = next((line for line in lines if line.strip()), "")
    if first.strip().rstrip("\t") in ("#1.2", "#1.3"):
        return _gct(path, lines)
    if first.startswith("N_unmapped\t"):
        return _star(path, lines)
    if first.startswith(("!Series_", "!Sample_", "^DATABASE", "^SERIES")):
        raise ExpressionReadError(
            path, f"it is a file of GEO that describes a series (its first line is '{first[:40]}').",
            "Take the table of counts or TPM from the series' supplementary files; of a series matrix, the lines "
            "between !series_matrix_table_begin and !series_matrix_table_end.",
        )  # fmt: skip
    layout = find_layout(path, lines, delimiter)
    for known in ONE_SAMPLE:
        if known.header <= set(layout.names):
            return _one_sample(path, lines, layout, known)
    layout = replace(layout, names=_without_paths(layout))
    low = [name.lower() for name in layout.names]
    if low[:2] == ["geneid", "chr"] and "length" in low:
        return TextFormat("featureCounts", layout, units=Units("counts"))
    headless = layout.names[1:] == tuple(f"column {i + 1}" for i in range(1, len(layout.names)))
    if headless and len(layout.values) == 1:
        names = list(layout.names)
        names[layout.values[0]] = sample_of(path)
        name = "HTSeq counts" if layout.whole else "one sample without a header"
        return TextFormat(name, replace(layout, names=tuple(names), notes=()), sample_of(path), drop=_NO_GENES)
    return TextFormat(layout.format, layout, drop=_NO_GENES)


def _without_paths(layout: Layout) -> tuple[str, ...]:
    """FeatureCounts heads its columns with the paths of the alignments: of these what tells samples apart is kept."""
    paths = [i for i in layout.values if layout.names[i].lower().endswith((".bam", ".sam", ".cram"))]
    shown = {i: _bam(layout.names[i]) for i in paths}
    if not shown or len(set(shown.values())) < len(shown):
        return layout.names
    return tuple(shown.get(i, name) for i, name in enumerate(layout.names))


def _bam(name: str) -> str:
    """Name of an alignment's sample: the file's, else the folder's where aligners call all files the same."""
    parts = [part for part in re.split(r"[\\/]", name) if part not in ("", ".", "..")]
    stem = _ALIGNED.sub("", parts[-1] if parts else name)
    return stem or (parts[-2] if len(parts) > 1 else name)


def _one_sample(path: Path, lines: Sequence[str], layout: Layout, known: OneSample) -> TextFormat:
    skip = layout.skip
    while skip < len(lines) and lines[skip].startswith("N_"):  # sums of reads outside genes; they have no TPM
        skip += 1
    place = {name: i for i, name in reversed(list(enumerate(layout.names)))}
    names = list(layout.names)
    names[place[known.value]] = sample_of(path)
    chosen = replace(
        layout, skip=skip, names=tuple(names), id=place[known.id], values=(place[known.value],), length=None,
        whole=False, symbol=place[known.symbol] if known.symbol else None,
    )  # fmt: skip
    counts = place[known.counts] if known.counts else None
    return TextFormat(known.name, chosen, sample_of(path), known.units, counts, drop=("N_", "__"))


def _star(path: Path, lines: Sequence[str]) -> TextFormat:
    width = len(lines[0].split("\t"))
    if width != 4 or len(lines) < 5:
        raise ExpressionReadError(path, f"it begins like STAR's ReadsPerGene but has {width} columns, not 4.")
    names = ("", "unstranded", "forward", "reverse")
    layout = Layout("\t", ".", 0, names, 0, (1, 2, 3), whole=True, format="STAR ReadsPerGene")
    strands = dict(zip(STRANDS, range(3), strict=True))
    return TextFormat("STAR ReadsPerGene", layout, sample_of(path), Units("counts"), drop=("N_",), strands=strands)


def _gct(path: Path, lines: Sequence[str]) -> TextFormat:
    start = next(i for i, line in enumerate(lines) if line.strip())
    try:
        sizes = [int(cell) for cell in lines[start + 1].split()]
        header = split(lines[start + 2], "\t")
    except (ValueError, IndexError):
        raise ExpressionReadError(path, "its second line must hold the numbers of rows and columns of a GCT.") from None
    version = lines[start].strip()[1:]
    # GTEx writes a number of the row before Name and Description.
    numbered = header[0].lower() == "id" and len(header) == (sizes or [0, 0])[-1] + 3
    beside, above = (1 + numbered, 0) if version == "1.2" else (-1, 0)
    if version != "1.2" and len(sizes) >= 4:
        beside, above = sizes[2], sizes[3]
    if len(sizes) < 2 or beside < 0 or len(header) != sizes[1] + beside + 1:
        raise ExpressionReadError(path, f"its second line promises {sizes[1] if len(sizes) > 1 else '?'} columns; the "
                                  f"header has {len(header)} cells.", "Export the GCT again.")  # fmt: skip
    described = find_layout(path, [lines[start + 2], *lines[start + 3 + above :]], "\t")
    # Which column of text holds the genes is looked for; which hold values, the format says.
    values = tuple(range(beside + 1, len(header)))
    identity = described.id if described.id <= beside else 0
    layout = Layout("\t", ".", start + 3 + above, tuple(header), identity, values, None, described.symbol,
                    described.whole, f"GCT {version}")  # fmt: skip
    return TextFormat(f"GCT {version}", layout, rows=sizes[0])
