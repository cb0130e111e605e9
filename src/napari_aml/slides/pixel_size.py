"""µm per pixel, where it came from, and what file metadata says about it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Source = Literal["file", "person", "red cells", "nuclei", "unknown"]

#: Outside these limits a figure in a file is a screen or print resolution (72, 96, 300 dpi), not a microscope's.
PLAUSIBLE_UM = (0.02, 2.0)

_UM_PER_UNIT = {
    "m": 1e6, "meter": 1e6, "dm": 1e5, "cm": 1e4, "mm": 1e3, "millimeter": 1e3,
    "µm": 1.0, "um": 1.0, "micron": 1.0, "microns": 1.0, "micrometer": 1.0,
    "nm": 1e-3, "nanometer": 1e-3, "Å": 1e-4, "pm": 1e-6, "in": 25400.0, "inch": 25400.0,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class PixelSize:
    """The side of one level-0 pixel.

    Attributes
    ----------
    um
        µm per pixel, None when unknown.
    source
        ``file`` (metadata), ``person`` (given), ``red cells`` (measured), ``nuclei`` (guessed) or ``unknown``.
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
        where["nuclei"] = "guessed from nuclei"
        return f"{self.um:.4f} µm/px ({where.get(self.source, self.source)})"


UNKNOWN = PixelSize(None, "unknown", "nothing in the file says it")


def plausible(um: float | None) -> bool:
    """Tell whether a figure can be the pixel size of a light-microscope picture of a smear."""
    return um is not None and math.isfinite(um) and PLAUSIBLE_UM[0] <= um <= PLAUSIBLE_UM[1]


def to_um(value: float, unit: str) -> float | None:
    """Convert a length to µm; None for an unknown unit (OME's ``pixel``, ``reference frame``)."""
    # Two code points look like a micro sign; ImageJ writes it as an escape.
    unit = unit.strip().strip("\0").replace("\\u00B5", "µ").replace("\u03bc", "µ")
    factor = _UM_PER_UNIT.get(unit)
    return None if factor is None else value * factor


def from_dots(per_unit: float, unit: str) -> float | None:
    """Convert dots per unit (TIFF XResolution, PNG pHYs, JPEG density) to µm per pixel."""
    if not math.isfinite(per_unit) or per_unit <= 0:
        return None
    return to_um(1.0 / per_unit, unit)


def from_description(text: str) -> float | None:
    """Find ``MPP = 0.25`` (Aperio, in µm) in a TIFF description."""
    found = re.search(r"\bMPP\s*=\s*([0-9]+(?:[.,][0-9]+)?)", text)
    return float(found.group(1).replace(",", ".")) if found else None


def from_ome(xml: str, index: int = 0) -> tuple[float | None, float | None]:
    """Read PhysicalSizeX and PhysicalSizeY of one Pixels element of an OME-XML text, in µm.

    Parsed with defusedxml: a hostile file cannot expand entities.
    """
    from defusedxml import ElementTree

    try:
        root = ElementTree.fromstring(xml)
    except Exception:  # a broken text is one that says nothing
        return None, None
    elements = [e for e in root.iter() if str(e.tag).rsplit("}", 1)[-1] == "Pixels"]
    if not elements:
        return None, None
    element = elements[index if index < len(elements) else 0]
    x, y = (_length(element.get(f"PhysicalSize{a}"), element.get(f"PhysicalSize{a}Unit", "µm")) for a in "XY")
    return x, y


def _length(value: str | None, unit: str) -> float | None:
    try:
        return None if value is None else to_um(float(value), unit)
    except ValueError:
        return None


def from_properties(properties: Mapping[str, str]) -> tuple[float | None, float | None]:
    """Read µm per pixel along x and y from OpenSlide's properties."""
    found: list[float | None] = []
    for axis in "xy":
        try:
            found.append(float(properties[f"openslide.mpp-{axis}"]))
        except (KeyError, ValueError):
            found.append(None)
    return found[0], found[1]


def settle(candidates: Iterable[tuple[float | None, float | None, str]]) -> PixelSize:
    """Choose among what a file's metadata say.

    Parameters
    ----------
    candidates
        (µm along x, µm along y or None, where it stands), the most trustworthy first.

    Returns
    -------
    PixelSize
        The first that can be a microscope's. Pixels that are not square get the geometric mean, and it is said.
        Where all of them are screen or print resolutions (72, 96, 300 dpi), unknown, and it is said.
    """
    ignored = UNKNOWN
    for x, y, where in candidates:
        y = x if y is None else y
        if x is None or y is None:
            continue
        if plausible(x) and plausible(y):
            if max(x, y) <= 1.02 * min(x, y):
                return PixelSize(x, "file", where)
            detail = f"{where}; pixels are not square ({x:.4g} x {y:.4g} µm), their geometric mean was taken"
            return PixelSize(math.sqrt(x * y), "file", detail)
        if ignored is UNKNOWN:
            ignored = PixelSize(
                None, "unknown", f"the file's {where} ({x:.3g} µm/px) is no microscope's and was ignored"
            )
    return ignored
