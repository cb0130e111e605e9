"""The slides that the Expression dock can link: the viewer's pictures, and what the review dock counted on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_aml.errors import AmlError
from napari_aml.progress import Progress, Steps
from napari_aml.review.counting import differential
from napari_aml.review.sides import Morphology, morphology
from napari_aml.ui.latest import Latest
from napari_aml.ui.state import UNCLASSIFIED
from napari_aml.viewer.picture_layers import KEY, slide_from_layer
from napari_aml.viewer.private import unwrap
from napari_aml.viewer.sessions import docks, find_review

if TYPE_CHECKING:
    from napari_aml.analysis import Analysis
    from napari_aml.review.links import LinkStore
    from napari_aml.slides import Slide

#: So long after the last change (ms) the slides are looked at again: counting follows a mask edit, not each of them.
_QUIET_MS = 250


class SlideSource(QObject):
    """The viewer's slides by id.

    Parameters
    ----------
    viewer
        The viewer; the review dock may be open in it, or be opened or closed later.
    """

    changed = Signal()
    counted = Signal()

    def __init__(self, viewer: Any, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._ids: dict[int, tuple[Any, str]] = {}  # id of a layer → the layer, its slide's id
        self._failed: set[int] = set()
        self._reviewed: Any = None
        self._released = False
        self._hash = Latest(self._on_failed, self)
        self._timer = QTimer(self, singleShot=True, interval=_QUIET_MS)
        self._timer.timeout.connect(self.look)
        for event in self._events():
            event.connect(self._soon)
        docks.review_changed.connect(self._on_review)

    def _on_review(self, viewer: int) -> None:
        if viewer == id(unwrap(self._viewer)):
            self._soon()

    def _events(self) -> tuple[Any, ...]:
        layers = self._viewer.layers
        return layers.events.inserted, layers.events.removed, layers.selection.events.active

    def close(self) -> None:
        """Stop listening and counting."""
        self._timer.stop()
        self._hash.cancel()
        self.release()

    def release(self) -> None:
        """Stop listening; safe to call twice, and while Qt destroys the dock."""
        if not self._released:
            self._released = True
            for event in self._events():
                event.disconnect(self._soon)
            docks.review_changed.disconnect(self._on_review)
            self._follow(None)

    # ---- slides --------------------------------------------------------------------------------------------

    def rows(self) -> list[tuple[str, str]]:
        """Return (slide_id, title) of the slides known by now, in the order of the layers, then those reviewed."""
        found: dict[str, str] = {}
        for layer in self._pictures():
            held = self._ids.get(id(layer))
            if held is not None:
                found.setdefault(held[1], layer.name)
        for analysis in self._analyses():
            found.setdefault(analysis.slide.slide_id, analysis.slide.name)
        return list(found.items())

    def current(self) -> str | None:
        """Return the id of the slide under review, else of the chosen picture layer, None where neither is known."""
        review = find_review(self._viewer)
        if review is not None and review.state.analysis is not None:
            return review.state.analysis.slide.slide_id
        held = self._ids.get(id(unwrap(self._viewer.layers.selection.active)))
        return None if held is None else held[1]

    def look(self) -> None:
        """Look at the viewer's pictures; ids that are not known yet are computed behind the window."""
        review = find_review(self._viewer)
        self._follow(None if review is None else review.state)
        pictures = self._pictures()
        there = {id(layer) for layer in pictures}
        self._ids = {k: v for k, v in self._ids.items() if k in there}
        self._failed &= there
        wanted: list[tuple[Any, Slide]] = []
        for layer in pictures:
            if id(layer) in self._ids or id(layer) in self._failed:
                continue
            try:
                wanted.append((layer, slide_from_layer(layer)))
            except AmlError:
                self._failed.add(id(layer))  # no smear: the review dock says why when it is chosen
        self.changed.emit()
        self.counted.emit()
        if wanted and not self._hash.busy:
            self._hash.run(lambda: _ids_steps(wanted), self._take_ids)

    def _take_ids(self, found: list[tuple[Any, str]]) -> None:
        self._ids |= {id(layer): (layer, slide_id) for layer, slide_id in found}
        self.look()

    def _on_failed(self, error: Exception) -> None:
        self._failed |= {id(layer) for layer in self._pictures() if id(layer) not in self._ids}

    def _pictures(self) -> list[Any]:
        from napari.layers import Image

        review = find_review(self._viewer)
        layers = [unwrap(layer) for layer in self._viewer.layers]
        found = [layer for layer in layers if isinstance(layer, Image) and layer.rgb]
        if review is not None:
            found = [layer for layer in found if not review.controller.bridge.is_result(layer)]
        # A results folder opened again carries its slide's id in no file of its own: only pictures count.
        return [layer for layer in found if layer.metadata.get(KEY, {}).get("slide") is not None or layer.ndim == 2]

    # ---- the review dock -----------------------------------------------------------------------------------

    def links(self) -> LinkStore | None:
        """Return the links of the project that is open, None without one."""
        from napari_aml.review.links import links_of

        review = find_review(self._viewer)
        return None if review is None else links_of(review.state.store)

    def morphology(self, slide_ids: Sequence[str]) -> Morphology | None:
        """Add up what was counted on slides; None where none of them was analysed."""
        counts = []
        for analysis in self._analyses():
            if analysis.slide.slide_id in slide_ids and analysis.predictions is not None:
                counts.append((analysis.slide.slide_id, self._count(analysis, analysis.predictions.codes)))
        return morphology(counts) if counts else None

    def analysed(self, slide_ids: Sequence[str]) -> list[Analysis]:
        """Return the classified analyses of slides; a slide whose cells are still being classified is left out."""
        review = find_review(self._viewer)
        pending = review is not None and bool(review.state.pending)
        shown = review.state.analysis if review is not None else None
        return [
            a for a in self._analyses()
            if a.slide.slide_id in slide_ids and a.predictions is not None and not (pending and a is shown)
        ]  # fmt: skip

    def _count(self, analysis: Analysis, classes: tuple[str, ...]) -> Any:
        review = find_review(self._viewer)
        if review is not None and analysis is review.state.analysis:
            state = review.state
            codes = state.codes()
            take = state.counted() & (codes != UNCLASSIFIED)
            return differential(codes[take], state.confirmed()[take], classes=classes)
        table = analysis.table()
        return differential(table["code_final"].tolist(), table["confirmed"].to_numpy(), classes=classes)

    def _analyses(self) -> list[Analysis]:
        review = find_review(self._viewer)
        if review is None:
            return []
        shown = [review.state.analysis] if review.state.analysis is not None else []
        known = {a.slide.slide_id for a in shown}
        return shown + [a for a in review.state.others if a.slide.slide_id not in known]

    def _follow(self, state: Any) -> None:
        if state is self._reviewed:
            return
        for old, connect in ((self._reviewed, False), (state, True)):
            if old is None:
                continue
            for signal in (old.events.analysis, old.events.others, old.events.store, old.rows_changed):
                if connect:
                    signal.connect(self._soon)
                else:
                    signal.disconnect(self._soon)
        self._reviewed = state

    def _soon(self, *_: Any) -> None:
        self._timer.start()


def _ids_steps(slides: list[tuple[Any, Slide]]) -> Steps[list[tuple[Any, str]]]:
    found = []
    for i, (layer, slide) in enumerate(slides):
        yield Progress(i, len(slides), f"Reading {slide.name}")
        found.append((layer, slide.slide_id))
    return found
