"""What an order looks at: cells, what models say of them, what people decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from napari_aml.errors import InputError
from napari_aml.review.teach.classroom import Classroom, Taught

if TYPE_CHECKING:
    from napari_aml.classify.predictions import Predictions
    from napari_aml.review.queue.trust import CellTrust


@dataclass(eq=False)
class Pool:
    """Cells to choose from.

    Attributes
    ----------
    room
        The cells with embeddings and the model's own word.
    decided
        uid → a person's class code; codes of other pools are passed over.
    taught
        What a head taught on these decisions says; None: the model's own word counts.
    second
        Another model's predictions of the same cells, in the same order; None where there is none.
    wanted
        Class codes to hunt for; empty: those that are rare among these cells.
    trust
        How far the model's own word is to be trusted, in the same order; None where nobody knows.
    """

    room: Classroom
    decided: Mapping[str, str] = field(default_factory=dict)
    taught: Taught | None = None
    second: Predictions | None = None
    wanted: tuple[str, ...] = ()
    trust: CellTrust | None = None

    def __post_init__(self) -> None:
        if self.second is not None and len(self.second) != len(self):
            raise InputError(
                f"The second model speaks of {len(self.second)} cells, the first of {len(self)}.",
                "Classify the same cells with both.",
            )

    def __len__(self) -> int:
        return len(self.room.uids)

    @property
    def codes(self) -> tuple[str, ...]:
        """Class codes, the columns of `probabilities`."""
        return self.room.codes if self.taught is None else self.taught.codes

    @property
    def probabilities(self) -> np.ndarray:
        """float32 (n, k): what is known best of each cell."""
        return self.room.probabilities if self.taught is None else self.taught.probabilities

    @cached_property
    def said(self) -> np.ndarray:
        """Place of a person's code in `every_code`, int (n,); -1 where no one decided."""
        out, at = np.full(len(self), -1, np.int64), {code: i for i, code in enumerate(self.every_code)}
        for uid, code in self.decided.items():
            row = self.room.row(uid)
            if row is not None:
                out[row] = at[code]
        return out

    @cached_property
    def every_code(self) -> tuple[str, ...]:
        """The columns, then codes that only people use."""
        return tuple(dict.fromkeys((*self.codes, *self.room.columns(self.decided))))

    @cached_property
    def undecided(self) -> np.ndarray:
        """Rows that no one decided."""
        return np.flatnonzero(self.said < 0)

    @cached_property
    def ranks(self) -> tuple[np.ndarray, np.ndarray]:
        """Most and second most probable class, int (n,) each."""
        p = self.probabilities
        if not len(p):
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        first = p.argmax(1)
        rest = p.copy()
        rest[np.arange(len(p)), first] = -1
        return first, rest.argmax(1)

    @cached_property
    def margin(self) -> np.ndarray:
        """Probability of the first class less that of the second, float (n,)."""
        first, second = self.ranks
        at = np.arange(len(self))
        return self.probabilities[at, first] - self.probabilities[at, second]
