"""ProjectSession: the project that is open in a review dock: made, opened, filled, saved by itself, closed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer

from napari_aml.errors import AmlError, InputError
from napari_aml.progress import Progress, Steps
from napari_aml.review.decisions import Decision, MemoryStore
from napari_aml.ui.listening import Listening
from napari_aml.ui.project_page import ProjectPage, SlideLine
from napari_aml.ui.state import DEFAULT_READER
from napari_aml.viewer.in_turns import InTurns
from napari_aml.viewer.layers import VALUE_OF_CODE
from napari_aml.viewer.private import draw_letters, unwrap
from napari_aml.viewer.project_opening import Opened, OpenedSlide, opening_steps, read_slide
from napari_aml.viewer.project_readers import ProjectReaders
from napari_aml.viewer.project_saving import ProjectSaving
from napari_aml.viewer.project_showing import ProjectShowing
from napari_aml.viewer.project_views import capture, slide_id_of
from napari_aml.viewer.readers import prefer_project_reader
from napari_aml.viewer.warming import warm_up

if TYPE_CHECKING:
    from napari_aml.review.project import Added, Project
    from napari_aml.slides import Slide
    from napari_aml.ui.jobs import Job
    from napari_aml.viewer.dock import SmearReviewWidget


#: So long after the dock was made, what is slow the first time is done in a thread.
_WARM_MS = 400


class ProjectSession(QObject):
    """What the page "Project" does.

    Parameters
    ----------
    dock
        The review dock; its state's record of decisions is the project while one is open.

    Attributes
    ----------
    project
        The open project, or None.
    page
        The page.
    """

    def __init__(self, dock: SmearReviewWidget) -> None:
        super().__init__(dock)
        self.dock, self.state, self.controller = dock, dock.state, dock.controller
        self.project: Project | None = None
        self.page = ProjectPage()
        self._listening = Listening()
        self.showing = ProjectShowing(self)
        self.saving = ProjectSaving(self)
        self.readers = ProjectReaders(self)
        self._letters = InTurns(lambda _: None, self)
        self._reading: Job | None = None
        self._adding: Job | None = None
        page = self.page
        page.createRequested.connect(lambda path: self._try(self.create, path))
        page.openRequested.connect(lambda path: self._try(self.open, path))
        page.closeRequested.connect(lambda: self._try(self._on_close_wanted))
        page.addRequested.connect(lambda: self._try(self.add_picture))
        page.slideChosen.connect(lambda slide_id: self._try(self.show_slide, slide_id))
        page.searchRequested.connect(lambda path: self._try(self.search, path))
        page.readerChanged.connect(lambda alias: self._try(self.set_reader, alias))
        page.blindedChanged.connect(lambda on: self._try(self.set_blinded, on))
        page.setReaders([], self.state.reader)
        self._listening.connect(self.state.events.blinded, self._on_blinded)
        self.controller.finished.connect(self._on_analysed)

    def warm_up(self) -> None:
        """Do what is slow only the first time before a project is there to wait for it: in a thread, and bit by bit."""
        Thread(target=partial(warm_up, idle=True), name="warming").start()
        self._letters.run(draw_letters(self.dock.viewer, "".join(VALUE_OF_CODE)))

    # ---- a project comes and goes --------------------------------------------------------------------------

    def create(self, path: str | Path) -> None:
        """Make a project; an analysed picture under review goes into it at once, with what was decided on it.

        Raises
        ------
        AmlError
            When the place is taken or cannot be written, or a picture is still put into the project that is open.
        """
        from napari_aml.review.project import Project

        self._check_added()
        self._take(Project.create(path, reader=self.state.reader))
        if self.state.analysis is not None and not self.controller.busy:
            self.add_picture()

    def open(self, path: str | Path) -> None:
        """Open a project, in the background, and show what its reader last looked at."""
        reader = "" if self.state.reader == DEFAULT_READER else self.state.reader
        job = self.dock.job_bar.run(lambda: opening_steps(path, reader), "Opening the project")
        self.showing.say("Opening the project …")
        self._letters.run(draw_letters(self.dock.viewer, "".join(VALUE_OF_CODE)))
        job.returned.connect(self._on_opened)
        job.failed.connect(lambda _: self.showing.say())
        job.cancelled.connect(self.showing.say)

    def _on_close_wanted(self) -> None:
        self._check_added()
        self.close()

    def _check_added(self) -> None:
        if self._adding is not None and self._adding.running:
            raise InputError("A picture is still being put into the project.", "Wait until that is done.")

    def close(self) -> None:
        """Close the project; layers and cells stay on the screen, what is being read from it is left."""
        project = self.project
        self.showing.stop()
        if self._reading is not None and self._reading.running:
            self.dock.job_bar.cancel()
        self.controller.decider.settle()  # what was said goes into this record, not into the next
        if project is None:
            return
        self.saving.stop()
        self.project = None
        self.state.store = MemoryStore()
        project.close()
        self.page.setProject(None, "")

    def shut_down(self) -> None:
        """Close the project and stop listening; safe to call twice."""
        self.close()
        self._letters.cancel()
        self.showing.shut_down()
        self._listening.release()

    def _on_opened(self, opened: Opened) -> None:
        self.state.offer(opened.view)
        try:
            self._take(opened.project, saving=False)
        except AmlError as error:
            opened.project.close()
            self.dock.show_error(error)
            return
        if late := opened.project.decisions(opened.seen):  # another window spoke meanwhile
            self.state.take([d for d in late if d.reader == self.state.reader])
        self.page.setBlinded(self.state.blinded)
        self.showing.begin(opened)

    def _take(self, project: Project, *, saving: bool = True) -> None:
        """Let a project be the record of decisions; the view is saved from now on, or once it is back on the screen."""
        self.close()
        reader = project.reader or project.session.last_reader() or self.state.reader
        project.still_here(reader)
        self.project = project
        with self.state.events.store.blocked():
            self.state.store = project
        if reader != self.state.reader:
            self.state.reader = reader
        else:
            self.state.read_store()
        self.controller.editor.undo_stack.clear()
        self.state.blinded = project.setting("blinded") == "1"
        self.saving.start(view=saving)
        if saving:
            self.refresh()

    def refresh(self) -> None:
        """Bring the page up to date."""
        project = self.project
        if project is None:
            return
        self.page.setProject(project.name, str(project.folder), self._notes(project), project.read_only)
        self.page.setReaders(project.readers, self.state.reader)
        self.list_slides()
        self.readers.compare(quietly=True)

    def list_slides(self) -> None:
        """List the slides anew."""
        project = self.project
        if project is None:
            return
        there = {slide_id_of(unwrap(layer)) for layer in self.dock.viewer.layers}
        newest = {run.slide_id: run.n_cells for run in project.runs}
        self.page.setSlides([
            SlideLine(e.slide_id, e.name, newest.get(e.slide_id), str(project.locate(e.slide_id)), e.slide_id in there)
            for e in project.slides()
        ])  # fmt: skip

    def _notes(self, project: Project) -> list[str]:
        notes = [n for n in project.notes if "open elsewhere" not in n]
        if others := project.others():
            notes.append(f"Also open elsewhere: {'; '.join(map(str, others))}. Decisions of both are kept.")
        return notes

    # ---- slides --------------------------------------------------------------------------------------------

    def add_picture(self) -> None:
        """Add the picture under review with its cells, and with what was decided on it before.

        Raises
        ------
        InputError
            No project, no picture, or a job is running.
        """
        project, image = self._open_project(), self.dock.picture()
        if self.controller.busy or self.state.pending:
            raise InputError("Cells are still being worked on.", "Add the picture again when that is done.")
        slide, analysis = self.controller.slide(image), self.state.analysis
        if analysis is not None and unwrap(image) is not self.controller.bridge.image:
            analysis = None
        before = self._said_before(project)

        def steps() -> Steps[Added]:
            yield Progress(0, 0, "Putting the picture into the project")
            added = project.add_slide(slide, analysis)
            if added.analysis is not None:
                mine = set(added.analysis.cells.table["uid"])
                project.record([d for d in before if d.uid in mine])
            return added

        self._adding = job = self.dock.job_bar.run(steps, "Adding the picture")
        job.returned.connect(lambda added: self._on_added(added, slide, image))

    def _said_before(self, project: Project) -> list[Decision]:
        """Return what was decided in this window before the project was there."""
        known = {d.id for d in project.decisions()}
        return [replace(d, reader=self.state.reader) for d in self.saving.loose if d.id not in known]

    def _on_added(self, added: Added, slide: Slide, image: Any) -> None:
        current = self.state.analysis
        if added.analysis is not None and current is not None and current.cells.slide_id == added.slide_id:
            same = added.analysis.cells.table["uid"].tolist() == current.cells.table["uid"].tolist()
            if not same:
                self.controller.show_result(unwrap(image), added.analysis)
                self.state.pending = frozenset(added.pending)
                self.controller.follow_up.wake()
        self.state.read_store()
        self.refresh()
        said = "is in the project now" if added.is_new else "was in the project already and is brought up to date"
        note = "" if slide.path is not None else " It was opened from no file, so it cannot be shown again from here."
        self.dock.show_message(f"{slide.name} {said}.{note}")

    def show_slide(self, slide_id: str) -> None:
        """Show a slide of the project, opening its picture where it is not open yet."""
        project = self._open_project()
        for layer in map(unwrap, self.dock.viewer.layers):
            if slide_id_of(layer) == slide_id:
                self.dock.choose_picture(layer)
                self._bring_up(layer)
                return

        def steps() -> Steps[OpenedSlide]:
            yield Progress(0, 0, "Opening the picture")
            return read_slide(project, slide_id)

        self._reading = job = self.dock.job_bar.run(steps, "Opening the picture")
        job.returned.connect(self.showing.one)

    def _bring_up(self, shown: Any) -> None:
        """Show one of the project's pictures, which lie over each other, and hide the others."""
        assert self.project is not None
        known = {e.slide_id for e in self.project.slides()}
        for layer in map(unwrap, self.dock.viewer.layers):
            if slide_id_of(layer) in known:
                if layer.visible != (layer is unwrap(shown)):
                    layer.visible = not layer.visible

    def search(self, path: str | Path) -> None:
        """Look for missing pictures in a folder."""
        project = self._open_project()

        def steps() -> Steps[int]:
            yield Progress(0, 0, "Looking for pictures")
            return len(project.relink(path))

        self._reading = job = self.dock.job_bar.run(steps, "Looking for pictures")
        job.returned.connect(lambda n: self.dock.show_message(f"{n} picture{'' if n == 1 else 's'} found."))
        job.returned.connect(lambda _: self.list_slides())

    def _on_analysed(self) -> None:
        """A picture of the project was analysed anew: its cells go in, keeping their identity."""
        analysis = self.state.analysis
        if self.project is None or self.project.read_only or analysis is None:
            return
        if analysis.cells.slide_id in {e.slide_id for e in self.project.slides()}:
            self._try(self.add_picture)

    # ---- who reads -----------------------------------------------------------------------------------------

    def set_reader(self, alias: str) -> None:
        """Let another reader sit down."""
        self.controller.decider.settle()
        if self.project is not None and not self.project.read_only:
            self.project.add_reader(alias)
            self.project.still_here(alias)
        self.state.reader = alias
        self.refresh()

    def set_blinded(self, on: bool) -> None:
        """Switch blinded reading on or off, for all who open this project."""
        self.state.blinded = on

    def _on_blinded(self, on: bool) -> None:
        self.page.setBlinded(on)
        if self.project is not None and not self.project.read_only:
            self._try(self.project.set_setting, "blinded", "1" if on else "0")
            self.readers.compare(quietly=True)

    # ---- small things --------------------------------------------------------------------------------------

    def view(self) -> dict[str, Any]:
        """Take down what this window shows."""
        assert self.project is not None
        return capture(self.dock, {e.slide_id for e in self.project.slides()})

    def _open_project(self) -> Project:
        if self.project is None:
            raise InputError("No project is open.", "Make one or open one on the page 'Project'.")
        return self.project

    def _try(self, action: Callable[..., Any], *arguments: Any) -> None:
        try:
            action(*arguments)
        except AmlError as error:
            self.dock.show_error(error)


def attach_project(dock: SmearReviewWidget) -> ProjectSession:
    """Give a review dock its page "Project"."""
    prefer_project_reader()
    session = ProjectSession(dock)
    # Once the window is there; where a project is opened before, opening does it.
    QTimer.singleShot(_WARM_MS, session, session.warm_up)
    session.saving.holder |= {"listening": session._listening, "writing": dock.controller.decider.writing}
    dock.destroyed.connect(partial(_let_go, session.saving.holder))
    return session


def _let_go(holder: dict[str, Any], *_: object) -> None:
    """Close what a destroyed dock leaves: Qt objects are gone by now."""
    holder["writing"].wait()
    with contextlib.suppress(AmlError):
        if (project := holder.get("project")) is not None:
            project.close()
    holder["listening"].release()
