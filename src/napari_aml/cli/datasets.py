"""napari-aml import, dataset, join: labelled pictures become a dataset, what is in one, several made one."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from napari_aml.cli.console import drive, err
from napari_aml.errors import InputError


class Unreadable(StrEnum):
    """What to do with a picture that cannot be read."""

    skip = "skip"
    refuse = "refuse"


def import_(
    name: Annotated[
        str,
        typer.Argument(help="lmu, mll, mll23, pbc, bloodmnist, raabin, folder (class folders) or sample (shipped)."),
    ],
    path: Annotated[Path | None, typer.Argument(help="Where the set lies; not needed for sample.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder of the new dataset.")] = None,
    mapping: Annotated[
        str | None, typer.Option("--mapping", help="JSON table from the set's labels to class codes, or a shipped one.")
    ] = None,
    show_mapping: Annotated[bool, typer.Option("--show-mapping", help="Print the mapping table and stop.")] = False,
    pixel_size: Annotated[
        float | None, typer.Option("--pixel-size", min=0.001, max=20.0, help="µm per pixel of these pictures.")
    ] = None,
    unreadable: Annotated[
        Unreadable, typer.Option("--unreadable", help="Leave unreadable pictures out, or stop at the first.")
    ] = Unreadable.skip,
    most_px: Annotated[
        int | None, typer.Option("--max-px", min=16, help="Reduce larger pictures to this side.")
    ] = None,
) -> None:
    """Turn a public set, class folders or the shipped sample into a dataset."""
    from napari_aml.datasets import IMPORTERS, check, import_dataset_steps, load_mapping
    from napari_aml.export import check_writable

    if name not in IMPORTERS:
        raise InputError(f"There is no importer '{name}'.", f"Use one of {', '.join(IMPORTERS)}.")
    if show_mapping:
        typer.echo(load_mapping(mapping or ("lmu" if name == "sample" else name)).text())
        return
    if out is None or (path is None and name != "sample"):
        raise InputError("An import needs a PATH and --out.", f"napari-aml import {name} PATH --out DATASET")
    check_writable(out.parent)
    steps = import_dataset_steps(
        name, path or Path(), out, mapping=mapping, pixel_size_um=pixel_size, unreadable=unreadable.value,
        most_px=most_px,
    )  # fmt: skip
    made = drive(name, steps)
    typer.echo(made.summary())
    for note in made.meta.get("notes", []):
        err(f"warning: {note}" if "UNK" in note else f"note: {note}")
    for finding in check(made):
        if finding.text != made.leakage.text:
            err(f"{finding.severity}: {finding.text}")
    typer.echo(f"Dataset: {out}")


def dataset(
    path: Annotated[Path, typer.Argument(help="A dataset's folder.")],
) -> None:
    """Say what is in a dataset, at which level it can be split, and what may be wrong with it."""
    from napari_aml.datasets import Dataset, check

    held = Dataset.open(path)
    typer.echo(held.summary())
    found = check(held)
    for finding in found:
        if finding.text != held.leakage.text:
            typer.echo(f"  {finding.severity}: {finding.text}")
    if any(f.severity == "error" for f in found):
        raise typer.Exit(InputError.exit_code)


def join(
    paths: Annotated[list[Path], typer.Argument(help="Datasets' folders, one or more.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the new dataset.")],
    per_class: Annotated[
        int, typer.Option("--per-class", min=0, help="Draw at most this many of each class of each dataset; 0 = all.")
    ] = 0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the draw.")] = 0,
    division: Annotated[
        Path | None, typer.Option("--split", help="Take one part of this split (a training keeps it: split.json).")
    ] = None,
    part: Annotated[str, typer.Option("--part", help="Of the split: train, validation or test.")] = "test",
) -> None:
    """Make one dataset of several, or a smaller one of one."""
    from napari_aml.datasets import join_steps
    from napari_aml.export import check_writable

    check_writable(out.parent)
    made = drive("join", join_steps(paths, out, per_class=per_class, seed=seed, division=division, part=part))
    typer.echo(made.summary())
    typer.echo(f"Dataset: {out}")
