"""Heatmaps: where in a crop the evidence for a class lies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Heatmaps:
    """One heatmap a cell, aligned with the rows of a cell table.

    Attributes
    ----------
    maps
        float32 (n, g, g): raw evidence, with its scale and, for methods that have one, its sign.
        Never rescaled a cell: values of two cells can be compared.
    target
        int (n,): index of the class that each map explains.
    method, stage
        Name of the CAM method; index of the network's stage (3 = last).
    box
        float32 (n, 4): y0, x0, y1, x1 of the crop that the map covers, level-0 pixels.
    in_cell, in_nucleus
        float32 (n,): share of the positive evidence inside the cell (nucleus) mask over that mask's share of the
        crop's area: 1 = no better than spread evenly. NaN without positive evidence or without a mask.
    has_evidence
        bool (n,): False where the map has no positive value ("no positive evidence").
    """

    maps: np.ndarray
    target: np.ndarray
    method: str
    stage: int
    box: np.ndarray
    in_cell: np.ndarray
    in_nucleus: np.ndarray
    has_evidence: np.ndarray

    def __len__(self) -> int:
        return len(self.maps)

    def take(self, rows: np.ndarray) -> Heatmaps:
        """Return the heatmaps of some rows."""
        return Heatmaps(
            self.maps[rows], self.target[rows], self.method, self.stage,
            self.box[rows], self.in_cell[rows], self.in_nucleus[rows], self.has_evidence[rows],
        )  # fmt: skip

    @classmethod
    def concatenate(cls, parts: list[Heatmaps]) -> Heatmaps:
        """Join heatmaps of one method and stage, in order."""
        names = ("maps", "target", "box", "in_cell", "in_nucleus", "has_evidence")
        joined = {n: np.concatenate([getattr(p, n) for p in parts]) for n in names}
        return cls(method=parts[0].method, stage=parts[0].stage, **joined)
