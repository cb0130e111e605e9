"""Tables of whole numbers, read many cells at a time.

Count tables are most of what is read here, and a general number parser looks at their cells one by one. Here lines of
text are arrays of bytes. In a line as long as its cells are many, every cell has one digit (half the genes of a genome
are like that): two bytes a cell are one subtraction. In other lines every byte becomes the number of the two digits
that end there, of two bytes beside each other one at most ends a cell, and these are picked out. Lines of like length
are worked on together: few of them have long numbers. Anything but digits and delimiters makes the lines go to the
general parser instead, so nothing is ever read wrongly, only more slowly.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from napari_aml.expression.opening import Span

_ZERO = ord("0")
#: Cells of more digits than this are left to the general parser. Above 16,777,216 float32 rounds, by 6e-8 at most.
_MOST_DIGITS = 9
_LONGEST_LEAD = 500
#: Bytes of text that are worked on at once: these, and what is made of them, stay in the processor's cache.
_IN_CACHE = 1 << 18
_memory = threading.local()


class NotWholeError(Exception):
    """Lines that hold anything but whole numbers (decimals, signs, quotes, empty cells, a ragged line)."""


def whole_numbers(
    span: Span, delimiter: int, columns: int, leading: int, room: Callable[[int], np.ndarray]
) -> list[bytes] | None:
    r"""Read lines whose cells are whole numbers after some leading columns of any text.

    Parameters
    ----------
    span
        Lines, each ended by ``\n``.
    delimiter
        Byte between the cells.
    columns
        Cells a line.
    leading
        Cells at the beginning of a line that hold names, at least one.
    room
        Gives room for the values of so many lines: float32 (lines, columns - leading). What it holds is undefined
        where None is returned.

    Returns
    -------
    list of bytes
        The leading text of each line, delimiters in it.

    None where they hold anything else (decimals, signs, quotes, empty cells, a ragged line): not for here.
    """
    try:
        leads, cells = split_lines([span], delimiter, leading)
        out = room(len(leads))
        for lines, values in read_lines(cells, delimiter, columns - leading):
            out[lines] = values
    except NotWholeError:
        return None
    return leads


def split_lines(spans: Iterable[Span], delimiter: int, leading: int) -> tuple[list[bytes], list[memoryview]]:
    r"""Split lines after some leading columns: what stands before, delimiters in it, and after.

    Raises
    ------
    NotWholeError
        Where there are no lines, the last has no ``\n``, or one has too few cells.
    """
    between = bytes([delimiter])
    leads: list[bytes] = []
    cells: list[memoryview] = []
    for block, start, size in spans:
        find, view = block.find, memoryview(block)
        while start < size:
            stop = find(b"\n", start, size)
            at = find(between, start, stop)
            if leading > 1:
                for _ in range(leading - 1):
                    at = find(between, at + 1, stop) if at >= 0 else at
            if at < 0 or stop < 0 or at - start > _LONGEST_LEAD:
                raise NotWholeError
            leads.append(block[start:at])
            cells.append(view[at + 1 : stop])
            start = stop + 1
    if not leads:
        raise NotWholeError
    return leads, cells


def read_lines(cells: Sequence[memoryview], delimiter: int, width: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Read lines of cells, in an order of its own.

    Parameters
    ----------
    cells
        Text of each line.
    delimiter
        Byte between the cells.
    width
        Cells a line.

    Yields
    ------
    lines
        Which lines, int64 (lines,).
    values
        Of these: uint16 or float32 (lines, width). The memory is used again for the lines that come next.

    Raises
    ------
    NotWholeError
        Where they hold anything else.
    """
    between = bytes([delimiter])
    sizes = np.fromiter(map(len, cells), np.int64, len(cells)) + 1
    order = np.argsort(sizes, kind="stable")
    first, last = np.searchsorted(sizes[order], (2 * width, 2 * width + 1))
    if first:  # a line too short for its cells
        raise NotWholeError
    for read, which in ((_one_digit, order[:last]), (_any_digits, order[last:])):
        part = np.cumsum(sizes[which]) // _IN_CACHE
        stops, start = np.flatnonzero(part[1:] != part[:-1]) + 1, 0
        for stop in (*stops.tolist(), *([which.size] if which.size else [])):
            lines = which[start:stop]
            yield lines, read([cells[i] for i in lines.tolist()], sizes[lines], between, width)
            start = stop


def _one_digit(lines: list[memoryview], sizes: np.ndarray, between: bytes, width: int) -> np.ndarray:
    """Read lines of two bytes a cell: uint16 (lines, width)."""
    twos = np.frombuffer(between.join((*lines, b"")), "<u2").reshape(-1, width)
    made = np.subtract(twos, np.uint16(between[0] << 8 | _ZERO), out=_room("one", twos.size, np.uint16, twos.shape))
    if made.max() > 9:  # other bytes wrap round
        raise NotWholeError
    return made


def _any_digits(lines: list[memoryview], sizes: np.ndarray, between: bytes, width: int) -> np.ndarray:
    """Read lines of digits: uint16, or float32 where there are numbers of more than four digits (lines, width)."""
    cells, last = len(lines) * width, np.cumsum(sizes) - 1
    odd = int(last[-1] + 1) % 2
    text = np.frombuffer(between.join((*lines, b"0" * odd)), np.uint8)  # even, so that bytes are in twos
    size = text.size
    digit = np.subtract(text, np.uint8(_ZERO), out=_room("digit", size, np.uint8))  # other bytes wrap round
    is_digit = np.less(digit, 10, out=_room("is digit", size, bool))
    is_end = np.equal(text, between[0], out=_room("is end", size, bool))
    run = np.logical_and(is_digit[1:], is_digit[:-1], out=_room("run", size, bool)[1:])
    # A cell and its delimiter are two bytes at least: of two bytes beside each other one at most is an end.
    at = np.flatnonzero(np.not_equal(is_end.view(np.uint16), 0, out=_room("twos", size // 2, bool)))
    digits = np.count_nonzero(is_digit)
    # As many delimiters as cells and nothing else, as many runs of digits, and each line's last cell where it ends.
    if not (digits + cells == size and at.size == cells and digits - np.count_nonzero(run) == cells + odd
            and (at[width - 1 :: width] == last // 2).all()):  # fmt: skip
        raise NotWholeError
    digit *= is_digit.view(np.uint8)
    two = _room("two", size, np.uint8)  # the number of the two digits that end at each byte, or of the one
    two[0] = digit[0]
    np.multiply(digit[:-1], np.uint8(10), out=two[1:])
    two[1:] += digit[1:]
    run = np.logical_and(run[1:], is_digit[:-2], out=run[1:])
    # Memory is used again as soon as nobody needs it: the less there is, the more of it stays in the cache.
    value, spare, made = _at_ends(two, 1, is_end, None, digit), is_digit.view(np.uint8), None
    for power in range(1, _MOST_DIGITS):
        # Bytes from the third on that end a run of three digits, then from the fifth on of five …: there, the number
        # of the two digits before is worth its hundredfold.
        if not run.any():
            break
        more = _at_ends(two, 2 * power + 1, is_end, run[:-1], spare)
        if 2 * power + 1 > _MOST_DIGITS or (2 * power + 1 == _MOST_DIGITS and more.max() > 9):
            raise NotWholeError
        if power == 1:  # four digits fit
            more *= np.uint16(100)
            value += more
        else:
            made = _pick(value, at).astype(np.float32) if made is None else made
            made += _pick(more, at) * np.float32(100.0**power)
        run = np.logical_and(run[2:], run[:-2], out=run[2:])
    return (_pick(value, at) if made is None else made).reshape(-1, width)


def _at_ends(value: np.ndarray, back: int, is_end: np.ndarray, run: np.ndarray | None, out: np.ndarray) -> np.ndarray:
    """Return, for every two bytes, the value `back` bytes before the end that is one of them; 0 for no end.

    uint16 from uint8, in the memory of `out`; `run` flags the values that count, None all.
    """
    out[:back] = 0
    ends = np.multiply(value[:-back], is_end[back:].view(np.uint8), out=out[back:])
    if run is not None:
        ends *= run.view(np.uint8)
    twos = out.view(np.uint16)
    twos *= np.uint16(257)  # one of both bytes is 0: their sum is in the upper byte now
    twos >>= np.uint16(8)
    return twos


def _pick(value: np.ndarray, at: np.ndarray) -> np.ndarray:
    return value.take(at, out=_room("picked", at.size, np.uint16), mode="clip")


def _room(name: str, size: int, kind: type, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """Return memory for one step, kept for the thread's next lines: new memory is cleared by the system first."""
    held = _memory.__dict__.get(name)
    if held is None or held.size < size:
        held = _memory.__dict__[name] = np.empty(size + size // 4, kind)
    return held[:size] if shape is None else held[:size].reshape(shape)
