"""``napari-aml train-patient`` and ``predict-patient``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_aml import RESEARCH_USE
from napari_aml.cli.console import DeviceName, Model, Size, drive, err
from napari_aml.errors import InputError

if TYPE_CHECKING:
    from napari_aml.classify import ModelBundle
    from napari_aml.patients import Bag
    from napari_aml.patients.study import StudyResult


def train_patient(
    dataset: Annotated[Path, typer.Argument(help="A dataset folder, or a cohort (.npz) that was read before.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the new patient bundle.")],
    model: Model = None,
    head: Annotated[
        list[str] | None, typer.Option("--head", help="Heads to compare; default: all three.")
    ] = None,
    folds: Annotated[int, typer.Option("--folds", min=2, max=20, help="Parts of the cross-validation.")] = 5,
    simulated: Annotated[
        int, typer.Option("--simulated", min=0, help="Simulate so many patients a subtype from labelled cells.")
    ] = 0,
    cells: Annotated[int, typer.Option("--cells", min=10, help="Cells of a simulated patient.")] = 150,
    keep: Annotated[Path | None, typer.Option("--keep", help="Also write the cohort (.npz) here.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of folds, draws and weights.")] = 0,
    device: DeviceName = "auto",
) -> None:
    """Learn to tell subtypes apart from all cells of a patient; compare heads on folds by patient."""
    from napari_aml.classify import load_bundle
    from napari_aml.export import check_writable
    from napari_aml.patients import Cohort, save_patient_bundle, study_steps
    from napari_aml.patients.fitting import FitSettings
    from napari_aml.patients.heads import HEADS
    from napari_aml.patients.reading import cohort_steps, simulated_steps

    check_writable(out.parent)
    if dataset.suffix == ".npz":
        cohort = Cohort.load(dataset)
    else:
        from napari_aml.datasets import Dataset

        data, bundle = Dataset.open(dataset), load_bundle(model)
        steps = simulated_steps(data, bundle, simulated, cells, seed, device) if simulated else None
        cohort = drive("Reading patients", steps or cohort_steps(data, bundle, device))
    if keep is not None:
        cohort.save(keep)
    for note in cohort.notes:
        err(f"note: {note}")
    result = drive(
        "Comparing heads", study_steps(cohort, heads=head or HEADS, folds=folds, settings=FitSettings(seed=seed))
    )
    _say(result)
    saved = save_patient_bundle(result, out, out.name)
    typer.echo(f"{saved.bundle_id}: head '{result.chosen}'. Written to {out}\n{RESEARCH_USE}")


def _say(result: StudyResult) -> None:
    n = len(result.cohort)
    typer.echo(f"{n} patients, {len(result.cohort.subtypes)} subtypes, folds by patient:")
    for r in result.results:
        balanced = r.metrics["balanced_accuracy"]
        low, high = balanced["interval_95"] or (float("nan"),) * 2
        typer.echo(
            f"  {r.name:17s} balanced accuracy {balanced['value']:.3f} ({low:.3f}–{high:.3f}), "
            f"log loss {r.log_loss:.3f}, with shuffled labels {r.shuffled_accuracy:.3f}"
        )


def predict_patient(
    patient_model: Annotated[Path, typer.Argument(help="The patient bundle.")],
    inputs: Annotated[
        list[Path],
        typer.Argument(help="A dataset (its patients), folders of single-cell pictures (a patient each), or smears."),
    ],
    out: Annotated[Path, typer.Option("--out", help="CSV file of calls; the cells' influence is written beside it.")],
    patient: Annotated[
        str | None, typer.Option("--patient", help="Pseudonym when smear pictures are of one patient.")
    ] = None,
    model: Model = None,
    pixel_size: Size = None,
    device: DeviceName = "auto",
) -> None:
    """Say which subtype each patient's cells resemble, and which cells speak for it."""
    import pandas as pd

    from napari_aml.classify import load_bundle
    from napari_aml.export import check_writable, write_csv
    from napari_aml.patients import call_patient, load_patient_bundle

    check_writable(out.parent)
    head, bundle = load_patient_bundle(patient_model), load_bundle(model)
    bags = _bags(inputs, bundle, patient, pixel_size, device)
    calls = [call_patient(bag, head, bundle.bundle_id) for bag in bags]
    write_csv(pd.DataFrame([call.row() for call in calls]), out)
    influence = pd.concat([call.influence_table().assign(patient=call.patient) for call in calls], ignore_index=True)
    write_csv(influence, out.with_name(f"{out.stem}_cells.csv"))
    for call in calls:
        sure = f"{call.probabilities.max():.2f}"
        typer.echo(f"{call.patient}: similar to {call.subtype} ({sure}), {len(call.uids)} cells")
        for warning in call.warnings:
            err(f"{call.patient}: {warning}")
    typer.echo(f"Written to {out}\n{RESEARCH_USE}")


def _bags(
    inputs: list[Path], bundle: ModelBundle, patient: str | None, pixel_size: float | None, device: str
) -> list[Bag]:
    from napari_aml.datasets import Dataset
    from napari_aml.patients.reading import bag_of_folder_steps, cohort_steps

    bags: list[Bag] = []
    smears: list[Path] = []
    for path in inputs:
        if (path / "dataset.json").exists():
            bags += drive(path.name, cohort_steps(Dataset.open(path), bundle, device)).bags
        elif path.is_dir():
            bags.append(drive(path.name, bag_of_folder_steps(path, bundle, path.name, pixel_size, device)))
        else:
            smears.append(path)
    if smears:
        bags.append(_bag_of_smears(smears, bundle, patient, pixel_size, device))
    return bags


def _bag_of_smears(
    smears: list[Path], bundle: ModelBundle, patient: str | None, pixel_size: float | None, device: str
) -> Bag:
    """All cells of one patient's smear pictures."""
    from napari_aml.classify import Predictions
    from napari_aml.patients import Bag
    from napari_aml.pipeline import analyse_steps

    if patient is None and len(smears) > 1:
        raise InputError(
            f"{len(smears)} smear pictures were named.", "Say with --patient NAME that they are of one patient."
        )
    parts, uids = [], []
    for path in smears:
        steps = analyse_steps(path, model=bundle, pixel_size_um=pixel_size, device=device, cam=None)
        analysis = drive(path.name, steps)
        if analysis.predictions is not None and len(analysis.cells):
            parts.append(analysis.predictions)
            uids += analysis.cells.table["uid"].astype(str).tolist()
    if not parts:
        raise InputError("No cells were found in these pictures.", "Name pictures with nucleated cells.")
    return Bag.of(patient or smears[0].stem, Predictions.concatenate(parts), uids)
