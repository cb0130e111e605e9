"""``napari-aml explain-test``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_aml import RESEARCH_USE
from napari_aml.cli.console import DeviceName, drive

if TYPE_CHECKING:
    import numpy as np

    from napari_aml.explain.testing import ExplainReport


def explain_test(
    bundle: Annotated[str, typer.Argument(help="Model bundle: a folder or a name (demo).")],
    dataset: Annotated[Path, typer.Argument(help="A dataset folder.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the table.")],
    cells: Annotated[int, typer.Option("--cells", min=10, help="Cells, drawn evenly over the classes.")] = 60,
    method: Annotated[list[str] | None, typer.Option("--method", help="Methods; default: all fast ones.")] = None,
    stage: Annotated[list[int] | None, typer.Option("--stage", help="Stages; default: 3 and 2.")] = None,
    randoms: Annotated[int, typer.Option("--random", min=1, help="Random maps a cell.")] = 20,
    road: Annotated[bool, typer.Option(help="Also ROAD, the slowest part.")] = True,
    save: Annotated[
        bool, typer.Option("--save", help="Write the figures into the bundle's card: the dock shows them.")
    ] = False,
    seed: Annotated[int, typer.Option("--seed", help="Of every draw.")] = 0,
    device: DeviceName = "auto",
) -> None:
    """Test the heatmaps of a model: one table over methods and stages, one recommendation with its reasons."""
    import numpy as np

    from napari_aml._files import replacing
    from napari_aml.classify import load_bundle
    from napari_aml.classify.dataset_crops import DatasetCrops
    from napari_aml.datasets import Dataset
    from napari_aml.explain.testing import explain_test_steps
    from napari_aml.explain.testing.comparing import FAST
    from napari_aml.export import check_writable, write_csv

    check_writable(out)
    model, data = load_bundle(bundle), Dataset.open(dataset)
    rows = _evenly(data.table["code"].to_numpy(object), data.labelled, cells, seed)
    crops = DatasetCrops(data, rows, model.crop_um, model.crop_px).read(np.arange(len(rows)))
    steps = explain_test_steps(
        model, crops, methods=method or FAST, stages=stage or (3, 2), randoms=randoms, with_road=road,
        device=device, seed=seed,
    )  # fmt: skip
    report = drive("Testing heatmaps", steps)
    out.mkdir(parents=True, exist_ok=True)
    write_csv(_flat(report), out / "explain-test.csv")
    text = as_markdown(report, data.name)
    with replacing(out / "explain-test.md") as beside:
        beside.write_text(text, "utf-8")
    typer.echo(text)
    if save:
        card = {**model.card, "explanation_tests": report.entry()}
        with replacing(model.path / "bundle.json") as beside:
            beside.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", "utf-8")
        typer.echo(f"Figures written into the card of {model.bundle_id}.")


def as_markdown(report: ExplainReport, dataset: str) -> str:
    """Return the report as Markdown."""
    lines = [
        f"# Heatmaps of {report.bundle_id}", "", f"{report.n} cells of {dataset}. {RESEARCH_USE}", "",
        "| method | stage | deletion ↓ | insertion ↑ | over random (95 %) | over centre Gaussian (95 %) | ROAD | "
        "in cell | in nucleus | pointing | all weights shuffled ↓ | noise ↑ |", "|" + "---|" * 12,
    ]  # fmt: skip
    for r in report.table.itertuples():
        gains = " | ".join(f"{m:+.3f} ({low:+.3f} to {high:+.3f})" for m, low, high in (r.over_random, r.over_centre))
        figures = " | ".join(_figure(v) for v in (r.road, r.in_cell, r.in_nucleus, r.pointing, r.shuffled_all, r.noise))
        stage = r.stage if r.stage >= 0 else "–"
        lines.append(f"| {r.method} | {stage} | {r.deletion:.3f} | {r.insertion:.3f} | {gains} | {figures} |")
    chosen = "none" if report.recommended is None else f"{report.recommended[0]}, stage {report.recommended[1]}"
    return "\n".join([*lines, "", f"**Recommended: {chosen}.**", "", *[f"- {r}" for r in report.reasons], ""])


def _figure(value: float) -> str:
    return "–" if value != value else f"{value:.2f}"


def _flat(report: ExplainReport) -> object:
    table = report.table.copy()
    for name in ("over_random", "over_centre"):
        for i, part in enumerate(("", "_low", "_high")):
            table[f"{name}{part}" if part else f"{name}_mean"] = [v[i] for v in table[name]]
    return table.drop(columns=["over_random", "over_centre"])


def _evenly(codes: np.ndarray, rows: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Draw n rows, round and round the classes."""
    import numpy as np

    rng = np.random.default_rng(seed)
    rows = rng.permutation(np.asarray(rows))
    of = np.asarray(codes, str)[rows]
    turn = np.zeros(len(rows), int)
    for code in np.unique(of):
        turn[of == code] = np.arange((of == code).sum())
    return np.sort(rows[np.argsort(turn, kind="stable")[:n]])
