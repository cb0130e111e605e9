"""Small jobs that follow what a person looks at: only the newest counts, an older one is cancelled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject

from napari_aml.progress import Steps
from napari_aml.ui.jobs import Job


class Latest(QObject):
    """Runs one job at a time without a progress bar; a new one takes the place of the running one.

    Parameters
    ----------
    failed
        Called with the error of the newest job.
    """

    def __init__(self, failed: Callable[[Exception], None], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._failed = failed
        self._job: Job | None = None

    @property
    def busy(self) -> bool:
        """Whether the newest job still runs."""
        return self._job is not None and self._job.running

    def run(self, make_steps: Callable[[], Steps[Any]], then: Callable[[Any], None]) -> None:
        """Start a job; `then` is called with its result unless a newer one was started meanwhile."""
        self.cancel()
        job = self._job = Job(make_steps, self)
        job.returned.connect(lambda result: then(result) if job is self._job else None)
        job.failed.connect(lambda error: self._failed(error) if job is self._job else None)
        job.ended.connect(job.deleteLater)
        job.start()

    def cancel(self) -> None:
        """Stop the newest job; nothing that it makes is announced any more."""
        if self._job is not None:
            job, self._job = self._job, None
            if job.running:
                job.cancel()
