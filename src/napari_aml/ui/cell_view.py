"""What the inspector shows of one cell: plain values, ready to draw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Bar:
    """One class and its probability (0…1)."""

    code: str
    name: str
    colour: str
    probability: float


@dataclass(frozen=True)
class Evidence:
    """One heatmap of the cell.

    Attributes
    ----------
    title
        Which class it explains.
    map
        float32 (g, g), raw evidence over the whole crop; None while it is being computed or when there is none.
    note
        One line below the picture.
    """

    title: str
    map: np.ndarray | None
    note: str = ""


@dataclass(frozen=True)
class CellView:
    """One cell.

    Attributes
    ----------
    uid, title, subtitle
        Which cell; its class and probability; where it stands in the table.
    crop
        uint8 (h, w, 3).
    outline
        bool (h, w): the border of the cell's mask in the crop.
    evidence
        Heatmaps side by side: the class in question first.
    limit
        Evidence at which the colour scale ends; the same for every cell.
    bars
        Most probable first.
    measurements
        Name and value with unit.
    remarks
        What a person should know (cut off by the border, no positive evidence …).
    tags, note
        What the reader put on the cell.
    known_tags
        Tags in use on other cells, to offer them here.
    """

    uid: str
    title: str
    subtitle: str
    colour: str
    crop: np.ndarray
    outline: np.ndarray
    evidence: tuple[Evidence, ...]
    limit: float
    bars: tuple[Bar, ...]
    measurements: tuple[tuple[str, str], ...]
    remarks: tuple[str, ...]
    tags: frozenset[str] = frozenset()
    note: str = ""
    known_tags: frozenset[str] = frozenset()
