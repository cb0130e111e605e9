"""FineTuning: gathers what was decided, runs the training process, puts a bundle where it is found again."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_aml.errors import AmlError, InputError
from napari_aml.review.teach import (
    EpochDone,
    FineTuned,
    FineTuneSettings,
    SlideCells,
    fine_tune_steps,
    gather_steps,
    write_job,
)
from napari_aml.review.teach.gathering import LEFT_OUT
from napari_aml.ui.jobs import JobBar
from napari_aml.ui.state import ReviewState

if TYPE_CHECKING:
    from napari_aml.classify import ModelBundle
    from napari_aml.progress import Progress, Steps


class FineTuning(QObject):
    """Runs one training at a time.

    Parameters
    ----------
    state
        Of the review.
    bar
        Shows the job and cancels it.

    Attributes
    ----------
    began, epoch, finished, failed
        Emitted when a training begins, with each `EpochDone`, with the `FineTuned`, with an error.
    """

    began = Signal()
    epoch = Signal(object)
    finished = Signal(object)
    failed = Signal(object)

    def __init__(self, state: ReviewState, bar: JobBar, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.state, self.bar = state, bar
        bar.failed.connect(self.failed)

    def usable(self) -> dict[str, str]:
        """Return uid → code of the decided cells that can be learnt from."""
        return {uid: code for uid, code in self.state.decided.items() if code not in LEFT_OUT}

    def slides(self) -> list[SlideCells]:
        """Return the slides of the session, and those of an open project, that hold decided cells.

        Slides of a project whose picture is not at hand are passed over.
        """
        decided = self.usable()
        found: dict[str, SlideCells] = {}
        for analysis in (self.state.analysis, *self.state.others):
            if analysis is not None:
                found[analysis.cells.slide_id] = SlideCells(analysis.slide, analysis.cells.table[["uid", "y", "x"]])
        store: Any = self.state.store
        for entry in store.slides() if hasattr(store, "slides") else ():
            if entry.slide_id in found or not store.has_cells(entry.slide_id):
                continue
            table = store.cells(entry.slide_id).table[["uid", "y", "x"]]
            if not table["uid"].isin(decided.keys()).any():
                continue
            try:
                slide = store.open_slide(entry.slide_id)
            except AmlError:
                continue
            found[entry.slide_id] = SlideCells(slide, table, str(getattr(entry, "patient", "") or ""))
        return [s for s in found.values() if s.table["uid"].isin(decided.keys()).any()]

    def place(self) -> Path:
        """Return the folder that trainings are kept in: the open project's, else the person's own."""
        from napari_aml.classify.library import user_folder

        folder = getattr(self.state.store, "folder", None)
        return (Path(folder) if folder is not None else Path(user_folder()).parent) / "fine-tunings"

    def start(
        self, base: ModelBundle | None, settings: FineTuneSettings, name: str, more: tuple[Path, ...] = ()
    ) -> None:
        """Gather, train, compare; a stopped training of the same name, data and settings goes on.

        Raises
        ------
        AmlError
            While another training runs, or when there is nothing to learn from.
        """
        if base is None:
            raise InputError("There is no model to start from.", "Press Analyse first, or choose a model.")
        name = re.sub(r"[^\w.-]", "_", name.strip()).strip("._") or f"{base.name}-tuned"
        decided, slides = self.usable(), self.slides()
        here = {uid: code for s in slides for uid in s.table["uid"] if (code := decided.get(uid)) is not None}
        if not here and not more:
            raise InputError("No cell of these slides is decided yet.", "Decide some cells, or add a dataset.")
        folder, reader = self.place() / name, self.state.reader
        crop_um, start_from = base.crop_um, base.path

        def steps() -> Steps[FineTuned]:
            from napari_aml.datasets import Dataset

            others = [Dataset.open(path) for path in more]
            data = folder / "data"
            yield from gather_steps(slides, here, data, crop_um, reader=reader, more=others, name=name)
            write_job(folder, data, start_from, settings, name=name, decisions=len(here))
            return (yield from fine_tune_steps(folder))

        job = self.bar.run(steps, "Gathering decided cells")
        job.progressed.connect(self._on_progress)
        job.returned.connect(self.finished)
        self.began.emit()

    def adopt(self, result: FineTuned) -> ModelBundle:
        """Copy a new bundle among the person's models, so that it is found from now on; return it."""
        from napari_aml._files import replacing_folder
        from napari_aml.classify import open_bundle
        from napari_aml.classify.library import user_folder

        target = Path(user_folder()) / result.folder.parent.name
        with replacing_folder(target, ours=("bundle.json", "model.safetensors")) as beside:
            for file in result.folder.iterdir():
                shutil.copyfile(file, beside / file.name)
        return open_bundle(target)

    def close(self) -> None:
        """Stop a training; its checkpoint stays."""
        self.bar.cancel()

    def _on_progress(self, event: Progress) -> None:
        if isinstance(event.payload, EpochDone):
            self.epoch.emit(event.payload)
