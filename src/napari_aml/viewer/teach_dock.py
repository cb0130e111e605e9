"""The dock "Teach": what to look at next, teaching at once, fine-tuning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QLabel, QTabWidget, QVBoxLayout, QWidget

from napari_aml import RESEARCH_USE
from napari_aml.errors import AmlError
from napari_aml.review.teach import FineTuned
from napari_aml.ui.fine_tune_panel import FineTunePanel
from napari_aml.ui.fine_tuning import FineTuning
from napari_aml.ui.jobs import in_words
from napari_aml.ui.listening import Listening
from napari_aml.ui.queue_panel import QueuePanel
from napari_aml.ui.teach_panel import TeachPanel
from napari_aml.ui.teaching import Teaching
from napari_aml.viewer.companions import Companion
from napari_aml.viewer.pages import scrolled
from napari_aml.viewer.private import stack_dock
from napari_aml.viewer.queue_filling import QueueFilling
from napari_aml.viewer.sessions import review_of

if TYPE_CHECKING:
    import napari.viewer

#: What there is to learn from is counted anew so long after a decision.
_COUNT_MS = 250


class TeachDock(QWidget):
    """Learns from the decisions of the dock "Smear review".

    Parameters
    ----------
    napari_viewer
        The viewer, as napari hands it to a plugin's widget.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("teach")
        self.setMinimumWidth(340)
        self.review = review_of(napari_viewer)
        self.state = self.review.state
        self.teaching = Teaching(self.state, lambda: self.review.controller.busy, self)
        self.queue, self.teach, self.fine_tune = QueuePanel(self.state), TeachPanel(), FineTunePanel()
        self.fine_tuning = FineTuning(self.state, self.fine_tune.bar, self)
        self.listening = Listening()
        self._more: dict[str, int] = {}
        self._placed = self._refused = False
        self._soon = QTimer(self, singleShot=True, interval=_COUNT_MS)
        self._soon.timeout.connect(self._count)
        self._build()
        self._connect()
        self.filling = QueueFilling(self)
        Companion(self, napari_viewer, "Teach")
        self._count()
        # A dock that napari closes is destroyed without a close event.
        for listening in (self.listening, self.teaching.listening, self.queue.listening):
            self.destroyed.connect(listening.release)

    def _build(self) -> None:
        self.status = QLabel()
        self.status.setWordWrap(True)
        self.status.hide()
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.addTab(self.queue, "Queue")
        self.tabs.addTab(self.teach, "Teach")
        self.tabs.addTab(scrolled(self.fine_tune), "Fine-tune")
        self.tabs.hide()  # until it is at its place it must not make the window taller
        footer = QLabel(RESEARCH_USE)
        footer.setWordWrap(True)
        footer.setObjectName("research-use")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.addWidget(self.tabs, 1)
        layout.addWidget(self.status)
        layout.addWidget(footer)

    def _connect(self) -> None:
        teaching, tuning = self.teaching, self.fine_tuning
        self.queue.requested.connect(self._on_queue)
        self.queue.dropped.connect(teaching.dropQueue)
        self.queue.opened.connect(self.review.controller.bridge.look_at)
        self.teach.toggled.connect(teaching.setOn)
        self.teach.takenBack.connect(self._on_take_back)
        self.teach.cellsChosen.connect(self.show_cells)
        teaching.learnt.connect(self.teach.setValue)
        teaching.failed.connect(self._on_failed)
        self.fine_tune.started.connect(self._on_start)
        self.fine_tune.adopted.connect(self._on_adopt)
        self.fine_tune.cellsChosen.connect(self.show_cells)
        self.fine_tune.form.dataChanged.connect(self._on_data)
        tuning.began.connect(self.fine_tune.begin)
        tuning.epoch.connect(self.fine_tune.add)
        tuning.finished.connect(self.fine_tune.setValue)
        tuning.failed.connect(lambda error: self.fine_tune.say(f"⚠ {in_words(error)}"))
        self.teaching.ordered.connect(self._on_ordered)
        self.listening.connect(self.state.rows_changed, self._recount)
        self.listening.connect(self.state.events.analysis, self._recount)
        self.listening.connect(self.state.events.store, self._recount)

    def _on_ordered(self, _: object) -> None:
        """Say why there is no queue although one was asked for."""
        self._say("" if self.state.queue else "No cell of these pictures fits that order: choose another one.")

    def _recount(self, *_: object) -> None:
        self._soon.start()

    def showEvent(self, event: Any) -> None:
        """Stand behind a tab beside the dock "Smear review" the first time."""
        super().showEvent(event)
        if not self._placed:
            self._placed = True
            QTimer.singleShot(0, self._place)

    def _place(self) -> None:
        stack_dock(self, self.review)
        self.tabs.show()

    # ---- what a person asks for ----------------------------------------------------------------------------

    def show_cells(self, title: str, uids: list[str]) -> None:
        """Choose cells and let the gallery show these alone."""
        if not uids:
            return
        self.state.only = (title, tuple(uids))
        self.state.select(uids)
        if self.state.selected is not None:
            self.review.controller.bridge.look_at(self.state.selected)

    def _on_queue(self, order: str, wanted: tuple[str, ...]) -> None:
        self._say("")
        self.teaching.wanted = wanted
        self.teaching.makeQueue(order)

    def _on_take_back(self) -> None:
        self.teach.setOn(False)
        self.teaching.takeBack()

    def _on_start(self) -> None:
        form = self.fine_tune.form
        try:
            self.fine_tuning.start(self._base(), form.value(), form.name.text(), form.datasets())
        except AmlError as error:
            self.fine_tune.say(f"⚠ {in_words(error)}")
            self._refused = True

    def _on_adopt(self, result: FineTuned) -> None:
        try:
            bundle = self.fine_tuning.adopt(result)
        except AmlError as error:
            self.fine_tune.say(f"⚠ {in_words(error)}")
            return
        self.review.models.setValue(bundle)
        self.fine_tune.adopt_button.setEnabled(False)
        self.fine_tune.say(
            f"{bundle.name} {bundle.version} is chosen now. Press Classify on the page Analyse of the dock Smear "
            "review to let it speak; the earlier model stays in the list."
        )

    # ---- following the state -------------------------------------------------------------------------------

    def _base(self) -> Any:
        analysis = self.state.analysis
        return (analysis.bundle if analysis is not None else None) or self.review.models.value()

    def _on_data(self) -> None:
        """Count the cells of the added datasets, once when they are added."""
        from napari_aml.datasets import Dataset

        self._more = {}
        for folder in self.fine_tune.form.datasets():
            try:
                dataset = Dataset.open(folder)
            except AmlError as error:
                self.fine_tune.say(f"⚠ {in_words(error)}")
                self.fine_tune.form.setDatasets([p for p in self.fine_tune.form.datasets() if p != folder])
                return
            for code in dataset.table["code"].iloc[dataset.labelled]:
                self._more[code] = self._more.get(code, 0) + 1
        self._soon.start()

    def _count(self) -> None:
        decided = self.fine_tuning.usable()
        analyses = [a for a in (self.state.analysis, *self.state.others) if a is not None]
        here = [a for a in analyses if a.cells.table["uid"].isin(decided.keys()).any()]
        form = self.fine_tune.form
        if self._refused and decided:
            self._refused = False
            self.fine_tune.say("")  # there is something to learn from now
        form.show_data(decided, self._base(), self._more, form.value().min_cells, here=len(here))

    def _on_failed(self, error: BaseException) -> None:
        self._say(f"⚠ {in_words(error)}")

    def _say(self, text: str) -> None:
        self.status.setText(text)
        self.status.setVisible(bool(text))

    def closeEvent(self, event: Any) -> None:
        """Stop jobs and stop listening."""
        self.shut_down()
        super().closeEvent(event)

    def shut_down(self) -> None:
        """Stop jobs and stop listening; safe to call twice."""
        if getattr(self, "_shut", False):
            return
        self._shut = True
        self._soon.stop()
        self.listening.release()
        self.queue.listening.release()
        self.teaching.close()
        self.fine_tuning.close()
