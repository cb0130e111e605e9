"""napari-aml expression …: quality control and subtype calls from expression files."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_aml import RESEARCH_USE
from napari_aml.cli.console import drive, err
from napari_aml.errors import BundleError, InputError

if TYPE_CHECKING:
    import pandas as pd

    from napari_aml.expression import ExpressionMatrix, GeneLengths, PreparedSamples
    from napari_aml.expression.bundle import ExpressionBundle
    from napari_aml.expression.predict import SubtypeCall

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
    strand: Strand | None, samples: list[str] | None, genes: Sequence[str] | None = None,
    say: bool = True,
) -> ExpressionMatrix:
    """Read an expression file under a progress bar and say on standard error how it was understood.

    `genes` are those that are wanted, and those of quality control; None keeps all.
    """
    from napari_aml.expression import read_expression_steps

    steps = read_expression_steps(
        path, units=units, orientation=orientation.value if orientation else None, ids=ids.value if ids else None,
        delimiter=delimiter, strand=strand.value if strand else None, samples=samples or None, genes=genes,
    )  # fmt: skip
    matrix = drive(path.name, steps)
    if not say:
        return matrix
    err(f"{matrix.name}: {len(matrix)} sample{'s' if len(matrix) != 1 else ''}, {matrix.genes_in_file:,} genes.")
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
        prepare_steps(
            matrix, bundle.genes, lengths=lengths,
            accepts_uncorrected=bundle.accepts_uncorrected and lengths is None,
            reference=bundle.reference if bundle.summary else None,
        ),
    )


def by_sample(path: Path, column: str) -> dict[str, str]:
    """Read a table with the columns ``sample`` and `column`: sample → cell, empty cells left out."""
    import csv

    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            first = stream.readline()
            rows = list(csv.DictReader([first, *stream], delimiter=max("\t,;", key=first.count)))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"Cannot read the table '{path}': {error}.", "It must be a CSV or TSV file.") from error
    if not rows or not {"sample", column} <= set(rows[0]):
        raise InputError(f"'{path}' has no columns 'sample' and '{column}'.", "Name them so in its first line.")
    return {row["sample"]: row[column] for row in rows if row[column]}


def _declared(sex: str | None, samples: tuple[str, ...]) -> dict[str, str]:
    """Declared sexes: one word for all samples, or a table of sample and sex."""
    if sex is None or Path(sex).is_file():
        return by_sample(Path(sex), "sex") if sex else {}
    if sex.lower() not in ("female", "male"):
        raise InputError(f"'{sex}' is neither female nor male nor a file.", "A table has columns sample and sex.")
    return dict.fromkeys(samples, sex)


def _ages(path: Path | None) -> dict[str, float]:
    made = {}
    for name, said in (by_sample(path, "age") if path else {}).items():
        try:
            made[name] = float(said)
        except ValueError:
            raise InputError(f"The age '{said}' of sample '{name}' in '{path}' is no number.", "In years.") from None
    return made


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

    bundle, prepared, refusal, held = None, None, "", given_lengths(lengths)
    try:
        bundle = load_expression_bundle(model)
    except BundleError as error:
        if model is not None:
            raise
        err(f"The samples were not compared with a model: {error}")
    how = (file, units, orientation, ids, delimiter, strand, sample)
    matrix = read_file(*how, genes=bundle.genes if bundle else None)
    declared = _declared(sex, matrix.samples)
    if bundle is not None:
        try:
            prepared = prepare_for(matrix, bundle, held)
        except (PanelError, LengthsNeededError) as error:  # the quality of the samples can be judged all the same
            refusal = f"{bundle.name}: {error}"
            if matrix.genes_in_file > len(matrix.genes):  # without a panel samples are compared by all genes
                matrix = read_file(*how, say=False)
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


@app.command()
def predict(
    file: File,
    out: Annotated[Path, typer.Option("--out", help="CSV file for the calls.")],
    model: Bundle = None,
    ages: Annotated[
        Path | None, typer.Option("--ages", help="Table with columns sample and age (years): compared with training.")
    ] = None,
    units: UnitsOption = None,
    lengths: LengthsOption = None,
    orientation: OrientationOption = None,
    ids: IdsOption = None,
    delimiter: DelimiterOption = None,
    strand: StrandOption = None,
    sample: SampleOption = None,
) -> None:
    """Say which of a model's subtypes each sample's expression is similar to; never a diagnosis."""
    from napari_aml.export import check_writable, write_csv
    from napari_aml.expression.bundle import load_expression_bundle
    from napari_aml.expression.predict import predict_steps

    check_writable(out.parent)
    bundle, years, held = load_expression_bundle(model), _ages(ages), given_lengths(lengths)
    matrix = read_file(file, units, orientation, ids, delimiter, strand, sample, bundle.genes)
    calls = drive(matrix.name, predict_steps(matrix, bundle, ages=years, lengths=held))
    write_csv(calls_table(calls, bundle.codes), out)
    for one in calls[:40]:
        status = "" if one.status == "ok" else f" [{one.status}]"
        typer.echo(f"{one.sample}: {one.statement}{status}")
    if len(calls) > 40:
        typer.echo(f"… and {len(calls) - 40} more samples")
    shared = [said for said in calls[0].warnings if all(said in one.warnings for one in calls)]
    for said in shared:  # what concerns one sample only stands beside it in the file
        err(f"  note: {said}")
    typer.echo(f"Calls of {len(calls)} samples by {bundle.bundle_id}: {out}\n{RESEARCH_USE}")


def calls_table(calls: Sequence[SubtypeCall], codes: Sequence[str]) -> pd.DataFrame:
    """Return calls as a table: sample, subtype, probability, p_<class>…, set, status, missing_genes, …, warnings."""
    import pandas as pd

    return pd.DataFrame(
        {
            "sample": [one.sample for one in calls],
            "subtype": [one.subtype for one in calls],
            "probability": [one.probability for one in calls],
            **{f"p_{code}": [one.probabilities.get(code, float("nan")) for one in calls] for code in codes},
            # Empty where the model was not calibrated; "none" where no class fits at its stated error.
            "set": ["" if one.conformal_set is None else ";".join(one.conformal_set) or "none" for one in calls],
            "status": [one.status for one in calls],
            "missing_genes": [len(one.missing) for one in calls],
            "units": [one.units for one in calls],
            "warnings": [" ".join(one.warnings) for one in calls],
        }
    )


def _summary(table: pd.DataFrame, most: int = 40) -> str:
    """The figures that people look at, in columns."""
    import pandas as pd

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
