"""What the colour of a point on the embedding map means: groups of points of one colour each."""

from __future__ import annotations

import numpy as np

from napari_aml.taxonomy import CLASSES, cell_class
from napari_aml.ui.gallery_cells import GalleryCells

CLASS, DECISION, CONFIDENCE, SLIDE = "class", "decision", "confidence", "slide"
COLOURINGS = (CLASS, DECISION, CONFIDENCE, SLIDE)

GREY = "#8a8a8a"
#: Low to high confidence: ten steps of matplotlib's ``viridis`` (perceptually even, readable with colour-blind eyes).
RAMP = ("#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725")
#: Slides: Okabe and Ito's colours, again and again.
SLIDES = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442")

#: Name for the legend, colour, indices of the points.
ColourGroup = tuple[str, str, np.ndarray]


def colour_groups(cells: GalleryCells, by: str) -> list[ColourGroup]:
    """Return groups of cells of one colour each, those that matter most last (on top); every cell is in one group."""
    if by == CONFIDENCE:
        known = np.isfinite(cells.confidence)
        step = np.clip((np.nan_to_num(cells.confidence) * len(RAMP)).astype(int), 0, len(RAMP) - 1)
        groups = [("not shown", GREY, np.flatnonzero(~known))]
        groups += [
            (f"{100 * i // len(RAMP)}–{100 * (i + 1) // len(RAMP)} %", RAMP[i], np.flatnonzero(known & (step == i)))
            for i in reversed(range(len(RAMP)))
        ]
    elif by == SLIDE:
        groups = [
            (title, SLIDES[k % len(SLIDES)], np.flatnonzero(cells.slide == k))
            for k, title in enumerate(cells.slide_titles())
        ]
    else:
        silent = ~cells.decided if by == DECISION else cells.rank < 0
        groups = [("not decided" if by == DECISION else "not classified", GREY, np.flatnonzero(silent))]
        groups += [
            (c.code, c.colour, np.flatnonzero((cells.rank == rank) & ~silent)) for rank, c in enumerate(CLASSES)
        ]
        groups.append(("other", cell_class("UNK").colour, np.flatnonzero((cells.rank == len(CLASSES)) & ~silent)))
    return [group for group in groups if len(group[2])]
