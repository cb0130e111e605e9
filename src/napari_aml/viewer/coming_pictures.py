"""Pictures that are still being decoded when their layers are there: drawn as soon as they have come."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from napari_aml.progress import Progress, Steps
from napari_aml.ui.jobs import Job
from napari_aml.viewer.picture_layers import KEY, fill_in
from napari_aml.viewer.private import unwrap

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Image

    from napari_aml.slides import Slide

#: So often a job that waits for a picture asks whether it was cancelled, s.
_LOOK_S = 0.1


class ComingPictures(QObject):
    """Fills layers whose slide was not decoded yet when they were made.

    Parameters
    ----------
    viewer
        Holds the layers.
    drawn
        Called with a layer whose picture has come and is drawn.
    failed
        Called with the error of a picture that never comes; its layer is gone by then.
    """

    def __init__(
        self, viewer: napari.viewer.Viewer, drawn: Callable[[Image], object], failed: Callable[[Exception], object],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._drawn, self._failed = viewer, drawn, failed
        self._jobs: list[Job] = []

    @property
    def busy(self) -> bool:
        """Whether a picture is still to come."""
        return bool(self._jobs)

    def expect(self, layer: Image, slide: Slide) -> None:
        """Draw a picture into its layer when it has come."""
        levels = list(layer.data) if layer.multiscale else [layer.data]

        def steps() -> Steps[None]:
            while not slide.wait(_LOOK_S):
                yield Progress(0, 0)
            fill_in(slide, levels)

        job = Job(steps, self)
        self._jobs.append(job)
        job.returned.connect(lambda _: self._draw(job, layer, slide))
        job.failed.connect(lambda error: self._give_up(job, layer, error))
        job.ended.connect(lambda: self._on_ended(job))
        job.start()

    def stop(self) -> None:
        """Wait for none of them any more."""
        for job in list(self._jobs):
            job.cancel()

    def _forget(self, job: Job) -> None:
        if job in self._jobs:
            self._jobs.remove(job)

    def _on_ended(self, job: Job) -> None:
        self._forget(job)
        job.deleteLater()

    def _is_there(self, layer: Any) -> bool:
        return any(unwrap(other) is layer for other in self._viewer.layers)

    def _draw(self, job: Job, layer: Image, slide: Slide) -> None:
        self._forget(job)  # before it is told of: it is no longer waited for
        if KEY in layer.metadata:
            layer.metadata[KEY]["notes"] = slide.notes
        if self._is_there(layer):
            layer.refresh(extent=False)
            self._drawn(layer)

    def _give_up(self, job: Job, layer: Image, error: Exception) -> None:
        self._forget(job)
        if self._is_there(layer):
            self._viewer.layers.remove(layer)
        self._failed(error)
