"""The pictures of single cells that the report shows: crops, heatmaps over them, and which cells are chosen."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_aml.export.overview import outlines
from napari_aml.progress import Progress, Steps
from napari_aml.taxonomy import CLASSES

if TYPE_CHECKING:
    import pandas as pd

    from napari_aml.analysis import Analysis
    from napari_aml.explain.heatmap import Heatmaps

#: Side of a cell's picture, pixels.
SIDE = 112
#: Pictures of one class at most; with 22 classes the report stays below some 6 MB however many cells there are.
PER_CLASS = 24
#: Side of a crop in µm where no bundle says it.
_DEFAULT_UM = 20.0
_BATCH = 12


@dataclass(frozen=True)
class Pictures:
    """Pictures of chosen cells.

    Attributes
    ----------
    crops
        row → data URI of the crop.
    heatmaps
        row → data URI of the crop with its heatmap; only rows with positive evidence.
    strongest
        Value of the evidence that gets the strongest colour, the same for all cells; NaN without heatmaps.
    """

    crops: dict[int, str]
    heatmaps: dict[int, str]
    strongest: float


def by_class(table: pd.DataFrame, per_class: int = PER_CLASS) -> list[tuple[str, list[int], int]]:
    """Choose the cells to show.

    Returns
    -------
    list of (class code, rows, number of cells)
        In the order of the taxonomy; rows from the most to the least probable, at most `per_class`.
        Without classes one group with the code ''.
    """
    if "class" not in table:
        return [("", list(range(min(len(table), per_class))), len(table))] if len(table) else []
    order = {c.code: i for i, c in enumerate(CLASSES)}
    out = []
    for code in sorted(table["class"].unique(), key=lambda c: (order.get(c, len(order)), c)):
        rows = np.flatnonzero((table["class"] == code).to_numpy())
        ranked = rows[np.argsort(-table["probability"].to_numpy()[rows], kind="stable")]
        out.append((str(code), ranked[:per_class].tolist(), len(rows)))
    return out


def strongest_evidence(heatmaps: Heatmaps | None) -> float:
    """Return the evidence that gets the strongest colour: 99th percentile of the cells' peaks; NaN if there is none."""
    if heatmaps is None or not np.any(heatmaps.has_evidence):
        return float("nan")
    peaks = np.asarray(heatmaps.maps, np.float32).max((1, 2))
    return float(np.percentile(peaks[np.asarray(heatmaps.has_evidence, bool)], 99))


def pictures_steps(analysis: Analysis, rows: list[int], *, cam: bool = True) -> Steps[Pictures]:
    """Cut the crops of some cells and lay their heatmaps over them.

    Parameters
    ----------
    analysis
        The analysed slide.
    rows
        Of the cell table.
    cam
        Whether heatmaps are drawn.
    """
    from napari_aml.cells import crops

    maps = analysis.heatmaps if cam else None
    strongest = strongest_evidence(maps)
    found = Pictures({}, {}, strongest)
    y, x, side_um = _where(analysis)
    # In reading order, so that neighbours are cut from one read of the slide.
    todo = sorted(set(rows), key=lambda row: (y[row] // 1024, x[row]))
    for start in range(0, len(todo), _BATCH):
        batch = todo[start : start + _BATCH]
        cut = crops(analysis.slide, y[batch], x[batch], side_um, SIDE)
        for row, crop in zip(batch, cut, strict=True):
            found.crops[row] = data_uri(crop)
            if maps is not None and maps.has_evidence[row]:
                shown = blend(crop, maps.maps[row], strongest)
                _draw_nucleus(shown, analysis, row, y[row], x[row], side_um)
                found.heatmaps[row] = data_uri(shown)
        yield Progress(start + len(batch), len(todo), "Drawing the cells")
    return found


def _where(analysis: Analysis) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the crops' centres (level-0 pixels) and side (µm): what the heatmaps cover, else what the model saw."""
    um = analysis.slide.pixel_size.um or analysis.cells.pixel_size_um
    maps, table = analysis.heatmaps, analysis.cells.table
    if maps is not None and len(maps):
        box = np.asarray(maps.box, float)
        return (box[:, 0] + box[:, 2]) / 2, (box[:, 1] + box[:, 3]) / 2, float(np.median(box[:, 2] - box[:, 0])) * um
    side = float(getattr(analysis.bundle, "crop_um", None) or _DEFAULT_UM)
    return table["y"].to_numpy(float), table["x"].to_numpy(float), side


def colours(values: np.ndarray) -> np.ndarray:
    """Return the colours of values 0…1: uint8 (..., 3); even in lightness, so that it reads without colour vision."""
    from matplotlib import colormaps

    return (colormaps["plasma"](np.clip(values, 0, 1))[..., :3] * 255).astype(np.uint8)


def blend(crop: np.ndarray, raw: np.ndarray, strongest: float) -> np.ndarray:
    """Lay positive evidence over a crop in grey: the stronger, the more opaque; where there is none the cell shows.

    In grey, because the colours of the stain and those of the scale would be taken for one another.

    Parameters
    ----------
    crop
        uint8 (s, s, 3).
    raw
        float32 (g, g), raw evidence.
    strongest
        Evidence of the strongest colour, the same for all cells.
    """
    import cv2

    side = crop.shape[0]
    # Enlarged before it is cut at 0: the other way round bends the map's zero line.
    large = cv2.resize(np.asarray(raw, np.float32), (side, side), interpolation=cv2.INTER_CUBIC)
    value = np.clip(large / strongest, 0, 1)
    opacity = (0.85 * value**0.7)[..., None]
    grey = crop.mean(2, keepdims=True)
    return (grey * (1 - opacity) + colours(value) * opacity).round().astype(np.uint8)


def _draw_nucleus(picture: np.ndarray, analysis: Analysis, row: int, y: float, x: float, side_um: float) -> None:
    """Draw the nucleus's outline into a crop's picture: whether evidence lies inside it is what a reader asks."""
    import cv2

    um = analysis.slide.pixel_size.um or analysis.cells.pixel_size_um
    side = side_um / um
    label = int(analysis.cells.table["label"].iat[row])
    for points in outlines(analysis.cells.masks, label, nucleus=True):
        inside = (points - (np.array([x, y]) - side / 2)) * (SIDE / side)
        fixed = np.round((inside - 0.5) * 16).astype(np.int32)
        cv2.polylines(picture, [fixed], True, (255, 255, 255), 1, cv2.LINE_AA, 4)


def data_uri(rgb: np.ndarray, quality: int = 85) -> str:
    """Return a picture uint8 (h, w, 3) as a data URI (JPEG)."""
    import cv2

    done, coded = cv2.imencode(".jpg", np.ascontiguousarray(rgb[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError("a picture could not be coded as JPEG")
    return "data:image/jpeg;base64," + base64.b64encode(coded.tobytes()).decode("ascii")
