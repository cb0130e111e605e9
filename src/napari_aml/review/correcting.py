"""Counts corrected for the model's mistakes: what the true shares must be for the model to say what it said.

A person's word is taken as it is; only the cells that nobody confirmed are corrected. With a confusion matrix the
shares p of the true classes are those under which the counts of what was said are most likely (expectation
maximisation over the mixture of the matrix's rows); with recall and precision alone, one class is corrected against
all others: p = (q - FPR) / (TPR - FPR) (Rogan and Gladen 1978, Am J Epidemiol 107:71; Forman 2008, Data Min Knowl
Discov 17:164). The intervals hold both sources of chance: the cells that happened to be counted, and the held-out
cells on which the mistakes were measured (Jeffreys' prior). They do not hold what the model does on other stains and
scanners.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from napari_aml.review.confusion import Confusion, confusion_of, one_against_rest
from napari_aml.review.counting import SUMS, CountingSettings

#: A class whose cells are hardly more often recognised than others are taken for it cannot be corrected.
LEAST_GAP = 0.1
#: With fewer held-out cells of a class nothing is known about its mistakes.
LEAST_HELD_OUT = 10
_DRAWS, _STEPS = 400, 300
COLUMNS = ("code", "observed", "corrected", "low", "high", "refused")


@dataclass(frozen=True)
class Corrected:
    """A differential corrected for the model's mistakes.

    Attributes
    ----------
    table
        One row a class and a sum of classes, columns `COLUMNS`: percent of leukocytes as counted and as corrected, the
        interval of the corrected one, and why there is none (then NaN).
    source
        On what the correction rests, in words.
    refused
        Why nothing was corrected; empty where something was.
    """

    table: pd.DataFrame
    source: str = ""
    refused: str = ""

    def row(self, code: str) -> dict[str, Any] | None:
        """Return the row of a class or sum, or None."""
        found = self.table[self.table["code"] == code]
        return None if found.empty else found.iloc[0].to_dict()

    def sentences(self) -> list[str]:
        """Say what it makes of the blasts, in words."""
        if self.refused:
            return [self.refused]
        row = self.row("BLASTS")
        out = []
        if row is not None and not row["refused"]:
            out.append(
                f"Corrected for the model's mistakes: {row['corrected']:.1f} % blasts "
                f"({row['low']:.1f} to {row['high']:.1f} %)."
            )
        elif row is not None:
            out.append(f"The blasts are not corrected: {row['refused']}.")
        out.append(f"The correction rests on {self.source}; on other stains and scanners the mistakes may be others.")
        return out


def _nothing(reason: str) -> Corrected:
    return Corrected(pd.DataFrame(columns=list(COLUMNS)), "", reason)


def correct_counts(
    codes: Sequence[str] | np.ndarray,
    confirmed: Sequence[bool] | np.ndarray | None,
    card: Mapping[str, Any] | Confusion | None,
    settings: CountingSettings | None = None,
    seed: int = 0,
) -> Corrected:
    """Correct a differential for the mistakes of the model that made it.

    Parameters
    ----------
    codes, confirmed
        (n,) final codes; whether a person said them.
    card
        The model's card, or its confusion matrix.
    settings
        How cells are counted. With a least probability nothing is corrected: the card's figures hold for all cells.
    seed
        Of the draws behind the intervals: the same counts always give the same intervals.
    """
    settings = settings or CountingSettings()
    codes = np.array(codes, object)
    said = np.zeros(len(codes), bool) if confirmed is None else np.asarray(confirmed, bool)
    if not len(codes) or said.all():
        return _nothing("Nothing is corrected: a person confirmed every cell." if len(codes) else "There are no cells.")
    if settings.least_probability > 0:
        return _nothing("Nothing is corrected: with a least probability the mistakes in the card do not hold.")
    if card is None:
        return _nothing("Nothing is corrected: the card of the model is not at hand.")
    confusion = card if isinstance(card, Confusion) else confusion_of(card)
    known = one_against_rest(card) if not isinstance(card, Confusion) else {}
    if confusion is None and not known:
        return _nothing("Nothing is corrected: the model's card does not say which mistakes it made on held-out cells.")
    people = pd.Series(codes[said]).value_counts().to_dict()
    model = pd.Series(codes[~said]).value_counts().to_dict()
    if confusion is not None:
        return _by_matrix(people, model, confusion, settings, seed)
    return _one_by_one(people, model, known, settings, seed)


def _groups(codes: Sequence[str], settings: CountingSettings) -> dict[str, list[str]]:
    """Return what gets a row: each class of leukocytes, then the sums, with their member codes."""
    white = [c for c in codes if settings.role(c).is_leukocyte]
    groups: dict[str, list[str]] = {c: [c] for c in white}
    for name, (_, roles) in SUMS.items():
        if name != "LEUKOCYTES":
            groups[name] = [c for c in white if settings.role(c) in roles]
    return {name: members for name, members in groups.items() if members}


def _by_matrix(
    people: Mapping[str, int], model: Mapping[str, int], confusion: Confusion, settings: CountingSettings, seed: int
) -> Corrected:
    """Correct by the whole matrix; see the module."""
    codes = [*confusion.codes, *(c for c in {**people, **model} if c not in confusion.codes)]
    k, rng = len(confusion.codes), np.random.default_rng(seed)
    counts = np.array([model.get(c, 0) for c in confusion.codes], float)
    foreign = sum(n for c, n in model.items() if c not in confusion.codes)
    held_out = confusion.counts.sum(1)
    # A class without held-out cells is taken to be always recognised: what was said of it stays.
    matrix = np.where(held_out[:, None] > 0, confusion.counts, np.eye(k))
    smooth = matrix / matrix.sum(1, keepdims=True)
    share = _mixture(counts[None], smooth[None])[0]
    drawn_rows = np.stack([rng.dirichlet(row + 0.5 / k, _DRAWS) for row in matrix], 1)
    n = counts.sum()
    drawn_counts = rng.multinomial(int(n), counts / n, _DRAWS).astype(float) if n else np.zeros((_DRAWS, k))
    drawn = _mixture(drawn_counts, drawn_rows)
    fixed = np.array([people.get(c, 0) + (model.get(c, 0) if c not in confusion.codes else 0) for c in codes], float)
    extra = len(codes) - k
    best = fixed + np.r_[n * share, np.zeros(extra)]
    draws = fixed + np.c_[n * drawn, np.zeros((_DRAWS, extra))]
    raw = fixed + np.r_[counts, np.zeros(extra)]
    white = np.array([settings.role(c).is_leukocyte for c in codes])
    place = {c: i for i, c in enumerate(codes)}
    rows = []
    for name, members in _groups(codes, settings).items():
        at = [place[c] for c in members]
        refused = _why_not(members, model, confusion, share)
        rows.append(_row(name, at, raw, best, draws, white, refused, settings))
    rest = f"; {foreign} cells of classes outside the card are left as they are" if foreign else ""
    source = confusion.source + rest
    return Corrected(pd.DataFrame(rows, columns=list(COLUMNS)), source)


def _why_not(members: Sequence[str], model: Mapping[str, int], confusion: Confusion, share: np.ndarray) -> str:
    """Return why a class or sum cannot be corrected; empty where it can."""
    seen = [c for c in members if c in confusion.codes]
    if not seen:
        return "" if not any(model.get(c) for c in members) else "the model's card has no such class"
    held_out = int(sum(confusion.counts[confusion.codes.index(c)].sum() for c in seen))
    if held_out < LEAST_HELD_OUT:
        return f"only {held_out} held-out cells of it"
    tpr, fpr = confusion.rates(seen, share)
    if not tpr - fpr >= LEAST_GAP:
        return _hardly(tpr, fpr)
    return ""


def _hardly(tpr: float, fpr: float) -> str:
    told = f"it recognises {tpr:.0%} of such cells and takes {fpr:.0%} of others for it"
    return f"the model hardly tells it apart ({told})"


def _row(
    name: str, at: list[int], raw: np.ndarray, best: np.ndarray, draws: np.ndarray, white: np.ndarray, refused: str,
    settings: CountingSettings,
) -> dict[str, Any]:
    nan = float("nan")
    tail = 50 * (1 - settings.confidence)
    observed = 100 * raw[at].sum() / raw[white].sum() if raw[white].sum() else nan
    total = draws[:, white].sum(1)
    if refused or best[white].sum() <= 0 or (total <= 0).all():
        why = refused or "there are no leukocytes"
        return dict(zip(COLUMNS, (name, observed, nan, nan, nan, why), strict=True))
    spread = 100 * draws[total > 0][:, at].sum(1) / total[total > 0]
    low, high = np.percentile(spread, [tail, 100 - tail])
    value = 100 * best[at].sum() / best[white].sum()
    return dict(zip(COLUMNS, (name, observed, value, min(low, value), max(high, value), ""), strict=True))


def _mixture(counts: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Return the most likely shares of the true classes: counts (r, k) said, matrix (r, k true, k said) → (r, k)."""
    total = np.maximum(counts.sum(1, keepdims=True), 1e-12)
    q = counts / total
    p = np.full_like(q, 1 / q.shape[1])
    for step in range(_STEPS):
        expected = np.einsum("ri,rij->rj", p, matrix)
        ratio = np.where(q > 0, q / np.maximum(expected, 1e-12), 0.0)
        new = p * np.einsum("rij,rj->ri", matrix, ratio)
        new /= np.maximum(new.sum(1, keepdims=True), 1e-12)
        if step % 20 == 0 and np.abs(new - p).max() < 1e-6:
            return new
        p = new
    return p


def _one_by_one(
    people: Mapping[str, int], model: Mapping[str, int], known: Mapping[str, tuple[int, int, int, int]],
    settings: CountingSettings, seed: int,
) -> Corrected:
    """Correct each class against all others; sums of classes are not, for mistakes inside a sum are not known."""
    rng = np.random.default_rng(seed)
    codes = list(dict.fromkeys([*people, *model, *known]))
    white = {c for c in codes if settings.role(c).is_leukocyte}
    n = sum(model.values())
    leukocytes = sum(people.get(c, 0) + model.get(c, 0) for c in white)
    rows = []
    nan = float("nan")
    for name, members in _groups(codes, settings).items():
        counted = sum(people.get(c, 0) + model.get(c, 0) for c in members)
        observed = 100 * counted / leukocytes if leukocytes else nan
        rates = known.get(members[0]) if len(members) == 1 else None
        refused = ""
        if len(members) > 1:
            refused = "the card gives recall and precision of single classes, not which class was taken for which"
        elif rates is None:
            refused = "the card has no held-out cells of it"
        elif rates[1] < LEAST_HELD_OUT:
            refused = f"only {rates[1]} held-out cells of it"
        elif rates[0] / rates[1] - rates[2] / rates[3] < LEAST_GAP:
            refused = _hardly(rates[0] / rates[1], rates[2] / rates[3])
        if rates is None or refused or not leukocytes:
            rows.append(dict(zip(COLUMNS, (name, observed, nan, nan, nan, refused), strict=True)))
            continue
        hits, n_true, wrong, n_other = rates
        x, sure = model.get(members[0], 0), people.get(members[0], 0)
        tpr = rng.beta(hits + 0.5, n_true - hits + 0.5, _DRAWS)
        fpr = rng.beta(wrong + 0.5, n_other - wrong + 0.5, _DRAWS)
        q = rng.beta(x + 0.5, n - x + 0.5, _DRAWS)
        gap = np.maximum(tpr - fpr, 1e-3)
        drawn = 100 * (sure + n * np.clip((q - fpr) / gap, 0, 1)) / leukocytes
        share = np.clip((x / n - wrong / n_other) / (hits / n_true - wrong / n_other), 0, 1)
        value = 100 * (sure + n * share) / leukocytes
        tail = 50 * (1 - settings.confidence)
        low, high = np.percentile(np.minimum(drawn, 100), [tail, 100 - tail])
        value = min(value, 100.0)
        rows.append(dict(zip(COLUMNS, (name, observed, value, min(low, value), max(high, value), ""), strict=True)))
    held_out = sum(r[1] for r in known.values())
    return Corrected(
        pd.DataFrame(rows, columns=list(COLUMNS)),
        f"recall and precision of {held_out:,} held-out cells in the model's card, each class against all others",
    )
