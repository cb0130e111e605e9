"""napari-aml train, benchmark: a dataset becomes a bundle; recipes are compared on equal terms."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_aml.cli.console import drive, err, progress_bar
from napari_aml.errors import InputError

if TYPE_CHECKING:
    from napari_aml.classify.training.engine import TrainConfig
    from napari_aml.classify.training.engine.recipes import Recipe

Config = Annotated[
    str | None, typer.Option("--config", help="TOML file of settings, or a shipped recipe (demo).", metavar="FILE|NAME")
]  # fmt: skip
Set = Annotated[
    list[str] | None, typer.Option("--set", help="Any setting as name=value; several times.", metavar="NAME=VALUE")
]  # fmt: skip
Epochs = Annotated[int | None, typer.Option("--epochs", min=1, help="Passes over the training pictures.")]
Px = Annotated[int | None, typer.Option("--px", min=16, help="Side of a crop in pixels.")]
BatchSize = Annotated[int | None, typer.Option("--batch", min=1, help="Pictures per update.")]
Device = Annotated[str | None, typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps.")]
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="The same seed gives the same result.")]


def _recipe(config: str | None, changes: list[str] | None, **options: object) -> Recipe:
    from napari_aml.classify.training.engine import TrainConfig
    from napari_aml.classify.training.engine.recipes import Recipe

    held = Recipe(TrainConfig()) if config is None else Recipe.read(config)
    named: dict[str, object] = {}
    for change in changes or []:
        name, sign, value = change.partition("=")
        if not sign:
            raise InputError(f"'{change}' is no setting.", "Write it as --set name=value.")
        named[name.strip()] = value.strip()
    return held.changed(**named).changed(**options)


def _settings(config: str | None, changes: list[str] | None, **options: object) -> TrainConfig:
    recipe = _recipe(config, changes, **options)
    if recipe.staged:
        raise InputError(f"'{config}' is a recipe of several stages.", "A comparison needs one of a single stage.")
    return recipe.parts()[0][1]


def train(
    dataset: Annotated[Path, typer.Argument(help="A dataset's folder.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the new bundle.")],
    backbone: Annotated[str | None, typer.Option("--backbone", help="timm's name: convnext_tiny, resnet50 …")] = None,
    base: Annotated[str | None, typer.Option("--base", help="Bundle to start from: a folder or a name.")] = None,
    start: Annotated[
        str | None, typer.Option("--from", help="Bundle whose layers of the same name and shape are taken over.")
    ] = None,
    teacher: Annotated[str | None, typer.Option("--teacher", help="Bundle whose answers are learnt as well.")] = None,
    config: Config = None,
    pretrained: Annotated[bool | None, typer.Option("--pretrained/--from-scratch", help="Use timm's weights.")] = None,
    epochs: Epochs = None,
    px: Px = None,
    batch: BatchSize = None,
    rate: Annotated[float | None, typer.Option("--rate", help="Peak learning rate.")] = None,
    seed: Seed = None,
    device: Device = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the new bundle.")] = None,
    changes: Set = None,
    division: Annotated[Path | None, typer.Option("--split", help="A kept split (split.json) to use again.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Throw an unfinished run away instead of going on.")] = False,
) -> None:
    """Train a network on a dataset; an interrupted run goes on where it stopped."""
    from napari_aml.classify.training.engine.recipes import recipe_steps
    from napari_aml.datasets import Dataset, read_split
    from napari_aml.export import check_writable
    from napari_aml.progress import Progress, run

    if base is not None and start is not None:
        raise InputError("--base and --from exclude each other.", "--base goes on from a bundle as it is.")
    recipe = _recipe(
        config, changes, backbone=backbone, pretrained=pretrained, epochs=epochs, px=px, batch=batch, rate=rate,
        seed=seed, device=device, name=name, start=start, teacher=teacher,
    )  # fmt: skip
    check_writable(out.parent)
    held = Dataset.open(dataset)
    known = read_split(division, held) if division is not None else None
    steps = recipe_steps(held, recipe, out, base=base, division=known, fresh=fresh)
    with progress_bar(dataset.name) as show:

        def each(event: Progress) -> None:
            show(event)
            if event.payload is not None:
                err(event.message)

        result = run(steps, each)
    if result.bundle is None:
        return
    for note in result.notes:
        err(f"note: {note}")
    typer.echo(result.bundle.card_summary())
    typer.echo(f"Bundle: {out}")


def benchmark(
    dataset: Annotated[Path, typer.Argument(help="A dataset's folder.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the runs and the report.")],
    suite: Annotated[
        str,
        typer.Option("--suite", help="backbones, augmentation, optimizer, hyperparameters, imbalance or all; commas."),
    ] = "backbones",
    seeds: Annotated[int, typer.Option("--seeds", min=1, max=50, help="Runs of each arm.")] = 3,
    backbones: Annotated[
        str | None, typer.Option("--backbones", help="timm names to compare, by commas; default: the named three.")
    ] = None,
    config: Config = None,
    epochs: Epochs = None,
    px: Px = None,
    batch: BatchSize = None,
    device: Device = None,
    changes: Set = None,
) -> None:
    """Compare backbones and recipes at equal budget on identical splits and seeds; write one report."""
    from napari_aml.classify.training.benchmark import benchmark_steps
    from napari_aml.datasets import Dataset
    from napari_aml.export import check_writable

    settings = _settings(config, changes, epochs=epochs, px=px, batch=batch, device=device)
    check_writable(out)
    named = tuple(b.strip() for b in backbones.split(",") if b.strip()) if backbones else None
    steps = benchmark_steps(
        Dataset.open(dataset), settings, out, suites=tuple(s.strip() for s in suite.split(",")), seeds=seeds,
        backbones=named,
    )  # fmt: skip
    result = drive(dataset.name, steps)
    for failed in result.failed:
        err(f"failed: {failed}")
    typer.echo(result.table)
    typer.echo(f"Report: {result.report}")
