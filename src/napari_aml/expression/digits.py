"""Tables of whole numbers, read many cells at a time.

Count tables are most of what is read here, and a general number parser looks at their cells one by one. Here lines of
text are arrays of bytes. In a line as long as its cells are many, every cell has one digit (half the genes of a genome
are like that): two bytes a cell are one subtraction. In other lines every two, then four neighbouring digits become a
number in one pass over all bytes, these are looked up where the delimiters stand, and only cells of more than four
digits are looked at again. Anything but digits and delimiters makes the block go to the general parser instead, so
nothing is ever read wrongly, only more slowly.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np

_ZERO = ord("0")
#: Cells of more digits than this are left to the general parser. Above 16,777,216 float32 rounds, by 6e-8 at most.
_MOST_DIGITS = 9
#: Looked up at once for every cell; a number of so many digits fits into 16 bits.
_AT_ONCE = 4
_LONGEST_LEAD = 500
_memory = threading.local()


def whole_numbers(
    block: bytes, delimiter: int, columns: int, leading: int, room: Callable[[int], np.ndarray]
) -> list[bytes] | None:
    r"""Read a block of lines whose cells are whole numbers after some leading columns of any text.

    Parameters
    ----------
    block
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

    None where the block holds anything else (decimals, signs, quotes, empty cells, a ragged line): not for here.
    """
    between, width = bytes([delimiter]), columns - leading
    stops = np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n")).tolist()
    if not stops or stops[-1] != len(block) - 1:
        return None
    starts = [0, *(stop + 1 for stop in stops[:-1])]
    at = [block.find(between, start, stop) for start, stop in zip(starts, stops, strict=True)]
    for _ in range(leading - 1):
        at = [block.find(between, a + 1, stop) if a >= 0 else a for a, stop in zip(at, stops, strict=True)]
    leads = [block[start:a] for start, a in zip(starts, at, strict=True)]
    if min(at) < 0 or max(map(len, leads)) > _LONGEST_LEAD:
        return None
    view = memoryview(block)
    cells = [view[a + 1 : stop] for a, stop in zip(at, stops, strict=True)]
    brief = [len(line) == 2 * width - 1 for line in cells]
    out = room(len(leads))
    for how, kind in ((_one_digit, True), (_any_digits, False)):
        rows = [i for i, short in enumerate(brief) if short is kind]
        if rows:
            read = how([cells[i] for i in rows], between, width)
            if read is None:
                return None
            out[slice(len(leads)) if len(rows) == len(leads) else rows] = read
    return leads


def _one_digit(lines: list[memoryview], between: bytes, width: int) -> np.ndarray | None:
    """Read lines of two bytes a cell: uint16 (lines, width); None where they are anything else."""
    text = np.frombuffer(between.join((*lines, b"")), "<u2").reshape(len(lines), width)
    made = np.subtract(text, np.uint16(between[0] << 8 | _ZERO), out=_room("one", text.size, np.uint16, text.shape))
    return made if made.max() < 10 else None  # other bytes wrap round to 10 and more


def _any_digits(lines: list[memoryview], between: bytes, width: int) -> np.ndarray | None:
    """Read lines of digits: float32 (lines, width); None where they are anything else."""
    cells = len(lines) * width
    # A delimiter after each line, and one or two more, so that the bytes are even in number.
    joined = between.join((*lines, b"", b""))
    joined += between * (len(joined) % 2)
    text = np.frombuffer(joined, np.uint8)
    size = text.size
    digit = np.subtract(text, np.uint8(_ZERO), out=_room("digit", size, np.uint8))  # other bytes wrap round
    is_digit = np.less(digit, 10, out=_room("is digit", size, bool))
    is_end = np.equal(text, between[0], out=_room("is end", size, bool))
    added = size - sum(map(len, lines)) - len(lines)
    is_end[size - added :] = False
    if np.count_nonzero(is_end) != cells or np.count_nonzero(is_digit) + cells + added != size:
        return None
    # A cell and its delimiter are two bytes at least: of two bytes beside each other one at most is an end.
    twos = is_end.view(np.uint16)
    at = np.flatnonzero(np.not_equal(twos, 0, out=_room("twos", twos.size, bool)))
    if at.size != cells:
        return None  # an empty cell
    second = twos.take(at, out=_room("second", cells, np.uint16), mode="clip") > 1
    if np.little_endian is False:
        second = ~second
    at *= 2
    at += second
    length = _room("length", cells, np.int64)
    np.subtract(at[1:], at[:-1], out=length[1:])
    length[0] = at[0] + 1
    ends = np.cumsum([len(line) + 1 for line in lines]) - 1
    if length.min() < 2 or length.max() > _MOST_DIGITS + 1 or (at[width - 1 :: width] != ends).any():
        return None
    four = _fours(digit, is_digit)
    at -= 1
    made = _room("made", cells, np.float32)
    made[...] = four.take(at, out=_room("looked up", cells, np.uint16), mode="clip")
    more = np.flatnonzero(np.greater(length, _AT_ONCE + 1, out=_room("more", cells, bool)))
    if more.size:
        made[more] = _long(four, at[more], length[more] - 1)
    return made.reshape(len(lines), width)


def _long(four: np.ndarray, at: np.ndarray, digits: np.ndarray) -> np.ndarray:
    """Return the numbers of more than four digits whose last digits are given: float64."""
    made = four[at] + four[at - _AT_ONCE] * 1e4
    most = np.flatnonzero(digits > 2 * _AT_ONCE)
    made[most] += four[at[most] - 2 * _AT_ONCE] * 1e8
    return made


def _fours(digit: np.ndarray, is_digit: np.ndarray) -> np.ndarray:
    """Return the number that ends at each byte, of as many as four digits of one cell: uint16. Changes `digit`."""
    size = digit.size
    one = is_digit.view(np.uint8)
    digit *= one
    two = _room("two", size, np.uint8)
    two[0] = 0
    np.multiply(digit[:-1], np.uint8(10), out=two[1:])
    two += digit
    two *= one
    # Two digits that end two bytes before belong to the cell where the byte between them is a digit, too.
    before = np.multiply(two[:-2], one[1:-1], out=digit[2:])
    digit[:2] = 0
    four = _room("four", size, np.uint16)
    four[...] = digit
    four[2:] = before
    four *= np.uint16(100)
    four += two
    return four


def _room(name: str, size: int, kind: type, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """Return memory for one step, kept for the thread's next block: new memory is cleared by the system first."""
    held = _memory.__dict__.get(name)
    if held is None or held.size < size:
        held = _memory.__dict__[name] = np.empty(size + size // 4, kind)
    return held[:size] if shape is None else held[:size].reshape(shape)
