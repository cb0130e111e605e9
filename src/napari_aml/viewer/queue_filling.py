"""QueueFilling: gets what the queue needs beside decisions: a second model's word, a table of cells that speak."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from napari_aml.errors import AmlError, InputError
from napari_aml.progress import Progress, Steps
from napari_aml.review.speaking import Speaking, read_speaking

if TYPE_CHECKING:
    from napari_aml.analysis import Analysis
    from napari_aml.review.project import Project
    from napari_aml.viewer.teach_dock import TeachDock


class QueueFilling(QObject):
    """Serves the queue's page of a dock "Teach".

    Parameters
    ----------
    dock
        The dock, its widgets built.
    """

    def __init__(self, dock: TeachDock) -> None:
        super().__init__(dock)
        self.dock, self.review, self.state = dock, dock.review, dock.state
        self._speaking: Speaking | None = None
        self._listed: Project | None = None  # whose runs can be chosen
        page = dock.queue
        page.second.changed.connect(self.compare_with)
        page.orders.activated.connect(lambda _: self.list_models())
        page.speaking.fileChosen.connect(lambda path: self._try(self.open_table, path))
        page.speaking.subtypeChosen.connect(lambda name: self._try(self.show_speaking, name))
        self.list_models()

    # ---- a second model ------------------------------------------------------------------------------------

    def list_models(self) -> None:
        """List earlier runs of the project by other models, and the bundles of this machine."""
        from napari_aml.classify import find_bundles

        analysis, project = self.state.analysis, self.review.project.project
        self._listed = project
        own = "" if analysis is None or analysis.predictions is None else analysis.predictions.bundle_id
        own = own.split(", taught by ")[0]
        choices: list[tuple[str, Any]] = []
        if project is not None and analysis is not None:
            for run in project.cell_store.all(analysis.cells.slide_id):
                if run.bundle_id and run.bundle_id != own:
                    choices.append((f"run {run.revision}: {run.bundle_id}", run))
        choices += [(f"{b.name} {b.version}", b) for b in find_bundles() if b.bundle_id != own]
        self.dock.queue.second.setChoices(choices)

    def compare_with(self, what: Any) -> None:
        """Get a second model's word on all cells of the session, in the background."""
        if what is None:
            self.dock.teaching.setSecond({})
            return
        analyses = [a for a in (self.state.analysis, *self.state.others) if a is not None and a.predictions is not None]
        project, is_run = self.review.project.project, hasattr(what, "revision")
        if is_run and (project is None or project is not self._listed):
            self.list_models()
            self.dock.teaching.setSecond({})
            why = InputError("This run is of a project that is no longer open.", "Choose again what to compare with.")
            self.dock._on_failed(why)
            return

        def steps() -> Steps[Any]:
            if is_run and project is not None:
                yield Progress(0, 0, "Reading the earlier run")
                return {what.slide_id: project.cell_store.read(what)}
            from napari_aml.pipeline import classify_cells_steps

            found = {}
            for analysis in analyses:
                read: Analysis = yield from classify_cells_steps(replace(analysis), model=what, cam=None)
                found[analysis.cells.slide_id] = (read.cells.table["uid"].tolist(), read.predictions)
            return found

        try:
            job = self.review.job_bar.run(steps, "A second model reads the cells")
        except AmlError as error:
            self.dock._on_failed(error)
            return
        job.returned.connect(self.dock.teaching.setSecond)
        job.failed.connect(self.dock._on_failed)

    # ---- cells that speak ----------------------------------------------------------------------------------

    def open_table(self, path: str) -> None:
        """Read a table of influences and show the cells that speak for the likeliest subtype."""
        self._speaking = read_speaking(path)
        chosen = self._speaking.strongest()
        self.dock.queue.speaking.setSubtypes(self._speaking.subtypes, chosen)
        self.show_speaking(chosen)

    def show_speaking(self, subtype: str) -> None:
        """Let the queue and the gallery show the cells, those that speak for a subtype most first."""
        if self._speaking is None:
            return
        uids = [*self.state.uids]
        for analysis in self.state.others:
            uids += analysis.cells.table["uid"].tolist()
        entries = self._speaking.entries(subtype, uids)
        self.dock.teaching.dropQueue()
        self.state.queue = entries
        self.dock.show_cells(f"{len(entries)} cells, by what they say for {subtype}", [uid for uid, _ in entries])
        self.state.selected = entries[0][0]
        self.dock._say("")

    def _try(self, action: Any, *arguments: Any) -> None:
        try:
            action(*arguments)
        except AmlError as error:
            self.dock._on_failed(error)
