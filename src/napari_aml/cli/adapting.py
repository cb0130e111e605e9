"""``napari-aml adapt``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_aml import RESEARCH_USE
from napari_aml.cli.console import DeviceName, Model, drive, err


def adapt(
    dataset: Annotated[Path, typer.Argument(help="A dataset folder with labelled cells of the new scanner or stain.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the adapted bundle.")],
    site: Annotated[str, typer.Option("--site", help="Short name of the site; part of the new bundle's name.")],
    model: Model = None,
    folds: Annotated[int, typer.Option("--folds", min=2, max=20, help="Parts of the cross-validation.")] = 5,
    seed: Annotated[int, typer.Option("--seed", help="Of folds and choice of cells.")] = 0,
    fine_tune: Annotated[bool, typer.Option(help="Also try a short fine-tune, the slowest way.")] = True,
    device: DeviceName = "auto",
) -> None:
    """Adapt a bundle to a new scanner with at most 100 labelled cells; say what it was before and is after."""
    import numpy as np

    from napari_aml.classify import load_bundle
    from napari_aml.classify.dataset_crops import DatasetCrops
    from napari_aml.datasets import Dataset
    from napari_aml.export import check_writable
    from napari_aml.review.adaptation import adapt_steps, save_adapted

    check_writable(out.parent)
    data, bundle = Dataset.open(dataset), load_bundle(model)
    rows = np.asarray(data.labelled)
    rows = np.flatnonzero(rows) if rows.dtype == bool else rows
    labels = data.table["code"].astype(str).to_numpy(object)[rows]
    crops = DatasetCrops(data, rows, bundle.crop_um, bundle.crop_px)
    groups = np.asarray(data.groups, object)[rows]
    done = drive(
        "Adapting",
        adapt_steps(bundle, crops, labels, groups=groups, folds=folds, seed=seed, device=device, fine_tune=fine_tune),
    )
    for note in done.notes:
        err(f"note: {note}")
    typer.echo(f"{done.cells} labelled cells, each judged by a model that did not learn from it:")
    for attempt in done.attempts:
        right = attempt.metrics["accuracy"]
        low, high = right["interval_95"]
        mark = "  <- kept" if attempt.way == done.chosen else ""
        typer.echo(
            f"  {attempt.way:13s} accuracy {right['value']:.3f} ({low:.3f}–{high:.3f}), "
            f"log loss {attempt.log_loss:.3f}{mark}"
        )
    saved = save_adapted(done, out, site=site, licence=str(data.meta.get("licence") or ""))
    typer.echo(f"{saved.bundle_id}. Written to {out}\n{RESEARCH_USE}")
