"""One revision of what is known of a slide's cells: a folder of Parquet files, complete before the record names it."""

from __future__ import annotations

import json
import zipfile
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_aml._files import replacing, replacing_folder
from napari_aml.review.project.columns import array, frame, read_columns, write_columns
from napari_aml.review.project.errors import ProjectError
from napari_aml.review.project.files import flush, flush_folder
from napari_aml.review.project.patches import read_masks, write_masks

if TYPE_CHECKING:
    import pandas as pd

    from napari_aml.analysis import Analysis
    from napari_aml.cells import CellMasks, Cells
    from napari_aml.classify import Predictions
    from napari_aml.explain import Heatmaps

CELLS, MASKS, PREDICTIONS, EMBEDDINGS, HEATMAPS, RUN = (
    "cells.parquet", "masks.parquet", "predictions.parquet", "embeddings.parquet", "heatmaps.parquet", "run.json",
)  # fmt: skip
#: The slide's labels thinned to a picture of at most 4096 pixels: what is seen first. It can be drawn anew at any time.
DRAWN = "drawn.npz"
_HEAT_ARRAYS = ("maps", "target", "box", "in_cell", "in_nucleus", "has_evidence")


def write_revision(folder: Path, analysis: Analysis, told: dict[str, Any]) -> None:
    """Write what is known of a slide's cells into a folder: whole, and on the disk when this returns.

    Parameters
    ----------
    folder
        Must not be there yet.
    analysis
        Cells, and predictions and heatmaps where there are any.
    told
        What the record says about this revision; kept as ``run.json`` so that a lost record can be made anew.
    """
    cells, said, maps = analysis.cells, analysis.predictions, analysis.heatmaps
    with replacing_folder(folder) as beside:
        about = {"pixel_size_um": cells.pixel_size_um, "segmenter": cells.segmenter, "slide_id": cells.slide_id}
        table = cells.table
        write_columns(beside / CELLS, {n: _plain(table[n]) for n in table.columns}, about)
        write_masks(beside / MASKS, cells.masks)
        write_drawn(beside / DRAWN, cells.masks)
        uids = [str(u) for u in table["uid"]]
        if said is not None:
            about = {"codes": list(said.codes), "bundle_id": said.bundle_id}
            columns = {"uid": uids, "probabilities": said.probabilities, "ood": said.ood}
            write_columns(beside / PREDICTIONS, columns, about)
            write_columns(beside / EMBEDDINGS, {"uid": uids, "embedding": said.embedding}, about)
        if maps is not None:
            columns = {"uid": uids, **{name: getattr(maps, name) for name in _HEAT_ARRAYS}}
            write_columns(beside / HEATMAPS, columns, {"method": maps.method, "stage": maps.stage})
        (beside / RUN).write_text(json.dumps(told, indent=1, default=str), "utf-8")
        flush_folder(beside)
    flush(folder.parent)


def _plain(column: pd.Series) -> Any:
    return column.to_numpy() if column.dtype.kind in "iufb" else [str(v) for v in column]


def read_cells(folder: Path) -> Cells:
    """Read the cells of a revision; masks are decompressed when they are looked at.

    Raises
    ------
    ProjectError
        Missing or damaged files, or files that do not fit each other.
    """
    from napari_aml.cells.table import COLUMNS, Cells, validate

    table, about = read_columns(folder / CELLS)
    masks = read_masks(folder / MASKS)
    read_drawn(folder / DRAWN, masks)
    try:
        cells = validate(frame(table, COLUMNS))
    except (KeyError, ValueError, TypeError) as error:
        raise ProjectError(f"The cell table in '{folder}' is damaged ({error}).", "Verify the project.") from error
    if set(masks) != set(cells["label"].tolist()):
        raise ProjectError(
            f"Masks and cell table in '{folder}' tell of different cells.", "Run: napari-aml project verify --repair."
        )
    return Cells(about["slide_id"], masks, cells, float(about["pixel_size_um"]), about.get("segmenter", ""))


def write_drawn(path: Path, masks: CellMasks) -> None:
    """Keep the finest of the pictures that are seen first: drawing it from 100,000 masks takes a second."""
    from napari_aml.cells.drawn import draw_ahead

    drawn = draw_ahead(masks)
    if drawn is not None:
        np.savez_compressed(path, step=drawn[0], labels=drawn[1].astype(np.int32))


def read_drawn(path: Path, masks: CellMasks) -> None:
    """Let masks have the picture that was kept; without it, or where it does not fit, it is drawn when asked for."""
    from napari_aml.cells.drawn import keep_drawn, steps_ahead

    try:
        with np.load(path, allow_pickle=False) as kept:
            step, labels = int(kept["step"]), kept["labels"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return
    if step not in steps_ahead(masks.shape) or labels.dtype != np.int32:
        return
    if labels.shape == tuple(-(-n // step) for n in masks.shape) and labels.max(initial=0) <= masks.last:
        keep_drawn(masks, step, labels)


def read_predictions(folder: Path, *, embedding: bool = True) -> Predictions | None:
    """Read the predictions of a revision, None where there are none; without embeddings where not asked for."""
    from napari_aml.classify.predictions import Predictions

    if not (folder / PREDICTIONS).is_file():
        return None
    table, about = read_columns(folder / PREDICTIONS)
    probabilities = array(table, "probabilities", about)
    vectors = read_embeddings(folder) if embedding else np.zeros((len(probabilities), 0), np.float32)
    assert vectors is not None
    return Predictions(
        tuple(about["codes"]), probabilities, vectors, array(table, "ood", about), about.get("bundle_id", "")
    )


def read_embeddings(folder: Path) -> np.ndarray | None:
    """Read the embeddings of a revision: float32 (n, d), or None."""
    if not (folder / EMBEDDINGS).is_file():
        return None
    table, about = read_columns(folder / EMBEDDINGS)
    return array(table, "embedding", about)


def read_heatmaps(folder: Path) -> Heatmaps | None:
    """Read the heatmaps of a revision, None where there are none."""
    from napari_aml.explain.heatmap import Heatmaps

    if not (folder / HEATMAPS).is_file():
        return None
    table, about = read_columns(folder / HEATMAPS)
    arrays = {name: array(table, name, about) for name in _HEAT_ARRAYS}
    return Heatmaps(method=about["method"], stage=int(about["stage"]), **arrays)


def same_cells(a: Cells, b: Cells) -> bool:
    """Tell whether two sets of cells have the same labels, boxes and areas, in the same order."""
    names = ["label", "y0", "x0", "y1", "x1", "area_um2", "nucleus_area_um2"]
    return len(a) == len(b) and all(
        np.allclose(a.table[n].to_numpy(float), b.table[n].to_numpy(float), rtol=1e-5) for n in names
    )


def write_entry(folder: Path, entry: Any) -> None:
    """Keep what the record says about a slide beside its cells, so that a lost record can be made anew."""
    with replacing(folder / "slide.json") as beside:
        beside.write_text(json.dumps(asdict(entry), indent=1), "utf-8")
        flush(beside)
