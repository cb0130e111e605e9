"""What is announced when single cells change."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class RowsChanged:
    """Which cells changed, and how.

    Attributes
    ----------
    uids
        Cells whose mask, prediction or heatmap changed, and cells that are new.
    removed
        Label → box (y0, x0, y1, x1) of the cells that are gone.
    masks
        Whether masks changed (else only what is said about the cells).
    box
        Level-0 pixels (y0, x0, y1, x1) outside of which nothing changed; None when nobody knows.
    said
        Only what a person says of the cells changed (class, tags, note); masks, predictions and heatmaps did not.
        Without uids, a region on the slide changed.
    """

    uids: tuple[str, ...]
    removed: dict[int, tuple[int, int, int, int]] = field(default_factory=dict)
    masks: bool = False
    box: tuple[int, int, int, int] | None = None
    said: bool = False
