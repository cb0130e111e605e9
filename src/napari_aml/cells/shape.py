"""How a mask is shaped."""

from __future__ import annotations

import numpy as np


def solidity(mask: np.ndarray) -> float:
    """Return the share of its convex hull that a mask, bool (h, w), fills."""
    import cv2

    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    hull = cv2.convexHull(np.concatenate(contours))
    filled = cv2.fillConvexPoly(np.zeros(mask.shape, np.uint8), hull, 1)
    return min(1.0, int(mask.sum()) / max(1, int(filled.sum())))
