"""ProjectShowing: what was read of a project comes onto the screen piece by piece, so that the window lives on."""

from __future__ import annotations

import gc
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from napari_aml.ui.patient_timer import SHOWING
from napari_aml.viewer.coming_pictures import ComingPictures
from napari_aml.viewer.drawing import release
from napari_aml.viewer.in_turns import InTurns
from napari_aml.viewer.names import MOST_NAMES
from napari_aml.viewer.private import unwrap
from napari_aml.viewer.project_views import restore, slide_id_of

if TYPE_CHECKING:
    from napari_aml.analysis import Analysis
    from napari_aml.viewer.project_opening import Opened, OpenedSlide
    from napari_aml.viewer.project_session import ProjectSession


#: Of more cells, the project's objects are kept out of Python's search for cycles while it is open.
_MANY = 10_000
_DECODING = "The picture is being decoded …"


class ProjectShowing(QObject):
    """Shows opened slides: first the picture, then its cells, then the view of before.

    A picture that is still being decoded is a blank area until it has come; nothing else waits for it.

    Few cells are shown at once; of very many, each layer is a piece of its own.

    Parameters
    ----------
    session
        Of the dock.
    """

    def __init__(self, session: ProjectSession) -> None:
        super().__init__(session)
        self._session = session
        self._turns = InTurns(session.dock.show_error, self)
        self._pictures = ComingPictures(session.dock.viewer, self._on_drawn, self._on_lost, self)
        self._said = ""
        self._frozen = False

    @property
    def busy(self) -> bool:
        """Whether something is still to come."""
        return self._turns.busy or self._pictures.busy

    @property
    def decoding(self) -> bool:
        """Whether a picture is still to come."""
        return self._pictures.busy

    def begin(self, opened: Opened) -> None:
        """Show the slides of a project that was opened, and the view that was saved."""
        self._run(self._all(opened), opened.slides)

    def one(self, slide: OpenedSlide) -> None:
        """Show one slide more."""
        self._run(self._one(slide), [slide])

    def stop(self) -> None:
        """Drop what is still to come; the project is being closed."""
        if self._frozen:
            gc.unfreeze()
            self._frozen = False
        self._turns.cancel()
        self._session.controller.bridge.in_turns = None
        self.say()

    def say(self, text: str = "") -> None:
        """Say in the docks what is being waited for; nothing when it is there."""
        dock = self._session.dock
        if text or dock.status.text() == self._said:  # else something else was said meanwhile
            dock.show_message(text)
        self._said = self._session.state.waiting = text

    def _run(self, pieces: Generator[None, None, None], slides: list[OpenedSlide]) -> None:
        n = sum(len(s.analysis.cells) for s in slides if s.analysis is not None)
        if n > _MANY:
            # Looking for cycles among a million objects that stay makes the window stand still for a quarter of a
            # second, again and again.
            gc.freeze()
            self._frozen = True
        self._turns.run(self._saying(pieces), at_once=n <= MOST_NAMES)

    def _saying(self, pieces: Generator[None, None, None]) -> Generator[None, None, None]:
        """Do the pieces; a picture that comes clears what was said, and it is said again."""
        with closing(pieces):
            for _ in pieces:
                if self._said and not self._session.dock.status.text():
                    self.say(self._said)
                yield

    def shut_down(self) -> None:
        """Drop what is still to come, and wait for no picture: the window goes."""
        self.stop()
        self._pictures.stop()

    # ---- pieces --------------------------------------------------------------------------------------------

    def _all(self, opened: Opened) -> Generator[None, None, None]:
        session, viewer = self._session, self._session.dock.viewer
        self.say(SHOWING)
        there = {slide_id_of(unwrap(layer)) for layer in viewer.layers}
        wanted = opened.session.get("shown")
        slides = opened.slides
        chosen = next((s for s in slides if s.slide.slide_id == wanted), slides[-1] if slides else None)
        layers: list[tuple[Any, OpenedSlide]] = []
        for slide in slides:
            layers.append((self._picture(slide, choose=slide is chosen), slide))
            yield
        for layer, slide in layers:
            if slide is chosen:
                session.dock.choose_picture(layer)
                if slide.analysis is not None:
                    yield from self._cells(layer, slide.analysis)
        others = [(layer, slide.analysis) for layer, slide in layers if slide is not chosen and slide.analysis]
        for _, analysis in others:
            release(analysis.cells.masks)
        with session.state.events.others.paused(lambda first, last: (last[0], first[1])):  # told once
            for layer, analysis in others:
                session.controller.show_result(layer, analysis)  # a person may have chosen it meanwhile
        if wanted in there:  # it was on the screen before the project was opened
            for layer in map(unwrap, viewer.layers):
                if slide_id_of(layer) == wanted:
                    session.dock.choose_picture(layer)
        if session.controller.bridge.image is not None:
            session._bring_up(session.controller.bridge.image)
        yield
        restore(session.dock, opened.session)
        yield
        session.refresh()
        self.say(_DECODING if self._pictures.busy else "")
        for error in opened.errors:
            session.dock.show_error(error)
        session.saving.start_views()

    def _one(self, slide: OpenedSlide) -> Generator[None, None, None]:
        self.say(SHOWING)
        layer = self._picture(slide, choose=True)
        yield
        if slide.analysis is not None:
            yield from self._cells(layer, slide.analysis)
        self._session._bring_up(layer)
        self._session.list_slides()
        self.say(_DECODING if self._pictures.busy else "")

    def _picture(self, slide: OpenedSlide, *, choose: bool) -> Any:
        """Put a slide's picture on the screen, where it is not there yet."""
        from napari.layers import Layer

        session = self._session
        for layer in map(unwrap, session.dock.viewer.layers):
            if slide_id_of(layer) == slide.slide.slide_id:
                if choose:
                    session.dock.choose_picture(layer)
                return layer
        layer = Layer.create(*slide.layer)
        layer.visible = choose
        session.dock.viewer.add_layer(layer)  # the dock chooses what comes last
        if choose:
            session.dock.choose_picture(layer)
        if not slide.drawn:
            self._pictures.expect(layer, slide.slide)
        return layer

    def _on_drawn(self, layer: Any) -> None:
        if layer is self._session.controller.bridge.image:
            self._session.dock._inspect()
        self._said_all()

    def _on_lost(self, error: Exception) -> None:
        self._said_all()
        self._session.dock.show_error(error)

    def _said_all(self) -> None:
        """Say what is still being waited for once the cells are there."""
        if not self._turns.busy:
            self.say(_DECODING if self._pictures.busy else "")

    def _cells(self, layer: Any, analysis: Analysis) -> Generator[None, None, None]:
        """Show the cells of the chosen picture, a layer a piece."""
        controller = self._session.controller
        rest: list[Iterator[None]] = []
        controller.bridge.in_turns = rest.append
        try:
            controller.show_result(layer, analysis)
        finally:
            controller.bridge.in_turns = None
        try:
            for pieces in rest:
                yield from pieces
        finally:
            release(analysis.cells.masks)
