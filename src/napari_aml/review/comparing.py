"""Two counts compared: of two slides, two days, two readers. Exact tests, not a rule of thumb of plus or minus."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from napari_aml.errors import InputError
from napari_aml.review.counting import SUMS, CountingSettings

COLUMNS = ("code", "first", "of_first", "second", "of_second", "difference", "p", "p_adjusted")


def compare_counts(first: pd.DataFrame, second: pd.DataFrame, codes: Sequence[str] | None = None) -> pd.DataFrame:
    """Compare two differentials of different cells, class by class, by Fisher's exact test.

    Parameters
    ----------
    first, second
        Tables from `differential`. Two readers of the same cells are compared by `compare_readers`.
    codes
        Which rows; by default every class of leukocytes that occurs in either, and the sums.

    Returns
    -------
    pandas.DataFrame
        `COLUMNS`: counts and leukocytes of both, the difference of the percentages (second minus first), the two-sided
        probability of such a difference by chance, and the same adjusted for the number of classes (Holm 1979).
    """
    from scipy.stats import fisher_exact

    a, b = first.set_index("code"), second.set_index("code")
    if codes is None:
        either = [c for c in dict.fromkeys([*a.index, *b.index]) if _is_white(a, c) or _is_white(b, c)]
        codes = [c for c in either if _value(a, c, "count") + _value(b, c, "count") > 0]
    n, m = int(a.loc["LEUKOCYTES", "count"]), int(b.loc["LEUKOCYTES", "count"])
    rows = []
    for code in codes:
        k, j = _value(a, code, "count"), _value(b, code, "count")
        p = float(fisher_exact([[k, n - k], [j, m - j]]).pvalue) if n and m else float("nan")
        gap = 100 * (j / m - k / n) if n and m else float("nan")
        rows.append((code, k, n, j, m, gap, p))
    return _adjusted(rows)


def compare_readers(
    first: Sequence[str], second: Sequence[str], settings: CountingSettings | None = None
) -> pd.DataFrame:
    """Compare what two readers said of the same cells, class by class, by the exact test of McNemar (1947).

    Only cells on which they differ tell anything. Columns as `compare_counts`, of all cells.

    Parameters
    ----------
    first, second
        (n,) codes of the same cells, in the same order.
    """
    from scipy.stats import binomtest

    if len(first) != len(second):
        raise InputError(
            f"One reader judged {len(first)} cells, the other {len(second)}.", "Compare the cells that both judged."
        )
    settings, n = settings or CountingSettings(), len(first)
    a, b = np.array([str(c) for c in first], object), np.array([str(c) for c in second], object)
    groups = {c: [c] for c in sorted(set(a) | set(b))}
    for name, (_, roles) in SUMS.items():
        groups[name] = [c for c in groups if len(groups[c]) == 1 and settings.role(c) in roles]
    rows = []
    for code, members in groups.items():
        x, y = np.isin(a, members), np.isin(b, members)
        only_a, only_b = int((x & ~y).sum()), int((y & ~x).sum())
        p = float(binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0
        if members:
            rows.append((code, int(x.sum()), n, int(y.sum()), n, 100 * (only_b - only_a) / n, p))
    return _adjusted(rows)


def sentences(compared: pd.DataFrame, level: float = 0.05) -> list[str]:
    """Say which differences are larger than chance explains."""
    out = [
        f"{row.code}: {100 * row.first / row.of_first:.1f} % against {100 * row.second / row.of_second:.1f} % "
        f"(p = {row.p:.2g}; {row.p_adjusted:.2g} adjusted for {len(compared)} comparisons)."
        for row in compared.sort_values("p").itertuples()
        if row.p_adjusted < level
    ]
    return out or [f"No class differs by more than chance explains (adjusted p ≥ {level:g})."]


def _adjusted(rows: list[tuple]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=list(COLUMNS[:-1]))
    p = table["p"].to_numpy(float)
    order = np.argsort(p, kind="stable")
    held = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)) if len(p) else p
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(held, 1.0)
    table["p_adjusted"] = adjusted
    return table


def _is_white(table: pd.DataFrame, code: str) -> bool:
    return code in table.index and code != "LEUKOCYTES" and table.loc[code, "of"] == "leukocytes"


def _value(table: pd.DataFrame, code: str, column: str) -> int:
    return int(table.loc[code, column]) if code in table.index else 0
