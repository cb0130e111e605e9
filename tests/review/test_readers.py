"""Readers beside each other."""

from __future__ import annotations

import pandas as pd
import pytest

from napari_aml.errors import InputError
from napari_aml.review.agreement import (
    MODEL,
    adjudication,
    agreement,
    confusion,
    disagreement_queue,
    disagreements,
    readings,
)
from napari_aml.review.decisions import ADJUDICATOR, TAG, Decision
from napari_aml.review.final import settled


def said(uid, value, reader, slide="S1", **more):
    return Decision(uid, slide, value, reader, **more)


@pytest.fixture
def record():
    """Ada and Ben read a…f, Cem only a and b; they differ on c (far apart) and d (neighbours in maturation)."""
    ada = dict(a="MYO", b="LYT", c="MYO", d="MYB", e="NGS", f="MON")
    ben = ada | dict(c="LYT", d="MMZ")
    rows = [said(u, "UNK", "ada") for u in "ab"]
    rows += [said(u, c, "ada") for u, c in ada.items()] + [said(u, c, "ben", "S1") for u, c in ben.items()]
    rows += [said(u, ada[u], "cem") for u in "ab"]
    rows += [said("a", "on", "ada", kind=TAG, name="Auer rod"), said("z", "MYO", "ada"), said("z", None, "ada")]
    return rows


def test_newest_words_count_and_tags_do_not(record):
    got = readings(record)
    assert got.readers == ("ada", "ben", "cem") and got.uids == tuple("abcdef")
    assert got.of("ada") == ["MYO", "LYT", "MYO", "MYB", "NGS", "MON"] and got.of("cem") == ["MYO", "LYT", *[None] * 4]
    with pytest.raises(InputError, match="ada, ben, cem"):
        got.of("dan")


def test_summary_of_pairs_and_of_all(record):
    found = agreement(readings(record), repeats=200)
    pairs = {(p.a, p.b): p for p in found.pairs}
    assert pairs["ada", "cem"].kappa.value == 1 and pairs["ada", "cem"].kappa.n == 2
    both = pairs["ada", "ben"]
    assert both.kappa.n == 6 and both.kappa.observed == pytest.approx(4 / 6) and both.kappa.low <= both.kappa.value
    assert both.tolerant.value > both.kappa.value
    assert found.fleiss.n == 2 and found.alpha.n == 6
    alone = agreement(readings(record, ["ada"]))
    assert alone.pairs == () and alone.fleiss is None and alone.alpha is None
    assert agreement(readings([])).readers == ()


def test_confusion_counts_the_cells_that_both_read(record):
    table = confusion(readings(record), "ada", "ben")
    assert table.to_numpy().sum() == 6 and table.loc["MYO", "LYT"] == 1 and table.loc["MYB", "MMZ"] == 1
    assert list(table.index) == list(table.columns) and table.index[0] == "MYO"


def test_the_model_joins_as_a_reader(record):
    cells = pd.DataFrame({"uid": list("abcdefgh"), "class": ["MYO"] * 8})
    got = readings(record, ["ada"], model=cells)
    assert got.readers == ("ada", MODEL) and len(got.uids) == 6
    assert confusion(got, "ada", MODEL)["MYO"].sum() == 6


def test_disagreements_far_apart_come_first_and_can_be_settled(record):
    got = readings(record)
    rows = disagreements(got)
    assert [uid for uid, _, _ in rows] == ["c", "d"] and rows[0][2] == {"ada": "MYO", "ben": "LYT"}
    assert disagreement_queue(got)[1] == ("d", "Readers differ: ada MYB, ben MMZ")
    assert disagreements(got, seen_by="cem") == []
    settles = adjudication(got, "c", "MOB", "dora")
    assert settles.reader == ADJUDICATOR and settles.shown["adjudicator"] == "dora"
    assert settles.shown["readers"] == {"ada": "MYO", "ben": "LYT"}
    after = readings([*record, settles])
    assert after.readers == got.readers and after.codes == got.codes  # the readers' own words stay
    assert [uid for uid, _, _ in disagreements(after, open_only=True)] == ["d"]
    assert len(disagreements(after)) == 2
    assert settled([*record, settles])["c"] == ("MOB", ADJUDICATOR, False)
    back = adjudication(after, "c", None, "dora")
    assert back.previous == "MOB" and not readings([*record, settles, back]).adjudicated
    for wrong in (("nowhere", "dora"), ("c", " ")):
        with pytest.raises(InputError):
            adjudication(got, wrong[0], "MOB", wrong[1])
