"""What comes out of a review: the live count, and exports to other programs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject
from qtpy.QtWidgets import QFileDialog, QPushButton, QWidget

from napari_aml.errors import AmlError, InputError
from napari_aml.progress import Progress
from napari_aml.review.advice import advice
from napari_aml.ui.export_dialog import ExportChoice, ExportDialog
from napari_aml.ui.latest import Latest
from napari_aml.ui.patient_timer import PatientTimer
from napari_aml.viewer import words

if TYPE_CHECKING:
    from napari_aml.progress import Steps
    from napari_aml.review import Count, CountingSettings
    from napari_aml.ui.differential_table import DifferentialView
    from napari_aml.ui.state import ReviewState
    from napari_aml.viewer.controller import ReviewController

_IDLE_MS = 700
#: Of more cells the full count takes place in a thread.
MOST_AT_ONCE = 2000


class LiveCount(QObject):
    """Counts at once what is cheap, and the rest when the person pauses.

    Parameters
    ----------
    state, view
        What is counted, and where it is shown.
    """

    def __init__(self, state: ReviewState, view: DifferentialView) -> None:
        super().__init__(view)
        self.state, self.view = state, view
        self._idle = PatientTimer(state, _IDLE_MS, self.count_in_full, self)
        self._latest = Latest(lambda error: view.setDetails(None), self)
        view.settingsChanged.connect(self.count)

    def count(self) -> None:
        """Show the counts; correction and advice follow."""
        settings = self.view.settings()
        table, said = words.count(self.state, settings)
        self.view.setValue(table, said)
        self._latest.cancel()
        if table is None:
            self._idle.stop()
            self.view.setDetails(None)
        else:
            self._idle.start()

    def count_in_full(self) -> None:
        """Show corrected shares, the count of confirmed cells alone, and advice; very many are counted in a thread."""
        settings = self.view.settings()
        counting = words.count_in_full(self.state, settings)
        if counting is None:
            self.view.setDetails(None)
        elif self.state.n_cells <= MOST_AT_ONCE:
            self._show(counting(), settings)
        else:
            self._latest.run(partial(_counting_steps, counting), lambda found: self._show(found, settings))

    def _show(self, found: Count, settings: CountingSettings) -> None:
        said = [found.sampling(), *found.corrected.sentences()[:1], *advice(found.blasts, settings)]
        rest = [*settings.rules(), *found.corrected.sentences()[1:]]
        self.view.setDetails(found.side_by_side(), " ".join(said), "\n".join(rest))


def _counting_steps(counting: Callable[[], Count]) -> Steps[Count]:
    yield Progress(0, 0, "Counting")
    return counting()


class ExportTool(QObject):
    """The button "Export …" and what follows.

    Parameters
    ----------
    control
        Of the review.
    attempt
        Runs an action and says its errors in the dock.
    parent
        The dock.
    """

    def __init__(self, control: ReviewController, attempt: Callable[..., None], parent: QWidget) -> None:
        super().__init__(parent)
        self.control, self._attempt, self._dock = control, attempt, parent
        self.dialog: ExportDialog | None = None
        self.button = QPushButton("Export …")
        self.button.setToolTip("CSV, Parquet, COCO, GeoJSON for QuPath, label images, ImageFolder, AnnData, data set.")
        self.button.clicked.connect(self.ask)
        self.button.setEnabled(False)
        control.state.events.analysis.connect(self._enable)
        control.busyChanged.connect(self._enable)

    def _enable(self, *_: Any) -> None:
        self.button.setEnabled(not self.control.busy and self.control.state.analysis is not None)

    def ask(self) -> None:
        """Open the choice of formats."""
        if self.dialog is None:
            from napari_aml.export.formats import FORMATS

            self.dialog = ExportDialog(FORMATS, self._dock)
            self.dialog.exportRequested.connect(self._choose)
        self.dialog.show()
        self.dialog.raise_()

    def _choose(self, choice: ExportChoice) -> None:
        folder = QFileDialog.getExistingDirectory(self.dialog, "Empty folder, or that of an earlier export")
        if folder:
            self._attempt(self.export, folder, choice)

    def export(self, folder: str | Path, choice: ExportChoice) -> None:
        """Write the shown picture's cells, or those of all pictures of the session, with all decisions.

        Raises
        ------
        InputError
            Before there are cells, or while some are still being classified.
        """
        from napari_aml.export.formats import ExportOptions, export_curation_steps
        from napari_aml.review.exchange import curation_of

        state = self.control.state
        if state.analysis is None:
            raise InputError("There is nothing to export yet.", "Press Analyse first.")
        if self.control.busy:
            raise AmlError("Another job is still running.", "Wait for it or press Cancel.")
        if state.pending:
            raise InputError("Some cells are still being classified.", "Export again when they are done.")
        analyses = [replace(state.analysis), *(state.others if choice.everything else ())]
        decisions = tuple(state.store.decisions())
        hidden = self._pseudonyms() if choice.pseudonyms else False
        options = ExportOptions("confirmed" if choice.confirmed else "all")

        def steps() -> Any:
            curation = curation_of(analyses, decisions, licence=choice.licence, source=choice.source)
            return (yield from export_curation_steps(
                curation, folder, choice.formats, options=options, notes=choice.notes,
                pseudonyms=hidden,
            ))  # fmt: skip

        job = self.control.bar.run(steps, "Exporting")
        job.returned.connect(lambda path: self.control.told.emit(f"Exported to {path}"))

    def _pseudonyms(self) -> Any:
        """Return the pseudonyms of the open project, else new ones."""
        from napari_aml.review.exchange import Pseudonyms, pseudonyms_of
        from napari_aml.review.project import Project

        store = self.control.state.store
        return pseudonyms_of(store) if isinstance(store, Project) else Pseudonyms()


def attach_outcome(dock: Any) -> Callable[[], None]:
    """Give a review dock its live count and its Export button; return what counts anew.

    Parameters
    ----------
    dock
        A `SmearReviewWidget` whose widgets are built.
    """
    live = LiveCount(dock.state, dock.differential)
    dock.exporting = ExportTool(dock.controller, dock._try, dock)
    layout = dock.save_button.parentWidget().layout()
    layout.insertWidget(layout.indexOf(dock.save_button) + 1, dock.exporting.button)
    return live.count
