"""napari-aml expression train, benchmark, import-checkpoint, explain, map."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_aml.cli.console import drive, err
from napari_aml.cli.expression import (
    Bundle,
    File,
    Ids,
    IdsOption,
    LengthsOption,
    Orientation,
    OrientationOption,
    SampleOption,
    UnitsOption,
    app,
)
from napari_aml.errors import InputError


class TrainedModel(StrEnum):
    """Architectures that a bundle can hold."""

    attention_aml = "attention-aml"
    gene_attention = "gene-attention"
    mlp = "mlp"
    logistic = "logistic"


class Balance(StrEnum):
    """What is done about rare classes."""

    none = "none"
    weights = "weights"
    logit_adjustment = "logit-adjustment"


Labels = Annotated[
    Path,
    typer.Option("--labels", help="Table of samples and subtypes (CSV or TSV with a header); the clinical table of "
                 "TCGA-LAML is recognised."),
]  # fmt: skip
LabelColumn = Annotated[str | None, typer.Option("--label-column", help="Default: subtype, label, class …")]
SampleColumn = Annotated[str | None, typer.Option("--sample-column", help="Default: sample, id, barcode …")]
Panel = Annotated[Path | None, typer.Option("--panel", help="Genes to use, one a line; default: those of the file.")]
MostGenes = Annotated[int, typer.Option("--most-genes", min=1, help="The most variable ones of a wider file.")]


def _reading(units: str | None, orientation: Orientation | None, ids: Ids | None) -> dict[str, Any]:
    return {
        "units": units, "orientation": orientation.value if orientation else None, "ids": ids.value if ids else None,
    }  # fmt: skip


def _panel(path: Path | None) -> tuple[str, ...] | None:
    if path is None:
        return None
    from napari_aml.expression.checkpoint import read_gene_list

    return read_gene_list(path)


@app.command()
def train(
    data: File,
    labels: Labels,
    out: Annotated[Path, typer.Option("--out", help="Folder of the bundle.")],
    model: Annotated[TrainedModel, typer.Option("--model", help="Architecture.")] = TrainedModel.gene_attention,
    name: Annotated[str | None, typer.Option("--name", help="Of the bundle; default: its folder's name.")] = None,
    members: Annotated[int | None, typer.Option("--members", min=1, help="Networks of the ensemble.")] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, help="Passes over the samples.")] = None,
    rate: Annotated[float | None, typer.Option("--rate", help="Greatest learning rate.")] = None,
    decay: Annotated[float | None, typer.Option("--decay", help="Weight decay; for logistic: C.")] = None,
    dropout: Annotated[float | None, typer.Option("--dropout", min=0, max=0.9, help="Share dropped.")] = None,
    balance: Annotated[Balance | None, typer.Option("--balance", help="What is done about rare classes.")] = None,
    mixup: Annotated[float | None, typer.Option("--mixup", min=0, help="Alpha of Mixup; 0 is off.")] = None,
    swa: Annotated[
        float | None, typer.Option("--swa", min=0, max=1, help="Last share of epochs averaged; 0 is off.")
    ] = None,
    patience: Annotated[int | None, typer.Option("--patience", min=0, help="Early stopping; 0 is off.")] = None,
    jitter: Annotated[float | None, typer.Option("--jitter", min=0, help="Random offsets a gene, log2 units.")] = None,
    length_jitter: Annotated[
        bool, typer.Option(help="Learn to read values divided by gene length, and not divided, alike.")
    ] = False,
    seed: Annotated[int, typer.Option("--seed", help="Of everything random.")] = 0,
    folds: Annotated[int, typer.Option("--folds", min=2, help="Of the cross-validation.")] = 5,
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="Of the cross-validation.")] = 1,
    alpha: Annotated[float, typer.Option("--alpha", min=0.001, max=0.5, help="Error of the conformal sets.")] = 0.1,
    half: Annotated[bool, typer.Option(help="Store weights as float16.")] = False,
    card: Annotated[Path | None, typer.Option("--card", help="JSON with further entries of the card.")] = None,
    panel: Panel = None,
    most_genes: MostGenes = 15_000,
    label_column: LabelColumn = None,
    sample_column: SampleColumn = None,
    units: UnitsOption = None,
    lengths: LengthsOption = None,
    orientation: OrientationOption = None,
    ids: IdsOption = None,
) -> None:
    """Train a model on labelled samples; cross-validate, calibrate and write its bundle."""
    from napari_aml.expression.training.data import training_rows_steps
    from napari_aml.expression.training.settings import default_settings
    from napari_aml.expression.training.train import train_steps

    entries = _card(card)
    arguments = {} if dropout is None or model is TrainedModel.logistic else {"dropout": dropout}
    settings = default_settings(
        model.value, members=members, epochs=epochs, rate=rate, decay=decay, balance=balance and balance.value,
        mixup=mixup, swa=swa, patience=patience, jitter=jitter, length_jitter=length_jitter, seed=seed,
        model_args=arguments,
    )  # fmt: skip
    rows = drive(
        data.name,
        training_rows_steps(
            data, labels, panel=_panel(panel), most_genes=most_genes, lengths=lengths, uncorrected=length_jitter,
            label_column=label_column, sample_column=sample_column, **_reading(units, orientation, ids),
        ),
    )  # fmt: skip
    for note in rows.notes:
        err(f"  note: {note}")
    counts = ", ".join(f"{code} {n}" for code, n in rows.counts.items())
    err(f"{len(rows.samples)} samples, {len(rows.genes):,} genes; {counts}.")
    if rows.rule:
        err(f"Labels: {rows.rule}.")
    steps = train_steps(
        rows, out, settings, name=name or out.name, folds=folds, repeats=repeats, alpha=alpha, half=half, card=entries
    )
    made = drive(model.value, steps)
    typer.echo(made.bundle.card_summary())
    for sample, label, said, probability in made.doubtful:
        err(f"  {sample}: labelled {label}, but expression-similar to {said} ({100 * probability:.0f} %, out of fold)")
    typer.echo(f"Bundle: {out}")


def _card(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        held = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"Cannot read '{path}': {error}.", "Give a JSON object.") from error
    if not isinstance(held, dict):
        raise InputError(f"'{path}' holds no JSON object.", "Give entries of a card, such as title and licence.")
    return held


@app.command("import-checkpoint")
def import_checkpoint(
    file: Annotated[Path, typer.Argument(help="Weights of AttentionAML: .pth or .safetensors.")],
    genes: Annotated[Path, typer.Option("--genes", help="Genes, one a line, in the order of the inputs.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the bundle.")],
    classes: Annotated[
        str | None, typer.Option("--classes", help="Names in the order of the outputs, separated by commas; default: "
                                 "the 21 published ones.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Of the bundle.")] = None,
) -> None:
    """Turn published weights of AttentionAML into a bundle; the file is read as tensors only."""
    from napari_aml.expression import checkpoint

    codes = [c.strip() for c in classes.split(",")] if classes else None
    bundle = checkpoint.import_checkpoint(file, genes, out, classes=codes, name=name)
    typer.echo(bundle.card_summary())
    typer.echo(f"Bundle: {out}")


@app.command()
def benchmark(
    data: File,
    labels: Labels,
    out: Annotated[Path, typer.Option("--out", help="Folder for tables, plots and the page.")],
    models: Annotated[
        str | None, typer.Option("--models", help="Names separated by commas; default: all networks and baselines.")
    ] = None,
    folds: Annotated[int, typer.Option("--folds", min=2, help="Outer folds.")] = 5,
    inner: Annotated[int, typer.Option("--inner", min=2, help="Inner folds.")] = 3,
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="How often the samples are dealt.")] = 3,
    members: Annotated[int | None, typer.Option("--members", min=1, help="Networks of an ensemble.")] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, help="Of the networks.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of everything random.")] = 0,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Processes that share the folds.")] = 1,
    panel: Panel = None,
    most_genes: MostGenes = 15_000,
    label_column: LabelColumn = None,
    sample_column: SampleColumn = None,
    units: UnitsOption = None,
    lengths: LengthsOption = None,
    orientation: OrientationOption = None,
    ids: IdsOption = None,
) -> None:
    """Compare the networks with logistic regression, SVM, forest and neighbours on the same nested folds."""
    from napari_aml.expression.benchmark_report import overall_table, write_benchmark
    from napari_aml.expression.benchmarking import MODELS, benchmark_steps
    from napari_aml.expression.training.data import training_rows_steps

    chosen = [m.strip() for m in models.split(",")] if models else list(MODELS)
    rows = drive(
        data.name,
        training_rows_steps(
            data, labels, panel=_panel(panel), most_genes=most_genes, lengths=lengths, label_column=label_column,
            sample_column=sample_column, **_reading(units, orientation, ids),
        ),
    )  # fmt: skip
    steps = benchmark_steps(
        rows, chosen, folds=folds, inner=inner, repeats=repeats, members=members, epochs=epochs, seed=seed,
        jobs=jobs,
    )  # fmt: skip
    made = drive("benchmark", steps)
    command = (
        f"napari-aml expression benchmark {data.name} --labels {labels.name} --out {out.name} --folds {folds} "
        f"--inner {inner} --repeats {repeats} --seed {seed}"
        + (f" --members {members}" if members else "")
        + (f" --epochs {epochs}" if epochs else "")
        + (f' --models "{",".join(chosen)}"' if models else "")
    )
    write_benchmark(made, out, command)
    for row in overall_table(made).itertuples():
        typer.echo(f"{row.model:<20} MCC {row.mcc:.3f} ({row.mcc_low:.3f}–{row.mcc_high:.3f})  ECE {row.ece:.3f}")
    typer.echo(f"Tables, plots and page: {out / 'index.html'}")


def _prepared(
    file: Path, model: str | None, units: str | None, orientation: Orientation | None, ids: Ids | None,
    lengths: Path | None, samples: list[str] | None,
) -> tuple[Any, Any, Any]:  # fmt: skip
    """Read a file and prepare its samples for a bundle: the bundle, the prepared samples, the rows that are used."""
    from napari_aml.cli.expression import given_lengths, read_file
    from napari_aml.expression import prepare_steps
    from napari_aml.expression.bundle import load_expression_bundle

    bundle = load_expression_bundle(model)
    matrix = read_file(file, units, orientation, ids, None, None, samples, bundle.genes)
    held = given_lengths(lengths)
    steps = prepare_steps(
        matrix, bundle.genes, lengths=held, accepts_uncorrected=bundle.accepts_uncorrected and held is None,
        reference=bundle.reference if bundle.summary else None,
    )  # fmt: skip
    prepared = drive(file.name, steps)
    return bundle, prepared, prepared.values if prepared.reference_values is None else prepared.reference_values


def _classes(
    labels: Path | None, bundle: Any, prepared: Any, sample_column: str | None, label_column: str | None
) -> tuple[list[str], str]:  # fmt: skip
    """Return each sample's class: from a table of labels, else the model's calls; and which of the two it is."""
    from napari_aml.expression.predict import call_steps
    from napari_aml.expression.training.labels import read_labels

    if labels is None:
        calls = drive("calls", call_steps(prepared, bundle))
        return [c.subtype or "no call" for c in calls], "the model's calls"
    known = read_labels(labels, sample_column=sample_column, label_column=label_column)
    return [v if v is not None else "no label" for v in known.match(prepared.samples)], f"labels of {labels.name}"


@app.command()
def explain(
    file: File,
    out: Annotated[Path, typer.Option("--out", help="Folder for the tables and plots.")],
    model: Bundle = None,
    target: Annotated[str | None, typer.Option("--class", help="Class to explain; default: each call's own.")] = None,
    labels: Annotated[Path | None, typer.Option("--labels", help="Groups for the markers; default: the calls.")] = None,
    sample: SampleOption = None,
    top: Annotated[int, typer.Option("--top", min=1, help="Genes a sample in genes.csv.")] = 30,
    ablate: Annotated[bool, typer.Option(help="Check that removing the top genes moves the call.")] = True,
    seed: Annotated[int, typer.Option("--seed", help="Of the random genes.")] = 0,
    label_column: LabelColumn = None,
    sample_column: SampleColumn = None,
    units: UnitsOption = None,
    lengths: LengthsOption = None,
    orientation: OrientationOption = None,
    ids: IdsOption = None,
) -> None:
    """Say which genes speak for each call: attributions with their completeness, markers, removal of genes."""
    from napari_aml.expression.explain import explain_steps, write_explanation

    bundle, prepared, x = _prepared(file, model, units, orientation, ids, lengths, sample)
    classes, grouped_by = _classes(labels, bundle, prepared, sample_column, label_column)
    steps = explain_steps(
        bundle, x, prepared.samples, classes, target=target, ablate=ablate, seed=seed, grouped_by=grouped_by
    )
    made = drive(file.name, steps)
    write_explanation(made, out, top=top)
    typer.echo("\n".join(made.words()))
    typer.echo(f"Tables and plots: {out}")


@app.command("map")
def map_samples(
    file: File,
    out: Annotated[Path, typer.Option("--out", help="Folder for map.csv, map_figures.csv and map.png.")],
    model: Bundle = None,
    labels: Annotated[Path | None, typer.Option("--labels", help="Colours and figures; default: the calls.")] = None,
    umap: Annotated[bool, typer.Option(help="UMAP beside PCA (needs the extra 'umap').")] = False,
    sample: SampleOption = None,
    seed: Annotated[int, typer.Option("--seed", help="Of k-means and UMAP.")] = 0,
    label_column: LabelColumn = None,
    sample_column: SampleColumn = None,
    units: UnitsOption = None,
    lengths: LengthsOption = None,
    orientation: OrientationOption = None,
    ids: IdsOption = None,
) -> None:
    """Place samples beside each other by the network's last layer and by plain expression."""
    from napari_aml.expression.mapping import sample_maps_steps, write_maps

    bundle, prepared, x = _prepared(file, model, units, orientation, ids, lengths, sample)
    classes, grouped_by = _classes(labels, bundle, prepared, sample_column, label_column)
    maps = drive(file.name, sample_maps_steps(bundle, x, prepared.samples, classes, umap=umap, seed=seed))
    write_maps(maps, classes, out)
    for one in maps:
        typer.echo(
            f"{one.space}, {one.method}: silhouette {one.silhouette:.3f}, ARI {one.ari:.3f} ({grouped_by})"
        )
    typer.echo(f"Table and plot: {out}")
