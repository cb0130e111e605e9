"""A project goes out, and files come into it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_aml.analysis import cell_table
from napari_aml.cells.masks import CellMasks
from napari_aml.cells.table import COLUMNS, Cells, measure
from napari_aml.classify.predictions import Predictions
from napari_aml.errors import AmlError, InputError
from napari_aml.progress import Progress, Steps
from napari_aml.review.exchange.curated import CuratedSlide, Curation, curate, tags_and_notes
from napari_aml.review.exchange.matching import Plan, plan_import
from napari_aml.review.exchange.pseudonyms import Pseudonyms
from napari_aml.review.exchange.reading import read_annotations
from napari_aml.review.final import final_codes

if TYPE_CHECKING:
    from napari_aml.classify.bundle import ModelBundle
    from napari_aml.review.project import Project

_KEY = "pseudonym_key"


def curation_of_project(
    project: Project,
    slide_ids: Sequence[str] | None = None,
    *,
    reader: str | None = None,
    licence: str = "",
    source: str = "",
) -> Curation:
    """Return a project ready to leave; slides are loaded when they are written.

    Parameters
    ----------
    project
        Open.
    slide_ids
        Of which slides; all that have cells by default.
    reader
        Whose words are final; None = all readers'.
    licence, source
        Of pictures and labels, in words.

    Raises
    ------
    InputError
        When a slide is not there, or none has cells.
    """
    wanted = _wanted(project, slide_ids)
    decisions = project.decisions()
    models = sorted({run.bundle_id for run in project.runs if run.bundle_id and run.slide_id in wanted})
    about = {"project_id": project.project_id, "models": models, "made": project.created}

    def load(slide_id: str) -> CuratedSlide:
        return curated_slide(project, slide_id, reader)

    mine = tuple(d for d in decisions if d.slide_id in wanted)
    return Curation(tuple(wanted), load, mine, project.name, licence, source, about)


def _wanted(project: Project, slide_ids: Sequence[str] | None) -> list[str]:
    there = [e.slide_id for e in project.slides()]
    if slide_ids:
        for slide_id in slide_ids:
            if slide_id not in there:
                raise InputError(f"The slide {slide_id} is not in the project.", f"It has: {', '.join(there[:10])}.")
        there = list(dict.fromkeys(slide_ids))
    found = [slide_id for slide_id in there if project.has_cells(slide_id)]
    if not found:
        raise InputError("No slide of the project has cells yet.", "Analyse a slide first: napari-aml project add.")
    return found


def curated_slide(project: Project, slide_id: str, reader: str | None = None) -> CuratedSlide:
    """Return one slide of a project with all that was said of its cells; without pixels where its file is gone."""
    entry, decisions = project.entry(slide_id), [d for d in project.decisions() if d.slide_id == slide_id]
    try:
        analysis = project.analysis(slide_id)
    except AmlError:  # the picture is missing or changed: everything else of the slide is in the project
        return _without_picture(project, slide_id, reader)
    return curate(analysis, decisions, reader=reader, name=entry.name, patient=entry.patient or "")


def _without_picture(project: Project, slide_id: str, reader: str | None) -> CuratedSlide:
    entry, cells, said = project.entry(slide_id), project.cells(slide_id), project.predictions(slide_id)
    decisions = [d for d in project.decisions() if d.slide_id == slide_id]
    table = cell_table(cells, said)
    final = final_codes(table, decisions, reader)
    table = table.drop(columns=[c for c in final if c in table]).join(final)
    table["tags"], table["note"] = tags_and_notes(table["uid"], decisions, reader)
    return CuratedSlide(
        slide_id, (entry.height, entry.width), entry.pixel_size_um, table, cells.masks,
        said.codes if said is not None else (), None if said is None else said.embedding, None, entry.sha256,
        entry.name, entry.patient or "", said.bundle_id if said is not None else "", cells.segmenter,
        card=getattr(_bundle_of(project, slide_id), "card", None),
    )  # fmt: skip


def _bundle_of(project: Project, slide_id: str) -> ModelBundle | None:
    from napari_aml.review.project.runs import find_bundle

    run = project.cell_store.current(slide_id)
    return None if run is None else find_bundle(run.bundle_id, run.bundle_path)


def pseudonyms_of(project: Project) -> Pseudonyms:
    """Return the project's pseudonyms: the same in each of its exports. The key stays in the project."""
    key = project.setting(_KEY)
    if not key and not project.read_only:
        import secrets

        key = secrets.token_hex(32)
        project.set_setting(_KEY, key)
    return Pseudonyms(key or None)


def import_steps(
    project: Project,
    path: str | Path,
    reader: str,
    codes: Mapping[str, str] | None = None,
    *,
    slide_id: str = "",
    add_new: bool = False,
    dry_run: bool = False,
    device: str = "auto",
) -> Steps[Plan]:
    """Take annotations from a file into a project.

    Parameters
    ----------
    project
        Open.
    path
        File or folder; see `read_annotations`.
    reader
        In whose name classes, tags and notes of the file are recorded. Pseudonyms of readers of this project's own
        exports become their names again.
    codes
        Class in the file → class code, or "" to pass over.
    slide_id
        Of the slide, where the file does not say it.
    add_new
        Add cells that are not among those found here; they need masks, and where there is a model it classifies them.
    dry_run
        Only say what would be done.
    device
        On which new cells are classified.

    Returns
    -------
    Plan
        With what was recorded, and what not, in words.

    Raises
    ------
    InputError
        Without a reader, or when the file cannot be read.
    NotSavedError
        When the project cannot be written; then nothing of the file is in it.
    """
    if not reader.strip():
        raise InputError("Whose words are these?", "Give the alias of the reader: --reader NAME.")
    yield Progress(0, 3, f"Reading {Path(path).name}")
    incoming = read_annotations(path, slide_id, reader)
    names = pseudonyms_of(project).readers(project.readers)
    incoming.decisions = [replace(d, reader=names.get(d.reader, d.reader)) for d in incoming.decisions]
    ids = {e.slide_id for e in project.slides()}
    there = {
        s.slide_id: curated_slide(project, s.slide_id)
        for s in incoming.slides
        if s.slide_id in ids and project.has_cells(s.slide_id)
    }
    yield Progress(1, 3, "Finding the cells")
    plan = plan_import(incoming, there, project.decisions(), reader, codes)
    if dry_run:
        return plan
    if add_new and plan.new_cells:
        remarks: list[str] = []
        for new_id, (slide, rows) in plan.new_cells.items():
            yield from _add_steps(project, new_id, slide, rows, device, remarks)
            there[new_id] = curated_slide(project, new_id)
        plan = plan_import(incoming, there, project.decisions(), reader, codes)
        plan.remarks += remarks
    yield Progress(2, 3, "Recording")
    plan.decisions = project.record(plan.decisions) if plan.decisions else []
    yield Progress(3, 3, "Imported")
    return plan


def _add_steps(
    project: Project, slide_id: str, incoming: CuratedSlide, rows: np.ndarray, device: str, remarks: list[str]
) -> Steps[None]:
    """Add cells of a file to a slide of a project, classified where the others are."""
    labels = incoming.table["label"].to_numpy(int)[rows]
    if incoming.masks is None or not all(int(label) in incoming.masks.boxes for label in labels):
        remarks.append(f"{len(rows)} new cells of slide {slide_id} were not added: the file has no masks of them.")
        return
    try:
        analysis = project.analysis(slide_id)
    except AmlError as error:
        remarks.append(f"{len(rows)} new cells of slide {slide_id} were not added: {error.message}")
        return
    if analysis.predictions is not None and analysis.bundle is None:
        remarks.append(
            f"{len(rows)} new cells of slide {slide_id} were not added: the model that classified the others "
            f"({analysis.predictions.bundle_id}) is not at hand."
        )
        return
    cells, added = with_new_cells(analysis.cells, incoming, rows)
    fresh = Cells(slide_id, cells.masks.only(added), _rows(cells, added), cells.pixel_size_um, cells.segmenter)
    said, maps = analysis.predictions, analysis.heatmaps
    if said is not None and analysis.bundle is not None:
        from napari_aml.explain import Heatmaps, classify_and_explain_steps

        method, stage = (None, 3) if maps is None else (maps.method, maps.stage)
        told, drawn = yield from classify_and_explain_steps(
            analysis.slide, fresh, analysis.bundle, device, method, stage, stain=analysis.stain
        )
        said = Predictions.concatenate([said, told])
        maps = None if maps is None or drawn is None else Heatmaps.concatenate([maps, drawn])
    project.save(replace(analysis, cells=cells, predictions=said, heatmaps=maps, final=None), "cells imported")
    remarks.append(f"{len(added)} new cells were added to slide {slide_id}.")


def with_new_cells(cells: Cells, incoming: CuratedSlide, rows: np.ndarray) -> tuple[Cells, list[int]]:
    """Return cells with some of a file's added behind them, and their labels; the given cells stay as they are."""
    assert incoming.masks is not None
    old = cells.masks
    patches = old.patches.copy() if hasattr(old.patches, "copy") else dict(old.patches)
    masks = CellMasks(old.shape, dict(old.boxes), patches, old.last)
    added, uids, known = [], [], set(cells.table["uid"])
    for row in rows.tolist():
        uid = str(incoming.table["uid"].iat[row])
        label = masks.next_label
        if not uid.startswith(f"{cells.slide_id}-") or uid in known:
            while (uid := f"{cells.slide_id}-{label:06d}") in known:
                label += 1
        y0, x0, _, _ = incoming.masks.boxes[int(incoming.table["label"].iat[row])]
        masks.put(label, y0, x0, incoming.masks.patches[int(incoming.table["label"].iat[row])])
        known.add(uid)
        uids.append(uid)
        added.append(label)
    table = measure(masks, cells.slide_id, cells.pixel_size_um, added)
    table["uid"] = pd.Series(uids, table.index, dtype="str")
    whole = pd.concat([cells.table, table[[c for c in cells.table.columns if c in COLUMNS]]], ignore_index=True)
    return Cells(cells.slide_id, masks, whole, cells.pixel_size_um, cells.segmenter), added


def _rows(cells: Cells, labels: list[int]) -> pd.DataFrame:
    return cells.table[cells.table["label"].isin(labels)].reset_index(drop=True)
