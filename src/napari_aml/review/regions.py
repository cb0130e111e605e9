"""Regions drawn on a slide: what lies in them is counted, or is left out."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from napari_aml.errors import InputError

#: What a region is for. Where a slide has regions to count, only cells inside one of them are counted; cells inside
#: a region to leave out never are.
COUNT, LEAVE_OUT = "count", "leave out"
ROLES = (COUNT, LEAVE_OUT)


@dataclass(frozen=True)
class Region:
    """A polygon on a slide.

    Attributes
    ----------
    points
        ((y, x), …) corners in level-0 pixels, three or more, in order; the last is joined to the first.
    role
        `COUNT` or `LEAVE_OUT`.
    uid
        Stable for ever.
    """

    points: tuple[tuple[float, float], ...]
    role: str = COUNT
    uid: str = field(default_factory=lambda: f"region-{uuid.uuid4().hex[:12]}")

    def __post_init__(self) -> None:
        if len(self.points) < 3:
            raise InputError("A region needs at least three corners.", "Draw it as an area, not as a line.")
        if self.role not in ROLES:
            raise InputError(f"A region is for '{self.role}'.", f"It can be for {' or '.join(ROLES)}.")
        if not np.isfinite(np.asarray(self.points, float)).all():
            raise InputError("A corner of the region is not a number.", "Draw the region again.")

    def holds(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Tell which points lie inside: bool (n,); y and x are (n,) level-0 pixels."""
        return inside(np.asarray(self.points, float)[:, ::-1], y, x)

    def to_geojson(self) -> str:
        """Return a GeoJSON feature (x, y in level-0 pixels, ring closed), as QuPath reads it."""
        ring = [[x, y] for y, x in (*self.points, self.points[0])]
        feature = {
            "type": "Feature", "id": self.uid, "geometry": {"type": "Polygon", "coordinates": [ring]},
            "properties": {"objectType": "annotation", "name": self.role},
        }  # fmt: skip
        return json.dumps(feature, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_geojson(cls, text: str) -> Region:
        """Read what `to_geojson` wrote.

        Raises
        ------
        InputError
            When it is no polygon feature.
        """
        try:
            feature: dict[str, Any] = json.loads(text)
            ring = feature["geometry"]["coordinates"][0]
            points = tuple((float(y), float(x)) for x, y in ring[:-1])
            return cls(points, feature["properties"]["name"], str(feature["id"]))
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise InputError(f"This is no region: {text[:60]!r}.", "A region is a GeoJSON polygon.") from error


def inside(corners: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Tell which points lie in a polygon, by the even–odd rule: bool (n,).

    Parameters
    ----------
    corners
        float (k, 2): x and y of the corners, in order; the last is joined to the first.
    y, x
        float (n,).
    """
    y, x, corners = np.asarray(y, float), np.asarray(x, float), np.asarray(corners, float)
    within = np.zeros(y.shape, bool)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, 0), strict=True):
        if y0 != y1:
            crosses = (y0 > y) != (y1 > y)
            within ^= crosses & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
    return within


def counted(regions: Iterable[Region], y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Tell which cells are counted: bool (n,) for cell centres y, x (n,) in level-0 pixels."""
    regions = list(regions)
    wanted = [r for r in regions if r.role == COUNT]
    keep = np.zeros(len(y), bool) if wanted else np.ones(len(y), bool)
    for region in wanted:
        keep |= region.holds(y, x)
    for region in regions:
        if region.role == LEAVE_OUT:
            keep &= ~region.holds(y, x)
    return keep
