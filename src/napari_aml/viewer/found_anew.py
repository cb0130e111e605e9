"""A picture is analysed again in one session: what was decided stays with its cells, whatever their new numbers are.

Cells are numbered in the order in which they are found, so that another segmentation gives a cell's uid to its
neighbour. While new cells are being found they have provisional uids, on which nobody can decide; at the end each cell
that overlaps an old one takes that one's uid, and cells on which someone decided stay.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_aml.ui.deciding import PROVISIONAL

if TYPE_CHECKING:
    from napari_aml.analysis import Analysis
    from napari_aml.ui.state import ReviewState


class FoundAnew:
    """Remembers the cells of each slide of the session that people decided on.

    Parameters
    ----------
    state
        Of the review.
    """

    def __init__(self, state: ReviewState) -> None:
        self._state = state
        self._known: dict[str, Analysis] = {}
        self._old: Analysis | None = None

    def remember(self, analysis: Analysis) -> None:
        """Take down cells that are complete."""
        self._known[analysis.cells.slide_id] = replace(analysis, heatmaps=None)

    def begin(self, slide_id: str) -> None:
        """Cells of a slide are about to be found, perhaps anew."""
        old = self._known.get(slide_id)
        self._old = old if old is not None and self._spoken(old) else None

    @property
    def waiting(self) -> bool:
        """Whether the cells on the screen are provisional."""
        return self._old is not None

    def _spoken(self, old: Analysis) -> set[str]:
        """Return the uids of cells on which someone's word stands."""
        slide_id = old.cells.slide_id
        newest = {
            (d.uid, d.reader, d.kind, d.name): d.value
            for d in self._state.store.decisions() if d.slide_id == slide_id and d.kind != "region"
        }  # fmt: skip
        return {uid for (uid, *_), value in newest.items() if value not in (None, "off", "")}

    def provisional(self, analysis: Analysis) -> Analysis:
        """Mark the cells of a partial result, so that no earlier word shows at them and none can be said."""
        if self._old is None:
            return analysis
        table = analysis.cells.table
        marked = table.assign(uid=(table["uid"] + PROVISIONAL).astype(table["uid"].dtype))
        return replace(analysis, cells=replace(analysis.cells, table=marked))

    def settled(self, analysis: Analysis) -> tuple[Analysis, tuple[str, ...]]:
        """Give the cells of the whole result the uids that they had; also return the uids of cells to classify."""
        from napari_aml.review.project.runs import carry_analysis

        old, self._old = self._old, None
        if old is None:
            return analysis, ()
        return carry_analysis(old.cells, lambda: old.predictions, analysis, self._spoken(old))

    def cancelled(self) -> None:
        """The new cells do not come."""
        self._old = None
