"""Several datasets made one, or a part of one drawn: whole groups, evenly over the classes of each source."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_aml.datasets.dataset import Dataset, DatasetError
from napari_aml.datasets.leakage import LEVELS
from napari_aml.datasets.splitting import SplitError, read_split
from napari_aml.datasets.writing import write_dataset_steps
from napari_aml.progress import Progress, Steps

#: Entries of a card that stay when all parts agree on them, and are joined by "; " when they do not.
_SAID = ("source", "licence", "tissue", "stain", "scanner")


def join_steps(
    parts: Sequence[Dataset | str | Path],
    out: str | Path,
    *,
    per_class: int = 0,
    seed: int = 0,
    division: str | Path | None = None,
    part: str = "test",
) -> Steps[Dataset]:
    """Write one dataset from several, or a smaller one from one.

    Parameters
    ----------
    parts
        Datasets or their folders. Patients, slides, fields and groups of near-duplicates of different sources never
        meet: the dataset's name is put before each where there are several.
    out
        Folder of the new dataset.
    per_class
        Draw at most this many labelled pictures of each class of each part, whole groups of near-duplicates first
        come; 0 = all, those without a class included.
    seed
        Of the draw.
    division, part
        File of a split of the one dataset that is named (a training leaves it in its work folder), and the part of it
        that is taken: so a model can be judged on what it has not learnt from.

    Raises
    ------
    DatasetError
        No part, a part that is no dataset, or two parts with the same name; a split with several datasets.
    SplitError
        A split of other pictures, or one without that part.
    """
    import pandas as pd

    held = [p if isinstance(p, Dataset) else Dataset.open(p) for p in parts]
    if not held:
        raise DatasetError("There is no dataset to join.", "Name one or more.")
    names, within = _names(held), _within(held, division, part)
    yield Progress(0, 0, "Looking at the datasets")
    tables, pictures, patients = [], [], []
    for name_of, dataset in zip(names, held, strict=True):
        rows = np.arange(len(dataset)) if within is None else within
        if per_class:
            rows = drawn(dataset, per_class, seed, rows)
        table = dataset.table.iloc[rows].copy()
        pictures += [dataset.path / p for p in table["picture"]]
        known = dataset.patients
        if len(held) > 1:
            for name in (*LEVELS, "group", "uid"):
                table[name] = [f"{name_of}:{v}" if v else v for v in table[name].astype(str)]
            if known is not None:
                known["patient"] = [f"{name_of}:{v}" for v in known["patient"]]
        tables.append(table)
        if known is not None:
            patients.append(known)
    table = pd.concat(tables, ignore_index=True)
    return (
        yield from write_dataset_steps(
            out, table, pictures, _meta(held, per_class, seed, part if within is not None else ""),
            patients=pd.concat(patients, ignore_index=True) if patients else None,
        )
    )  # fmt: skip


def _names(held: list[Dataset]) -> list[str]:
    """What the parts are called; by their folders where two datasets bear one name."""
    names = [d.name for d in held]
    if len(set(names)) < len(names):
        names = [d.path.name for d in held]
    if len(set(names)) < len(names):
        twice = next(n for n in names if names.count(n) > 1)
        raise DatasetError(f"Two of the datasets are called '{twice}'.", "Give their folders two names.")
    return names


def _within(held: list[Dataset], division: str | Path | None, part: str) -> np.ndarray | None:
    """Return the rows of one part of a split, or None where there is no split."""
    if division is None:
        return None
    if len(held) > 1:
        raise DatasetError("A split belongs to one dataset.", "Name the dataset that it was made for alone.")
    known = read_split(division, held[0])
    if part not in known.parts:
        raise SplitError(f"The split '{division}' has no part '{part}'.", f"It has {', '.join(known.parts)}.")
    return known.rows(part)


def drawn(dataset: Dataset, per_class: int, seed: int, within: np.ndarray | None = None) -> np.ndarray:
    """Draw at most `per_class` labelled rows of each class: one of every group, then a second of each."""
    rng = np.random.default_rng(seed)
    rows = rng.permutation(dataset.labelled if within is None else np.intersect1d(dataset.labelled, within))
    codes, groups = dataset.table["code"].to_numpy(str)[rows], dataset.groups[rows]
    taken = []
    for code in dataset.codes:
        here = rows[codes == code]
        of = groups[codes == code]
        turn = np.zeros(len(here), int)
        for group in np.unique(of):
            turn[of == group] = np.arange((of == group).sum())
        taken.append(here[np.argsort(turn, kind="stable")[:per_class]])
    return np.sort(np.concatenate(taken)) if taken else np.zeros(0, np.int64)


def _meta(held: list[Dataset], per_class: int, seed: int, part: str) -> dict[str, Any]:
    meta: dict[str, Any] = {}
    for entry in _SAID:
        said = list(dict.fromkeys(str(d.meta.get(entry)) for d in held if d.meta.get(entry)))
        if said:
            meta[entry] = "; ".join(said)
    mappings = [d.meta["mapping"] for d in held if isinstance(d.meta.get("mapping"), dict)]
    if mappings:
        meta["mapping"] = {
            "name": "+".join(str(m.get("name")) for m in mappings),
            "version": "+".join(str(m.get("version")) for m in mappings),
        }
    parts = [
        {"name": d.name, "pictures": len(d), "fingerprint": d.fingerprint(), "sources": sorted(set(d.table["source"])),
         **{entry: d.meta[entry] for entry in ("source", "licence") if d.meta.get(entry)}}
        for d in held
    ]  # fmt: skip
    meta["joined"] = {"parts": parts, "per_class": per_class, "seed": seed}
    notes = [f"The part '{part}' of a split."] if part else []
    if per_class:
        notes.append(f"At most {per_class} pictures of each class of each part were drawn, seed {seed}.")
    if notes:
        meta["notes"] = notes
    return meta
