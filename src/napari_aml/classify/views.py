"""Test-time views: the same cell looked at more than once, and the answers averaged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Flip = Literal["", "h", "v", "hv"]


@dataclass(frozen=True, slots=True)
class View:
    """One way of looking at a crop.

    Attributes
    ----------
    zoom
        1 = the whole crop; 1.5 = its central two thirds, enlarged to the same number of pixels.
    flip
        ``h`` mirrors left and right, ``v`` up and down, ``hv`` both.
    """

    zoom: float = 1.0
    flip: Flip = ""

    def flipped(self, crops: np.ndarray) -> np.ndarray:
        """Return crops (n, h, w, 3) mirrored as the view asks (a strided view, no copy)."""
        if "h" in self.flip:
            crops = crops[:, :, ::-1]
        if "v" in self.flip:
            crops = crops[:, ::-1]
        return crops


@dataclass(frozen=True, slots=True)
class Tta:
    """The views of a bundle.

    Attributes
    ----------
    views
        For single-cell pictures; the first is always the plain crop.
    slide_views
        For cells on slides; by default the plain crop alone, because slides hold many cells.
    average
        What is averaged: ``logits`` or ``probabilities``.
    """

    views: tuple[View, ...] = (View(),)
    slide_views: tuple[View, ...] = (View(),)
    average: Literal["logits", "probabilities"] = "probabilities"

    @classmethod
    def from_card(cls, entry: Any) -> Tta:
        """Read the card's ``tta`` entry (None = no test-time views).

        Raises
        ------
        ValueError
            Saying what is wrong with it.
        """
        if entry is None:
            return cls()
        if not isinstance(entry, dict):
            raise ValueError("it should be an object with a list of views")
        average = entry.get("average", "probabilities")
        if average not in ("logits", "probabilities"):
            raise ValueError(f"average should be 'logits' or 'probabilities', not {average!r}")
        plain = [{"zoom": 1.0}]
        return cls(_views(entry.get("views", plain)), _views(entry.get("slide_views", plain)), average)


def _views(entries: Any) -> tuple[View, ...]:
    if not isinstance(entries, list) or not 1 <= len(entries) <= 16:
        raise ValueError("views should be a list of 1 to 16 objects")
    views = []
    for entry in entries:
        if not isinstance(entry, dict) or entry.keys() - {"zoom", "flip"}:
            raise ValueError(f"a view is an object with 'zoom' and 'flip', not {entry!r}")
        zoom, flip = entry.get("zoom", 1.0), entry.get("flip", "")
        if not isinstance(zoom, int | float) or not 1 <= zoom <= 8:
            raise ValueError(f"zoom should be a number from 1 to 8, not {zoom!r}")
        if flip not in ("", "h", "v", "hv"):
            raise ValueError(f"flip should be '', 'h', 'v' or 'hv', not {flip!r}")
        views.append(View(float(zoom), flip))
    if views[0] != View():
        raise ValueError("the first view should be the plain crop, which the heatmaps explain")
    return tuple(views)
