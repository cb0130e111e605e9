"""Counting what a classifier gets right, with exact intervals, and how far its confidence can be believed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_aml.statistics import exact_interval, softmax
from napari_aml.taxonomy import MATURATION

from .augment import warped
from .data import FIELD_UM, CellSet

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class View:
    """One way of looking at a crop.

    Attributes
    ----------
    zoom : float
        Part of the crop's side that is seen; 1 = the whole crop.
    turn : int
        Quarter turns.
    flip : bool
        Mirrored left to right.
    """

    zoom: float = 1.0
    turn: int = 0
    flip: bool = False


#: The whole crop, upright.
PLAIN = (View(),)


def views_of(cells: CellSet, rows: np.ndarray, side: int, view: View, field_um: float | None = None) -> np.ndarray:
    """Cut one view of each cell, uint8 (n, side, side, 3).

    Parameters
    ----------
    field_um : float, optional
        Field of the crop, µm; the whole picture where None.
    """
    sources = cells.table["source"].to_numpy()
    out = np.empty((len(rows), side, side, 3), dtype=np.uint8)
    for i, row in enumerate(rows):
        image, picture_um = cells.image(row), FIELD_UM[sources[row]]
        um = picture_um if field_um is None else field_um
        seen = image.shape[0] * um / picture_um * view.zoom
        out[i] = np.rot90(warped(image, side, seen, flip=view.flip), view.turn)
    return out


def logits_of(network: torch.nn.Module, images: np.ndarray, batch: int = 256) -> np.ndarray:
    """Logits of uint8 pictures (n, side, side, 3) -> float32 (n, k)."""
    from napari_aml._torch import torch

    network.eval()
    out = []
    with torch.inference_mode():
        for start in range(0, len(images), batch):
            x = torch.from_numpy(np.ascontiguousarray(images[start : start + batch])).permute(0, 3, 1, 2)
            x = x.float().div_(127.5).sub_(1).contiguous(memory_format=torch.channels_last)
            out.append(network(x).float().numpy())
    return np.concatenate(out) if out else np.zeros((0, 0), np.float32)


def view_logits(
    network: torch.nn.Module,
    cells: CellSet,
    rows: np.ndarray,
    side: int,
    views: tuple[View, ...] = PLAIN,
    field_um: float | None = None,
) -> np.ndarray:
    """Logits under each view, float32 (views, n, k)."""
    return np.stack([logits_of(network, views_of(cells, rows, side, view, field_um)) for view in views])


def mean_probability(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Mean over the views of the probabilities: (views, n, k) -> (n, k)."""
    return softmax(logits, temperature).mean(0)


def share(hits: np.ndarray) -> dict[str, float | int | list[float]]:
    """A share with its n and exact 95 % interval, as it stands in a card."""
    right, n = int(hits.sum()), len(hits)
    low, high = map(float, exact_interval(right, n)) if n else (0.0, 1.0)
    return {
        "value": round(right / n, 4) if n else None,
        "n": n,
        "interval_95": [round(low, 4), round(high, 4)],
    }


def within_one_stage(truth: np.ndarray, said: np.ndarray, codes: tuple[str, ...]) -> np.ndarray:
    """Right, or one stage off in the granulocytic maturation PMO-MYB-MMZ-NGB-NGS; bool (n,)."""
    stage = np.full(len(codes), -10)
    for i, code in enumerate(codes):
        if code in MATURATION:
            stage[i] = MATURATION.index(code)
    near = (np.abs(stage[truth] - stage[said]) <= 1) & (stage[truth] >= 0) & (stage[said] >= 0)
    return (truth == said) | near


def expected_calibration_error(probabilities: np.ndarray, truth: np.ndarray, bins: int = 15) -> float:
    """Mean gap between confidence and accuracy over bins of equal size."""
    confidence = probabilities.max(1)
    hit = probabilities.argmax(1) == truth
    parts = np.array_split(np.argsort(confidence), min(bins, len(confidence)))
    return float(sum(len(p) * abs(confidence[p].mean() - hit[p].mean()) for p in parts) / len(confidence))


def summarise(probabilities: np.ndarray, truth: np.ndarray, codes: tuple[str, ...]) -> dict:
    """Everything the card says about one test set.

    Parameters
    ----------
    probabilities : float (n, k)
    truth : int (n,)
    codes : tuple of str
        The k class codes.
    """
    said = probabilities.argmax(1)
    hits = said == truth
    recall = {codes[c]: share(hits[truth == c]) for c in np.unique(truth)}
    precision = {codes[c]: share(hits[said == c]) for c in np.unique(truth) if (said == c).any()}
    picked = np.clip(probabilities[np.arange(len(truth)), truth], 1e-7, 1)
    return {
        "accuracy": share(hits),
        "within_one_stage": share(within_one_stage(truth, said, codes)),
        "balanced_accuracy": round(float(np.mean([r["value"] for r in recall.values()])), 4),
        "mean_confidence": round(float(probabilities.max(1).mean()), 4),
        "expected_calibration_error": round(expected_calibration_error(probabilities, truth), 4),
        "negative_log_likelihood": round(float(-np.log(picked).mean()), 4),
        "recall": recall,
        "precision": precision,
    }


def choose_temperature(parts: list[tuple[np.ndarray, np.ndarray]]) -> float:
    """Temperature at which confidence best fits, every test set counting alike.

    Parameters
    ----------
    parts : list of (logits (views, n, k), truth (n,))
        Out-of-fold answers, one entry a source.

    Notes
    -----
    Minimises the mean negative log-likelihood plus the squared gap between mean confidence and accuracy: the
    likelihood alone is ruled by few confident errors when n is small (Guo et al. 2017, arXiv 1706.04599, use
    it alone).
    """
    from scipy.optimize import minimize_scalar

    def cost(log_t: float) -> float:
        total = 0.0
        for logits, truth in parts:
            p = mean_probability(logits, float(np.exp(log_t)))
            gap = p.max(1).mean() - (p.argmax(1) == truth).mean()
            nll = -np.log(np.clip(p[np.arange(len(truth)), truth], 1e-7, 1)).mean()
            total += 0.2 * nll + 20 * gap**2
        return total

    return float(np.exp(minimize_scalar(cost, bounds=(-1.5, 1.5), method="bounded").x))
