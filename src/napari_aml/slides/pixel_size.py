"""µm per pixel, where it came from, and what file metadata says about it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Source = Literal["file", "person", "red cells", "unknown"]

#: Outside these limits a figure in a file is a screen or print resolution (72, 96, 300 dpi), not a microscope's.
PLAUSIBLE_UM = (0.02, 2.0)

_UM_PER_UNIT = {"m": 1e6, "mm": 1e3, "cm": 1e4, "µm": 1.0, "um": 1.0, "micron": 1.0, "nm": 1e-3, "inch": 25400.0}


@dataclass(frozen=True, slots=True)
class PixelSize:
    """The side of one level-0 pixel.

    Attributes
    ----------
    um
        µm per pixel, None when unknown.
    source
        ``file`` (metadata), ``person`` (given), ``red cells`` (measured) or ``unknown``.
    detail
        One line that says how it was found.
    """

    um: float | None
    source: Source
    detail: str = ""

    def __post_init__(self) -> None:
        if self.um is not None and not (math.isfinite(self.um) and self.um > 0):
            raise ValueError(f"a pixel size is a positive number of µm, not {self.um}")

    def __str__(self) -> str:
        if self.um is None:
            return "unknown pixel size"
        where = {"file": "from the file", "person": "given", "red cells": "measured from red cells"}
        return f"{self.um:.4f} µm/px ({where.get(self.source, self.source)})"


UNKNOWN = PixelSize(None, "unknown", "nothing in the file says it")


def plausible(um: float | None) -> bool:
    """Tell whether a figure can be the pixel size of a light-microscope picture of a smear."""
    return um is not None and math.isfinite(um) and PLAUSIBLE_UM[0] <= um <= PLAUSIBLE_UM[1]


def to_um(value: float, unit: str) -> float | None:
    """Convert a length to µm; None for an unknown unit (OME's ``pixel``, ``reference frame``)."""
    factor = _UM_PER_UNIT.get(unit.strip().replace("μ", "µ"))
    return None if factor is None else value * factor


def from_dots(per_unit: float, unit: str) -> float | None:
    """Convert dots per unit (TIFF XResolution, PNG pHYs, JPEG density) to µm per pixel."""
    return None if not per_unit or per_unit <= 0 else to_um(1.0 / per_unit, unit)


def from_description(text: str) -> float | None:
    """Find ``MPP = 0.25`` (Aperio) in a TIFF description."""
    found = re.search(r"\bMPP\s*=\s*([0-9.]+)", text)
    return float(found.group(1)) if found else None


def from_ome(xml: str) -> float | None:
    """Read PhysicalSizeX of the first Pixels element of an OME-XML text, in µm.

    Parsed with defusedxml: a hostile file cannot expand entities.
    """
    from defusedxml import ElementTree

    try:
        root = ElementTree.fromstring(xml)
    except Exception:
        return None
    for element in root.iter():
        if element.tag.rsplit("}", 1)[-1] == "Pixels":
            value, unit = element.get("PhysicalSizeX"), element.get("PhysicalSizeXUnit", "µm")
            try:
                return to_um(float(value), unit) if value else None
            except ValueError:
                return None
    return None


def from_properties(properties: Mapping[str, str]) -> float | None:
    """Read OpenSlide properties (``openslide.mpp-x``, ``aperio.MPP``, ``hamamatsu…``)."""
    for key in ("openslide.mpp-x", "aperio.MPP"):
        try:
            return float(properties[key])
        except (KeyError, ValueError):
            continue
    return None
