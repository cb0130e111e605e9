"""A text table is read for some of its genes: their lines are kept, all lines are checked and summed."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from pathlib import Path

import numpy as np

from napari_aml.expression.delimited import Growing, Rows, Task, from_leads, parse, tasks
from napari_aml.expression.digits import whole_numbers
from napari_aml.expression.errors import ExpressionReadError, WholeTableNeeded
from napari_aml.expression.layout import Layout
from napari_aml.expression.matrix import Part
from napari_aml.expression.opening import TextFile
from napari_aml.expression.summary import Summary
from napari_aml.expression.threads import executor, threads
from napari_aml.expression.units import LARGEST_LOG
from napari_aml.expression.wanted import KEPT, LEFT_OUT, Wanted
from napari_aml.progress import Progress, Steps

_memory = threading.local()


class _Piece:
    """What one task brings: names of its lines, values of those that are kept, figures of all."""

    def __init__(self, columns: int) -> None:
        self.names: list[str] = []
        self.lines: list[np.ndarray] = []
        self.values: list[np.ndarray] = []
        self.lengths: list[np.ndarray] = []
        self.symbols: list[str] = []
        self.summary = Summary(columns)
        self.left_out = self.counted = 0  # lines that stand for no gene; all lines, blank ones with them

    def add(self, rows: Rows, wanted: Wanted, whole: bool) -> None:
        """Add lines; their values may be overwritten afterwards."""
        fates = wanted.fates(rows.names)
        values, names = rows.values, rows.names
        here = fates != LEFT_OUT
        if not here.all():
            self.left_out += len(here) - int(here.sum())
            values, fates, names = values[here], fates[here], [n for n, stays in zip(names, here, strict=True) if stays]
        kept = np.flatnonzero(fates == KEPT)
        self.lines.append(kept + len(self.names))
        self.values.append(values[kept])
        self.names += names
        self.summary.add(values, whole)
        if rows.lengths is not None:
            self.lengths.append(rows.lengths[here])
        if rows.symbols is not None:
            self.symbols += [symbol for symbol, stays in zip(rows.symbols, here, strict=True) if stays]


def read_wanted_steps(
    text: TextFile, layout: Layout, wanted: Wanted, limit: int | None = None
) -> Steps[tuple[Rows, Part, int]]:
    """Read a text table, genes in lines, for some of them, yielding progress.

    Parameters
    ----------
    text, layout, limit
        As in `read_rows_steps`.
    wanted
        The genes.

    Yields
    ------
    Progress
        In bytes of the file.

    Returns
    -------
    rows
        Names, lengths and symbols of all lines that stand for genes; values of those that are kept.
    part
        Which are kept, and figures of all.
    left_out
        How many lines stand for no gene.

    Raises
    ------
    WholeTableNeeded
        Where the values seem to be logarithms: what they are logarithms of is found by all values of a sample.
    ExpressionReadError
        As `read_rows_steps`.
    """
    columns = len(layout.values)
    into, summary = Growing(text, columns, limit), Summary(columns)
    names: list[str] = []
    symbols: list[str] = []
    lines: list[np.ndarray] = []
    lengths: list[np.ndarray] = []
    left_out, counted, busy = 0, layout.skip, threads()
    pool = executor(busy)
    waiting: deque[tuple[Future[_Piece], Task]] = deque()

    def take() -> Progress:
        nonlocal left_out, counted
        future, task = waiting.popleft()
        try:
            piece = future.result()
        except ExpressionReadError:  # once more, so that the line is named by its number
            task.first = counted + 1
            piece = _read(text.path, layout, task, wanted)
        counted += piece.counted
        for numbers, values in zip(piece.lines, piece.values, strict=True):
            lines.append(numbers + len(names))
            if not into.has_room(len(values)):
                into.grow(len(values), task.place)
            room = into.reserve(len(values))
            into.keep(values, room.start)
        names.extend(piece.names)
        symbols.extend(piece.symbols)
        lengths.extend(piece.lengths)
        left_out += piece.left_out
        summary.join(piece.summary)
        if summary.lines and not summary.whole and summary.most.max() <= LARGEST_LOG:
            raise WholeTableNeeded
        return Progress(task.place, text.size, f"Reading {text.path.name}")

    try:
        for task in tasks(text, layout, count=False):
            waiting.append((pool.submit(_read, text.path, layout, task, wanted), task))
            if len(waiting) > busy:
                yield take()
        while waiting:
            yield take()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    made = np.concatenate(lengths) if lengths else None
    rows = Rows(names, into.values[: into.filled], made, symbols or None, summary.whole)
    return rows, Part(np.concatenate([np.empty(0, int), *lines]), summary, wanted), left_out


def _read(path: Path, layout: Layout, task: Task, wanted: Wanted) -> _Piece:
    """Read one task: in small blocks of whole numbers, which never leave the cache, or as `parse` does."""
    columns, width = len(layout.names), len(layout.values)
    piece = _Piece(width)
    if layout.trailing:
        for block in task.blocks:
            leads = whole_numbers(block, ord(layout.delimiter), columns, columns - width, lambda n: _room(n, width))
            if leads is None:
                break
            piece.add(from_leads(layout, leads, _room(len(leads), width)), wanted, True)
            piece.counted += len(leads)
        else:
            return piece
    piece = _Piece(width)
    piece.counted = sum(block.count(b"\n") for block in task.blocks)
    rows = parse(path, layout, task, np.empty((piece.counted, width), np.float32))
    piece.add(rows, wanted, rows.whole)
    return piece


def _room(lines: int, width: int) -> np.ndarray:
    """Return memory for a block's values, kept for the thread's next block: the same until more is asked for."""
    held = getattr(_memory, "values", None)
    if held is None or held.size < lines * width:
        held = _memory.values = np.empty(lines * width * 5 // 4, np.float32)
    return held[: lines * width].reshape(lines, width)
