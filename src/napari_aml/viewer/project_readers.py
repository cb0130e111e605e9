"""ProjectReaders: the readers of the open project beside each other, and the word that settles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer

from napari_aml.errors import AmlError, InputError
from napari_aml.progress import Progress, Steps
from napari_aml.review.agreement import Readings, adjudication, agreement, disagreement_queue, disagreements, readings
from napari_aml.ui.jobs import Job

if TYPE_CHECKING:
    from napari_aml.review.agreement import AgreementSummary
    from napari_aml.viewer.project_session import ProjectSession

_SOON_MS = 1200


class ProjectReaders(QObject):
    """Fills the box of readers on the page "Project".

    Parameters
    ----------
    session
        Of the dock.
    """

    def __init__(self, session: ProjectSession) -> None:
        super().__init__(session)
        self._session = session
        self._job: Job | None = None
        self._asked = False
        self._soon = QTimer(self, singleShot=True, interval=_SOON_MS)
        self._soon.timeout.connect(lambda: self.compare(quietly=True))
        box = self.box = session.page.readers
        box.compareRequested.connect(self.compare)
        box.cellChosen.connect(self._fly)
        box.queueRequested.connect(self._queue)
        box.settled.connect(self._settle)

    def soon(self) -> None:
        """Compare again in a moment."""
        self._soon.start()

    def compare(self, *, quietly: bool = False) -> None:
        """Compute agreement and disagreements behind the window; quietly: only where it was asked for before."""
        project = self._session.project
        if project is None:
            return
        if quietly and not self._asked:
            return
        self._asked = True
        if self._job is not None:
            self.soon()
            return
        decisions, seen_by = project.decisions(), self._seen_by()

        def steps() -> Steps[Any]:
            yield Progress(0, 0, "Comparing the readers")
            said = readings(decisions)
            rows = disagreements(said, seen_by=seen_by)
            return agreement(said), [(uid, words, said.adjudicated.get(uid, "")) for uid, _, words in rows]

        def take(out: tuple[AgreementSummary, list[tuple[str, dict[str, str], str]]]) -> None:
            if project is self._session.project:  # else it was closed meanwhile
                self.box.setSummary(*out, hidden=seen_by is not None)

        job = self._job = Job(steps, self)
        job.returned.connect(take)
        job.failed.connect(self._session.dock.show_error)
        job.ended.connect(lambda: self._on_ended(job))
        job.start()

    def _on_ended(self, job: Job) -> None:
        self._job = None
        job.deleteLater()

    def _seen_by(self) -> str | None:
        """In blinded reading no one learns of others' words before the own one."""
        return self._session.state.reader if self._session.state.blinded else None

    def _readings(self) -> Readings:
        project = self._session.project
        assert project is not None
        return readings(project.decisions())

    def _fly(self, uid: str) -> None:
        session = self._session
        if session.state.row(uid) is None:
            said = self._readings()
            slide_id = dict(zip(said.uids, said.slide_ids, strict=True)).get(uid)
            if slide_id is not None:
                session._try(session.show_slide, slide_id)
        session.controller.open_cell(uid)

    def _queue(self) -> None:
        queue = disagreement_queue(self._readings(), open_only=True, seen_by=self._seen_by())
        self._session.state.queue = queue
        self._session.dock.show_message(f"{len(queue)} cells are in the queue.")

    def _settle(self, uid: str, code: str) -> None:
        session, project = self._session, self._session.project
        try:
            if project is None:
                raise InputError("No project is open.", "Open one first.")
            project.record([adjudication(self._readings(), uid, code, session.state.reader)])
        except AmlError as error:
            session.dock.show_error(error)
            return
        self.compare()
