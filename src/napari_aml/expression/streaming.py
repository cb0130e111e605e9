"""A text table is read for some of its genes: their lines are kept, all lines are checked and summed."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_aml.expression.delimited import Growing, Rows, Task, from_leads, parse, tasks
from napari_aml.expression.digits import NotWholeError, read_lines, split_lines
from napari_aml.expression.errors import ExpressionReadError, WholeTableNeeded
from napari_aml.expression.grain import FIRST
from napari_aml.expression.layout import Layout
from napari_aml.expression.matrix import Part
from napari_aml.expression.opening import TextFile
from napari_aml.expression.summary import Summary
from napari_aml.expression.threads import executor, threads
from napari_aml.expression.units import LARGEST_LOG
from napari_aml.expression.wanted import KEPT, LEFT_OUT, Wanted
from napari_aml.progress import Progress, Steps


@dataclass
class _Piece:
    """What one task brings: its lines that stand for genes, which of them are kept, their values; figures of all."""

    rows: Rows
    lines: np.ndarray
    summary: Summary
    left_out: int  # lines that stand for no gene
    counted: int  # all lines, blank ones with them
    first: np.ndarray | None = None  # values of its first lines, where they are not known to be whole numbers
    room: slice | None = None  # rows of the array of all values that hold these values already


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
    first: list[np.ndarray] = []
    # Whole numbers are read in many short steps: threads would spend their time handing the interpreter over.
    left_out, counted, busy = 0, layout.skip, 1 if layout.whole else threads()
    pool = executor(busy)
    waiting: deque[tuple[Future[_Piece], Task]] = deque()

    def take() -> Progress:
        nonlocal left_out, counted
        future, task = waiting.popleft()
        try:
            piece = future.result()
        except ExpressionReadError:  # once more, so that the line is named by its number
            task.first = counted + 1
            piece = _read(text.path, layout, task, wanted, None)
        counted += piece.counted
        lines.append(piece.lines + len(names))
        if piece.first is not None and len(names) == sum(map(len, first)) < FIRST:
            first.append(piece.first[: FIRST - len(names)])
        values = piece.rows.values
        room = piece.room or into.reserve(len(values), task.place)
        into.keep(values, room.start)
        names.extend(piece.rows.names)
        symbols.extend(piece.rows.symbols or [])
        if piece.rows.lengths is not None:
            lengths.append(piece.rows.lengths)
        left_out += piece.left_out
        summary.join(piece.summary)
        if summary.lines and not summary.whole and summary.most.max() <= LARGEST_LOG:
            raise WholeTableNeeded
        return Progress(task.place, text.size, f"Reading {text.path.name}")

    try:
        for task in tasks(text, layout, count=False):
            waiting.append((pool.submit(_read, text.path, layout, task, wanted, into if busy == 1 else None), task))
            if busy == 1 or len(waiting) > busy:
                yield take()
        while waiting:
            yield take()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    made = np.concatenate(lengths) if lengths else None
    rows = Rows(names, into.values[: into.filled], made, symbols or None, summary.whole)
    begun = np.concatenate(first) if first else None
    if begun is not None and len(begun) < min(FIRST, len(names)):  # whole numbers stood in between
        begun = None
    return rows, Part(np.concatenate([np.empty(0, int), *lines]), summary, wanted, begun), left_out


def _read(path: Path, layout: Layout, task: Task, wanted: Wanted, into: Growing | None) -> _Piece:
    """Read one task: whole numbers in the quick way, at once `into` the array of all, or as `parse` does."""
    if layout.trailing:
        try:
            return _whole(layout, task, wanted, into)
        except NotWholeError:
            if into:
                into.release()
    counted = task.count()
    rows = parse(path, layout, task, np.empty((counted, len(layout.values)), np.float32))
    fates, summary = wanted.fates(rows.names), Summary(len(layout.values))
    here = fates != LEFT_OUT
    values = rows.values[here]
    summary.add(values, rows.whole)
    kept = rows.values[fates == KEPT]
    return _Piece(rows.of(here, kept), np.flatnonzero(fates[here] == KEPT), summary, int((~here).sum()), counted,
                  values[:FIRST].copy())  # fmt: skip


def _whole(layout: Layout, task: Task, wanted: Wanted, into: Growing | None) -> _Piece:
    """Read lines of whole numbers; only the values that are kept are ever float32 and in the order of the lines."""
    width, delimiter = len(layout.values), ord(layout.delimiter)
    leads, cells = split_lines(task.spans, delimiter, len(layout.names) - width)
    rows = from_leads(layout, leads, np.empty((0, width), np.float32))
    fates, summary = wanted.fates(rows.names), Summary(width)
    here, is_kept = fates != LEFT_OUT, fates == KEPT
    all_here = bool(here.all())
    on = np.empty((len(leads), -(-width // 8)), np.uint8)
    count, to = int(is_kept.sum()), np.cumsum(is_kept) - 1
    room = into.reserve(count, task.place) if into else None
    kept = into.values[room] if into else np.empty((count, width), np.float32)
    for lines, values in read_lines(cells, delimiter, width):
        some = np.flatnonzero(is_kept[lines])
        kept[to[lines[some]]] = values[some]
        if not all_here:
            values, lines = values[here[lines]], lines[here[lines]]
        if len(lines):
            on[lines] = summary.look(values, True)
    summary.on.append(on if all_here else on[here])
    lines = np.flatnonzero(is_kept[here])
    return _Piece(rows.of(here, kept), lines, summary, len(here) - int(here.sum()), len(here), None, room)
