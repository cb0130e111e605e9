"""ReviewController: starts the jobs of the dock's buttons and puts what they make into the state.

It knows the state, the bridge to the layers and the job bar, and no other widget.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_aml.errors import AmlError, InputError, NotASmearError
from napari_aml.ui.deciding import Decider
from napari_aml.ui.forms import AnalysisSettings
from napari_aml.ui.jobs import JobBar
from napari_aml.ui.later import Later
from napari_aml.ui.state import PREDICTED, ReviewState, RowsChanged
from napari_aml.viewer.bridge import ReviewBridge
from napari_aml.viewer.editor import MaskEditor
from napari_aml.viewer.follow_up import FollowUp, cam_target
from napari_aml.viewer.found_anew import FoundAnew
from napari_aml.viewer.heat import heat_limit
from napari_aml.viewer.names import MOST_NAMES
from napari_aml.viewer.picture_layers import measuring_steps, slide_from_layer
from napari_aml.viewer.picture_results import PictureResults
from napari_aml.viewer.sessions import expression_part
from napari_aml.viewer.words import found_cells

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_aml.analysis import Analysis
    from napari_aml.classify import ModelBundle
    from napari_aml.explain import Heatmaps
    from napari_aml.progress import Progress, Steps
    from napari_aml.slides import Slide


class ReviewController(QObject):
    """What the dock's buttons do.

    Parameters
    ----------
    viewer
        The viewer.
    bar
        Shows the job that runs and cancels it.
    """

    failed = Signal(object)
    told = Signal(str)
    busyChanged = Signal(bool)
    measured = Signal(object)
    finished = Signal()
    pictureWanted = Signal(object)

    def __init__(self, viewer: ViewerModel, bar: JobBar, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.viewer, self.bar = viewer, bar
        self.state = ReviewState()
        self.bridge = ReviewBridge(viewer, self.state)
        self.later = Later(self)
        self.bridge.later = self.soon
        self.settings = AnalysisSettings()
        self.bundle: Any = None
        self.editor = MaskEditor(self.state, self.bridge, lambda: self.busy, self)
        self.decider = Decider(self.state, self.editor.undo_stack, self)
        self.follow_up = FollowUp(self.state, lambda: self.busy, lambda: self.settings.device, self)
        self._results = PictureResults()
        self._before: Analysis | None = None
        self._changing = False  # whether the job that runs makes results of the picture
        self._anew = FoundAnew(self.state)
        bar.failed.connect(self.failed)
        bar.busyChanged.connect(self._on_busy)
        self.editor.failed.connect(self.failed)
        self.editor.edited.connect(self._on_edited)
        self.follow_up.failed.connect(self.failed)
        self.decider.failed.connect(self.failed)

    def close(self) -> None:
        """Stop jobs and stop listening."""
        self.bar.cancel()
        self.later.close()
        self.follow_up.close()
        self.decider.close()
        self.editor.close()
        self.bridge.close()

    @property
    def busy(self) -> bool:
        """Whether a job that a person started is running."""
        return self.bar.busy

    @property
    def masks_edited(self) -> bool:
        """Whether masks of the picture shown were edited by hand."""
        analysis = self.state.analysis
        return analysis is not None and bool(analysis.provenance.get("mask_changes_by_hand"))

    def soon(self, name: str, action: Callable[[], object]) -> None:
        """Do at once what few cells need; among very many the screen is painted first (a key is seen in a frame)."""
        if self.state.n_cells > MOST_NAMES:
            self.later(name, action)
        else:
            action()

    # ---- pictures ------------------------------------------------------------------------------------------

    def slide(self, image: Image | None) -> Slide:
        """Return the slide that a picture layer shows.

        Raises
        ------
        AmlError
            When there is no layer, or it is not an RGB picture.
        """
        if image is None:
            raise NotASmearError("No picture is chosen.", "Open a smear picture (File > Open, or File > Open Sample).")
        if not image.rgb:
            raise NotASmearError(
                f"The layer '{image.name}' is shown as grey values, not as one RGB picture.",
                "Cell classes rest on the stain's colours: open the colour picture of one field or slide.",
            )
        return slide_from_layer(image)

    def choose_picture(self, image: Image | None) -> None:
        """Show the results of a picture layer, none where it has none yet."""
        if image is self.bridge.image and image is not None:
            return
        self._keep()
        self.editor.undo_stack.clear()
        analysis = self._results.of(image)
        self.state.selected, self.state.pending = None, frozenset()
        self.state.analysis = None
        self.bridge.anchor(image)
        self._take(analysis)

    def _keep(self) -> None:
        if self.bridge.image is not None and self.state.analysis is not None:
            self._results.keep(self.bridge.image, self.state.analysis)
            if not self.busy:
                self._anew.remember(self.state.analysis)
        self._results.tell(self.state, self.bridge.image)

    def remember(self, image: Image, analysis: Analysis) -> None:
        """Take what is known of a picture layer; it is shown when the layer is chosen."""
        self._results.keep(image, analysis)
        self._results.tell(self.state, self.bridge.image)

    def show_result(self, image: Image, analysis: Analysis) -> None:
        """Take what is known of a picture layer in place of what was, and show it where the layer is chosen."""
        if image is self.bridge.image:
            self.editor.undo_stack.clear()
            self._take(analysis)
        else:
            self.remember(image, analysis)

    def forget(self, image: Image) -> None:
        """Drop what was found in a picture layer that is closed, and stop a job that makes results of it."""
        if image is self.bridge.image:
            self._before = None
            if self._changing:
                self.bar.cancel()
            self.choose_picture(None)
        self._results.drop(image)
        self._results.tell(self.state, self.bridge.image)

    def open_cell(self, uid: str) -> None:
        """Show a cell on its picture; that of another slide of the session is chosen first."""
        if self.state.row(uid) is None and not self.busy:
            image = self._results.picture_with(uid)
            if image is not None:
                self.pictureWanted.emit(image)
        if self.state.row(uid) is not None:
            if uid not in self.state.selection:
                self.state.selected = uid
            self.bridge.look_at(uid)

    # ---- jobs that a person starts -------------------------------------------------------------------------

    def analyse(self, image: Image | None) -> None:
        """Segment, classify and explain."""
        from napari_aml.pipeline import analyse_steps

        settings, bundle, stage = self.settings, self.bundle, self.settings.stage(self.state.stage)
        slide, before = self._start_over(image)
        self.state.target = PREDICTED
        self._run(
            lambda: analyse_steps(
                slide, model=bundle, pixel_size_um=settings.pixel_size_um, device=settings.device,
                cam=settings.cam, stage=stage, segmenter=settings.segmenter, recolour=settings.recolour,
            ),
            "Analysing", self._finish, before,
        )  # fmt: skip

    def segment(self, image: Image | None) -> None:
        """Find the cells."""
        from napari_aml.pipeline import segment_slide_steps

        settings = self.settings
        slide, before = self._start_over(image)
        self._run(
            lambda: segment_slide_steps(slide, pixel_size_um=settings.pixel_size_um, segmenter=settings.segmenter),
            "Finding cells", self._finish, before,
        )  # fmt: skip

    def classify(self, image: Image | None) -> None:
        """Classify and explain the cells that are there."""
        from napari_aml.pipeline import classify_cells_steps

        self.choose_picture(image)
        analysis, settings, bundle = self.state.analysis, self.settings, self.bundle
        if analysis is None:
            raise InputError("There are no cells to classify.", "Press Analyse, or Segment first.")
        self.state.target = PREDICTED
        before, stage = replace(analysis), settings.stage(self.state.stage)
        self._run(
            lambda: classify_cells_steps(
                analysis, model=bundle, device=settings.device, cam=settings.cam, stage=stage,
                recolour=settings.recolour,
            ),
            "Classifying", self._finish, before,
        )  # fmt: skip

    def explain(self, method: str, target: str, stage: int) -> None:
        """Compute the heatmaps of all cells anew."""
        from napari_aml.explain import heatmaps_steps

        analysis, bundle = self._classified()
        wanted, device, of = cam_target(target), self.settings.device, (analysis.slide, analysis.cells, bundle)

        def take(heatmaps: Heatmaps) -> None:
            self.state.method, self.state.target, self.state.stage = method, target, stage
            self._take(replace(self.state.at_hand, heatmaps=heatmaps))

        self._run(
            lambda: heatmaps_steps(*of, device, method, stage, wanted, stain=analysis.stain),
            "Explaining", take, analysis, live=False,
        )  # fmt: skip

    def measure_pixel_size(self, image: Image | None) -> None:
        """Measure the pixel size from the red cells; `measured` announces it."""
        slide = self.slide(image)
        self._run(lambda: measuring_steps(slide), "Measuring red cells", self.measured.emit, self.state.analysis)

    def save(self, folder: str | Path) -> None:
        """Write all results of the shown picture into a folder named after it."""
        from napari_aml.export import write_results_steps
        from napari_aml.review.final import final_codes

        analysis = self.state.analysis
        if analysis is None:
            raise InputError("There is nothing to save yet.", "Press Analyse first.")
        if self.state.pending:
            raise InputError("Some cells are still being classified.", "Save again when they are done.")
        target = Path(folder) / (re.sub(r"[^\w. -]", "_", analysis.slide.name).strip(". ") or "picture")
        sample = expression_part(self.viewer, analysis.slide.slide_id)
        words = final_codes(analysis.table(), self.state.store.decisions(), self.state.reader)
        whole = replace(analysis, final=words.set_index(analysis.cells.table["uid"]))
        self._run(
            lambda: write_results_steps(whole, target, expression=sample), "Saving",
            lambda path: self.told.emit(f"Saved to {path}"), analysis, changing=False,
        )  # fmt: skip

    def _start_over(self, image: Image | None) -> tuple[Slide, Analysis | None]:
        """Clear the way for new results; return the slide and what was there before."""
        if self.busy:
            raise AmlError("Another job is still running.", "Wait for it or press Cancel.")
        slide = self.slide(image)
        self.choose_picture(image)
        before = self.state.analysis
        self.editor.undo_stack.clear()
        self.state.selected, self.state.pending = None, frozenset()
        self.state.analysis = None
        self._anew.begin(slide.slide_id)
        self.bridge.begin(slide.shape)
        return slide, before

    def _run(
        self, make_steps: Callable[[], Steps[Any]], title: str, then: Callable[[Any], None], before: Analysis | None,
        *, live: bool = True, changing: bool = True,
    ) -> None:  # fmt: skip
        """Run a job, showing partial results where `live`; after a failure or a cancel `before` comes back."""
        job = self.bar.run(make_steps, title)
        self._before, self._changing = before, changing
        if live:
            job.progressed.connect(self._on_progress)
        job.returned.connect(then)
        job.failed.connect(lambda _: self._go_back())
        job.cancelled.connect(self._go_back)
        self.bridge.set_editable(False)

    def _go_back(self) -> None:
        """After a cancel or an error: what was there before comes back; where nothing was, the cells found stay."""
        before, current, anew = self._before, self.state.analysis, self._anew.waiting
        self._anew.cancelled()
        if before is None and anew and current is not None:
            self.state.analysis = current = None
        if before is not None:
            if before is not current:
                self._take(before)
        elif current is None:
            self.bridge.clear()
        elif self.state.pending:
            self._take(replace(current, predictions=None, heatmaps=None))
        self.bridge.set_editable(True)

    def _on_progress(self, event: Progress) -> None:
        """Take a partial result into state and layers, in the main thread."""
        from napari_aml.analysis import Analysis
        from napari_aml.cells import Cells

        payload = event.payload
        if isinstance(payload, Analysis):
            self._take(self._anew.provisional(payload))
            self.bridge.set_editable(False)
        elif isinstance(payload, Cells) and self.state.analysis is None:
            self.bridge.show_found(payload)
        elif isinstance(payload, tuple) and len(payload) == 3 and self.state.analysis is not None:
            self._on_batch(*payload)

    def _on_batch(self, rows: np.ndarray, said: Any, seen: Heatmaps | None) -> None:
        state = self.state
        if seen is not None:
            state.method, state.stage = seen.method, seen.stage
        if state.at_hand.predictions is None:
            state.start_predictions(said.codes, self.bundle)
            self.bridge.set_editable(False)
        if seen is not None and not state.heat_limit:
            state.heat_limit = heat_limit(seen)
        uids = state.at_hand.cells.table["uid"].to_numpy()[rows].tolist()
        state.fill(uids, said, seen)
        if state.selected is None and uids:
            state.selected = uids[0]

    def _finish(self, analysis: Analysis) -> None:
        analysis, pending = self._anew.settled(analysis)
        if analysis.heatmaps is not None:
            self.state.method, self.state.stage = analysis.heatmaps.method, analysis.heatmaps.stage
        self._take(analysis)
        self.state.pending = frozenset(pending)
        self.follow_up.wake()
        self.told.emit(found_cells(analysis))
        if len(analysis.cells):
            self.finished.emit()

    def _take(self, analysis: Analysis | None) -> None:
        """Show an analysis that is complete."""
        self.state.pending = frozenset()
        selected = self.state.selected
        if analysis is not None and analysis.heatmaps is not None:
            self.state.heat_limit = heat_limit(analysis.heatmaps)
        self.state.analysis = analysis
        if self.state.row(selected) is None:
            self.state.selected = self.state.neighbour(1) if self.state.n_cells else None
        self._keep()
        self.follow_up.forget()
        self.bridge.set_editable(not self.busy)

    def _on_busy(self, busy: bool) -> None:
        self.bridge.set_editable(not busy)
        self._changing = self._changing and busy
        self.busyChanged.emit(busy)
        if not busy:
            self.follow_up.wake()

    def _classified(self) -> tuple[Analysis, ModelBundle]:
        analysis = self.state.analysis
        if analysis is None or analysis.predictions is None or analysis.bundle is None:
            raise InputError("There are no classified cells yet.", "Press Analyse first.")
        return analysis, analysis.bundle

    # ---- walking -------------------------------------------------------------------------------------------

    def step(self, places: int) -> None:
        """Go to the next or the previous cell and look at it."""
        uid = self.state.neighbour(places)
        if uid is not None:
            self.state.selected = uid
            self.bridge.look_at(uid)

    def _on_edited(self, what: RowsChanged) -> None:
        analysis = self.state.at_hand
        changes = analysis.provenance.get("mask_changes_by_hand", 0) + 1  # an undo is a change, too
        analysis.provenance = {**analysis.provenance, "mask_changes_by_hand": changes}
        self._keep()
        if self.state.selected in what.uids:
            self.follow_up.forget()
        self.follow_up.wake()
