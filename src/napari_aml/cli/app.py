"""napari-aml on the command line."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from napari_aml import RESEARCH_USE, __version__
from napari_aml.cli import adapting, explain_test, patients, trust
from napari_aml.cli import datasets as dataset_commands
from napari_aml.cli import expression_models as expression_commands
from napari_aml.cli import linked_sample as linked
from napari_aml.cli import project as project_commands
from napari_aml.cli import training as training_commands
from napari_aml.cli.console import DeviceName, Model, Recolour, Size, drive, err
from napari_aml.errors import AmlError, Cancelled, InputError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help=f"Review blood smears of acute myeloid leukaemia. {RESEARCH_USE}",
)


class Cam(StrEnum):
    """Heatmap methods by the names that the command line takes."""

    gradcam = "gradcam"
    gradcam_plus_plus = "gradcam++"
    hirescam = "hirescam"
    layercam = "layercam"
    eigencam = "eigencam"
    scorecam = "scorecam"
    recommended = "recommended"
    none = "none"


def _pictures(paths: list[Path]) -> list[Path]:
    """Expand folders into the pictures inside them; every named file is kept, known suffix or not."""
    from napari_aml.slides import SUFFIXES

    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
            if not inside:
                raise InputError(f"There are no pictures in the folder '{path}'.", "Name pictures or another folder.")
            found += inside
        else:
            found.append(path)
    return found


def _result_names(paths: list[Path]) -> list[str]:
    """Name each picture's results after its stem; a stem that stands twice gets a number."""
    names: list[str] = []
    for path in paths:
        stem, n = path.stem, 1
        name = stem
        while name in names:
            n += 1
            name = f"{stem}_{n}"
        names.append(name)
    return names


@app.command()
def analyse(
    images: Annotated[list[Path], typer.Argument(help="Pictures of smears, or folders of them.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the results; one folder a picture inside it.")],
    model: Model = None,
    pixel_size: Size = None,
    device: DeviceName = "auto",
    cam: Annotated[
        Cam, typer.Option("--cam", help="Heatmap method, what the model's tests recommend, or none.")
    ] = Cam.recommended,
    stage: Annotated[
        int | None,
        typer.Option("--cam-stage", min=0, max=3, help="Network stage of the heatmap: 3 coarse, lower finer."),
    ] = None,
    segmenter: Annotated[str, typer.Option("--segmenter", help="Segmentation backend.")] = "default",
    recolour: Recolour = True,
    expression: linked.Expression = None,
    sample: linked.Sample = None,
    expression_model: linked.ExpressionModel = None,
    expression_units: linked.ExpressionUnits = None,
    gene_lengths: linked.Lengths = None,
    age: linked.Age = None,
    sex: linked.Sex = None,
    patient_model: linked.PatientModel = None,
) -> None:
    """Segment, classify and explain every nucleated cell; write tables, label images and a report."""
    from napari_aml.classify import load_bundle
    from napari_aml.export import check_writable, write_results_steps
    from napari_aml.pipeline import analyse_steps

    pictures = _pictures(images)
    check_writable(out)
    bundle = load_bundle(model)
    patient = linked.linked_sample(
        expression, sample, expression_model, expression_units, gene_lengths, age, sex, patient_model
    )
    failed: list[tuple[Path, AmlError]] = []
    for path, name in zip(pictures, _result_names(pictures), strict=True):
        try:
            steps = analyse_steps(
                path, model=bundle, pixel_size_um=pixel_size, device=device,
                cam=None if cam is Cam.none else cam.value, stage=stage, segmenter=segmenter,
                recolour=recolour,
            )  # fmt: skip
            result = drive(path.name, steps)
            part = patient.part(result) if patient is not None else None
            folder = drive(f"{path.name}: writing", write_results_steps(result, out / name, expression=part))
        except Cancelled:
            raise
        except AmlError as error:
            failed.append((path, error))
            err(f"{path.name}: {error}")
            continue
        count = len(result.cells)
        said = f"{count} cell{'s' if count != 1 else ''}" if count else "no cells found"
        typer.echo(f"{path.name}: {said}, {result.slide.pixel_size}. Results: {folder / 'report.html'}")
        for note in result.provenance["warnings"]:
            err(f"{path.name}: note: {note}")
        if patient is not None and part is not None:
            patient.say(path.name, part)
    if failed:
        if len(pictures) > 1:
            err(f"{len(failed)} of {len(pictures)} pictures could not be analysed; the others are done.")
        raise typer.Exit(failed[0][1].exit_code)


@app.command("classify-crops")
def classify_crops(
    folder: Annotated[Path, typer.Argument(help="A folder of single-cell pictures, flat or in class folders.")],
    out: Annotated[Path, typer.Option("--out", help="CSV file for the predictions.")],
    model: Model = None,
    pixel_size: Size = None,
    device: DeviceName = "auto",
    recolour: Recolour = True,
) -> None:
    """Classify a folder of single-cell pictures; without a pixel size the whole picture is the crop."""
    from napari_aml.classify import classify_folder_steps, load_bundle
    from napari_aml.export import check_writable, write_csv

    check_writable(out.parent)
    table = drive(
        folder.name,
        classify_folder_steps(
            folder, load_bundle(model), device=device, pixel_size_um=pixel_size, recolour=recolour
        ),
    )
    write_csv(table, out)
    if note := (table.attrs["stain"] or {}).get("note"):
        err(f"{folder.name}: note: {note}")
    unread = table[table["class"].isna() | (table["class"] == "")]
    typer.echo(f"{len(table) - len(unread)} pictures classified. Results: {out}")
    for row in unread.itertuples():
        err(f"{row.path}: {getattr(row, 'error', 'could not be read')}")
    if len(unread):
        raise typer.Exit(InputError.exit_code)


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for the results.")] = Path("demo-results"),
    window: Annotated[bool, typer.Option(help="Open napari on the results where there is a display.")] = True,
) -> None:
    """Run the main job on the smear pictures that the package ships, then open napari on the results."""
    from napari_aml.diagnosis import has_screen
    from napari_aml.samples import sample_paths

    pictures = sample_paths("smear")
    analyse(pictures, out)
    typer.echo(f"\n{RESEARCH_USE}\nResults of {len(pictures)} pictures lie in {out.resolve()}")
    if window and has_screen():
        import subprocess

        typer.echo("Opening napari on the first of them …")
        first = out / pictures[0].stem
        subprocess.run([sys.executable, "-m", "napari", "--plugin", "napari-aml", str(first)], check=False)
    elif window:
        typer.echo("There is no display here, so napari was not opened; the report.html files open in any browser.")


@app.command()
def models() -> None:
    """List the model bundles found, with their cards."""
    from napari_aml.classify import find_bundles
    from napari_aml.expression.bundle import find_expression_bundles

    images, expression = find_bundles(), find_expression_bundles()
    for text in [*(b.card_summary() for b in images), *(b.card_summary() for b in expression)]:
        typer.echo(text)
        typer.echo("")


@app.command()
def doctor() -> None:
    """Say what is installed and what works: versions, device, precision, screen, plugin manifest, bundles."""
    from napari_aml.diagnosis import examine

    healthy = True
    for finding in examine():
        healthy &= finding.ok is not False
        mark = {True: "ok  ", False: "FAIL", None: "    "}[finding.ok]
        typer.echo(f"{mark} {finding.topic}: {finding.text}")
    if not healthy:
        raise typer.Exit(1)


app.command("train-patient")(patients.train_patient)
app.command("predict-patient")(patients.predict_patient)
app.command()(adapting.adapt)
app.command()(trust.trust)
app.command("explain-test")(explain_test.explain_test)


app.command("import")(dataset_commands.import_)
app.command()(dataset_commands.dataset)
app.command()(dataset_commands.join)
app.command()(training_commands.train)
app.command()(training_commands.benchmark)
app.add_typer(expression_commands.app, name="expression")
app.add_typer(project_commands.app, name="project")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"napari-aml {__version__}\n{RESEARCH_USE}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    return


def main() -> None:
    """Run the command line: errors in plain words on standard error, never a traceback."""
    # Full-disk and closed-pipe errors are the person's to read, too; NAPARI_AML_DEBUG shows where they come from.
    try:
        code = app(standalone_mode=False)
        if code == Cancelled.exit_code:  # the option parser turns Ctrl-C into this code without a word
            raise KeyboardInterrupt
    except AmlError as error:
        _leave(str(error), error.exit_code, error)
    except typer.Exit as stop:  # pragma: no cover - standalone_mode=False returns the code
        code = stop.exit_code
    except (KeyboardInterrupt, typer.Abort):
        _leave("Stopped. Finished pictures are kept; the one at work was not written.", Cancelled.exit_code)
    except OSError as error:
        _leave(f"{error.strerror or error}: {error.filename or ''}", 3, error)
    except Exception as error:
        if hasattr(error, "show") and hasattr(error, "exit_code"):  # a usage error of the option parser
            error.show()
            sys.exit(error.exit_code)
        _leave(
            f"Something went wrong inside napari-aml: {type(error).__name__}: {error}. "
            "Set NAPARI_AML_DEBUG=1 to see where, and report it.", 70, error,
        )  # fmt: skip
    sys.exit(code or 0)


def _leave(text: str, code: int, error: BaseException | None = None) -> None:
    if error is not None and os.environ.get("NAPARI_AML_DEBUG"):
        import traceback

        traceback.print_exception(error)
    err(text)
    sys.exit(code)
