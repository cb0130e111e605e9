"""Divide a dataset: whole groups (patient > slide > field > near-duplicates), stratified by class, seeded, stored."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from napari_aml._files import replacing
from napari_aml.datasets.dataset import Dataset
from napari_aml.datasets.leakage import LEVELS, Leakage, leakage_of
from napari_aml.errors import InputError

DEFAULT_FRACTIONS = {"train": 0.7, "validation": 0.15, "test": 0.15}


class SplitError(InputError):
    """A dataset cannot be split as asked for."""


@dataclass(frozen=True, eq=False)
class Split:
    """Which part each picture belongs to.

    Attributes
    ----------
    uids
        str (n,), the dataset's uids.
    part
        str (n,): ``train``, ``validation``, ``test`` or ``fold0`` …; empty for pictures without a class.
    level
        What is never parted: see `Leakage`.
    seed
        It was drawn with.
    notes
        What a person should know: classes too small to stand in every part.
    """

    uids: np.ndarray
    part: np.ndarray
    leakage: Leakage
    seed: int
    notes: tuple[str, ...] = ()

    @property
    def level(self) -> str:
        """The leakage level."""
        return self.leakage.level

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts, in the order train, validation, test or by number."""
        order = {"train": "0", "validation": "1", "test": "2"}
        return tuple(sorted(set(self.part) - {""}, key=lambda p: order.get(p, p.rjust(12))))

    def rows(self, *parts: str) -> np.ndarray:
        """Rows of some parts, int64."""
        return np.flatnonzero(np.isin(self.part, parts))

    def write(self, path: str | Path) -> Path:
        """Keep it as a JSON file: seed, level and, per part, the uids."""
        path = Path(path)
        held = {
            "format": "napari-aml-split", "format_version": 1, "seed": self.seed, "level": self.leakage.level,
            "text": self.leakage.text, "notes": list(self.notes),
            "parts": {p: [str(u) for u in self.uids[self.part == p]] for p in self.parts},
        }  # fmt: skip
        with replacing(path) as beside:
            beside.write_text(json.dumps(held, indent=0) + "\n", "utf-8")
        return path


def read_split(path: str | Path, dataset: Dataset) -> Split:
    """Read a kept split for a dataset; pictures it does not name belong to no part.

    Raises
    ------
    SplitError
        When the file is no split, or names pictures that the dataset does not have.
    """
    path = Path(path)
    try:
        held = json.loads(path.read_text("utf-8"))
        parts = {str(name): list(map(str, uids)) for name, uids in held["parts"].items()}
        seed, leakage = int(held["seed"]), Leakage(str(held["level"]), str(held["text"]))
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise SplitError(f"'{path}' is no split of a dataset: {error}.", "Make it anew.") from error
    uids = dataset.table["uid"].astype(str).to_numpy(object)
    position = {uid: row for row, uid in enumerate(uids)}
    part = np.full(len(uids), "", object)
    for name, members in parts.items():
        if absent := [uid for uid in members if uid not in position]:
            raise SplitError(
                f"The split '{path}' names {len(absent)} pictures that '{dataset.name}' does not hold "
                f"('{absent[0]}' …).",
                "It was made for another dataset, or the dataset was imported anew: make the split again.",
            )
        part[[position[uid] for uid in members]] = name
    return Split(uids, part, leakage, seed, tuple(held.get("notes") or ()))


def split(
    dataset: Dataset,
    k: int | None = None,
    fractions: Mapping[str, float] | None = None,
    seed: int = 0,
    level: Literal["auto", "random"] = "auto",
) -> Split:
    """Divide the labelled pictures of a dataset into parts or folds.

    Parameters
    ----------
    dataset
        Pictures without a class (or UNK) get no part.
    k
        Number of folds; they are called ``fold0`` … Excludes `fractions`.
    fractions
        Part → share; by default 70 % train, 15 % validation, 15 % test.
    seed
        The same seed gives the same parts.
    level
        ``auto`` keeps together what is known to belong together. ``random`` parts picture by picture and is refused
        where the dataset knows better.

    Raises
    ------
    SplitError
        A random split of a dataset that knows patients, slides, fields or near-duplicates; shares that are no shares;
        fewer groups than parts.
    """
    wanted = _wanted(k, fractions)
    table, rows = dataset.table, dataset.labelled
    if not len(rows):
        raise SplitError(
            f"No picture of '{dataset.name}' has a class.", "Map its labels to class codes when importing."
        )
    leakage = leakage_of(table.iloc[rows])
    groups = dataset.groups[rows]
    if level == "random":
        _refuse_random(dataset, rows)
        groups = np.arange(len(rows))
    n_groups = len(np.unique(groups))
    if n_groups < len(wanted):
        unit = {"near-duplicate": "group of near-duplicates", "image": "picture"}.get(leakage.level, leakage.level)
        raise SplitError(
            f"'{dataset.name}' has {n_groups} {unit}{'s' if n_groups != 1 else ''}, too few for {len(wanted)} parts.",
            "Ask for fewer parts, or add data.",
        )
    strata = (table["code"] + "\x1f" + table["source"]).to_numpy(str)[rows]
    part = np.full(len(table), "", object)
    part[rows] = deal(groups, strata, wanted, seed)
    notes = _notes(table["code"].to_numpy(str)[rows], groups, part[rows], tuple(wanted))
    return Split(table["uid"].astype(str).to_numpy(object), part, leakage, seed, notes)


def deal(groups: np.ndarray, strata: np.ndarray, wanted: Mapping[str, float], seed: int) -> np.ndarray:
    """Deal whole groups to parts, largest first, each to the part that most lacks the group's commonest stratum.

    Parameters
    ----------
    groups, strata
        (n,) group and stratum of each item.
    wanted
        Part → share. Of equal lack, the part named first takes; a stratum of one group goes there.

    Returns
    -------
    numpy.ndarray
        object (n,), the part of each item.
    """
    rng = np.random.default_rng(seed)
    names, shares = np.array(list(wanted), object), np.array(list(wanted.values()), float)
    stratum = np.unique(strata, return_inverse=True)[1]
    _, inverse, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    members = np.split(np.argsort(inverse, kind="stable"), np.cumsum(sizes)[:-1])
    goal = shares[:, None] / shares.sum() * np.bincount(stratum)[None]
    have = np.zeros_like(goal)
    out = np.empty(len(groups), object)
    for g in np.lexsort((rng.random(len(sizes)), -sizes)):
        counts = np.bincount(stratum[members[g]], minlength=goal.shape[1])
        main = counts.argmax()
        lack = (goal[:, main] - have[:, main]) / goal[:, main]
        tied = np.flatnonzero(np.isclose(lack, lack.max()))
        # Every part lacks all of it at first: the order of the names decides, so that a lone group is trained on.
        chosen = tied[0] if have[:, main].sum() == 0 else tied[(have[tied].sum(1) / shares[tied]).argmin()]
        have[chosen] += counts
        out[members[g]] = names[chosen]
    return out


def _wanted(k: int | None, fractions: Mapping[str, float] | None) -> dict[str, float]:
    if k is not None:
        if fractions is not None or k < 2:
            raise SplitError(f"A split needs either two folds or more, or fractions (k = {k}).")
        return {f"fold{i}": 1 / k for i in range(k)}
    shares = dict(fractions or DEFAULT_FRACTIONS)
    if len(shares) < 2 or any(not 0 < v < 1 for v in shares.values()) or abs(sum(shares.values()) - 1) > 1e-6:
        raise SplitError(f"The shares of a split should be two or more, between 0 and 1, and sum to 1: {shares}.")
    return shares


def _refuse_random(dataset: Dataset, rows: np.ndarray) -> None:
    table = dataset.table.iloc[rows]
    known = [name for name in LEVELS if (table[name] != "").any()]
    if (table["group"] != "").any() and table["group"][table["group"] != ""].duplicated().any():
        known.append("near-duplicate group")
    if known:
        raise SplitError(
            f"A random split of '{dataset.name}' is refused: its manifest knows each picture's {', '.join(known)}, and "
            "parting them would put copies of the training data into the test.",
            "Leave the level at 'auto'.",
        )


def _notes(codes: np.ndarray, groups: np.ndarray, part: np.ndarray, names: tuple[str, ...]) -> tuple[str, ...]:
    notes = []
    for code in np.unique(codes):
        here = codes == code
        n, n_groups = int(here.sum()), len(np.unique(groups[here]))
        absent = [name for name in names if not (part[here] == name).any()]
        if absent:
            pictures = f"{n} picture{'s' if n != 1 else ''} in {n_groups} group{'s' if n_groups != 1 else ''}"
            notes.append(f"{code} has {pictures}: none in {', '.join(absent)}, so it has no figures there.")
    return tuple(notes)
