"""A text table becomes an array of values, block by block, with every cell that is no number named."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_aml.expression.digits import NotWholeError, whole_numbers
from napari_aml.expression.errors import CellValueError, ExpressionReadError
from napari_aml.expression.layout import Layout, is_missing, is_number, split
from napari_aml.expression.memory import check_fits, zeros
from napari_aml.expression.opening import Span, TextFile
from napari_aml.expression.threads import executor, threads
from napari_aml.progress import Progress, Steps

if TYPE_CHECKING:
    import pyarrow as pa

#: More columns than this are read as one long column: a parser of columns would spend its time on their number.
WIDE = 4000
#: What a thread is given at a time. Handing over costs far more than it seems, above all on a virtual machine, and
#: Arrow's parser has a cost a block and column: hence few large blocks.
_TASK_SIZE = 1 << 21
#: What is read and looked at in one go within: it and what is computed from it stay in the processor's cache.
_IN_CACHE = 1 << 18
_THOUSANDS = re.compile(r"\d{1,3}(?:([,.' \u2019\u00a0\u202f])\d{3})(?:\1\d{3})*(?:[.,]\d+)?")


@dataclass
class Rows:
    """Lines of a table as read: names (n,), float32 values (n, columns), texts and numbers beside them.

    `whole` says that all values are known to be whole numbers, none below zero.
    """

    names: list[str]
    values: np.ndarray
    lengths: np.ndarray | None = None
    symbols: list[str] | None = None
    whole: bool = False

    def of(self, here: np.ndarray, values: np.ndarray) -> Rows:
        """Return some of the lines by flags, with these values."""
        names, symbols = self.names, self.symbols
        if not here.all():
            names = list(compress(names, here))
            symbols = symbols and list(compress(symbols, here))
        return Rows(names, values, None if self.lengths is None else self.lengths[here], symbols, self.whole)


def read_rows_steps(text: TextFile, layout: Layout, limit: int | None = None) -> Steps[Rows]:
    """Read the values of a text table, yielding progress.

    Parameters
    ----------
    text
        The file.
    layout
        How it is laid out.
    limit
        Bytes of memory that may be used; None asks the machine.

    Yields
    ------
    Progress
        In bytes of the file.

    Returns
    -------
    Rows

    Raises
    ------
    CellValueError
        A cell that is empty, text or not finite; named by row and column.
    ExpressionReadError
        A line of more or fewer cells than the header.
    TooLargeError
        Where the values would not fit into memory.
    """
    into = Growing(text, len(layout.values), limit)
    names: list[str] = []
    lengths: list[np.ndarray] = []
    symbols: list[str] = []
    whole = True
    busy = threads()
    pool = executor(busy)
    waiting: deque[tuple[Future[Rows], int, int]] = deque()

    def take() -> Progress:
        nonlocal whole
        future, start, place = waiting.popleft()
        part = future.result()
        into.keep(part.values, start)
        names.extend(part.names)
        symbols.extend(part.symbols or [])
        if part.lengths is not None:
            lengths.append(part.lengths)
        whole &= part.whole or not part.names
        return Progress(place, text.size, f"Reading {text.path.name}")

    try:
        for task in tasks(text, layout):
            if not into.has_room(task.lines):
                while waiting:  # the array may move now: nobody must be writing into it
                    yield take()
                into.grow(task.lines, task.place)
            room = into.reserve(task.lines)
            job = pool.submit(parse, text.path, layout, task, into.values[room])
            waiting.append((job, room.start, task.place))
            if len(waiting) > busy:
                yield take()
        while waiting:
            yield take()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    made = np.concatenate(lengths) if lengths else None
    return Rows(names, into.values[: into.filled], made, symbols or None, whole)


class Growing:
    """An array that rows are written into while it is not known how many will come.

    Parameters
    ----------
    text
        The file, by whose size the number of rows is estimated.
    width
        Columns.
    limit
        Bytes of memory that may be used; None asks the machine.

    Attributes
    ----------
    values
        float32 (room, width).
    filled
        Rows that are kept.
    """

    def __init__(self, text: TextFile, width: int, limit: int | None) -> None:
        self.text, self.limit, self.filled, self._reserved = text, limit, 0, 0
        self.values = np.empty((0, width), np.float32)

    def has_room(self, lines: int) -> bool:
        """Whether so many more rows fit."""
        return self._reserved + lines <= len(self.values)

    def grow(self, lines: int, place: int) -> None:
        """Make room for the rows that the file will bring, by those of its first `place` bytes on disk."""
        seen = self.filled + lines
        rows = seen if place >= self.text.size else int(seen * self.text.size / max(1, place) * 1.02) + 64
        check_fits(self.text.path, rows, self.values.shape[1], self.limit)
        # Memory that is asked for and not written to costs nothing: a quarter more saves copying.
        larger = zeros((max(seen, rows + rows // 4), self.values.shape[1]))
        larger[: self.filled] = self.values[: self.filled]
        self.values, self._reserved = larger, self.filled

    def reserve(self, lines: int, place: int | None = None) -> slice:
        """Set rows aside for one block; where `place` is given (see `grow`), there need be no room for them yet."""
        if place is not None and not self.has_room(lines):
            self.grow(lines, place)
        room = slice(self._reserved, self._reserved + lines)
        self._reserved = room.stop
        return room

    def release(self) -> None:
        """Take back rows that were set aside and will not be kept, where no others are."""
        self._reserved = self.filled

    def keep(self, rows: np.ndarray, start: int) -> None:
        """Keep the rows of a block whose room began at `start`; they move up where blocks before held blank lines."""
        stop = self.filled + len(rows)
        if start != self.filled or not np.may_share_memory(rows, self.values):
            self.values[self.filled : stop] = rows
        self.filled = stop


@dataclass
class Task:
    """Some spans of whole lines: number of the first line (from 1), of lines, and place in the file after them.

    Numbers of lines are 0 where they are not counted.
    """

    first: int
    spans: list[Span]
    lines: int
    place: int

    def count(self) -> int:
        """Count the lines."""
        return sum(text.count(b"\n", start, stop) for text, start, stop in self.spans)


def tasks(text: TextFile, layout: Layout, count: bool = True) -> Iterator[Task]:
    """Yield the file in tasks; lines before the values are left out. Counting lines costs a pass over the file.

    The spans of a task are not joined: large pieces of memory would be asked for, and cleared, again and again.
    """
    line, skip, size = 1, layout.skip, 0
    task = Task(1, [], 0, 0)
    for (block, start, stop), place in text.spans(_IN_CACHE):
        while skip and start < stop:
            start = block.find(b"\n", start) + 1
            skip, line = skip - 1, line + 1
        if start == stop:
            continue
        if not task.spans:
            task = Task(line, [], 0, place)
        task.spans.append((block, start, stop))
        if count:
            task.lines += block.count(b"\n", start, stop)
        task.place, size = place, size + stop - start
        if size >= _TASK_SIZE:
            yield task
            line, size, task = line + task.lines, 0, Task(1, [], 0, 0)
    if task.spans:
        yield task


def parse(path: Path, layout: Layout, task: Task, out: np.ndarray) -> Rows:
    """Read one task: whole numbers into `out`, float32 (lines, columns), or anything else into new memory.

    Raises
    ------
    CellValueError, ExpressionReadError
        See `read_rows_steps`.
    """
    quick = _whole(layout, task.spans, out) if layout.trailing else None
    if quick is not None:
        return quick
    block = b"".join(memoryview(text)[start:stop] for text, start, stop in task.spans)
    if not block.strip():
        return Rows([], np.empty((0, len(layout.values)), np.float32))
    try:
        rows = _general(layout, block) if len(layout.values) <= WIDE or not layout.trailing else _wide(layout, block)
    except Exception as error:  # the parser's words name no gene: the cell is looked for, one by one
        raise _explain(path, layout, block, task.first) from error
    if not np.isfinite(rows.values).all():
        raise _explain(path, layout, block, task.first)
    return rows


def _whole(layout: Layout, spans: list[Span], out: np.ndarray) -> Rows | None:
    """Read lines of whole numbers into `out`; None where they hold anything else."""
    columns, delimiter = len(layout.names), ord(layout.delimiter)
    leads: list[bytes] = []
    for span in spans:
        read = whole_numbers(span, delimiter, columns, columns - len(layout.values), partial(_room, out, len(leads)))
        if read is None:
            return None
        leads += read
    try:
        made = from_leads(layout, leads, out[: len(leads)])
    except NotWholeError:
        return None
    made.whole = True
    return made


def _room(values: np.ndarray, done: int, lines: int) -> np.ndarray:
    return values[done : done + lines]


def from_leads(layout: Layout, leads: list[bytes], values: np.ndarray) -> Rows:
    """Return lines whose values are read: names and the like are in the leading text of each.

    Raises
    ------
    NotWholeError
        Where a quote hides a delimiter.
    """
    names_alone = len(layout.names) - len(layout.values) == 1
    if names_alone and layout.id == 0 and layout.length is None and layout.symbol is None:
        text = b"\n".join(leads).decode("utf-8", "replace")
        names = text.split("\n") if leads else []
        return Rows([name.strip(' "') for name in names] if '"' in text or " " in text else names, values)
    cells = [split(lead.decode("utf-8", "replace"), layout.delimiter) for lead in leads]
    if {len(row) for row in cells} - {len(layout.names) - len(layout.values)}:
        raise NotWholeError
    lengths = None
    if layout.length is not None:
        lengths = np.array([_length(row[layout.length]) for row in cells], np.float32)
    symbols = None if layout.symbol is None else [row[layout.symbol] for row in cells]
    return Rows([row[layout.id] for row in cells], values, lengths, symbols)


def _length(cell: str) -> float:
    return float(cell) if is_number(cell) else float("nan")


def _general(layout: Layout, block: bytes) -> Rows:
    """Read a block with Arrow's parser: decimals, exponents, quotes, blank lines."""
    import pyarrow as pa
    import pyarrow.csv as pc

    wanted = [layout.id, *layout.values]
    wanted += [i for i in (layout.length, layout.symbol) if i is not None]
    keys = [f"c{i}" for i in range(len(layout.names))]
    types = {keys[i]: pa.float32() for i in layout.values}
    types |= {keys[i]: pa.string() for i in (layout.id, layout.length, layout.symbol) if i is not None}
    table = pc.read_csv(
        pa.BufferReader(block),
        read_options=pc.ReadOptions(column_names=keys, use_threads=False, block_size=len(block) + 64),
        parse_options=pc.ParseOptions(delimiter=layout.delimiter),
        convert_options=pc.ConvertOptions(
            column_types=types, include_columns=[keys[i] for i in wanted], null_values=[], check_utf8=False,
            decimal_point=layout.decimal, strings_can_be_null=False,
        ),
    )  # fmt: skip
    values = np.empty((table.num_rows, len(layout.values)), np.float32)
    for place in range(len(layout.values)):
        values[:, place] = _floats(table.column(1 + place))
    names = [name.strip() for name in table.column(0).to_pylist()]
    lengths = symbols = None
    if layout.length is not None:
        lengths = np.array([_length(c) for c in table.column(keys[layout.length]).to_pylist()], np.float32)
    if layout.symbol is not None:
        symbols = table.column(keys[layout.symbol]).to_pylist()
    return Rows(names, values, lengths, symbols)


def _wide(layout: Layout, block: bytes) -> Rows:
    """Read a block of long lines as one column of cells."""
    import pyarrow as pa
    import pyarrow.csv as pc

    delimiter = layout.delimiter.encode()
    leading = len(layout.names) - len(layout.values)
    leads, rests = [], []
    for line in block.split(b"\n"):
        if line.strip():
            *lead, rest = line.split(delimiter, leading)
            leads.append(delimiter.join(lead))
            rests.append(rest)
    if any(rest.count(delimiter) != len(layout.values) - 1 for rest in rests):
        raise ValueError("a ragged line")
    cells = b"\n".join(rests).replace(delimiter, b"\n") + b"\n"
    column = pc.read_csv(
        pa.BufferReader(cells),
        read_options=pc.ReadOptions(column_names=["c"], use_threads=False, block_size=len(cells) + 64),
        parse_options=pc.ParseOptions(ignore_empty_lines=False),
        convert_options=pc.ConvertOptions(
            column_types={"c": pa.float32()}, null_values=[], decimal_point=layout.decimal
        ),
    ).column(0)
    return from_leads(layout, leads, _floats(column).reshape(len(leads), -1))


def _floats(column: pa.ChunkedArray) -> np.ndarray:
    """The values of a float32 column of Arrow without nulls; Arrow's own way would import pandas."""
    parts = [
        np.frombuffer(chunk.buffers()[1], np.float32, len(chunk), 4 * chunk.offset)
        for chunk in column.chunks if len(chunk)
    ]  # fmt: skip
    return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, np.float32), *parts])


def _explain(path: Path, layout: Layout, block: bytes, first_line: int) -> ExpressionReadError:
    """Find the first cell of a block that is no number, and say what stands there."""
    for number, line in enumerate(block.decode("utf-8", "replace").split("\n"), first_line):
        if not line.strip():
            continue
        cells = split(line, layout.delimiter)
        if len(cells) != len(layout.names):
            return ExpressionReadError(
                path, f"line {number} ('{cells[0][:40]}') has {len(cells)} cells, the header {len(layout.names)}.",
                "Export the table again, or repair that line.",
            )  # fmt: skip
        if not any(cells):
            return CellValueError(path, f"line {number} holds delimiters alone.", "Delete that line; spreadsheets "
                                  "write such where rows were cleared.")  # fmt: skip
        for i in layout.values:
            cell = cells[i]
            if is_missing(cell):
                what = f"has no value ('{cell}')" if cell else "is empty"
                hint = "Nothing is filled in silently: leave that gene or sample out, or put the value in."
            elif not is_number(cell, layout.decimal):
                what, hint = f"is '{cell[:30]}', not a number", "Put the number in, or leave the row or column out."
                if _THOUSANDS.fullmatch(cell):
                    hint = "Export numbers without separators of thousands."
            elif "inf" in cell.lower() or not np.isfinite(np.float32(cell.replace(",", "."))):
                what, hint = f"is '{cell[:30]}', which is not finite", "Export the values without infinities."
            else:
                continue
            return CellValueError(
                path, f"line {number}: the cell of row '{cells[layout.id][:40]}' and column "
                f"'{layout.names[i][:60]}' {what}.", hint,
            )  # fmt: skip
    return ExpressionReadError(path, f"a line between {first_line} and {number} cannot be read.")
