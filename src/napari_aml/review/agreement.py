"""Readers beside each other: how far they agree, where they do not, and the word that settles it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Any

from napari_aml.errors import InputError
from napari_aml.review.decisions import ADJUDICATOR, CLASS, Decision, views
from napari_aml.taxonomy import CLASSES, within_one_stage

if TYPE_CHECKING:
    import pandas as pd

    from napari_aml.statistics.agreement import Agreement

#: Name of the model among the readers, where it is asked for.
MODEL = "model"


@dataclass(frozen=True)
class Readings:
    """What readers said of cells.

    Attributes
    ----------
    readers
        Aliases, in the order in which they first spoke; never `ADJUDICATOR`.
    uids, slide_ids
        The cells of which any of them said something, in order of the record, and their slides.
    codes
        Reader → list of codes aligned with `uids`, None where the reader said nothing (or took it back).
    adjudicated
        uid → the code that settled it.
    """

    readers: tuple[str, ...]
    uids: tuple[str, ...]
    slide_ids: tuple[str, ...]
    codes: dict[str, list[str | None]]
    adjudicated: dict[str, str] = field(default_factory=dict)

    def of(self, reader: str) -> list[str | None]:
        """Return a reader's codes.

        Raises
        ------
        InputError
            When no such reader spoke.
        """
        if reader not in self.codes:
            known = ", ".join(self.readers) or "none"
            raise InputError(f"There is no reader '{reader}' with decisions.", f"Readers: {known}.")
        return self.codes[reader]


def readings(
    decisions: Iterable[Decision],
    readers: Sequence[str] | None = None,
    model: pd.DataFrame | None = None,
) -> Readings:
    """Gather each reader's newest words on classes.

    Parameters
    ----------
    decisions
        The record, in order.
    readers
        Which readers; all by default (InputError where one of them never spoke).
    model
        Table with ``uid`` and ``class``: the model joins as the reader `MODEL`, on the cells that people read.
    """
    rows = [d for d in decisions if d.kind == CLASS]
    slide_of = {d.uid: d.slide_id for d in rows}
    by_reader = views(rows)
    adjudicated = {uid: code for (uid, _), code in by_reader.pop(ADJUDICATOR, {}).items()}
    spoke = [r for r in by_reader if by_reader[r]]
    chosen = spoke if readers is None else [r for r in readers if r != MODEL]
    if unknown := [r for r in chosen if r not in spoke]:
        known = ", ".join(spoke) or "none"
        raise InputError(f"There is no reader '{unknown[0]}' with decisions.", f"Readers: {known}.")
    view = {r: {uid: code for (uid, _), code in by_reader.get(r, {}).items()} for r in chosen}
    uids = tuple(uid for uid in slide_of if any(uid in v for v in view.values()))
    if model is not None and "class" in model:
        view[MODEL] = dict(zip(model["uid"].tolist(), model["class"].tolist(), strict=True))
        chosen = [*chosen, MODEL]
    codes = {r: [view[r].get(uid) for uid in uids] for r in chosen}
    return Readings(tuple(chosen), uids, tuple(slide_of[uid] for uid in uids), codes, adjudicated)


@dataclass(frozen=True)
class PairAgreement:
    """Two readers.

    Attributes
    ----------
    a, b
        Their aliases.
    kappa
        Cohen's kappa.
    tolerant
        The same where neighbours in maturation count as agreeing.
    """

    a: str
    b: str
    kappa: Agreement
    tolerant: Agreement


@dataclass(frozen=True)
class AgreementSummary:
    """Agreement of all readers.

    Attributes
    ----------
    pairs
        Each two readers that share cells.
    fleiss
        Of all readers together, over the cells that all read; None with fewer than two readers.
    alpha
        Krippendorff's alpha, over all cells that at least two read; None with fewer than two readers.
    """

    readers: tuple[str, ...]
    pairs: tuple[PairAgreement, ...]
    fleiss: Agreement | None
    alpha: Agreement | None


def agreement(said: Readings, *, by_slide: bool = False, repeats: int = 2000) -> AgreementSummary:
    """Compute the agreement of readers with bootstrap intervals.

    Parameters
    ----------
    said
        See `readings`.
    by_slide
        Draw whole slides in the bootstrap: cells of one slide resemble each other, and intervals that take cells as
        independent are too narrow. Needs at least two slides.
    repeats
        Bootstrap samples.
    """
    from napari_aml.statistics.agreement import cohen_kappa, fleiss_kappa, krippendorff_alpha

    settings: dict[str, Any] = {"groups": said.slide_ids if by_slide else None, "repeats": repeats}

    def apart(a: str, b: str) -> float:
        return 0.0 if within_one_stage(a, b) else 1.0

    pairs = []
    for a, b in combinations(said.readers, 2):
        kappa = cohen_kappa(said.codes[a], said.codes[b], **settings)
        if kappa.n:
            tolerant = cohen_kappa(said.codes[a], said.codes[b], distance=apart, **settings)
            pairs.append(PairAgreement(a, b, kappa, tolerant))
    if len(said.readers) < 2:
        return AgreementSummary(said.readers, (), None, None)
    everyone = [said.codes[r] for r in said.readers]
    return AgreementSummary(
        said.readers, tuple(pairs), fleiss_kappa(everyone, **settings), krippendorff_alpha(everyone, **settings)
    )


def confusion(said: Readings, a: str, b: str) -> pd.DataFrame:
    """Return how often reader `a` (rows) and reader `b` (columns) said each code of the cells that both read."""
    import pandas as pd

    both = [(x, y) for x, y in zip(said.of(a), said.of(b), strict=True) if x is not None and y is not None]
    order = {c.code: i for i, c in enumerate(CLASSES)}
    codes = sorted({c for pair in both for c in pair}, key=lambda c: (order.get(c, len(order)), c))
    table = pd.DataFrame(0, index=pd.Index(codes, name=a), columns=pd.Index(codes, name=b))
    for x, y in both:
        table.loc[x, y] += 1
    return table


def disagreements(
    said: Readings, *, open_only: bool = False, seen_by: str | None = None
) -> list[tuple[str, str, dict[str, str]]]:
    """Return the cells on which readers differ, those apart by more than one stage of maturation first.

    Parameters
    ----------
    said
        See `readings`.
    open_only
        Leave out those that are settled.
    seen_by
        Only cells that this reader decided on: in blinded work no one learns of others' words before the own one.

    Returns
    -------
    list of (uid, slide_id, {reader: code})
    """
    out = []
    for i, (uid, slide_id) in enumerate(zip(said.uids, said.slide_ids, strict=True)):
        words = {r: said.codes[r][i] for r in said.readers}
        spoken = {r: code for r, code in words.items() if code is not None}
        if len(set(spoken.values())) < 2 or (open_only and uid in said.adjudicated):
            continue
        if seen_by is not None and seen_by not in spoken:
            continue
        out.append((uid, slide_id, spoken))

    def near(row: tuple[str, str, dict[str, str]]) -> bool:
        codes = list(row[2].values())
        return all(within_one_stage(x, y) for x, y in combinations(codes, 2))

    return sorted(out, key=near)


def disagreement_queue(said: Readings, **settings: Any) -> list[tuple[str, str]]:
    """Return `disagreements` as a queue: (uid, why it is in it)."""
    return [
        (uid, "Readers differ: " + ", ".join(f"{reader} {code}" for reader, code in words.items()))
        for uid, _, words in disagreements(said, **settings)
    ]


def adjudication(said: Readings, uid: str, code: str | None, adjudicator: str) -> Decision:
    """Return the decision that settles a cell; it stands under `ADJUDICATOR`, apart from the readers' own.

    Parameters
    ----------
    said
        What the readers said.
    uid
        The cell.
    code
        The code that settles it; None takes an earlier one back.
    adjudicator
        Who settled it: kept in what was shown.

    Raises
    ------
    InputError
        When no reader spoke of this cell, or no adjudicator is named.
    """
    if uid not in said.uids:
        raise InputError(f"No reader decided on the cell {uid}.", "Only what readers said can be settled.")
    if not adjudicator.strip():
        raise InputError("An adjudicated code needs a name.", "Give the alias of who settled it.")
    row = said.uids.index(uid)
    words = {r: codes[row] for r, codes in said.codes.items() if codes[row] is not None}
    return Decision(
        uid, said.slide_ids[row], code, ADJUDICATOR, previous=said.adjudicated.get(uid),
        shown={"adjudicator": adjudicator, "readers": words, "blinded": False},
    )  # fmt: skip
