"""FollowUp: small jobs in the background: touched cells are classified anew, the runner-up is explained beside."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, QTimer, Signal

from napari_aml.ui.jobs import Job
from napari_aml.ui.state import PREDICTED, RUNNER_UP, ReviewState

if TYPE_CHECKING:
    from napari_aml.explain import Heatmaps
    from napari_aml.progress import Steps

#: What changes within this time is worked on together.
_SETTLE_MS = 150


def cam_target(target: str) -> str | None:
    """Return the state's heatmap target in the words of the heatmap engine."""
    return {PREDICTED: None, RUNNER_UP: "runner_up"}.get(target, target)


class FollowUp(QObject):
    """Keeps predictions and heatmaps of single cells up to date, one small job at a time.

    Parameters
    ----------
    state
        Of the review.
    is_busy
        Tells whether a job that a person started runs; that one goes first.
    device
        Returns the name of the device to use.
    """

    failed = Signal(object)
    compared = Signal()

    def __init__(
        self,
        state: ReviewState,
        is_busy: Callable[[], bool],
        device: Callable[[], str],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.state, self._is_busy, self._device = state, is_busy, device
        self._job: Job | None = None
        self._comparison: tuple[str | None, Heatmaps | None] | None = None
        self._settle = QTimer(self, singleShot=True, interval=_SETTLE_MS)
        self._settle.timeout.connect(self._work)
        state.events.selected.connect(self._on_selected)

    def close(self) -> None:
        """Stop listening and working."""
        self._settle.stop()
        if self._job is not None:
            self._job.cancel()
        self.state.events.selected.disconnect(self._on_selected)

    @property
    def busy(self) -> bool:
        """Whether a small job runs or is about to."""
        return self._job is not None or self._settle.isActive()

    @property
    def comparison(self) -> Heatmaps | None:
        """Return the second heatmap of the selected cell, None while there is none."""
        if self._comparison is None or self._comparison[0] != self.state.selected:
            return None
        return self._comparison[1]

    def forget(self) -> None:
        """Drop the second heatmap: what it stood beside has changed."""
        self._comparison = None
        self.wake()

    def wake(self) -> None:
        """Look in a moment whether there is something to do."""
        self._settle.start()

    def _on_selected(self, uid: str | None) -> None:
        self.wake()

    def _work(self) -> None:
        analysis = self.state.analysis
        if self._is_busy() or self._job is not None or analysis is None:
            return
        if analysis.predictions is None or analysis.bundle is None:
            return
        if self.state.pending:
            self._classify_pending()
        else:
            self._compare()

    def _classify_pending(self) -> None:
        state = self.state
        uids = [uid for uid in state.uids if uid in state.pending]
        rows = state.rows(uids).tolist()
        cam = state.method if state.at_hand.heatmaps is not None else None

        def take(out: Any) -> None:
            state.fill(uids, *out)
            if state.selected in uids:
                self.forget()

        self._run(rows, cam, cam_target(state.target), take)

    def _compare(self) -> None:
        """Explain the selected cell's runner-up (or, where that is shown, its predicted class) beside the map."""
        state, said, heatmaps = self.state, self.state.at_hand.predictions, self.state.at_hand.heatmaps
        uid, row = state.selected, state.row(state.selected)
        if row is None or said is None or heatmaps is None:
            return
        if self._comparison is not None and self._comparison[0] == uid:
            return
        best = int(said.probabilities[row].argmax())
        runner_up = int(said.take(np.array([row])).runner_up[0])
        other = runner_up if int(heatmaps.target[row]) == best else best

        def take(out: Any) -> None:
            self._comparison = (uid, out[1])
            self.compared.emit()

        self._run([row], state.method, [other], take)

    def _run(self, rows: list[int], cam: str | None, target: Any, then: Callable[[Any], None]) -> None:
        analysis, device, stage = self.state.at_hand, self._device(), self.state.stage
        bundle = analysis.bundle
        assert bundle is not None  # see _work

        def steps() -> Steps[Any]:
            from napari_aml.explain import classify_and_explain_steps

            return classify_and_explain_steps(
                analysis.slide, analysis.cells, bundle, device, cam, stage, target, rows=rows,
                stain=analysis.stain,
            )

        job = self._job = Job(steps, self)

        def take(out: Any) -> None:
            # Meanwhile another picture may have been chosen; edited cells are told apart by their uids.
            if self.state.analysis is not None and self.state.analysis.slide is analysis.slide:
                then(out)

        def ended() -> None:
            self._job = None
            job.deleteLater()
            self.wake()

        job.returned.connect(take)
        job.failed.connect(self._on_failed)
        job.ended.connect(ended)
        job.start()

    def _on_failed(self, error: Exception) -> None:
        self.state.pending = frozenset()  # neither is tried again and again
        self._comparison = (self.state.selected, None)
        self.failed.emit(error)
