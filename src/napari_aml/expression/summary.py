"""What is known of every sample of a table of which only some genes are kept: sums, extremes, which genes are on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

#: Below this float32 holds every whole number, so that sums of whole numbers that stay below are exact.
_EXACT = 1 << 24


class Summary:
    """Figures of every column over all lines of a table, gathered block by block.

    Parameters
    ----------
    columns
        Number of columns.

    Attributes
    ----------
    lines
        Lines gathered.
    least, most
        Extremes, float32 (columns,).
    total
        Sums, float64 (columns,).
    positive, round
        How many values are above zero, and how many of these are whole numbers: int64 (columns,).
    whole
        Whether all values are known to be whole numbers, none below zero.
    on
        For each block of lines, which values are above zero: packed bits, uint8 (lines, columns / 8).
    """

    def __init__(self, columns: int) -> None:
        self.lines, self.whole = 0, True
        self.least, self.most = np.full(columns, np.inf, np.float32), np.full(columns, -np.inf, np.float32)
        self.total, self.positive, self.round = np.zeros(columns), np.zeros(columns, int), np.zeros(columns, int)
        self.on: list[np.ndarray] = []

    def add(self, values: np.ndarray, whole: bool) -> None:
        """Gather lines, float32 (lines, columns); `whole` says that they are whole numbers, none below zero."""
        if len(values):
            self.on.append(self.look(values, whole))

    def look(self, values: np.ndarray, whole: bool) -> np.ndarray:
        """Gather lines, of any kind of number, and return which values are above zero: a piece of `on`."""
        most = values.max(0)
        bound = int(most.max()) * len(values) if whole else _EXACT
        small = values.dtype == np.uint16 and bound < 1 << 16
        kind = np.uint16 if small else np.float32 if bound < _EXACT else np.float64
        self.total += values.sum(0, dtype=kind)
        np.maximum(self.most, most, out=self.most)
        if not whole or self.least.any():  # whole numbers cannot go below zero
            np.minimum(self.least, values.min(0), out=self.least)
        above = values > 0
        count = _count(above)
        self.positive += count
        self.round += count if whole else _count(above & (values == np.rint(values)))
        self.lines += len(values)
        self.whole &= whole
        return np.packbits(above, axis=1)

    def join(self, other: Summary) -> None:
        """Gather what another has gathered of the lines after these."""
        np.minimum(self.least, other.least, out=self.least)
        np.maximum(self.most, other.most, out=self.most)
        self.total += other.total
        self.positive += other.positive
        self.round += other.round
        self.on += other.on
        self.lines += other.lines
        self.whole &= other.whole

    def round_share(self) -> np.ndarray:
        """Share of whole numbers among the values above zero, float64 (columns,)."""
        return np.ones(len(self.total)) if self.whole else self.round / np.maximum(self.positive, 1)

    def genes_on(self, nobody: Iterable[int], together: Iterable[Sequence[int]]) -> np.ndarray:
        """Count the genes above zero in every column.

        Parameters
        ----------
        nobody
            Lines that stand for no gene.
        together
            Groups of lines that stand for one gene each: it is on where one of them is.

        Returns
        -------
        int64 (columns,)
        """
        made = self.positive.copy()
        made -= self._count_bits(self._bits_of(list(nobody)))
        groups = [list(group) for group in together]
        if groups:
            bits = self._bits_of([line for group in groups for line in group])
            starts = np.cumsum([0, *map(len, groups)])[:-1]
            made -= self._count_bits(bits)
            made += self._count_bits(np.bitwise_or.reduceat(bits, starts))
        return made

    def _bits_of(self, lines: list[int]) -> np.ndarray:
        """Pieces of `on`, of some lines; the whole is never joined."""
        starts = np.cumsum([0, *map(len, self.on)])
        blocks = np.searchsorted(starts, lines, "right") - 1
        made = np.empty((len(lines), -(-len(self.total) // 8)), np.uint8)
        for row, (line, block) in enumerate(zip(lines, blocks.tolist(), strict=True)):
            made[row] = self.on[block][line - starts[block]]
        return made

    def _count_bits(self, packed: np.ndarray) -> np.ndarray:
        return _count(np.unpackbits(packed, axis=1, count=len(self.total)))


def _count(flags: np.ndarray) -> np.ndarray:
    """Count along the lines: bytes are summed while they cannot run over."""
    made = np.zeros(flags.shape[1], int)
    for start in range(0, len(flags), 255):
        made += np.add.reduce(flags[start : start + 255].view(np.uint8), 0, dtype=np.uint8)
    return made
