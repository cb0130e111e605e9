"""``napari-aml project export``, ``import`` and ``report``."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from napari_aml.cli.console import drive, err
from napari_aml.errors import InputError

Folder = Annotated[Path, typer.Argument(help="The project folder, NAME.amlproj.")]
Slides = Annotated[list[str] | None, typer.Option("--slide", help="Id of a slide; default: all that have cells.")]
Whose = Annotated[
    str | None, typer.Option("--reader", help="Whose words are final: an alias, or 'adjudicated'; default: all.")
]


class Format(StrEnum):
    """Formats by the names that the command line takes."""

    csv = "csv"
    parquet = "parquet"
    coco = "coco"
    geojson = "geojson"
    labels = "labels"
    imagefolder = "imagefolder"
    h5ad = "h5ad"
    dataset = "dataset"


class Smudge(StrEnum):
    """Where smudge cells are counted."""

    apart = "apart"
    lymphocytes = "lymphocytes"


def export(
    project: Folder,
    out: Annotated[Path, typer.Option("--out", help="Folder of the export; an earlier export there is replaced.")],
    formats: Annotated[
        list[Format] | None, typer.Option("--format", help="May be given several times; default: csv.")
    ] = None,
    slide: Slides = None,
    reader: Whose = None,
    names: Annotated[
        bool, typer.Option("--names", help="Keep the names of readers, patients and slides: not to be passed on.")
    ] = False,
    notes: Annotated[bool, typer.Option("--notes", help="Keep free text where names are replaced.")] = False,
    licence: Annotated[str, typer.Option("--licence", help="Of pictures and labels, such as 'CC BY 4.0'.")] = "",
    source: Annotated[str, typer.Option("--source", help="Where the pictures came from, in words.")] = "",
    confirmed: Annotated[
        bool, typer.Option("--confirmed", help="Pictures (imagefolder, dataset) of confirmed cells alone.")
    ] = False,
    polygons: Annotated[bool, typer.Option("--polygons", help="COCO masks as polygons; default: run lengths.")] = False,
    crop_px: Annotated[int, typer.Option("--crop-px", help="Side of a cell's picture, pixels.")] = 256,
    crop_um: Annotated[
        float | None, typer.Option("--crop-um", help="The same in µm; default: as the model saw it.")
    ] = None,
) -> None:
    """Write cells, masks, classes and decisions in the formats of other programs."""
    from napari_aml.export.formats import ExportOptions, export_curation_steps
    from napari_aml.review.exchange import curation_of_project, pseudonyms_of
    from napari_aml.review.project import Project

    options = ExportOptions(
        "confirmed" if confirmed else "all", "polygons" if polygons else "rle", crop_px, crop_um,
    )  # fmt: skip
    with Project.open(project) as opened:
        curation = curation_of_project(opened, slide, reader=reader, licence=licence, source=source)
        steps = export_curation_steps(
            curation, out, [f.value for f in formats or [Format.csv]], options=options,
            pseudonyms=False if names else pseudonyms_of(opened), notes=notes,
        )  # fmt: skip
        folder = drive("Exporting", steps)
    told = json.loads((folder / "provenance.json").read_text("utf-8"))
    cells = sum(s["cells"] for s in told["slides"])
    typer.echo(f"{cells} cells of {len(told['slides'])} slides exported to {folder}")
    for remark in told["remarks"]:
        err(f"note: {remark}")
    if names:
        err("note: this export holds names of readers, slides and patients.")


def import_(
    project: Folder,
    source: Annotated[Path, typer.Argument(help="CSV, Parquet, COCO, GeoJSON, a label TIFF, or an export's folder.")],
    reader: Annotated[str, typer.Option("--reader", help="In whose name classes of the file are recorded.")],
    slide: Annotated[str, typer.Option("--slide", help="Id of the slide, where the file does not say it.")] = "",
    mapping: Annotated[
        list[str] | None, typer.Option("--map", help="CLASS=CODE: what a class of the file is; CLASS= passes it over.")
    ] = None,
    mapping_table: Annotated[
        str | None, typer.Option("--mapping", help="The same as a table: a JSON file, or the name of a shipped one.")
    ] = None,
    add_new: Annotated[bool, typer.Option("--add-new", help="Add cells of the file that are not here.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    device: Annotated[str, typer.Option("--device", help="On which new cells are classified.")] = "auto",
) -> None:
    """Take classes, tags, notes and regions from a file into a project; nothing that is there is overwritten."""
    from napari_aml.review.exchange import import_steps
    from napari_aml.review.project import Project

    codes = _codes(mapping or [], mapping_table)
    with Project.open(project, reader, read_only=dry_run) as opened:
        steps = import_steps(
            opened, source, reader, codes, slide_id=slide, add_new=add_new, dry_run=dry_run, device=device
        )
        plan = drive(f"Reading {source.name}", steps)
    for remark in plan.remarks:
        err(f"note: {remark}")
    typer.echo(f"{len(plan.decisions)} decisions {'would be' if dry_run else ''} recorded.".replace("  ", " "))


def _codes(pairs: list[str], table: str | None) -> dict[str, str]:
    from napari_aml.taxonomy import BY_CODE

    codes: dict[str, str] = {}
    if table:
        from napari_aml.datasets.mapping import load_mapping

        codes |= load_mapping(table).table
    for pair in pairs:
        name, sign, code = pair.rpartition("=")
        if not sign or not name or (code and code not in BY_CODE):
            raise InputError(f"--map {pair} is no CLASS=CODE.", f"Codes: {', '.join(BY_CODE)}.")
        codes[name] = code
    return codes


def report(
    project: Folder,
    out: Annotated[Path, typer.Option("--out", help="HTML file to write.")],
    slide: Slides = None,
    reader: Whose = None,
    names: Annotated[bool, typer.Option("--names", help="Keep the names of readers, slides and patients.")] = False,
    least_probability: Annotated[
        float, typer.Option("--least-probability", help="Below it a cell counts as unknown, 0 to 1.")
    ] = 0.0,
    smudge: Annotated[Smudge, typer.Option("--smudge-cells", help="Where smudge cells are counted.")] = Smudge.apart,
    pmb_as_blasts: Annotated[
        bool, typer.Option("--pmb-as-blasts", help="Bilobed promyelocytes are blasts (APL only).")
    ] = False,
    leave_out_cut: Annotated[bool, typer.Option("--leave-out-cut", help="Leave out cells cut by the edge.")] = False,
    wanted_width: Annotated[
        float, typer.Option("--wanted-width", help="Wanted width of the blasts' interval, percentage points.")
    ] = 10.0,
) -> None:
    """Write the review report: who looked at what, agreement, differential, cells, models, audit."""
    from napari_aml.export.review_report import project_report_steps
    from napari_aml.review.counting import CountingSettings
    from napari_aml.review.project import Project

    settings = CountingSettings(
        least_probability=least_probability, smudge_cells=smudge.value, pmb_as_blasts=pmb_as_blasts,
        cut_off_cells=not leave_out_cut, wanted_width=wanted_width,
    )  # fmt: skip
    with Project.open(project) as opened:
        path = drive("Report", project_report_steps(opened, out, slide, reader=reader, names=names, settings=settings))
    typer.echo(f"Report: {path}")


def register(app: typer.Typer) -> None:
    """Add the commands to ``napari-aml project``."""
    app.command("export")(export)
    app.command("import")(import_)
    app.command("report")(report)
