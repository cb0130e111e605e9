"""What every command shares: progress on standard error, options that several commands take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from napari_aml.progress import Progress, Result, Steps, run

Model = Annotated[
    str | None, typer.Option("--model", help="Model bundle: a folder or a name; default: the shipped one.")
]
Size = Annotated[
    float | None,
    typer.Option(
        "--pixel-size",
        min=0.01,
        max=20.0,
        help="µm per pixel; default: from the file, else from the red cells.",
    ),
]
DeviceName = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps.")]
Recolour = Annotated[
    bool,
    typer.Option(
        "--recolour/--no-recolour",
        help="Show the model cells of a stain that it was not trained on in the colours of one that it knows.",
    ),
]


def err(text: str) -> None:
    """Say something on standard error."""
    typer.echo(text, err=True)


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[Progress], None]]:
    """Show a progress bar on standard error; yields what takes the events."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=None)

        def show(event: Progress) -> None:
            text = f"{title}: {event.message}" if event.message else title
            bar.update(task, total=event.total or None, completed=event.done, description=text)

        yield show


def drive(title: str, steps: Steps[Result]) -> Result:
    """Run a long job under a progress bar and return what it made."""
    with progress_bar(title) as show:
        return run(steps, show)
