"""``napari-aml trust``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_aml import RESEARCH_USE
from napari_aml.cli.console import DeviceName, Model, drive


def trust(
    dataset: Annotated[Path, typer.Argument(help="A dataset folder with labelled cells that the model did not see.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the report.")],
    model: Model = None,
    save: Annotated[
        Path | None, typer.Option("--save", help="Also write the bundle with temperature, sets and likeness here.")
    ] = None,
    probes: Annotated[bool, typer.Option(help="Blur, covered cells, red cells, plain background.")] = True,
    seed: Annotated[int, typer.Option("--seed", help="Of folds and draws.")] = 0,
    device: DeviceName = "auto",
) -> None:
    """Judge how far a model can be trusted on a dataset; calibrate it with --save."""
    from napari_aml.classify import load_bundle
    from napari_aml.classify.trust.calibrating import save_calibrated
    from napari_aml.classify.trust.judging import trust_steps
    from napari_aml.classify.trust.report import as_markdown, write_report
    from napari_aml.datasets import Dataset
    from napari_aml.export import check_writable

    check_writable(out)
    bundle = load_bundle(model)
    report = drive("Judging", trust_steps(bundle, Dataset.open(dataset), device=device, seed=seed, probes=probes))
    write_report(report, out)
    typer.echo(as_markdown(report))
    if save is not None:
        saved = save_calibrated(bundle, report.calibration, save)
        typer.echo(f"{saved.bundle_id}, calibrated on {report.calibration.n} cells. Written to {save}")
    typer.echo(f"Report: {out / 'trust.md'}\n{RESEARCH_USE}")
