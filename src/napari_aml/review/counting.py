"""The differential: class codes become counts, percentages of leukocytes and exact intervals.

Conventions: percentages are of leukocytes; nucleated red cells are given per 100 leukocytes; smudge cells are counted
apart; platelets, artefacts and unknowns are excluded and reported as a share of all cells found. Intervals are exact
(Clopper and Pearson, Biometrika 1934, 26:404), the limits that Rümke's table prints for manual differentials.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from napari_aml.errors import InputError
from napari_aml.statistics.intervals import exact_interval
from napari_aml.taxonomy import CLASSES, Role, cell_class

UNKNOWN = "UNK"
#: Where smudge cells are counted.
APART, LYMPHOCYTES = "apart", "lymphocytes"

#: Code → name and the roles it sums. Bilobed promyelocytes are blast equivalents in APL only, hence a sum of their own.
SUMS: dict[str, tuple[str, tuple[Role, ...]]] = {
    "LEUKOCYTES": (
        "all leukocytes",
        (Role.BLAST, Role.IMMATURE, Role.MATURE, Role.ABNORMAL, Role.APL),
    ),
    "BLASTS": ("blasts (MYO, MOB, PRM)", (Role.BLAST,)),
    "BLASTS+PMB": ("blasts and bilobed promyelocytes (APL only)", (Role.BLAST, Role.APL)),
    "IMMATURE": ("immature granulocytes (PMO, MYB, MMZ)", (Role.IMMATURE,)),
}

#: Column → dtype of a differential.
COLUMNS: dict[str, str] = {
    "code": "str",
    "name": "str",
    "role": "str",
    "count": "int64",
    "confirmed": "int64",
    "percent": "float64",
    "low": "float64",
    "high": "float64",
    "of": "str",
    "total": "int64",
    "cut_offs_in_interval": "str",
}


@dataclass(frozen=True, slots=True)
class CountingSettings:
    """How cells are counted.

    Attributes
    ----------
    least_probability
        A cell that the model is less sure of than this (0…1) counts as unknown (UNK), which is excluded and reported.
        Cells that a person confirmed are never affected.
    confidence
        Of the intervals, 0…1.
    blast_cut_offs
        Published cut-offs for blasts, percent. 10 and 20 stand in the 2022 classifications (ICC, WHO-HAEM5).
    smudge_cells
        `APART` (they are no leukocytes of the denominator) or `LYMPHOCYTES`: they count among the leukocytes, as many
        laboratories do in chronic lymphocytic leukaemia.
    pmb_as_blasts
        Count bilobed promyelocytes among the blasts: right in acute promyelocytic leukaemia only.
    cut_off_cells
        Count cells that the edge of the picture cuts.
    wanted_width
        Width of the blasts' interval, percentage points, that the advice to count more aims at.
    """

    least_probability: float = 0.0
    confidence: float = 0.95
    blast_cut_offs: tuple[float, ...] = (10.0, 20.0)
    smudge_cells: str = APART
    pmb_as_blasts: bool = False
    cut_off_cells: bool = True
    wanted_width: float = 10.0

    def __post_init__(self) -> None:
        if not 0 <= self.least_probability <= 1:
            raise InputError(f"The least probability is {self.least_probability}.", "Give a number between 0 and 1.")
        if not 0 < self.confidence < 1:
            raise InputError(f"The confidence of an interval is {self.confidence}.", "Give one between 0 and 1.")
        if self.smudge_cells not in (APART, LYMPHOCYTES):
            raise InputError(f"Smudge cells cannot count as '{self.smudge_cells}'.", f"Give {APART} or {LYMPHOCYTES}.")
        if not 0 < self.wanted_width < 100:
            raise InputError(f"The wanted width is {self.wanted_width} percentage points.", "Give 0 to 100.")

    def role(self, code: str) -> Role:
        """Return what a class counts as under these settings."""
        role = cell_class(code).role
        if role is Role.SEPARATE and self.smudge_cells == LYMPHOCYTES:
            return Role.ABNORMAL
        return Role.BLAST if role is Role.APL and self.pmb_as_blasts else role

    def rules(self) -> list[str]:
        """Say the rules in words."""
        smudge = "apart" if self.smudge_cells == APART else "among the leukocytes, as lymphocytes"
        pmb = "among the blasts (acute promyelocytic leukaemia)" if self.pmb_as_blasts else "beside the blasts"
        return [
            "Percentages are of leukocytes; erythroblasts are given per 100 leukocytes.",
            f"Smudge cells are counted {smudge}. Bilobed promyelocytes are counted {pmb}.",
            "Platelets, artefacts and unknown cells are excluded and reported as a share of all cells found.",
            f"Cells cut by the edge of the picture are {'counted' if self.cut_off_cells else 'left out'}.",
            *(
                [f"A cell of which the model is less than {self.least_probability:.0%} sure counts as unknown."]
                if self.least_probability > 0 else []
            ),
            f"Intervals are exact (Clopper–Pearson), {100 * self.confidence:g} %.",
        ]  # fmt: skip


def sure_codes(
    codes: Sequence[str] | np.ndarray,
    probabilities: Sequence[float] | np.ndarray | None,
    confirmed: Sequence[bool] | np.ndarray | None = None,
    least_probability: float = 0.0,
) -> np.ndarray:
    """Return the codes with UNK in place of those that the model is not sure enough of.

    Parameters
    ----------
    codes, probabilities, confirmed
        (n,) class code, the model's probability for it, whether a person confirmed it.
    least_probability
        Below this a cell that no person confirmed becomes UNK. A probability that is NaN becomes UNK, too.

    Returns
    -------
    numpy.ndarray
        object (n,).
    """
    out = np.array(codes, object)
    if probabilities is None or least_probability <= 0:
        return out
    doubtful = ~(np.asarray(probabilities, float) >= least_probability)
    if confirmed is not None:
        doubtful &= ~np.asarray(confirmed, bool)
    out[doubtful] = UNKNOWN
    return out


def differential(
    codes: Sequence[str] | np.ndarray,
    confirmed: Sequence[bool] | np.ndarray | None = None,
    settings: CountingSettings | None = None,
    *,
    probabilities: Sequence[float] | np.ndarray | None = None,
    classes: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Count cells.

    Parameters
    ----------
    codes
        (n,) class code of each cell. A code outside the taxonomy is kept, excluded from the leukocytes and reported.
    confirmed
        (n,) whether a person said it; nobody by default.
    settings
        How to count.
    probabilities
        (n,) the model's probability for each code, needed only for ``settings.least_probability``.
    classes
        The codes that could have been said (the model's classes): each gets a row, found or not, since none in
        200 still has an upper limit. By default the codes that occur.

    Returns
    -------
    pandas.DataFrame
        One row a class in the order of the taxonomy, then the sums of `SUMS`, with the columns of `COLUMNS`:
        ``percent``, ``low`` and ``high`` are percent of the leukocytes; for erythroblasts per 100 leukocytes (they can
        exceed 100); for what is counted apart or excluded, and for the sum of all leukocytes, percent of all cells.
        ``of`` says which, ``total`` is the denominator; NaN where it is 0. ``cut_offs_in_interval`` names, for the
        sums of blasts, the published cut-offs that the interval includes.

    Raises
    ------
    InputError
        When the inputs differ in length.
    """
    settings = settings or CountingSettings()
    n = len(codes)
    for name, given in (("confirmed", confirmed), ("probabilities", probabilities)):
        if given is not None and len(given) != n:
            raise InputError(f"There are {n} codes but {len(given)} values of '{name}'.", "Give one for each cell.")
    said = np.zeros(n, bool) if confirmed is None else np.asarray(confirmed, bool)
    counted = sure_codes(codes, probabilities, said, settings.least_probability)
    rows = _class_rows(counted, classes, said, settings)
    table = pd.DataFrame([*rows, *_sum_rows(rows)]).reindex(columns=list(COLUMNS))
    return _with_intervals(table, n, settings).astype(COLUMNS)


def _class_rows(
    counted: np.ndarray, classes: Sequence[str] | None, said: np.ndarray, settings: CountingSettings
) -> list[dict[str, object]]:
    """Count the classes that could be said and those that were, in reading order."""
    inverse, names = pd.factorize(counted)
    names = [str(name) for name in names]
    count = dict(zip(names, np.bincount(inverse, minlength=len(names)).tolist(), strict=True))
    sure = dict(zip(names, np.bincount(inverse, said, len(names)).astype(int).tolist(), strict=True))
    order = {c.code: i for i, c in enumerate(CLASSES)}
    listed = sorted({*names, *(classes or ())}, key=lambda code: (order.get(code, len(order)), code))
    return [
        {"code": c.code, "name": c.name, "role": settings.role(c.code).value,
         "count": count.get(c.code, 0), "confirmed": sure.get(c.code, 0)}
        for c in map(cell_class, listed)
    ]  # fmt: skip


def _sum_rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    out = []
    for code, (name, roles) in SUMS.items():
        members = [r for r in rows if Role(str(r["role"])) in roles]
        sums = {key: sum(int(r[key]) for r in members) for key in ("count", "confirmed")}
        out.append({"code": code, "name": name, "role": "sum", **sums})
    return out


def _with_intervals(table: pd.DataFrame, n: int, settings: CountingSettings) -> pd.DataFrame:
    role, count = table["role"], table["count"].to_numpy(int)
    white = int(table.loc[table["code"] == "LEUKOCYTES", "count"].iloc[0])
    is_leukocyte = role.isin([r.value for r in Role if r.is_leukocyte])
    per_white = (is_leukocyte | ((role == "sum") & (table["code"] != "LEUKOCYTES"))).to_numpy()
    per_hundred = (role == Role.NRBC.value).to_numpy()
    total = np.where(per_white | per_hundred, white, n)
    # The ratio of erythroblasts to leukocytes is the odds of a proportion among both, so its exact limits are the
    # odds of the exact limits of that proportion.
    trials = np.where(per_hundred, white + count, total)
    low, high = exact_interval(count, trials, settings.confidence)
    with np.errstate(divide="ignore", invalid="ignore"):
        table["percent"] = np.where(total > 0, 100.0 * count / np.where(total > 0, total, 1), np.nan)
        for name, limit in (("low", low), ("high", high)):
            value = np.where(per_hundred, limit / (1 - limit), limit)
            table[name] = np.where(total > 0, 100.0 * value, np.nan)
    table["of"] = np.select([per_hundred, per_white], ["100 leukocytes", "leukocytes"], "cells found")
    table["total"] = total
    blasts = table["code"].isin(["BLASTS", "BLASTS+PMB"])
    table["cut_offs_in_interval"] = [
        "; ".join(f"{c:g} %" for c in settings.blast_cut_offs if lo <= c <= hi) if is_blast else ""
        for is_blast, lo, hi in zip(blasts, table["low"], table["high"], strict=True)
    ]
    return table
