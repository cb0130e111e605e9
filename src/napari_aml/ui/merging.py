"""Predictions and heatmaps of some cells put among those of all: rows filled in, rows carried over after an edit."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    from napari_aml.classify import Predictions
    from napari_aml.explain import Heatmaps

#: Either of the two: what goes in comes out.
Said = TypeVar("Said", "Predictions", "Heatmaps")

_ROW_ARRAYS = {
    "Predictions": ("probabilities", "embedding", "ood"),
    "Heatmaps": ("maps", "target", "box", "in_cell", "in_nucleus", "has_evidence"),
}


def _arrays(thing: Said) -> tuple[str, ...]:
    known = {f.name for f in fields(thing)}
    return tuple(name for name in _ROW_ARRAYS[type(thing).__name__] if name in known)


def _blank(like: np.ndarray, n: int) -> np.ndarray:
    """Return rows that say nothing: NaN for numbers that may be missing, else zeros."""
    blank = np.zeros((n, *like.shape[1:]), like.dtype)
    if like.dtype.kind == "f" and like.ndim == 1:
        blank[:] = np.nan
    return blank


def _merge(whole: Said | None, n: int, rows: np.ndarray, part: Said) -> Said:
    """Return `whole` (n rows) with `rows` taken from `part`; widths follow `part` where they differ.

    The arrays are filled in place where they fit, for a job delivers thousands of batches.
    """
    merged: dict[str, Any] = {}
    for name in _arrays(part):
        new = getattr(part, name)
        old = None if whole is None else getattr(whole, name)
        if old is None or old.shape[1:] != new.shape[1:] or len(old) != n or not old.flags.writeable:
            fresh = _blank(new, n)
            if old is not None and old.shape[1:] == new.shape[1:]:
                fresh[: len(old)] = old[:n]
            old = fresh
        old[rows] = new
        merged[name] = old
    return replace(part, **merged)


def _align(whole: Said | None, source: np.ndarray) -> Said | None:
    """Return the rows `source` of `whole`; -1 stands for a cell about which nothing is said yet."""
    if whole is None:
        return None
    there = source >= 0
    aligned: dict[str, Any] = {}
    for name in _arrays(whole):
        old = getattr(whole, name)
        aligned[name] = _blank(old, len(source))
        aligned[name][there] = old[source[there]]
    return replace(whole, **aligned)


def merge_predictions(whole: Predictions | None, n: int, rows: np.ndarray, part: Predictions) -> Predictions:
    """Return the predictions of n cells with `rows` taken from `part`.

    Where `whole` names further classes after those of `part` (a head was taught them), `part` says zero of these.
    """
    if whole is not None and len(whole.codes) > len(part.codes) and whole.codes[: len(part.codes)] == part.codes:
        more = np.zeros((len(part), len(whole.codes) - len(part.codes)), part.probabilities.dtype)
        part = replace(part, codes=whole.codes, probabilities=np.hstack([part.probabilities, more]))
    return _merge(whole, n, rows, part)


def merge_heatmaps(whole: Heatmaps | None, n: int, rows: np.ndarray, part: Heatmaps) -> Heatmaps:
    """Return the heatmaps of n cells with `rows` taken from `part`."""
    return _merge(whole, n, rows, part)


def align_predictions(whole: Predictions | None, source: np.ndarray) -> Predictions | None:
    """Return predictions in the order of `source` rows; -1 = a new cell."""
    return _align(whole, source)


def align_heatmaps(whole: Heatmaps | None, source: np.ndarray) -> Heatmaps | None:
    """Return heatmaps in the order of `source` rows; -1 = a new cell."""
    return _align(whole, source)
