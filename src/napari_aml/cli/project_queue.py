"""``napari-aml project queue``: what to look at next, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_aml.cli.console import drive, err


def register(app: typer.Typer) -> None:
    """Add the command to the group ``project``."""
    app.command()(queue)


def queue(
    project: Annotated[Path, typer.Argument(help="The project folder, NAME.amlproj.")],
    order: Annotated[
        str, typer.Option("--order", help="mix, uncertain, disagreement, label-errors, diverse or rare.")
    ] = "mix",
    top: Annotated[int, typer.Option("--top", min=1, help="How many cells.")] = 20,
    reader: Annotated[str | None, typer.Option("--reader", help="Whose decisions count; default: everyone's.")] = None,
    slide: Annotated[list[str] | None, typer.Option("--slide", help="Only this slide (id); may be repeated.")] = None,
    wanted: Annotated[
        list[str] | None, typer.Option("--class", help="With --order rare: class code to hunt for; may be repeated.")
    ] = None,
    teach: Annotated[bool, typer.Option(help="Let the decisions teach a light head first.")] = True,
    out: Annotated[Path | None, typer.Option("--out", help="CSV file instead of a list on the screen.")] = None,
) -> None:
    """Say which cells to look at next, most useful first, each with its reason."""
    from napari_aml.review.project import Project
    from napari_aml.review.queue import project_pool_steps, queue_table, rank_steps

    codes = tuple(code.upper() for code in wanted or ())
    with Project.open(project, read_only=True) as opened:
        steps = project_pool_steps(opened, reader=reader, slide_ids=slide, teach=teach, wanted=codes)
        pool, slides, notes = drive("Reading", steps)
        ranking = drive("Ordering", rank_steps(pool, order))
        table = queue_table(ranking, pool, slides, top)
    for note in notes:
        err(f"note: {note}")
    taught = pool.taught
    if taught is not None and taught.head is not None:
        err(f"Taught by {taught.decisions} decisions; {len(taught.changes)} undecided cells changed class.")
    if out is not None:
        from napari_aml.export import write_csv

        write_csv(table, out)
        typer.echo(f"{len(table)} of {len(ranking)} cells in the order '{order}': {out}")
        return
    for row in table.itertuples(index=False):
        typer.echo(f"{row.place:4d}  {row.uid}  {row.decided or row.model:4s} {row.why}")
    if not len(table):
        typer.echo(f"No cell of this project belongs into the order '{order}'.")
