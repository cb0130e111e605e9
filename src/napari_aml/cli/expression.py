"""napari-aml expression …: quality control and subtype calls from expression files."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_aml import RESEARCH_USE
from napari_aml.cli.console import drive, err
from napari_aml.errors import BundleError, InputError

if TYPE_CHECKING:
    from napari_aml.expression import ExpressionMatrix, GeneLengths, PreparedSamples
    from napari_aml.expression.bundle import ExpressionBundle

app = typer.Typer(
    no_args_is_help=True, help=f"Calls and quality control from files of gene expression. {RESEARCH_USE}"
)


class Orientation(StrEnum):
    """Sides that the genes may be on."""

    genes_in_rows = "genes-in-rows"
    samples_in_rows = "samples-in-rows"


class Ids(StrEnum):
    """Kinds of gene id."""

    ensembl = "ensembl"
    symbol = "symbol"
    entrez = "entrez"


class Strand(StrEnum):
    """STAR's three counts."""

    unstranded = "unstranded"
    forward = "forward"
    reverse = "reverse"


File = Annotated[Path, typer.Argument(help="An expression file, or a folder of one-sample files.")]
Bundle = Annotated[
    str | None, typer.Option("--model", help="Expression bundle: a folder or a name; default: the shipped one.")
]
UnitsOption = Annotated[
    str | None,
    typer.Option("--units", help="counts, tpm, fpkm, normalised-counts, cpm, or log2-tpm, ln-fpkm …; default: found."),
]
LengthsOption = Annotated[
    Path | None,
    typer.Option("--lengths", help="Gene lengths: a GTF or a table of gene and length; default: in the file, else "
                 "GENCODE v38."),
]  # fmt: skip
OrientationOption = Annotated[Orientation | None, typer.Option("--orientation", help="Default: found.")]
IdsOption = Annotated[Ids | None, typer.Option("--ids", help="Kind of gene id; default: found.")]
DelimiterOption = Annotated[
    str | None, typer.Option("--delimiter", help="Between the cells: a character, or tab; default: found.")
]
StrandOption = Annotated[Strand | None, typer.Option("--strand", help="Which of STAR's counts; default: found.")]
SampleOption = Annotated[list[str] | None, typer.Option("--sample", help="Only this sample; may be given again.")]


def read_file(
    path: Path, units: str | None, orientation: Orientation | None, ids: Ids | None, delimiter: str | None,
    strand: Strand | None, samples: list[str] | None,
) -> ExpressionMatrix:
    """Read an expression file under a progress bar and say on standard error how it was understood."""
    from napari_aml.expression import read_expression_steps

    steps = read_expression_steps(
        path, units=units, orientation=orientation.value if orientation else None, ids=ids.value if ids else None,
        delimiter=delimiter, strand=strand.value if strand else None, samples=samples or None,
    )  # fmt: skip
    matrix = drive(path.name, steps)
    err(f"{matrix.name}: {len(matrix)} sample{'s' if len(matrix) != 1 else ''}, {len(matrix.genes):,} genes.")
    for said in matrix.evidence:
        err(f"  {said}")
    for said in matrix.warnings:
        err(f"  note: {said}")
    return matrix


def given_lengths(path: Path | None) -> GeneLengths | None:
    """Read a person's gene lengths, where there are any."""
    from napari_aml.expression import read_lengths

    return read_lengths(path) if path else None


def prepare_for(matrix: ExpressionMatrix, bundle: ExpressionBundle, lengths: GeneLengths | None) -> PreparedSamples:
    """Make the rows that a bundle's model reads, under a progress bar."""
    from napari_aml.expression import prepare_steps

    return drive(
        matrix.name,
        prepare_steps(matrix, bundle.genes, lengths=lengths, accepts_uncorrected=bundle.accepts_uncorrected),
    )


def _declared(sex: str | None, samples: tuple[str, ...]) -> dict[str, str]:
    """Declared sexes: one word for all samples, or a table of sample and sex."""
    if sex is None:
        return {}
    path = Path(sex)
    if not path.is_file():
        if sex.lower() not in ("female", "male"):
            raise InputError(f"'{sex}' is neither female nor male nor a file.", "A table has columns sample and sex.")
        return dict.fromkeys(samples, sex)
    import csv

    with open(path, encoding="utf-8-sig", newline="") as stream:
        first = stream.readline()
        rows = list(csv.DictReader([first, *stream], delimiter=max("\t,;", key=first.count)))
    if not rows or not {"sample", "sex"} <= set(rows[0]):
        raise InputError(f"'{path}' has no columns 'sample' and 'sex'.", "Name them so in its first line.")
    return {row["sample"]: row["sex"] or "" for row in rows}


@app.command()
def qc(
    file: File,
    out: Annotated[Path | None, typer.Option("--out", help="CSV file for the figures of every sample.")] = None,
    model: Bundle = None,
    sex: Annotated[
        str | None, typer.Option("--sex", help="Declared sex: female, male, or a table with columns sample and sex.")
    ] = None,
    units: UnitsOption = None,
    lengths: LengthsOption = None,
    orientation: OrientationOption = None,
    ids: IdsOption = None,
    delimiter: DelimiterOption = None,
    strand: StrandOption = None,
    sample: SampleOption = None,
) -> None:
    """Say how an expression file was understood, and judge the quality of every sample."""
    from napari_aml.expression import LengthsNeededError, PanelError, quality, quality_table
    from napari_aml.expression.bundle import load_expression_bundle

    matrix = read_file(file, units, orientation, ids, delimiter, strand, sample)
    declared = _declared(sex, matrix.samples)
    bundle, prepared, refusal = None, None, ""
    try:
        bundle = load_expression_bundle(model)
        prepared = prepare_for(matrix, bundle, given_lengths(lengths))
    except BundleError as error:
        if model is not None:
            raise
        err(f"The samples were not compared with a model: {error}")
    except (PanelError, LengthsNeededError) as error:  # the quality of the samples can be judged all the same
        refusal = f"{bundle.name if bundle else 'model'}: {error}"
    table = quality_table(quality(matrix, prepared, declared))
    if out:
        from napari_aml.export import write_csv

        write_csv(table, out)
    typer.echo(_summary(table))
    if prepared is not None:
        for said in dict.fromkeys(note for notes in prepared.warnings for note in notes):
            err(f"  note: {said}")
    if out:
        typer.echo(f"Figures of {len(table)} samples: {out}")
    typer.echo(RESEARCH_USE)
    if refusal:
        err(refusal)
        raise typer.Exit(InputError.exit_code)


def _summary(table: object, most: int = 40) -> str:
    """The figures that people look at, in columns."""
    import pandas as pd

    assert isinstance(table, pd.DataFrame)
    shown = table.head(most)

    def column(name: str, form: str) -> list[str]:
        return ["-" if pd.isna(value) else format(value, form) for value in shown[name]]

    columns = {
        "sample": shown["sample"].str.slice(0, 32).tolist(),
        "reads": column("library_size", ",.0f"),
        "genes": column("genes_detected", ","),
        "model's genes": column("panel_present", ".1%"),
        "mito": column("mitochondrial", ".1%"),
        "haemoglobin": column("haemoglobin", ".2%"),
        "sex": shown["sex"].tolist(),
        "like others": column("correlation", ".2f"),
    }
    widths = {name: max(len(name), *map(len, cells)) for name, cells in columns.items()}
    lines = ["  ".join(name.ljust(widths[name]) for name in columns)]
    for row in zip(*columns.values(), strict=True):
        lines.append("  ".join(cell.ljust(width) for cell, width in zip(row, widths.values(), strict=True)))
    if len(table) > most:
        lines.append(f"… and {len(table) - most} more samples (--out writes them all)")
    remarks = table[table["remarks"] != ""]
    lines += [f"{row.sample}: {row.remarks}" for row in remarks.itertuples()]
    return "\n".join(line.rstrip() for line in lines)
