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


def whole_numbers(
    block: bytes, delimiter: int, columns: int, leading: int, out: np.ndarray
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
    out
        float32 (at least as many lines, columns - leading), C-contiguous: the values go into its first rows. What it
        holds is undefined where None is returned.

    Returns
    -------
    list of bytes
        The leading text of each line, delimiters in it.

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
    grid = ends.reshape(lines, columns)
    if (text[grid[:, -1]] != _NEWLINE).any():
        return None
    stops = grid[:, leading - 1].tolist()
    starts = [0, *(grid[:-1, -1] + 1).tolist()]
    leads = [block[start:stop] for start, stop in zip(starts, stops, strict=True)]
    odd_in_leads = np.count_nonzero(np.frombuffer(b"".join(leads), np.uint8) - _ZERO > 9)
    if odd != ends.size + odd_in_leads:
        return None
    return leads if _values(digit, is_digit, ends, leading, out[:lines]) else None


def _values(digit: np.ndarray, is_digit: np.ndarray, ends: np.ndarray, leading: int, out: np.ndarray) -> bool:
    """Put the numbers before the ends into `out`; False where a cell is empty or too long."""
    lines = len(out)
    length = np.empty(ends.size, np.int64)  # of a cell and its delimiter
    np.subtract(ends[1:], ends[:-1], out=length[1:])
    length[0] = ends[0] + 1
    # One byte a length: what is too long for it becomes zero, and is found as too short.
    short = np.where(length < 256, length, 0).astype(np.uint8)
    cells = short.reshape(lines, -1)[:, leading:]
    if cells.min() < 2 or cells.max() > _MOST_DIGITS + 1:
        return False
    # pair[i + 2]: the number that the bytes i and i + 1 make, or the byte i + 1 alone where byte i is no digit. It is
    # looked up where the delimiter stands, i + 2: for all cells, names with them, since that needs no other index.
    pair = np.empty(digit.size + 1, np.uint8)
    np.multiply(digit[:-1], is_digit[:-1].view(np.uint8), out=pair[2:])
    pair[2:] *= np.uint8(10)
    pair[2:] += digit[1:]
    out[...] = pair.take(ends, mode="clip").reshape(lines, -1)[:, leading:]
    flat = out.reshape(-1)
    more = np.flatnonzero(cells > 3)  # copies the lengths of cells alone
    if more.size:
        line, column = np.divmod(more, out.shape[1])
        at = line * (out.shape[1] + leading) + column + leading
        at, rest, scale = ends[at] - 2, length[at] - 2, np.float32(100)
        while more.size:
            flat[more] += pair[at] * scale
            keep = rest > 3
            more, at, rest = more[keep], at[keep] - 2, rest[keep] - 2
            scale = np.float32(scale * 100)
    return True
