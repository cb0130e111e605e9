"""Whose word counts: the model's predictions and people's decisions become one final code a cell.

A model's word never overwrites a person's. Which person's word counts is asked for by name: one reader's, the
adjudicated one, or what the whole project agrees on.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from napari_aml.review.decisions import ADJUDICATOR, CLASS, Decision, views

if TYPE_CHECKING:
    import pandas as pd

#: What `final_codes` says about each cell. ``decided_by``: reader aliases joined by "; ", or `ADJUDICATOR`, or empty
#: where the code is the model's.
FINAL_COLUMNS = ("code_final", "confirmed", "decided_by", "disputed")


def settled(decisions: Iterable[Decision], reader: str | None = None) -> dict[str, tuple[str, str, bool]]:
    """Return what people said of cells: uid → (code, who, disputed).

    Parameters
    ----------
    decisions
        The record, in order.
    reader
        An alias: this reader's own view. `ADJUDICATOR`: adjudicated cells only. None: the view of all: adjudicated
        codes first, else the code on which all readers of the cell agree, else that of a strict majority. Where
        readers disagree without a majority the cell is in dispute: its code is empty.
    """
    by_reader = views(decisions, CLASS)
    if reader is not None:
        return {uid: (code, reader, False) for (uid, _), code in by_reader.get(reader, {}).items()}
    said: dict[str, dict[str, str]] = {}
    for alias, view in by_reader.items():
        if alias != ADJUDICATOR:
            for (uid, _), code in view.items():
                said.setdefault(uid, {})[alias] = code
    out = {uid: _majority(words) for uid, words in said.items()}
    for (uid, _), code in by_reader.get(ADJUDICATOR, {}).items():
        out[uid] = (code, ADJUDICATOR, False)
    return out


def _majority(words: dict[str, str]) -> tuple[str, str, bool]:
    codes = list(words.values())
    best = max(sorted(set(codes)), key=codes.count)
    if 2 * codes.count(best) <= len(codes):
        return "", "; ".join(sorted(words)), True
    return best, "; ".join(sorted(r for r, c in words.items() if c == best)), len(set(codes)) > 1


def final_codes(table: pd.DataFrame, decisions: Iterable[Decision], reader: str | None = None) -> pd.DataFrame:
    """Return the final code of each cell and who said it.

    Parameters
    ----------
    table
        Cells, one a row, with ``uid`` and, where a model spoke, ``class`` (its code).
    decisions
        The record, in order; what was said of other cells is passed over.
    reader
        Whose view, as in `settled`.

    Returns
    -------
    pandas.DataFrame
        Aligned with the rows of `table` (same index): ``code_final`` (a person's code, else the model's, else empty),
        ``confirmed`` (a person said it), ``decided_by``, ``disputed`` (readers differ; without a majority the model's
        code stands there, unconfirmed).

    Examples
    --------
    >>> import pandas as pd
    >>> cells = pd.DataFrame({"uid": ["a", "b"], "class": ["MYO", "LYT"]})
    >>> final_codes(cells, [Decision("a", "S1", "MOB", "ada")])["code_final"].tolist()
    ['MOB', 'LYT']
    """
    import numpy as np
    import pandas as pd

    said = settled(decisions, reader)
    n = len(table)
    model = table["class"].astype(object).where(table["class"].notna(), "") if "class" in table else [""] * n
    code, confirmed = np.array(list(model), object), np.zeros(n, bool)
    who, disputed = np.full(n, "", object), np.zeros(n, bool)
    if said:
        for row, uid in enumerate(table["uid"].tolist()):
            if (word := said.get(uid)) is not None:
                if word[0]:
                    code[row], confirmed[row] = word[0], True
                who[row], disputed[row] = (word[1] if word[0] else ""), word[2]
    columns = {
        "code_final": pd.Series(code, table.index, dtype="str"),
        "confirmed": confirmed,
        "decided_by": pd.Series(who, table.index, dtype="str"),
        "disputed": disputed,
    }
    return pd.DataFrame(columns, index=table.index)
