"""Tables of whole numbers, read many cells at a time.

Count tables are most of what is read here, and a general number parser looks at their cells one by one. Here a block
of text is an array of bytes: where the delimiters are, every pair of digits becomes a number in one pass over the whole
block, and only cells of more than two digits are looked at again. Anything but digits and delimiters makes the block
go to the general parser instead, so nothing is ever read wrongly, only more slowly.
"""

from __future__ import annotations

import numpy as np

_ZERO, _NEWLINE = np.uint8(ord("0")), ord("\n")
#: Cells of more digits than this are left to the general parser. Above 16,777,216 float32 rounds, by 6e-8 at most.
_MOST_DIGITS = 9
_LONGEST_LEAD = 500


def whole_numbers(block: bytes, delimiter: int, columns: int, leading: int) -> tuple[list[bytes], np.ndarray] | None:
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

    Returns
    -------
    leads
        The leading text of each line, delimiters in it.
    values
        float32 (lines, columns - leading).

    None where the block holds anything else (decimals, signs, quotes, empty cells, a ragged line): not for here.
    """
    text = np.frombuffer(block, np.uint8)
    digit = text - _ZERO  # other bytes wrap round to 10 and more
    is_digit = digit < 10
    is_end = text == _NEWLINE
    newlines = np.count_nonzero(is_end)
    is_end |= text == delimiter
    odd = text.size - np.count_nonzero(is_digit)
    if odd - np.count_nonzero(is_end) > _LONGEST_LEAD * newlines:
        return None  # decimals or the like: seen before anything costly is done
    ends = np.flatnonzero(is_end)
    lines, left = divmod(ends.size, columns)
    if left or not lines or newlines != lines:
        return None
    ends = ends.reshape(lines, columns)
    if (text[ends[:, -1]] != _NEWLINE).any():
        return None
    leads = _leads(block, ends, leading)
    odd_in_leads = np.count_nonzero(np.frombuffer(b"".join(leads), np.uint8) - _ZERO > 9)
    if odd != ends.size + odd_in_leads:
        return None
    return _values(digit, is_digit, ends, leads, leading)


def _leads(block: bytes, ends: np.ndarray, leading: int) -> list[bytes]:
    stops = ends[:, leading - 1].tolist()
    starts = [0, *(ends[:-1, -1] + 1).tolist()]
    return [block[start:stop] for start, stop in zip(starts, stops, strict=True)]


def _values(
    digit: np.ndarray, is_digit: np.ndarray, ends: np.ndarray, leads: list[bytes], leading: int
) -> tuple[list[bytes], np.ndarray] | None:
    # pair[i]: the number that the bytes i and i + 1 make, or the byte i + 1 alone where byte i is no digit.
    pair = digit[:-1] * is_digit[:-1].view(np.uint8)
    pair *= np.uint8(10)
    pair += digit[1:]
    stop = ends[:, leading:]
    width = (stop - ends[:, leading - 1 : -1] - 1).astype(np.int32)
    if width.min() < 1 or width.max() > _MOST_DIGITS:
        return None
    # A cell of one digit may stand at the very beginning of a block only after a lead: stop >= 2 always.
    values = pair[stop - 2].astype(np.float32)
    flat, width, stop = values.ravel(), width.ravel(), stop.ravel()
    more = np.flatnonzero(width > 2)
    at, rest, scale = stop[more] - 4, width[more] - 2, np.float32(100)
    while more.size:
        flat[more] += pair[at] * scale
        keep = rest > 2
        more, at, rest = more[keep], at[keep] - 2, rest[keep] - 2
        scale = np.float32(scale * 100)
    return leads, values
