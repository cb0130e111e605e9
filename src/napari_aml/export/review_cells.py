"""The cells that the review report shows: decided, in dispute, marked, and those that the model doubts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_aml.cells import crops
from napari_aml.export.gallery import SIDE, data_uri
from napari_aml.progress import Progress, Steps
from napari_aml.taxonomy import CLASSES, cell_class

if TYPE_CHECKING:
    from napari_aml.review.exchange.curated import CuratedSlide

#: Pictures at most: of each class that people decided, of doubtful, of disputed cells of one slide.
PER_CLASS, DOUBTFUL, DISPUTED = 8, 16, 16
#: The model doubts a cell that it gives less than this.
SURE = 0.5


@dataclass(frozen=True)
class CellPicture:
    """One cell of the report's gallery."""

    uid: str
    code: str
    colour: str
    picture: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class CellGroup:
    """Cells under one heading; ``more`` are not shown."""

    title: str
    cells: tuple[CellPicture, ...]
    more: int = 0


def cells_steps(slide: CuratedSlide, words: Mapping[str, Mapping[str, str]]) -> Steps[list[CellGroup]]:
    """Cut the pictures of one slide's cells.

    Parameters
    ----------
    slide
        With its picture; without one there are no groups.
    words
        uid → reader → code, of the cells on which readers differ.
    """
    if slide.slide is None or slide.slide.pixel_size.um is None or not len(slide):
        return []
    table = slide.table
    chosen = _chosen(slide, words)
    rows = sorted({row for _, part, _ in chosen for row in part})
    y, x = table["y"].to_numpy(float), table["x"].to_numpy(float)
    pictures: dict[int, str] = {}
    for start in range(0, len(rows), 16):
        some = rows[start : start + 16]
        for row, crop in zip(some, crops(slide.slide, y[some], x[some], slide.crop_um, SIDE), strict=True):
            pictures[row] = data_uri(crop)
        yield Progress(start + len(some), len(rows), "Drawing the cells")
    return [
        CellGroup(title, tuple(_cell(slide, row, pictures[row], words) for row in part), more)
        for title, part, more in chosen
    ]


def _chosen(slide: CuratedSlide, words: Mapping[str, Mapping[str, str]]) -> list[tuple[str, list[int], int]]:
    """Return heading, rows and number of cells left out."""
    table = slide.table
    out = []
    said = table["confirmed"].to_numpy(bool)
    order = {c.code: i for i, c in enumerate(CLASSES)}
    codes = table["code_final"].to_numpy(object)
    for code in sorted(set(codes[said]), key=lambda c: (order.get(c, len(order)), c)):
        rows = np.flatnonzero(said & (codes == code)).tolist()
        title = f"Decided: {code} {cell_class(code).name} ({len(rows)})"
        out.append((title, rows[:PER_CLASS], max(0, len(rows) - PER_CLASS)))
    disputed = [i for i, uid in enumerate(table["uid"]) if uid in words]
    if disputed:
        left = max(0, len(disputed) - DISPUTED)
        out.append((f"Readers differ ({len(disputed)})", disputed[:DISPUTED], left))
    shown = {row for _, part, _ in out for row in part}
    marked = np.flatnonzero((table["tags"].to_numpy(object) != "") | (table["note"].to_numpy(object) != ""))
    if rows := [row for row in marked.tolist() if row not in shown]:
        out.append((f"Marked with a tag or a note ({len(marked)})", rows[:DISPUTED], max(0, len(rows) - DISPUTED)))
    if "probability" in table:
        sure = table["probability"].to_numpy(float)
        unsure = np.flatnonzero(~said & ~(sure >= SURE))
        if rows := unsure[np.argsort(sure[unsure], kind="stable")].tolist():
            title = f"Doubtful, not confirmed: the model gives less than {SURE:.0%} ({len(rows)})"
            out.append((title, rows[:DOUBTFUL], max(0, len(rows) - DOUBTFUL)))
    return out


def _cell(slide: CuratedSlide, row: int, picture: str, words: Mapping[str, Mapping[str, str]]) -> CellPicture:
    line = slide.table.iloc[row]
    uid, code = str(line["uid"]), str(line["code_final"])
    lines = []
    if line.get("class"):
        lines.append(f"model: {line['class']} {float(line['probability']):.2f}")
    if line["decided_by"]:
        lines.append(f"decided by {line['decided_by']}")
    if uid in words:
        lines += [f"{reader}: {said}" for reader, said in words[uid].items()]
    lines += [str(line[name]) for name in ("tags", "note") if line[name]]
    return CellPicture(uid, code, cell_class(code).colour if code else "#c7c7c7", picture, tuple(lines))
