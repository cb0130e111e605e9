"""Where each cell of the gallery lies: arithmetic over groups of equal squares, no Qt and no loop over cells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np


class GridLayout:
    """Groups of rows in a grid, each group under a heading.

    Parameters
    ----------
    bounds
        (start, stop) rows of each group, half-open, in order.
    columns, width, height
        Cells a line; size of a cell in pixels.
    header
        Height of a heading, 0 for none.
    """

    def __init__(self, bounds: Sequence[tuple[int, int]], columns: int, width: int, height: int, header: int) -> None:
        self.columns, self.width, self.height, self.header = max(1, columns), width, height, header
        self.starts = np.array([a for a, _ in bounds], int)
        self.stops = np.array([b for _, b in bounds], int)
        lines = -(-(self.stops - self.starts) // self.columns)
        tall = header + lines * height
        self.tops = np.concatenate([[0], np.cumsum(tall)]).astype(int)

    @property
    def total(self) -> int:
        """Height of everything, pixels."""
        return int(self.tops[-1])

    def group_of(self, row: int) -> int:
        """Return the group of a row."""
        return int(np.searchsorted(self.starts, row, "right")) - 1

    def corner(self, row: int) -> tuple[int, int]:
        """Return the top left corner (x, y) of a row's cell."""
        g = self.group_of(row)
        line, column = divmod(row - int(self.starts[g]), self.columns)
        return column * self.width, int(self.tops[g]) + self.header + line * self.height

    def at(self, x: int, y: int) -> int | None:
        """Return the row at a point, None for a heading or an empty place."""
        if not len(self.starts) or x < 0 or y < 0 or y >= self.total:
            return None
        g = int(np.searchsorted(self.tops, y, "right")) - 1
        inside = y - int(self.tops[g]) - self.header
        column = x // self.width
        if inside < 0 or column >= self.columns:
            return None
        row = int(self.starts[g]) + inside // self.height * self.columns + column
        return row if row < self.stops[g] else None

    def header_at(self, y: int) -> int | None:
        """Return the group whose heading is at a height, None for none."""
        if not self.header or not len(self.starts) or not 0 <= y < self.total:
            return None
        g = int(np.searchsorted(self.tops, y, "right")) - 1
        return g if y - int(self.tops[g]) < self.header else None

    def bands(self, y0: int, y1: int) -> Iterator[tuple[int, int, int]]:
        """Yield (group, first row, last row + 1) of what lies between two heights."""
        if not len(self.starts):
            return
        first = max(0, int(np.searchsorted(self.tops, y0, "right")) - 1)
        for g in range(first, len(self.starts)):
            top = int(self.tops[g])
            if top >= y1:
                return
            start, stop = int(self.starts[g]), int(self.stops[g])
            line0 = max(0, (y0 - top - self.header) // self.height)
            line1 = max(0, -(-(y1 - top - self.header) // self.height))
            yield g, min(stop, start + line0 * self.columns), min(stop, start + line1 * self.columns)

    def within(self, x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
        """Return the rows whose cells meet a rectangle, sorted."""
        left, right = max(0, x0 // self.width), min(self.columns - 1, x1 // self.width)
        found = []
        for g, a, b in self.bands(y0, y1 + 1):
            rows = np.arange(a, b)
            column = (rows - int(self.starts[g])) % self.columns
            found.append(rows[(column >= left) & (column <= right)])
        return np.concatenate(found) if found else np.zeros(0, int)

    def step(self, row: int, lines: int) -> int:
        """Return the row so many lines below (above), in the same column as far as there is one."""
        x = self.corner(row)[0]
        last = int(self.stops[-1]) - 1
        way = 1 if lines > 0 else -1
        for _ in range(abs(lines)):
            g = self.group_of(row)
            line = (row - int(self.starts[g])) // self.columns + way
            lines_here = -(-(int(self.stops[g]) - int(self.starts[g])) // self.columns)
            if not 0 <= line < lines_here:
                g += way
                if not 0 <= g < len(self.starts):
                    return row
                lines_here = -(-(int(self.stops[g]) - int(self.starts[g])) // self.columns)
                line = 0 if way > 0 else lines_here - 1
            row = min(int(self.starts[g]) + line * self.columns + x // self.width, int(self.stops[g]) - 1, last)
        return row
