"""What a file brings is laid over what is there: the same cell, a new one, a changed class; duplicates, doubts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from napari_aml.review.decisions import CLASS, NOTE, TAG, Decision, views
from napari_aml.review.exchange.curated import BETWEEN, CuratedSlide
from napari_aml.review.exchange.incoming import Incoming
from napari_aml.review.final import final_codes, settled
from napari_aml.taxonomy import BY_CODE

#: Boxes that overlap by more than this share of their union are one cell.
LEAST_OVERLAP = 0.5
#: The same uid is the same cell only where the boxes overlap at least so much: when a slide is segmented anew outside
#: of a project, its uids are counted anew, and one may then stand at another cell.
SAME_PLACE = 0.2


@dataclass(frozen=True)
class Match:
    """What one slide of a file means for the slide that is there.

    Attributes
    ----------
    slide_id
        Of the slide that is there.
    rows
        (n,) int: row of the cell there for each incoming cell; -1 = a new cell.
    by_uid, by_place
        How many were known by their uid; how many by overlapping boxes.
    doubled
        Incoming cells that fell on a cell which another had taken already; they are passed over.
    moved
        uids of incoming cells whose uid belongs to a cell elsewhere here; they were looked for by place.
    """

    slide_id: str
    rows: np.ndarray
    by_uid: int = 0
    by_place: int = 0
    doubled: int = 0
    moved: frozenset[str] = frozenset()


@dataclass
class Plan:
    """What an import would do; nothing is done yet.

    Attributes
    ----------
    decisions
        To be recorded, in order.
    matches
        One for each slide of the file that is there.
    known_before
        Decisions of the file that the record holds already.
    unknown_codes
        Class in the file → number of cells, for classes that are none of ours.
    unknown_slides
        Slides of the file that are not there.
    new_cells
        slide_id → (incoming slide, its rows) of cells that are not there.
    remarks
        All of it in words.
    """

    decisions: list[Decision] = field(default_factory=list)
    matches: list[Match] = field(default_factory=list)
    known_before: int = 0
    unknown_codes: dict[str, int] = field(default_factory=dict)
    unknown_slides: list[str] = field(default_factory=list)
    new_cells: dict[str, tuple[CuratedSlide, np.ndarray]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


def match(incoming: CuratedSlide, there: CuratedSlide, least_overlap: float = LEAST_OVERLAP) -> Match:
    """Find the cell that each incoming cell is.

    By uid first, provided that the boxes lie at the same place (`SAME_PLACE`); any other cell is looked for by its
    box. Each cell there is taken once. Cells without a box are known by their uid alone.
    """
    n = len(incoming)
    boxes = there.table[["y0", "x0", "y1", "x1"]].to_numpy(float)
    mine = incoming.table[["y0", "x0", "y1", "x1"]].to_numpy(float)
    moved: set[str] = set()
    rows = np.full(n, -1)
    place = {uid: i for i, uid in enumerate(there.table["uid"])}
    taken: set[int] = set()
    for i, uid in enumerate(incoming.table["uid"]):
        row = place.get(uid)
        if row is None:
            continue
        if _sized(mine[i]) and _sized(boxes[row]) and _overlap(mine[i], boxes[row : row + 1])[0] < SAME_PLACE:
            moved.add(str(uid))
            continue
        rows[i] = row
        taken.add(row)
    by_uid, doubled = int((rows >= 0).sum()), 0
    todo = [i for i in np.flatnonzero(rows < 0).tolist() if len(boxes) and mine[i, 2] > mine[i, 0]]
    for i, near in zip(todo, _near(mine[todo], boxes), strict=True):
        overlap = _overlap(mine[i], boxes[near])
        if not len(near) or overlap.max() < least_overlap:
            continue
        best = near[int(overlap.argmax())]
        if best in taken:
            rows[i], doubled = -2, doubled + 1
            continue
        rows[i] = best
        taken.add(best)
    by_place = int((rows >= 0).sum()) - by_uid
    return Match(there.slide_id, rows, by_uid, by_place, doubled, frozenset(moved))


def _sized(box: np.ndarray) -> bool:
    return bool(box[2] > box[0] and box[3] > box[1])


def _near(mine: np.ndarray, boxes: np.ndarray) -> list[list[int]]:
    """Return for each box those whose middle lies within its diagonal: no others can overlap by half."""
    from scipy.spatial import cKDTree

    if not len(mine):
        return []
    middle = (mine[:, :2] + mine[:, 2:]) / 2
    reach = np.hypot(mine[:, 2] - mine[:, 0], mine[:, 3] - mine[:, 1])
    tree = cKDTree((boxes[:, :2] + boxes[:, 2:]) / 2)
    return [sorted(near) for near in tree.query_ball_point(middle, reach)]


def _overlap(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return the intersection over union of one box with (n, 4) boxes."""
    top, left = np.maximum(box[0], boxes[:, 0]), np.maximum(box[1], boxes[:, 1])
    bottom, right = np.minimum(box[2], boxes[:, 2]), np.minimum(box[3], boxes[:, 3])
    both = np.clip(bottom - top, 0, None) * np.clip(right - left, 0, None)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return both / (area + (box[2] - box[0]) * (box[3] - box[1]) - both)


def plan_import(
    incoming: Incoming,
    there: Mapping[str, CuratedSlide],
    record: Sequence[Decision],
    reader: str,
    codes: Mapping[str, str] | None = None,
) -> Plan:
    """Say what an import would record.

    Decisions that the file carries are taken over as they are, once each (they have ids). Beyond them, a class that
    differs from the one that holds here becomes a decision of `reader`; so do tags and notes that are not here. In a
    file of another program every class is a person's word; in ours, a class that nobody confirmed is not.

    Parameters
    ----------
    incoming
        What the file brings.
    there
        slide_id → slide that is there.
    record
        The decisions that are there.
    reader
        In whose name changes are recorded.
    codes
        Class in the file → class code, or "" to pass over. Classes that are class codes need no entry.
    """
    plan = Plan(remarks=list(incoming.remarks))
    known = {d.id for d in record}
    here = [d for d in incoming.decisions if d.slide_id in there]
    fresh = [d for d in here if d.id not in known]
    plan.known_before = len(here) - len(fresh)
    found_there = {s.slide_id: match(s, there[s.slide_id]) for s in incoming.slides if s.slide_id in there}
    fresh, lost = _at_their_cells(fresh, incoming, there, found_there)
    plan.decisions += fresh
    rows = [*record, *fresh]
    for slide in incoming.slides:
        if slide.slide_id not in there:
            plan.unknown_slides.append(slide.slide_id)
            continue
        target = there[slide.slide_id]
        found = found_there[slide.slide_id]
        plan.matches.append(found)
        new = np.flatnonzero(found.rows == -1)
        if len(new):
            plan.new_cells[slide.slide_id] = (slide, new)
        _compare(plan, slide, target, found, reader, codes or {}, incoming.ours, rows)
    _say(plan, incoming)
    if moved := sum(len(m.moved) for m in plan.matches):
        plan.remarks.append(
            f"{moved} cells of the file have an id that belongs to a cell elsewhere here (the slide was segmented anew "
            f"outside of the project): they and what was said of them were laid by place"
            + (f"; {lost} decisions found no cell there and were passed over." if lost else ".")
        )
    return plan


def _at_their_cells(
    decisions: Sequence[Decision], incoming: Incoming, there: Mapping[str, CuratedSlide], found: Mapping[str, Match]
) -> tuple[list[Decision], int]:
    """Give decisions on cells whose uid is another cell's here the uid of the cell at their place.

    Returns the decisions, and how many found no cell there.
    """
    right: dict[str, str] = {}
    for slide in incoming.slides:
        at = found.get(slide.slide_id)
        if at is not None and at.moved:
            for uid, row in zip(slide.table["uid"].tolist(), at.rows.tolist(), strict=True):
                if uid in at.moved:
                    right[uid] = str(there[slide.slide_id].table["uid"].iat[row]) if row >= 0 else ""
    out = [d if d.uid not in right else replace(d, uid=right[d.uid]) for d in decisions if right.get(d.uid, d.uid)]
    return out, len(decisions) - len(out)


def _compare(
    plan: Plan, slide: CuratedSlide, target: CuratedSlide, found: Match, reader: str, codes: Mapping[str, str],
    ours: bool, record: Sequence[Decision],
) -> None:
    table, now = slide.table, target.table
    holds = final_codes(now, record)["code_final"].tolist()
    spoken, mine = settled(record), views(record).get(reader, {})
    for i, row in enumerate(found.rows.tolist()):
        raw = str(table["code_final"].iat[i]).strip()
        code = codes.get(raw, raw if raw in BY_CODE else None)
        if raw and code is None:
            plan.unknown_codes[raw] = plan.unknown_codes.get(raw, 0) + 1
        if row < 0:
            continue
        uid = str(now["uid"].iat[row])
        a_person_said_it = not ours or bool(table["confirmed"].iat[i])
        if code and (code != holds[row] or (a_person_said_it and uid not in spoken)):
            shown = {"imported": True, "code": str(holds[row])}
            plan.decisions.append(
                Decision(uid, target.slide_id, code, reader, CLASS, "", mine.get((uid, "")), shown)
            )
        _marks(plan, table, now, i, row, uid, target.slide_id, reader)


def _marks(
    plan: Plan, table: pd.DataFrame, now: pd.DataFrame, i: int, row: int, uid: str, slide_id: str, reader: str
) -> None:
    """Add tags and notes that are not there; none is ever taken away."""
    tags, text = str(table["tags"].iat[i]), str(table["note"].iat[i])
    if not tags and not text:
        return
    carried = [d for d in plan.decisions if d.uid == uid]
    have = {d.name for d in carried if d.kind == TAG}
    have |= set(str(now["tags"].iat[row]).split(BETWEEN)) if "tags" in now else set()
    for name in tags.split(BETWEEN):
        if name and name not in have:
            plan.decisions.append(Decision(uid, slide_id, "on", reader, TAG, name, None, {"imported": True}))
    noted = any(d.kind == NOTE for d in carried)
    if text and not noted and text != str(now["note"].iat[row] if "note" in now else ""):
        plan.decisions.append(Decision(uid, slide_id, text, reader, NOTE, "", None, {"imported": True}))


def _say(plan: Plan, incoming: Incoming) -> None:
    """Say what will happen, in words."""
    uid, place = sum(m.by_uid for m in plan.matches), sum(m.by_place for m in plan.matches)
    doubled, new = sum(m.doubled for m in plan.matches), sum(len(rows) for _, rows in plan.new_cells.values())
    plan.remarks.insert(0, f"{uid} cells were known by their id, {place} by their place.")
    if doubled:
        plan.remarks.append(f"{doubled} cells lie on a cell that another one of the file is already; passed over.")
    if plan.known_before:
        plan.remarks.append(f"{plan.known_before} decisions of the file were here already.")
    if new:
        plan.remarks.append(f"{new} cells of the file are not among the cells found here.")
    if plan.unknown_codes:
        listed = ", ".join(f"'{c}' ({n})" for c, n in sorted(plan.unknown_codes.items(), key=lambda v: -v[1])[:8])
        plan.remarks.append(f"Classes that are no class code were passed over: {listed}. Say what they are with --map.")
    if plan.unknown_slides:
        listed = ", ".join(plan.unknown_slides[:5])
        plan.remarks.append(f"{len(plan.unknown_slides)} slides of the file are not here: {listed}.")
    if not incoming.slides:
        plan.remarks.append("The file holds no cells.")
