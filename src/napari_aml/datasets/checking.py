"""What may be wrong with a dataset before anybody trains on it: said in words, never mended in silence."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_aml.datasets.dataset import Dataset

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Finding:
    """One thing that a person should know.

    Attributes
    ----------
    severity
        ``error`` (training should not start), ``warning`` or ``note``.
    text
        What, with the class, picture or column named.
    """

    severity: Literal["error", "warning", "note"]
    text: str


def check(dataset: Dataset) -> list[Finding]:
    """Look for classes of one picture, classes that are one, contradictory labels, and missing knowledge.

    Nothing is decoded: this reads the manifest alone.
    """
    found: list[Finding] = []
    table = dataset.table.iloc[dataset.labelled]
    codes = dataset.codes
    if len(codes) < 2:
        found.append(Finding("error", f"'{dataset.name}' has {len(codes)} class: a classifier needs two or more."))
    groups = dataset.groups[dataset.labelled]
    for code in codes:
        here = (table["code"] == code).to_numpy()
        n_groups = len(np.unique(groups[here]))
        if here.sum() == 1:
            found.append(Finding("warning", f"Class {code} has a single picture: it cannot be both learnt and tested."))
        elif n_groups < 3:
            unit = dataset.leakage.level
            text = f"Class {code} has {here.sum()} pictures of {n_groups} group(s) by {unit}: too few for three parts."
            found.append(Finding("warning", text))
    found += _same(dataset)
    found += _unknown_codes(dataset)
    if dataset.leakage.level in ("image", "near-duplicate"):
        found.append(Finding("note", dataset.leakage.text))
    unknown = int(table["crop_um"].isna().sum())
    if unknown:
        found.append(Finding("note", f"The scale (µm per pixel) of {unknown} pictures is unknown: shown whole."))
    for entry in dataset.meta.get("unreadable") or []:
        reason = entry.get("reason", entry) if isinstance(entry, dict) else entry
        found.append(Finding("note", f"Left out when imported: {reason}"))
    return found


def _same(dataset: Dataset) -> list[Finding]:
    """Pairs of classes that share pictures or near-duplicates: contradictory labels, or two names of one class."""
    table = dataset.table.iloc[dataset.labelled]
    found = []
    exact = _shared(table, "sha256")
    for (a, b), (n, smaller) in exact.items():
        if n >= max(2, 0.5 * smaller):
            found.append(Finding("error", f"{a} and {b} share {n} pictures of {smaller}: are they one class?"))
        else:
            found.append(Finding("warning", f"{n} picture(s) stand under both {a} and {b}: the labels contradict."))
    alike = {pair: held for pair, held in _shared(table, "group").items() if pair not in exact}
    for (a, b), (n, smaller) in list(alike.items()):
        if n >= max(2, 0.5 * smaller):
            found.append(Finding("warning", f"{a} and {b} look alike in {n} of {smaller} groups: are they one class?"))
            del alike[a, b]
    if alike:
        total, pairs = sum(n for n, _ in alike.values()), ", ".join(f"{a}/{b}" for a, b in list(alike)[:4])
        text = f"{total} pair(s) of near-duplicates have different classes ({pairs}{' …' if len(alike) > 4 else ''}): "
        found.append(Finding("note", text + "one cell labelled twice, or two cells that look alike."))
    folded: dict[str, list[str]] = {}
    for code in dataset.codes:
        folded.setdefault(code.casefold().replace("-", "_").replace(" ", "_"), []).append(code)
    for names in folded.values():
        if len(names) > 1:
            found.append(Finding("error", f"{' and '.join(names)} differ in spelling alone: are they one class?"))
    return found


def _shared(table: pd.DataFrame, column: str) -> dict[tuple[str, str], tuple[int, int]]:
    """Pair of classes → in how many values of a column both stand, and how many the smaller class has."""
    held = table[table[column] != ""]
    by = held.groupby(column)["code"].unique()
    counts: dict[tuple[str, str], int] = {}
    for members in by[by.map(len) > 1]:
        for pair in combinations(sorted(members), 2):
            counts[pair] = counts.get(pair, 0) + 1
    sizes = held.groupby("code")[column].nunique()
    return {pair: (n, int(min(sizes[pair[0]], sizes[pair[1]]))) for pair, n in counts.items()}


def _unknown_codes(dataset: Dataset) -> list[Finding]:
    from napari_aml.taxonomy import BY_CODE

    other = [code for code in dataset.codes if code not in BY_CODE]
    if not other:
        return []
    text = f"Codes outside the taxonomy are kept and counted in no role: {', '.join(other)}."
    return [Finding("note", text)]
