"""ProjectSaving: what changes in a window goes into the project by itself: edited masks, the view, others' words."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer

from napari_aml.errors import AmlError
from napari_aml.progress import Progress, Steps
from napari_aml.ui.jobs import Job

if TYPE_CHECKING:
    from napari_aml.review.decisions import Decision
    from napari_aml.ui.state import RowsChanged
    from napari_aml.viewer.project_session import ProjectSession

#: How often the view is compared with the one that was saved, ms.
EVERY_MS = 4000
#: How long masks rest before they are saved, ms.
REST_MS = 1500
#: Every so many looks the window says that it is still there.
_STILL_HERE = 10


class ProjectSaving(QObject):
    """Saves by itself while a project is open.

    Parameters
    ----------
    session
        Of the dock.

    Attributes
    ----------
    loose
        Decisions of this window that were taken while no project was open.
    holder
        The open project, for the time when Qt has destroyed everything else.
    """

    def __init__(self, session: ProjectSession) -> None:
        super().__init__(session)
        self._session = session
        self.loose: list[Decision] = []
        self.holder: dict[str, Any] = {}
        self._dirty = False
        self._job: Job | None = None
        self._saved = ""
        self._looks = 0
        self._failed = ""
        self._last = 0
        self._views = True
        self._look = QTimer(self, interval=EVERY_MS)
        self._look.timeout.connect(self.look)
        self._rest = QTimer(self, singleShot=True, interval=REST_MS)
        self._rest.timeout.connect(self._save_masks)
        session._listening.connect(session.state.rows_changed, self._on_rows)
        session.controller.decider.said.connect(self._on_said)

    def start(self, *, view: bool = True) -> None:
        """Begin to save into the project that is open now; not yet the view while that of before comes back."""
        project = self._session.project
        assert project is not None
        self.holder["project"] = project
        self._saved, self._dirty, self._failed, self._views = "", False, "", view
        self._last = len(project.decisions())
        self._look.start()

    def start_views(self) -> None:
        """Save the view, too, from now on."""
        self._views = True

    def stop(self) -> None:
        """Save what is left, and stop."""
        self._look.stop()
        self._rest.stop()
        if self._dirty:
            self._save_masks(now=True)
        self._save_view()
        self.holder.pop("project", None)

    # ---- the view, and the words of others -----------------------------------------------------------------

    def look(self) -> None:
        """Save the view where it changed; take in what other windows recorded."""
        session, project = self._session, self._session.project
        if session.controller.decider.recording:  # the record is being written: at the next look
            return
        self._looks += 1
        self._save_view()
        if project is None:
            return
        try:
            new = [d for d in project.decisions(self._last) if d.seq > self._last]
            if new:
                self._last = new[-1].seq
                session.state.take([d for d in new if d.reader == session.state.reader])
                session.readers.compare(quietly=True)
            if self._looks % _STILL_HERE == 0:
                project.still_here(session.state.reader)
                session.page.setNotes(session._notes(project))
        except AmlError as error:
            self._say(error)

    def _save_view(self) -> None:
        session, project = self._session, self._session.project
        if project is None or project.read_only or not self._views:
            return
        view = session.view()
        text = json.dumps(view, sort_keys=True)
        if text == self._saved:
            return
        try:
            project.session.save(session.state.reader, view)
            self._saved = text
        except AmlError as error:
            self._say(error)

    def _on_said(self, rows: list[Decision]) -> None:
        if self._session.project is None:
            self.loose += rows
        elif rows:
            if rows[0].seq == self._last + 1:  # else another window spoke in between: the next look takes it in
                self._last = rows[-1].seq
            self._session.readers.soon()

    # ---- masks ---------------------------------------------------------------------------------------------

    def _on_rows(self, what: RowsChanged) -> None:
        if what.said or self._session.project is None or self._session.project.read_only:
            return
        if what.masks:
            self._dirty = True
        if self._dirty:
            self._rest.start()

    def _save_masks(self, *, now: bool = False) -> None:
        """Save a revision of the slide under review, behind the window unless `now`."""
        session, project, analysis = self._session, self._session.project, self._session.state.analysis
        if project is None or analysis is None or not self._dirty:
            return
        if not now and (session.controller.busy or session.state.pending or self._job is not None):
            self._rest.start()
            return
        if analysis.cells.slide_id not in {e.slide_id for e in project.slides()}:
            self._dirty = False
            return
        self._dirty = False
        whole = replace(analysis)

        def steps() -> Steps[Any]:
            yield Progress(0, 0, "Saving the masks")
            return project.save(whole)

        if now:
            try:
                project.save(whole)
            except AmlError as error:
                self._say(error)
            return
        job = self._job = Job(steps, self)
        job.returned.connect(self._on_saved)
        job.failed.connect(self._say)
        job.ended.connect(lambda: self._on_ended(job))
        job.start()

    def _on_saved(self, saved: Any) -> None:
        self._failed = ""
        if saved.conflict:
            self._session.dock.show_message(
                "Another window changed the masks of this picture, too. Both are kept in the project; these count now."
            )

    def _on_ended(self, job: Job) -> None:
        self._job = None
        job.deleteLater()

    def _say(self, error: BaseException) -> None:
        """Say what went wrong, once and not every few seconds."""
        if str(error) != self._failed:
            self._failed = str(error)
            self._session.dock.show_error(error)
