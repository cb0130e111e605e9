"""What a file brings: slides with cells, the record of decisions, and what could not be read, in words."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np
import pandas as pd

from napari_aml.cells.masks import CellMasks
from napari_aml.cells.table import COLUMNS
from napari_aml.errors import InputError
from napari_aml.review.decisions import Decision
from napari_aml.review.exchange.curated import CuratedSlide

#: Largest file and most rows that are read: beyond that a file is taken for a mistake.
MOST_BYTES, MOST_ROWS = 4 << 30, 5_000_000
#: Texts and logical values among the columns; everything else that is not in the file's own words is a number.
TEXTS = ("uid", "slide_id", "class", "runner_up", "code_final", "decided_by", "tags", "note", "set")
FLAGS = ("touches_border", "cam_has_evidence", "confirmed", "disputed", "unlike_training")


#: What reading raises where a value is of another kind than its place wants, or beyond all bounds.
MISTAKEN = (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError)
_P = ParamSpec("_P")
_T = TypeVar("_T")


class ExchangeError(InputError):
    """A file of annotations that cannot be read."""


def saying_what_is_damaged(
    read: Callable[Concatenate[str | Path, _P], _T],
) -> Callable[Concatenate[str | Path, _P], _T]:
    """Let a reader of files raise `ExchangeError` for whatever a file holds in the wrong place."""

    @wraps(read)
    def reading(path: str | Path, *arguments: _P.args, **settings: _P.kwargs) -> _T:
        try:
            return read(path, *arguments, **settings)
        except MISTAKEN as error:
            raise ExchangeError(
                f"'{Path(path).name}' is damaged: a value in it is not of the kind that its place wants ({error!r}).",
                "Export it anew.",
            ) from error

    return reading


@dataclass
class Incoming:
    """What a file brings.

    Attributes
    ----------
    slides
        Cells, one slide each; cells without masks have their boxes alone.
    decisions
        The record that the file carries; empty for files of other programs.
    ours
        Whether napari-aml wrote it. In files of other programs every class is a person's word.
    remarks
        What was passed over and why.
    """

    slides: list[CuratedSlide]
    decisions: list[Decision] = field(default_factory=list)
    ours: bool = False
    remarks: list[str] = field(default_factory=list)


@dataclass
class Builder:
    """Gathers the cells of one slide of a file."""

    slide_id: str
    shape: tuple[int, int] | None = None
    pixel_size_um: float | None = None
    about: dict[str, Any] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    patches: dict[int, tuple[int, int, np.ndarray]] = field(default_factory=dict)

    def add(
        self,
        told: Mapping[str, Any],
        box: tuple[float, float, float, float] | None = None,
        mask: tuple[int, int, np.ndarray] | None = None,
        nucleus: tuple[int, int, np.ndarray] | None = None,
    ) -> None:
        """Add a cell: what is told of it, its box (y0, x0, y1, x1), its mask and nucleus (corner, bool)."""
        row = dict(told)
        number = len(self.rows) + 1
        if mask is not None and mask[2].size:
            top, left, inside = mask
            patch = inside.astype(np.uint8)
            if nucleus is not None:
                _mark(patch, top, left, nucleus)
            self.patches[number] = (top, left, patch)
            box = (top, left, top + patch.shape[0], left + patch.shape[1])
        if box is not None:
            y0, x0, y1, x1 = box
            row |= {"y0": int(np.floor(y0)), "x0": int(np.floor(x0))}
            row |= {"y1": max(int(np.ceil(y1)), row["y0"] + 1), "x1": max(int(np.ceil(x1)), row["x0"] + 1)}
        row["_number"] = number
        self.rows.append(row)

    def done(self, remarks: list[str]) -> CuratedSlide:
        """Return the slide; cells that stand twice are passed over and said."""
        table = pd.DataFrame(self.rows)
        if "uid" in table:
            given = table["uid"].notna() & (table["uid"] != "")
            twice = table["uid"].duplicated() & given
            if twice.any():
                first = table.loc[twice, "uid"].iloc[0]
                remarks.append(
                    f"{int(twice.sum())} cells stand in the file more than once (first: {first}); "
                    "the first of each was taken."
                )
                table = table[~twice]
        table = table.reset_index(drop=True)
        for name in self.about.get("columns") or ():
            if name not in table:  # known by name, empty in every row
                table[name] = pd.Series([None] * len(table), table.index, dtype=object)
        for name in COLUMNS:  # in a text file every number is a text
            if name in table and name not in (*TEXTS, *FLAGS):
                table[name] = pd.to_numeric(table[name], errors="coerce")
        height = int(table["y1"].max()) if len(table) and "y1" in table else 1
        width = int(table["x1"].max()) if len(table) and "x1" in table else 1
        shape = self.shape or (height, width)
        masks = self._number(table, shape)
        if len(table):
            table["slide_id"] = self.slide_id
            self._complete(table, masks, shape)
        return CuratedSlide(
            self.slide_id, shape, self.pixel_size_um, typed(table.drop(columns="_number", errors="ignore")), masks,
            tuple(self.about.get("classes") or ()), None, None, str(self.about.get("sha256") or ""),
            str(self.about.get("name") or ""), str(self.about.get("patient") or ""),
            str(self.about.get("model") or ""), str(self.about.get("segmenter") or ""),
            float(self.about.get("crop_um") or 20.0),
        )  # fmt: skip

    def _number(self, table: pd.DataFrame, shape: tuple[int, int]) -> CellMasks | None:
        """Keep labels that were given, once each; number the others; return the masks by label."""
        if not len(table):
            return CellMasks(shape) if not self.rows or self.patches else None
        given = pd.to_numeric(table.get("label", pd.Series(np.nan, table.index)), errors="coerce")
        usable = given.gt(0) & given.lt(2**31) & ~given.duplicated()
        free = iter(range(int(given[usable].max() if usable.any() else 0) + 1, 2**31))
        table["label"] = [int(v) if ok else next(free) for v, ok in zip(given, usable, strict=True)]
        if not self.patches:
            return None
        masks = CellMasks(shape)
        for label, number in zip(table["label"], table["_number"], strict=True):
            if number in self.patches:
                masks.put(int(label), *self.patches[number])
        return masks

    def _complete(self, table: pd.DataFrame, masks: CellMasks | None, shape: tuple[int, int]) -> None:
        """Fill in what a file of another program does not say: centres, sizes; its cells have no uid."""
        uids = table["uid"] if "uid" in table else pd.Series([None] * len(table), table.index)
        # A cell of another program has no uid: one made of its number would be taken for that of a cell here.
        table["uid"] = [u if isinstance(u, str) else "" for u in uids]
        if not {"y0", "x0", "y1", "x1"} <= set(table):
            return  # a list of known cells: their places are known here, not in the file
        um = self.pixel_size_um or float("nan")
        measured = {}
        if masks is not None and len(masks) and not {"y", "x", "area_um2", "nc_ratio"} <= set(table):
            from napari_aml.cells.table import measure

            measured = measure(masks, self.slide_id, um).set_index("label").to_dict("index")
        whole = {
            "y": (table["y0"] + table["y1"] - 1) / 2, "x": (table["x0"] + table["x1"] - 1) / 2,
            "area_um2": (table["y1"] - table["y0"]) * (table["x1"] - table["x0"]) * um**2,
            "touches_border": (table["y0"] <= 0) | (table["x0"] <= 0)
            | (table["y1"] >= shape[0]) | (table["x1"] >= shape[1]),
        }  # fmt: skip
        for name in COLUMNS:
            if name in ("uid", "slide_id", "label", "y0", "x0", "y1", "x1"):
                continue
            known = [measured.get(label, {}).get(name) for label in table["label"]]
            rest = whole.get(name, pd.Series(np.nan, table.index))
            guess = pd.Series([r if k is None else k for k, r in zip(known, rest, strict=True)], table.index)
            table[name] = guess if name not in table else table[name].where(table[name].notna(), guess)


def _mark(patch: np.ndarray, y0: int, x0: int, nucleus: tuple[int, int, np.ndarray]) -> None:
    """Write a nucleus into the patch of its cell."""
    ny, nx, inside = nucleus
    top, left = max(y0, ny), max(x0, nx)
    bottom, right = min(y0 + patch.shape[0], ny + inside.shape[0]), min(x0 + patch.shape[1], nx + inside.shape[1])
    if bottom > top and right > left:
        part = patch[top - y0 : bottom - y0, left - x0 : right - x0]
        part[inside[top - ny : bottom - ny, left - nx : right - nx] & (part > 0)] = 2


def typed(table: pd.DataFrame) -> pd.DataFrame:
    """Give the columns of a cell table their types; what is missing is NaN, False or an empty text."""
    out = {}
    for name in [*COLUMNS, *(c for c in table.columns if c not in COLUMNS)]:
        column = table[name] if name in table else pd.Series([None] * len(table), table.index, dtype=object)
        if name in FLAGS:
            out[name] = column.map(_flag).astype(bool)
        elif name in TEXTS:
            out[name] = column.map(lambda v: "" if v is None or v != v else str(v)).astype("str")
        elif name in ("label", "y0", "x0", "y1", "x1"):
            whole = pd.to_numeric(column, errors="coerce").fillna(0).clip(-(2**31), 2**31 - 1)
            out[name] = whole.astype("int32")
        else:
            out[name] = _numbers(column)
    for name in ("code_final", "decided_by", "tags", "note"):
        out.setdefault(name, pd.Series([""] * len(table), table.index, dtype="str"))
    for name in ("confirmed", "disputed"):
        out.setdefault(name, pd.Series(np.zeros(len(table), bool), table.index))
    return pd.DataFrame(out, index=table.index)


def _numbers(column: pd.Series) -> pd.Series:
    """Return a column as float32 where all of it is numbers, as text where it is not."""
    gone = column.isna() | (column.astype(object) == "")
    numbers = pd.to_numeric(column.mask(gone), errors="coerce")
    if numbers[~gone].isna().any():
        return column.map(lambda v: "" if v is None or v != v else str(v)).astype("str")
    return numbers.astype("float32")


def _flag(value: Any) -> bool:
    if isinstance(value, str):
        return value.strip().lower() in ("true", "1", "1.0", "yes")
    return bool(value) and value == value


def decisions_from(rows: Iterable[Mapping[str, Any]], remarks: list[str]) -> list[Decision]:
    """Read the record out of the rows of a decisions table; damaged rows are said and passed over."""
    found, broken = [], 0
    for row in rows:
        try:
            shown = row.get("shown") or "{}"
            shown = json.loads(shown) if isinstance(shown, str) else dict(shown)
            uid, slide, reader, number = (str(row[k]) for k in ("uid", "slide_id", "reader", "id"))
            if not (uid and slide and reader and number and isinstance(shown, dict)):
                raise ValueError
            found.append(
                Decision(
                    uid, slide, None if _flag(row.get("taken_back")) else str(row.get("value") or ""), reader,
                    str(row.get("kind") or "class"), str(row.get("name") or ""),
                    None if _flag(row.get("first")) else str(row.get("previous") or ""), shown,
                    str(row["time"]), number, int(float(row.get("seq") or 0)),
                )
            )  # fmt: skip
        except MISTAKEN:
            broken += 1
    if broken:
        remarks.append(f"{broken} decisions of the file are damaged and were passed over.")
    return sorted(found, key=lambda d: d.seq)
