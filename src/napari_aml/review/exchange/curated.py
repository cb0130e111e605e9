"""What is exchanged: cells, masks, what the model said, what people said, and where all of it came from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_aml.review.decisions import ADJUDICATOR, NOTE, REGION, TAG, Decision
from napari_aml.review.exchange.pseudonyms import Pseudonyms
from napari_aml.review.final import final_codes
from napari_aml.review.reader_view import ReaderView

if TYPE_CHECKING:
    from napari_aml.analysis import Analysis
    from napari_aml.cells.masks import CellMasks
    from napari_aml.slides.slide import Slide

#: Between the names of tags, and between the notes of several readers, in one cell of a table.
BETWEEN = "; "


@dataclass(frozen=True)
class CuratedSlide:
    """One slide as it leaves or comes in.

    Attributes
    ----------
    slide_id
        Made of the picture's hash.
    shape
        Height and width of level 0, pixels.
    pixel_size_um
        µm per level-0 pixel; None where unknown.
    table
        One row a cell: the columns of `napari_aml.cells.COLUMNS`, the model's, then ``code_final, confirmed,
        decided_by, disputed, tags, note``.
    masks
        Of the cells, by ``label``; None where only boxes are known.
    codes
        The model's classes.
    embedding
        float32 (n, d), rows as in `table`; None without a model.
    slide
        The picture; None where its file is not at hand.
    sha256
        Of the picture; empty where unknown.
    name, patient
        As people call them; never written into a pseudonymous export.
    model, segmenter
        What made predictions and masks.
    crop_um
        Side of the squares that the model saw, µm.
    card
        Of the model's bundle; None where it is not at hand.
    """

    slide_id: str
    shape: tuple[int, int]
    pixel_size_um: float | None
    table: pd.DataFrame
    masks: CellMasks | None = None
    codes: tuple[str, ...] = ()
    embedding: np.ndarray | None = None
    slide: Slide | None = None
    sha256: str = ""
    name: str = ""
    patient: str = ""
    model: str = ""
    segmenter: str = ""
    crop_um: float = 20.0
    card: Mapping[str, Any] | None = None

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def _labels(self) -> list[int]:
        return [int(label) for label in self.table["label"]]

    def mask(self, row: int, part: str = "cell") -> tuple[int, int, np.ndarray] | None:
        """Return corner (y0, x0) and mask bool (h, w) of a cell or its nucleus; None where there is none."""
        label = self._labels[row]
        if self.masks is None or label not in self.masks.boxes:
            return None
        y0, x0, _, _ = self.masks.boxes[label]
        found = self.masks.patches[label] >= (2 if part == "nucleus" else 1)
        return (y0, x0, found) if found.any() else None


@dataclass(frozen=True)
class Curation:
    """Slides and the record of decisions on them, slides being loaded one at a time.

    Attributes
    ----------
    slide_ids
        Of the slides, in order.
    load
        slide_id → `CuratedSlide`.
    decisions
        The record on these slides, in order.
    name
        Of the project or the picture.
    licence, source
        Under which the pictures and labels may be used, and where they came from, in words.
    about
        More that belongs into the provenance.
    pseudonyms
        Whether names were replaced.
    """

    slide_ids: tuple[str, ...]
    load: Callable[[str], CuratedSlide] = field(repr=False)
    decisions: tuple[Decision, ...] = ()
    name: str = ""
    licence: str = ""
    source: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)
    pseudonyms: bool = False

    def __iter__(self) -> Iterator[CuratedSlide]:
        return (self.load(slide_id) for slide_id in self.slide_ids)

    def __len__(self) -> int:
        return len(self.slide_ids)

    def of_slide(self, slide_id: str) -> list[Decision]:
        """Return the rows of the record on one slide."""
        return [d for d in self.decisions if d.slide_id == slide_id]


def curate(
    analysis: Analysis,
    decisions: Sequence[Decision] = (),
    *,
    reader: str | None = None,
    name: str = "",
    patient: str = "",
) -> CuratedSlide:
    """Lay what people said over what the model said.

    Parameters
    ----------
    analysis
        The analysed slide. Where there are no `decisions`, those that it carries itself hold.
    decisions
        The record; rows on other slides are passed over.
    reader
        Whose view; None = all readers', see `napari_aml.review.final.final_codes`.
    name, patient
        As people call them.
    """
    table = analysis.table()
    mine = [d for d in decisions if d.slide_id == analysis.slide.slide_id]
    if mine or analysis.final is None:
        final = final_codes(table, mine, reader)
        table = table.drop(columns=[c for c in final if c in table]).join(final)
    for column, nothing in (("decided_by", ""), ("disputed", False)):
        if column not in table:
            table[column] = pd.Series([nothing] * len(table), table.index, dtype="str" if nothing == "" else bool)
    table["tags"], table["note"] = tags_and_notes(table["uid"], mine, reader)
    said, slide = analysis.predictions, analysis.slide
    return CuratedSlide(
        slide.slide_id, slide.shape, slide.pixel_size.um, table, analysis.cells.masks,
        said.codes if said is not None else (), None if said is None else said.embedding, slide, slide.sha256,
        name or slide.name, patient, said.bundle_id if said is not None else "", analysis.cells.segmenter,
        float(getattr(analysis.bundle, "crop_um", None) or 20.0), getattr(analysis.bundle, "card", None),
    )  # fmt: skip


def tags_and_notes(
    uids: Sequence[str] | pd.Series, decisions: Sequence[Decision], reader: str | None = None
) -> tuple[pd.Series, pd.Series]:
    """Return tags and notes of cells as two columns of text; of several readers, joined."""
    views = _views([d for d in decisions if d.kind in (TAG, NOTE)], reader)
    tags: dict[str, set[str]] = {}
    notes: dict[str, list[str]] = {}
    for view in views.values():
        for uid, names in view.tags.items():
            tags.setdefault(uid, set()).update(names)
        for uid, text in view.notes.items():
            if text not in notes.setdefault(uid, []):
                notes[uid].append(text)
    index = getattr(uids, "index", None)
    return (
        pd.Series([BETWEEN.join(sorted(tags.get(u, ()))) for u in uids], index, dtype="str"),
        pd.Series([BETWEEN.join(notes.get(u, ())) for u in uids], index, dtype="str"),
    )


def regions_of(decisions: Sequence[Decision], slide_id: str, reader: str | None = None) -> list[Any]:
    """Return the regions drawn on a slide, by one reader or by all."""
    views = _views([d for d in decisions if d.kind == REGION and d.slide_id == slide_id], reader)
    return [region for view in views.values() for region in view.regions.get(slide_id, {}).values()]


def _views(decisions: Sequence[Decision], reader: str | None) -> dict[str, ReaderView]:
    views: dict[str, ReaderView] = {}
    for d in decisions:
        if reader is None or d.reader in (reader, ADJUDICATOR):
            views.setdefault(d.reader, ReaderView(d.reader)).take(d)
    return views


def curation_of(
    analyses: Sequence[Analysis],
    decisions: Sequence[Decision] = (),
    *,
    reader: str | None = None,
    name: str = "",
    licence: str = "",
    source: str = "",
) -> Curation:
    """Return analyses in memory and what was said of their cells, ready to be exchanged."""
    slides = {a.slide.slide_id: curate(a, decisions, reader=reader) for a in analyses}
    mine = tuple(d for d in decisions if d.slide_id in slides)
    return Curation(tuple(slides), slides.__getitem__, mine, name, licence, source)


def pseudonymous(curation: Curation, pseudonyms: Pseudonyms | None = None, *, notes: bool = False) -> Curation:
    """Replace the names of readers, patients, slides and of the project; uids and codes stay the same.

    Parameters
    ----------
    curation
        As it is at home.
    pseudonyms
        The key that names are replaced with: with the same key a name gets the same pseudonym in every export.
        By default a new key, so that two exports cannot be joined by it.
    notes
        Keep what people wrote in words. It may hold anything, so it is left out by default.
    """
    words = pseudonyms or Pseudonyms()

    def load(slide_id: str) -> CuratedSlide:
        slide = curation.load(slide_id)
        table = slide.table.copy()
        who = [BETWEEN.join(words.reader(r) for r in w.split(BETWEEN)) for w in table["decided_by"]]
        table["decided_by"] = pd.Series(who, table.index, dtype="str")
        if not notes:
            table["note"] = pd.Series([""] * len(table), table.index, dtype="str")
        patient = words.patient(slide.patient) if slide.patient else ""
        return replace(slide, table=table, name=slide.slide_id, patient=patient)

    kept = tuple(
        replace(d, reader=words.reader(d.reader)) for d in curation.decisions if notes or d.kind != NOTE
    )
    about = {k: v for k, v in curation.about.items() if k not in ("name", "path", "readers")}
    return replace(curation, load=load, decisions=kept, name="", about=about, pseudonyms=True)
