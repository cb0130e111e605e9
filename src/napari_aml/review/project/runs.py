"""Runs: each time a slide's cells were found, classified or edited, a revision of them is kept; the newest counts."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_aml.errors import AmlError
from napari_aml.provenance import now_utc
from napari_aml.review.project.errors import ProjectError, ReadOnlyProjectError
from napari_aml.review.project.files import SLIDES
from napari_aml.review.project.record import Record
from napari_aml.review.project.revisions import (
    read_cells,
    read_embeddings,
    read_heatmaps,
    read_predictions,
    same_cells,
    write_revision,
)

if TYPE_CHECKING:
    from napari_aml.analysis import Analysis
    from napari_aml.cells import Cells
    from napari_aml.classify import ModelBundle, Predictions
    from napari_aml.explain import Heatmaps


@dataclass(frozen=True)
class Run:
    """One revision of what is known of a slide's cells.

    Attributes
    ----------
    run_id
        Stable for ever.
    slide_id, revision
        Which slide; 1 for the first revision, the greatest one counts.
    folder
        Relative to the project.
    created
        UTC.
    bundle_id, bundle_path
        The model bundle that made the predictions, and where it was; None without predictions.
    n_cells
        Number of cells.
    provenance
        Versions, settings, warnings.
    """

    run_id: str
    slide_id: str
    revision: int
    folder: str
    created: str
    bundle_id: str | None
    bundle_path: str | None
    n_cells: int
    provenance: dict[str, Any]


COLUMNS = tuple(field.name for field in fields(Run))


@dataclass(frozen=True)
class Saved:
    """A revision was saved.

    Attributes
    ----------
    run
        What was saved.
    conflict
        Another window saved a revision of this slide meanwhile; both are kept, `run` counts.
    """

    run: Run
    conflict: bool = False


class Runs:
    """The revisions of a project's slides.

    Parameters
    ----------
    folder, record
        Of the project.
    """

    def __init__(self, folder: Path, record: Record) -> None:
        self._folder, self._record = folder, record
        self._seen: dict[str, int] = {}
        self._mine: dict[str, Run] = {}

    def all(self, slide_id: str | None = None) -> list[Run]:
        """Return the revisions of a slide, or of all, oldest first."""
        where, values = ("", ()) if slide_id is None else ("WHERE slide_id = ? ", (slide_id,))
        rows = self._record.rows("runs", COLUMNS, f"{where}ORDER BY slide_id, revision", values)
        return [Run(*[*row[:8], self._record.parsed(row[8], "runs")]) for row in rows]

    def current(self, slide_id: str) -> Run | None:
        """Return the revision that counts, None where a slide's cells were not found yet."""
        found = self.all(slide_id)
        return found[-1] if found else None

    def path(self, run: Run) -> Path:
        """Return a revision's folder."""
        return self._folder / run.folder

    # ---- reading -------------------------------------------------------------------------------------------

    def _needed(self, slide_id: str) -> Run:
        run = self.current(slide_id)
        if run is None:
            raise ProjectError(f"The slide {slide_id} has no cells in this project yet.", "Analyse and add it.")
        return run

    def cells(self, slide_id: str) -> Cells:
        """Return the cells of a slide."""
        run = self._needed(slide_id)
        self._seen[slide_id] = run.revision
        return read_cells(self.path(run))

    def predictions(self, slide_id: str, *, embedding: bool = True) -> Predictions | None:
        """Return the predictions of a slide's cells, None where there are none."""
        return read_predictions(self.path(self._needed(slide_id)), embedding=embedding)

    def embeddings(self, slide_id: str) -> np.ndarray | None:
        """Return the embeddings of a slide's cells, float32 (n, d), None where there are none."""
        return read_embeddings(self.path(self._needed(slide_id)))

    def heatmaps(self, slide_id: str) -> Heatmaps | None:
        """Return the heatmaps of a slide's cells, None where there are none."""
        return read_heatmaps(self.path(self._needed(slide_id)))

    def read(self, run: Run) -> tuple[list[str], Predictions | None]:
        """Return the uids of a revision's cells and what was said of them then."""
        path = self.path(run)
        return read_cells(path).table["uid"].tolist(), read_predictions(path)

    # ---- writing -------------------------------------------------------------------------------------------

    def save(self, analysis: Analysis, reader: str, why: str) -> Saved:
        """Keep a revision of a slide's cells under the uids that they have.

        An intermediate revision that this window made before is removed; the first one, and those of others, stay.

        Raises
        ------
        NotSavedError
            Read-only folder or full disk; the revision before it counts on.
        """
        if self._record.read_only:
            raise ReadOnlyProjectError(self._folder)
        slide_id, token = analysis.cells.slide_id, uuid.uuid4().hex
        before = self.current(slide_id)
        number = 1 if before is None else before.revision + 1
        folder = f"{SLIDES}/{slide_id}/r{number:04d}-{token[:8]}"
        bundle = analysis.bundle
        run = Run(
            token, slide_id, number, folder, now_utc(),
            analysis.predictions.bundle_id if analysis.predictions is not None else None,
            str(bundle.path) if bundle is not None and bundle.path is not None else None,
            len(analysis.cells), json.loads(json.dumps(analysis.provenance, default=str)),
        )  # fmt: skip
        try:
            write_revision(self._folder / folder, analysis, {**vars(run)})
            with self._record.writing() as db:
                (newest,) = db.execute(
                    "SELECT coalesce(max(revision), 0) FROM runs WHERE slide_id = ?", (slide_id,)
                ).fetchone()
                run = replace(run, revision=newest + 1)
                values = (*list(vars(run).values())[:8], json.dumps(run.provenance))
                db.execute("INSERT INTO runs VALUES (?,?,?,?,?,?,?,?,?)", values)
                detail = {"revision": run.revision, "run_id": run.run_id, "n_cells": run.n_cells, "why": why}
                self._record.event(db, reader, "cells saved", slide_id, detail)
        except BaseException:
            shutil.rmtree(self._folder / folder, ignore_errors=True)
            raise
        conflict = slide_id in self._seen and self._seen[slide_id] != newest
        self._forget_mine(slide_id)
        self._seen[slide_id] = run.revision
        if run.revision > 1:
            self._mine[slide_id] = run
        return Saved(run, conflict)

    def _forget_mine(self, slide_id: str) -> None:
        """Remove the intermediate revision that this window made before."""
        mine = self._mine.pop(slide_id, None)
        if mine is not None:
            with self._record.writing() as db:
                db.execute("DELETE FROM runs WHERE run_id = ?", (mine.run_id,))
            shutil.rmtree(self.path(mine), ignore_errors=True)

    def withdraw(self, run: Run, reader: str, why: str) -> None:
        """Let an older revision count because this one is damaged; its files stay."""
        with self._record.writing() as db:
            db.execute("DELETE FROM runs WHERE run_id = ?", (run.run_id,))
            self._record.event(db, reader, "revision withdrawn", run.slide_id, {"run_id": run.run_id, "why": why})

    def carried_over(self, analysis: Analysis, keep: Collection[str]) -> tuple[Analysis, tuple[str, ...]]:
        """Give newly found cells of a known slide the uids that they have in the project.

        Parameters
        ----------
        analysis
            Of a new segmentation.
        keep
            uids of cells that people decided on.

        Returns
        -------
        analysis : Analysis
            Under the project's uids.
        pending : tuple of str
            uids of kept cells of which the new model has said nothing yet.
        """
        slide_id = analysis.cells.slide_id
        return carry_analysis(self.cells(slide_id), lambda: self.predictions(slide_id), analysis, keep)


def carry_analysis(
    old: Cells, before: Callable[[], Predictions | None], analysis: Analysis, keep: Collection[str]
) -> tuple[Analysis, tuple[str, ...]]:
    """Give newly found cells of a slide the uids of the old cells that they are; see `Runs.carried_over`.

    Parameters
    ----------
    old, before
        The cells that were there; returns what was said of them.
    analysis, keep
        As there.
    """
    from napari_aml.review.project.matching import carry_over

    if same_cells(old, analysis.cells):
        return replace(analysis, cells=replace(analysis.cells, table=old.table)), ()
    over = carry_over(old, analysis.cells, keep)
    said, maps = analysis.predictions, analysis.heatmaps
    uids = over.cells.table["uid"].to_numpy(object)
    pending: tuple[str, ...] = ()
    if said is not None:
        known, kept = before(), over.source < 0
        if known is not None and known.bundle_id != said.bundle_id:
            known = None
        said = _filled(said, over.source, None if known is None else known.take(over.old[kept]))
        pending = tuple(str(u) for u in uids[kept]) if known is None else ()
    if maps is not None:
        maps = _blank_where_kept(maps, over.source, over.cells)
    return replace(analysis, cells=over.cells, predictions=said, heatmaps=maps), pending


def _filled(said: Predictions, source: np.ndarray, kept: Predictions | None) -> Predictions:
    """Return predictions in another order; rows of -1 come from `kept`, else are zero: nothing was said."""
    from napari_aml.classify.predictions import Predictions

    there, n = source >= 0, len(source)
    parts = {}
    for name in ("probabilities", "embedding", "ood"):
        values = getattr(said, name)
        out = np.full((n, *values.shape[1:]), np.nan if name == "ood" else 0, np.float32)
        out[there] = values[source[there]]
        if kept is not None and getattr(kept, name).shape[1:] == values.shape[1:]:
            out[~there] = getattr(kept, name)
        parts[name] = out
    return Predictions(codes=said.codes, bundle_id=said.bundle_id, **parts)


def _blank_where_kept(maps: Heatmaps, source: np.ndarray, cells: Cells) -> Heatmaps:
    there, n = source >= 0, len(source)
    parts: dict[str, Any] = {}
    for name, nothing in (
        ("maps", 0), ("target", 0), ("box", 0), ("in_cell", np.nan), ("in_nucleus", np.nan), ("has_evidence", False)
    ):  # fmt: skip
        values = getattr(maps, name)
        out = np.full((n, *values.shape[1:]), nothing, values.dtype)
        out[there] = values[source[there]]
        parts[name] = out
    boxes = cells.table[["y0", "x0", "y1", "x1"]].to_numpy(np.float32)
    parts["box"][~there] = boxes[~there]
    return replace(maps, **parts)


def find_bundle(bundle_id: str | None, path: str | None) -> ModelBundle | None:
    """Return the bundle that made predictions, where it is still on this machine."""
    from napari_aml.classify import find_bundles
    from napari_aml.classify.bundle import open_bundle

    # Predictions that decisions taught (napari_aml.ui.teaching) say so behind the name of the bundle below them.
    bundle_id = None if bundle_id is None else bundle_id.split(", taught by ")[0]
    for bundle in find_bundles():
        if bundle.bundle_id == bundle_id:
            return bundle
    if path is not None and Path(path).is_dir():
        try:
            bundle = open_bundle(path)
        except AmlError:
            return None
        return bundle if bundle.bundle_id == bundle_id else None
    return None
