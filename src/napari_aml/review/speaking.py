"""Cells that speak for a patient's call: the table of influences becomes an order in which to look at the cells.

`napari-aml predict-patient` writes one row a cell (``..._cells.csv``): ``influence_X`` is how far the log odds of the
subtype X fall when the cell is left out.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_aml.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

_INFLUENCE = "influence_"


@dataclass(frozen=True, eq=False)
class Speaking:
    """What cells give to a patient's call.

    Attributes
    ----------
    table
        One row a cell: ``uid``, ``influence_*`` and, where there are several, ``patient``.
    """

    table: pd.DataFrame

    @property
    def subtypes(self) -> tuple[str, ...]:
        """What cells can speak for."""
        return tuple(c.removeprefix(_INFLUENCE) for c in self.table if str(c).startswith(_INFLUENCE))

    def strongest(self) -> str:
        """Return the subtype for which the cells speak most in all."""
        sums = [float(self.table[_INFLUENCE + name].sum()) for name in self.subtypes]
        return self.subtypes[int(np.argmax(sums))]

    def entries(self, subtype: str, known: Collection[str]) -> list[tuple[str, str]]:
        """Return (uid, why) of those cells that are known here, those that speak for a subtype most first.

        Raises
        ------
        InputError
            No such subtype, or none of the cells is known here.
        """
        if subtype not in self.subtypes:
            raise InputError(
                f"The file says nothing of '{subtype}'.", f"It knows {', '.join(self.subtypes)}: choose one of these."
            )
        known = set(known)
        here = self.table[self.table["uid"].isin(known)]
        if here.empty:
            raise InputError(
                f"None of the {len(self.table)} cells of this file is on a picture of this session.",
                "Open and analyse the pictures that were called, with the same model and pixel size.",
            )
        here = here.sort_values(_INFLUENCE + subtype, ascending=False, kind="stable")
        return [
            (str(uid), f"speaks {'for' if value > 0 else 'against'} {subtype} ({value:+.3f} log odds)")
            for uid, value in zip(here["uid"], here[_INFLUENCE + subtype].astype(float), strict=True)
        ]


def read_speaking(path: str | Path) -> Speaking:
    """Read a table of influences.

    Raises
    ------
    InputError
        It cannot be read or is none.
    """
    import pandas as pd

    path = Path(path)
    try:
        table = pd.read_csv(path, dtype={"uid": "str"})
    except (OSError, ValueError) as error:
        raise InputError(f"'{path.name}' cannot be read as a table ({error}).", "Choose the file of cells.") from error
    columns = [c for c in table if str(c).startswith(_INFLUENCE)]
    if "uid" not in table or not columns:
        raise InputError(
            f"'{path.name}' holds no influence of cells.",
            "napari-aml predict-patient writes it beside its calls, under a name that ends in _cells.csv.",
        )
    for column in columns:
        numbers = pd.to_numeric(table[column], errors="coerce")
        if numbers.isna().any():
            row = int(numbers.isna().to_numpy().argmax())
            raise InputError(
                f"'{path.name}', row {row + 2}, column {column}: {table[column].iloc[row]!r} is no number.",
                "Let napari-aml predict-patient write the file again.",
            )
        table[column] = numbers
    return Speaking(table)
