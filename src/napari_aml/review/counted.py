"""One count of cells, with everything that a reader wants to know of it.

Who confirmed what, what was left out, how sure it is, how it looks after the model's mistakes are taken off, and
whether to count on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_aml.review.advice import advice
from napari_aml.review.blasts import BlastSummary, blast_summary
from napari_aml.review.correcting import Corrected, correct_counts
from napari_aml.review.counting import CountingSettings, differential, sure_codes
from napari_aml.review.regions import Region, counted

if TYPE_CHECKING:
    from napari_aml.analysis import Analysis

#: Side of a field in µm when a slide is divided into fields: about what a 100x objective shows.
FIELD_UM = 180.0


@dataclass(frozen=True)
class Count:
    """A differential and what belongs to it.

    Attributes
    ----------
    table
        From `differential`: final codes, a person's before the model's.
    people, model
        The same of the confirmed cells alone; of the model's word on all cells alone (None without a model).
    blasts
        Of `table`.
    corrected
        For the model's mistakes.
    settings
        How it was counted.
    detected, scored, confirmed
        Cells found; cells that were counted; of these, confirmed by a person.
    outside, at_border
        Cells left out because of regions; because the picture's edge cuts them.
    fields
        Number of fields in which a counted cell lies.
    regions
        Drawn to be counted or left out.
    """

    table: pd.DataFrame
    people: pd.DataFrame
    model: pd.DataFrame | None
    blasts: BlastSummary
    corrected: Corrected
    settings: CountingSettings
    detected: int = 0
    scored: int = 0
    confirmed: int = 0
    outside: int = 0
    at_border: int = 0
    fields: int = 0
    regions: tuple[Region, ...] = ()

    def sampling(self) -> str:
        """Say what was counted, in words."""
        left = []
        if self.outside:
            left.append(f"{self.outside} outside the regions")
        if self.at_border:
            left.append(f"{self.at_border} cut by the edge")
        rest = f" ({', '.join(left)} left out)" if left else ""
        fields = f" in {self.fields} field{'s' if self.fields != 1 else ''}" if self.fields else ""
        return (
            f"{self.scored} of {self.detected} cells counted{rest}{fields}; "
            f"{self.confirmed} confirmed by a person, {self.scored - self.confirmed} by the model alone."
        )

    def sentences(self) -> list[str]:
        """Say all of it in words."""
        return [
            *self.blasts.sentences(), self.sampling(), *self.corrected.sentences(),
            *advice(self.blasts, self.settings),
        ]  # fmt: skip

    def side_by_side(self) -> pd.DataFrame:
        """Return one row a class: all, confirmed and model-only counts and percent, and the corrected percent.

        Columns: ``code, name, role, count, confirmed, percent, low, high, of, total``, then
        ``people_count, people_percent, people_low, people_high``, ``model_count, model_percent`` and
        ``corrected, corrected_low, corrected_high, not_corrected``.
        """
        out = self.table.copy()
        for name, other, columns in (
            ("people", self.people, ("count", "percent", "low", "high")), ("model", self.model, ("count", "percent")),
        ):  # fmt: skip
            for column in columns:
                there = {} if other is None else dict(zip(other["code"], other[column], strict=True))
                out[f"{name}_{column}"] = [there.get(c, 0 if column == "count" else np.nan) for c in out["code"]]
        fixed = self.corrected.table.set_index("code")
        for name, column in (("corrected", "corrected"), ("corrected_low", "low"), ("corrected_high", "high")):
            out[name] = [float(fixed[column].get(c, np.nan)) for c in out["code"]]
        out["not_corrected"] = [str(fixed["refused"].get(c, "")) for c in out["code"]]
        return out


def count_cells(
    table: pd.DataFrame,
    settings: CountingSettings | None = None,
    *,
    classes: Sequence[str] | None = None,
    card: Mapping[str, Any] | None = None,
    regions: Iterable[Region] = (),
    pixel_size_um: float | None = None,
) -> Count:
    """Count the cells of a table, of one slide or of several.

    Parameters
    ----------
    table
        Cells with ``code_final, confirmed`` and, where a model spoke, ``class, probability``; cells without a class
        ("") are left out. ``y, x`` are needed for regions and fields, ``touches_border`` to leave out cut cells.
    settings
        How to count.
    classes
        The codes that could have been said: each gets a row.
    card
        Of the model, for the correction.
    regions
        Of the slide; the cells of a table of several slides must be filtered before.
    pixel_size_um
        For the number of fields; without it they are not counted.
    """
    settings = settings or CountingSettings()
    regions = list(regions)
    found = len(table)
    keep = np.ones(found, bool)
    if regions:
        keep = counted(regions, table["y"].to_numpy(float), table["x"].to_numpy(float))
    outside = int((~keep).sum())
    cut = np.zeros(found, bool)
    if not settings.cut_off_cells and "touches_border" in table:
        cut = keep & table["touches_border"].to_numpy(bool)
    keep = keep & ~cut & (table["code_final"].to_numpy(object) != "")
    part = table[keep]
    codes, said = part["code_final"].to_numpy(object), part["confirmed"].to_numpy(bool)
    sure = part["probability"].to_numpy(float) if "probability" in part else None
    whole = differential(codes, said, settings, probabilities=sure, classes=classes)
    people = differential(codes[said], None, settings, classes=classes)
    model = None
    if "class" in part:
        model = differential(part["class"].tolist(), None, settings, probabilities=sure, classes=classes)
    judged = sure_codes(codes, sure, said, settings.least_probability)
    corrected = correct_counts(judged, said, card, settings)
    fields = n_fields(part, pixel_size_um) if pixel_size_um and len(part) and "y" in part else 0
    return Count(
        whole, people, model, blast_summary(whole, settings), corrected, settings, found, len(part), int(said.sum()),
        outside, int(cut.sum()), fields, tuple(regions),
    )  # fmt: skip


def count_analysis(
    analysis: Analysis, settings: CountingSettings | None = None, regions: Iterable[Region] = ()
) -> Count:
    """Count the cells of one analysed slide, people's words before the model's.

    Raises
    ------
    InputError
        When nothing was said of the cells yet.
    """
    from napari_aml.errors import InputError

    table = analysis.table()
    if "code_final" not in table:
        raise InputError("The cells of this slide have no classes yet.", "Classify them first.")
    said = analysis.predictions
    return count_cells(
        table, settings, classes=said.codes if said is not None else None,
        card=getattr(analysis.bundle, "card", None), regions=regions, pixel_size_um=analysis.slide.pixel_size.um,
    )  # fmt: skip


def field_names(table: pd.DataFrame, pixel_size_um: float | None, side_um: float = FIELD_UM) -> list[str]:
    """Return the field of each cell: squares of `side_um`, named by row and column, within each slide."""
    if not len(table):
        return []
    side = side_um / (pixel_size_um or 1.0)
    rows, columns = ((table[axis].to_numpy(float) // side).astype(int).tolist() for axis in ("y", "x"))
    slides = table["slide_id"].tolist() if "slide_id" in table else [""] * len(table)
    return [f"{s} {r + 1}/{c + 1}".strip() for s, r, c in zip(slides, rows, columns, strict=True)]


def n_fields(table: pd.DataFrame, pixel_size_um: float | None, side_um: float = FIELD_UM) -> int:
    """Return the number of different `field_names`, without writing them."""
    side = side_um / (pixel_size_um or 1.0)
    places = [(table[axis].to_numpy(float) // side).astype(np.int64) for axis in ("y", "x")]
    slides = pd.factorize(table["slide_id"])[0] if "slide_id" in table else np.zeros(len(table), int)
    return len(np.unique(np.stack([slides, *places], 1), axis=0))


def count_by(
    table: pd.DataFrame, by: Sequence[str] | Callable[[pd.DataFrame], Sequence[str]], **arguments: Any
) -> dict[str, Count]:
    """Count each group of cells by itself: fields, slides, patients.

    Parameters
    ----------
    table, **arguments
        As for `count_cells`.
    by
        A name for each cell (the column ``slide_id``, a patient's pseudonym, `field_names`); cells named "" are left
        out.
    """
    names = np.array(list(by(table) if callable(by) else by), object)
    return {
        str(name): count_cells(table[names == name], **arguments) for name in dict.fromkeys(names.tolist()) if name
    }


def evenness(counts: Mapping[str, Count], code: str = "BLASTS") -> float:
    """Return the probability of differences between groups at least as large if all had the same share (chi-square).

    Small values say that the fields differ by more than chance, so that an interval which takes all cells for
    independent is too narrow. NaN with fewer than two groups or nothing to compare.
    """
    from scipy.stats import chi2

    rows = [c.table.set_index("code").loc[code] for c in counts.values()]
    k = np.array([r["count"] for r in rows], float)
    n = np.array([r["total"] for r in rows], float)
    k, n = k[n > 0], n[n > 0]
    if len(n) < 2 or not 0 < k.sum() < n.sum():
        return float("nan")
    p = k.sum() / n.sum()
    return float(chi2.sf(((k - n * p) ** 2 / (n * p * (1 - p))).sum(), len(n) - 1))


def summary_by(counts: Mapping[str, Count]) -> pd.DataFrame:
    """Return one row a group: cells, leukocytes, confirmed, blasts with their interval, corrected blasts."""
    rows = []
    for name, found in counts.items():
        b, fixed = found.blasts, found.corrected.row("BLASTS")
        rows.append({
            "group": name, "cells": found.scored, "confirmed": found.confirmed, "leukocytes": b.leukocytes,
            "blasts": b.count, "percent": b.percent, "low": b.low, "high": b.high,
            "corrected": fixed["corrected"] if fixed else np.nan,
            "cut_offs_in_interval": "; ".join(f"{c:g} %" for c in b.included),
        })  # fmt: skip
    columns = "group cells confirmed leukocytes blasts percent low high corrected cut_offs_in_interval".split()
    return pd.DataFrame(rows, columns=columns)
