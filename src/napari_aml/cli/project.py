"""``napari-aml project …``: make a project, add slides, look at it, verify it, compare its readers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_aml.cli import project_queue
from napari_aml.cli.console import DeviceName, Model, Size, drive, err
from napari_aml.cli.project_export import register
from napari_aml.errors import AmlError, Cancelled

if TYPE_CHECKING:
    from napari_aml.review.agreement import AgreementSummary, Readings
    from napari_aml.review.project import Project

app = typer.Typer(
    no_args_is_help=True, help="Projects on disk: slides, cells, what models and readers said of them."
)

Folder = Annotated[Path, typer.Argument(help="The project folder, NAME.amlproj.")]
Reader = Annotated[str, typer.Option("--reader", help="Alias of who works here; never a patient's name.")]


@app.command()
def create(
    project: Annotated[Path, typer.Argument(help="Folder to make; .amlproj is added where it lacks.")],
    name: Annotated[str | None, typer.Option("--name", help="Name for people; default: the folder's.")] = None,
    reader: Reader = "",
) -> None:
    """Make an empty project."""
    from napari_aml.review.project import Project

    with Project.create(project, name, reader) as made:
        if reader:
            made.add_reader(reader)
        typer.echo(f"Made the project '{made.name}': {made.folder}")


@app.command()
def add(
    project: Folder,
    images: Annotated[list[Path], typer.Argument(help="Pictures of smears, or folders of them.")],
    analyse: Annotated[bool, typer.Option(help="Find and classify the cells, too.")] = True,
    patient: Annotated[str | None, typer.Option("--patient", help="Pseudonym of the patient.")] = None,
    model: Model = None,
    pixel_size: Size = None,
    device: DeviceName = "auto",
    cam: Annotated[str, typer.Option("--cam", help="Heatmap method, or none.")] = "none",
    segmenter: Annotated[str, typer.Option("--segmenter", help="Segmentation backend.")] = "default",
    reader: Reader = "",
) -> None:
    """Add pictures; known ones are brought up to date, and cells keep their identity and decisions."""
    from napari_aml.classify import load_bundle
    from napari_aml.cli.app import _pictures
    from napari_aml.pipeline import analyse_steps
    from napari_aml.review.project import Project
    from napari_aml.slides import open_slide

    pictures = _pictures(images)
    failed: list[AmlError] = []
    with Project.open(project, reader) as opened:
        _say_notes(opened)
        bundle = load_bundle(model) if analyse else None
        for path in pictures:
            try:
                if bundle is None:
                    added = opened.add_slide(open_slide(path, pixel_size), patient=patient)
                else:
                    steps = analyse_steps(
                        path, model=bundle, pixel_size_um=pixel_size, device=device,
                        cam=None if cam == "none" else cam, segmenter=segmenter,
                    )  # fmt: skip
                    found = drive(path.name, steps)
                    added = opened.add_slide(found.slide, found, patient=patient)
            except Cancelled:
                raise
            except AmlError as error:
                failed.append(error)
                err(f"{path.name}: {error}")
                continue
            n = "" if added.analysis is None else f", {len(added.analysis.cells)} cells"
            typer.echo(f"{path.name}: {'added' if added.is_new else 'brought up to date'} as {added.slide_id}{n}")
    if failed:
        raise typer.Exit(failed[0].exit_code)


@app.command()
def info(
    project: Folder, as_json: Annotated[bool, typer.Option("--json", help="For programs, one JSON object.")] = False
) -> None:
    """Say what is in a project and whether its pictures are there."""
    from napari_aml.review.project import Project

    with Project.open(project, read_only=True) as opened:
        told = _told(opened)
    if as_json:
        typer.echo(json.dumps(told, indent=1, ensure_ascii=False))
        return
    typer.echo(f"{told['name']} (format {told['format_version']}, made {told['created_utc']})")
    decided = f"{told['cells_decided']} of {told['cells']} cells decided, {told['decisions']} rows in the record"
    typer.echo(f"{len(told['slides'])} slides, {decided}")
    typer.echo(f"Readers: {', '.join(told['readers']) or 'none yet'}")
    for slide in told["slides"]:
        cells = "not analysed" if slide["cells"] is None else f"{slide['cells']} cells, {slide['model'] or 'no model'}"
        patient = f", patient {slide['patient']}" if slide["patient"] else ""
        typer.echo(f"  {slide['slide_id']}  {slide['name']}: {cells}{patient}; picture {slide['picture']}")
    if told["links"]:
        typer.echo(f"{told['links']} slides are linked with an expression sample")


def _told(project: Project) -> dict[str, Any]:
    from napari_aml.review.final import settled

    newest = {run.slide_id: run for run in project.runs}
    slides = []
    for entry in project.slides():
        run = newest.get(entry.slide_id)
        slides.append({
            "slide_id": entry.slide_id, "name": entry.name, "patient": entry.patient, "sha256": entry.sha256,
            "picture": str(project.locate(entry.slide_id)), "cells": None if run is None else run.n_cells,
            "revision": None if run is None else run.revision, "model": None if run is None else run.bundle_id,
        })  # fmt: skip
    decisions = project.decisions()
    return {
        "name": project.name, "project_id": project.project_id, "created_utc": project.created,
        "format_version": project.format_version, "readers": list(project.readers), "slides": slides,
        "cells": sum(run.n_cells for run in newest.values()), "cells_decided": len(settled(decisions)),
        "decisions": len(decisions), "links": len(project.links),
    }  # fmt: skip


@app.command()
def verify(
    project: Folder,
    repair: Annotated[bool, typer.Option("--repair", help="Repair what can be; damaged files are kept.")] = False,
    look_in: Annotated[
        Path | None, typer.Option("--look-in", help="Folder in which missing pictures are looked for.")
    ] = None,
) -> None:
    """Check every part of a project: record, chain of decisions, second copy, cells, pictures."""
    from napari_aml.review.project import verify_steps

    findings = drive(project.name, verify_steps(project, repair=repair or look_in is not None, look_in=look_in))
    for finding in findings:
        typer.echo(str(finding))
    errors = sum(f.is_open for f in findings)
    if errors:
        err(f"{errors} error{'s' if errors != 1 else ''} stand{'s' if errors == 1 else ''}.")
        raise typer.Exit(1)
    typer.echo("The project is whole.")


@app.command()
def agree(
    project: Folder,
    readers: Annotated[str | None, typer.Option("--readers", help="Aliases, joined by commas; default: all.")] = None,
    model: Annotated[bool, typer.Option("--model/--no-model", help="Let the model count as a reader.")] = False,
    by_slide: Annotated[
        bool, typer.Option("--by-slide", help="Intervals from whole slides: cells of one slide resemble each other.")
    ] = False,
    out: Annotated[Path | None, typer.Option("--out", help="CSV file for the cells on which readers differ.")] = None,
) -> None:
    """Compare the readers: kappas and alpha with intervals, confusion, cells on which they differ."""
    from napari_aml.review.agreement import agreement, confusion, disagreements, readings
    from napari_aml.review.project import Project

    chosen = None if readers is None else [r.strip() for r in readers.split(",") if r.strip()]
    with Project.open(project, read_only=True) as opened:
        said = readings(opened.decisions(), chosen, opened.table() if model else None)
    summary = agreement(said, by_slide=by_slide)
    _say_agreement(summary, said)
    for pair in summary.pairs:
        typer.echo(f"\n{pair.a} (rows) and {pair.b} (columns)")
        typer.echo(confusion(said, pair.a, pair.b).to_string())
    rows = disagreements(said)
    settled = sum(uid in said.adjudicated for uid, _, _ in rows)
    typer.echo(f"\nReaders differ on {len(rows)} cells, {settled} of them adjudicated.")
    if out is not None:
        _write_disagreements(said, rows, out)
        typer.echo(f"Written to {out}")


def _say_agreement(summary: AgreementSummary, said: Readings) -> None:
    counts = ", ".join(f"{r} {sum(c is not None for c in said.codes[r])}" for r in said.readers)
    typer.echo(f"Cells read: {counts or 'none'}")
    if summary.alpha is None or summary.fleiss is None:
        typer.echo("Agreement needs two readers who decided on the same cells.")
        return
    for pair in summary.pairs:
        typer.echo(f"Cohen's kappa {pair.a} / {pair.b}: {pair.kappa}; neighbours in maturation taken as equal: "
                   f"{pair.tolerant}")  # fmt: skip
    typer.echo(f"Fleiss' kappa: {summary.fleiss}")
    typer.echo(f"Krippendorff's alpha: {summary.alpha}")
    typer.echo("In brackets: 95 % bootstrap intervals.")


def _write_disagreements(said: Readings, rows: list[tuple[str, str, dict[str, str]]], out: Path) -> None:
    import pandas as pd

    from napari_aml.export import write_csv

    table = pd.DataFrame(
        [
            {"uid": uid, "slide_id": slide_id, **{r: words.get(r, "") for r in said.readers},
             "adjudicated": said.adjudicated.get(uid, "")}
            for uid, slide_id, words in rows
        ],
        columns=["uid", "slide_id", *said.readers, "adjudicated"],
    )  # fmt: skip
    write_csv(table, out)


def _say_notes(project: Project) -> None:
    for note in project.notes:
        err(f"note: {note}")


register(app)  # export, import, report
project_queue.register(app)
