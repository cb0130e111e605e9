"""An order of cells: which, how urgent, and why, in words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Ranking:
    """Cells in the order in which to look at them.

    Attributes
    ----------
    order
        Name of the order.
    uids
        Of the pool.
    rows
        int (m,): rows of the pool, most urgent first; no row stands twice.
    scores
        float (m,): urgency; higher is more urgent within one order.
    reasons
        Row of the pool → why it is in the queue. Called only for what is shown.
    """

    order: str
    uids: Sequence[str]
    rows: np.ndarray
    scores: np.ndarray
    reasons: Callable[[int], str]

    @classmethod
    def by_score(
        cls, order: str, uids: Sequence[str], rows: np.ndarray, scores: np.ndarray, reasons: Callable[[int], str]
    ) -> Ranking:
        """Sort rows by falling score; ties keep the order of the rows."""
        best = np.argsort(-np.asarray(scores, np.float64), kind="stable")
        return cls(order, uids, np.asarray(rows)[best], np.asarray(scores)[best], reasons)

    def __len__(self) -> int:
        return len(self.rows)

    def uid(self, place: int) -> str:
        """Return the uid of the cell at a place."""
        return str(self.uids[int(self.rows[place])])

    def why(self, place: int) -> str:
        """Say why the cell at a place is in the queue."""
        return self.reasons(int(self.rows[place]))

    def entries(self, most: int | None = None) -> list[tuple[str, str]]:
        """Return (uid, why) of the first cells, of all by default."""
        places: Iterable[int] = range(len(self) if most is None else min(most, len(self)))
        return [(self.uid(i), self.why(i)) for i in places]

    def table(self, most: int | None = None) -> pd.DataFrame:
        """Return ``place, uid, score, order, why`` of the first cells."""
        import pandas as pd

        found = self.entries(most)
        return pd.DataFrame(
            {
                "place": np.arange(1, len(found) + 1),
                "uid": pd.Series([uid for uid, _ in found], dtype="str"),
                "score": np.asarray(self.scores[: len(found)], np.float64).round(5),
                "order": self.order,
                "why": pd.Series([why for _, why in found], dtype="str"),
            }
        )


def percent(p: float) -> str:
    """Write a probability for a person; never 0 % or 100 % where it is not."""
    if 0 < p < 0.005:
        return "under 1 %"
    if 0.995 <= p < 1:
        return "over 99 %"
    return f"{100 * p:.0f} %"
