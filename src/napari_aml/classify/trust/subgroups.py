"""Figures by sex, age band, site and scanner, where the manifest says them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from napari_aml.datasets import Dataset

#: Upper ends of the age bands, years.
AGE_BANDS = (18, 40, 60, 75)
#: Below this a subgroup's figures are marked.
FEW = 30


def subgroup_rows(
    dataset: Dataset,
    rows: np.ndarray,
    targets: np.ndarray,
    probabilities: np.ndarray,
    codes: Sequence[str],
    groups: np.ndarray,
) -> list[dict[str, Any]]:
    """Return one row a subgroup: ``by, subgroup, n, patients, accuracy, low, high, balanced_accuracy, warning``.

    Intervals draw whole groups (patients where they are known). Subgroups of which nothing is known are left out.
    """
    from napari_aml.statistics import classification_metrics

    out = []
    for by, name, mine in _subgroups(dataset, rows):
        metrics = classification_metrics(targets[mine], probabilities[mine], codes, groups=groups[mine], repeats=300)
        accuracy = metrics["accuracy"]
        low, high = accuracy["interval_95"] or (None, None)
        out.append({
            "by": by, "subgroup": name, "n": len(mine), "groups": len(np.unique(groups[mine])),
            "accuracy": accuracy["value"], "low": low, "high": high,
            "balanced_accuracy": metrics["balanced_accuracy"]["value"],
            "warning": "few cells" if len(mine) < FEW else "",
        })  # fmt: skip
    return out


def _subgroups(dataset: Dataset, rows: np.ndarray) -> Iterator[tuple[str, str, np.ndarray]]:
    for by in ("sex", "site", "scanner", "source"):
        values = dataset.table[by].fillna("").astype(str).to_numpy(object)[rows]
        names = sorted(set(values) - {""})
        if len(names) > 1:
            for name in names:
                yield by, name, np.flatnonzero(values == name)
    age = dataset.table["age"].to_numpy(float)[rows]
    band = np.digitize(age, AGE_BANDS)
    ends = (0, *AGE_BANDS)
    known = np.isfinite(age)
    if len(set(band[known])) > 1:
        for i in sorted(set(band[known].tolist())):
            name = f"{ends[i]}–{AGE_BANDS[i] - 1} years" if i < len(AGE_BANDS) else f"{AGE_BANDS[-1]} years and over"
            yield "age", name, np.flatnonzero(known & (band == i))
