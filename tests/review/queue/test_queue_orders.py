"""Orders of the queue: who comes first, why in words, the same every time."""

from __future__ import annotations

import numpy as np
import pytest
from blobs import CODES, blobs, say

from napari_aml.classify import Predictions
from napari_aml.errors import InputError
from napari_aml.review.queue import ORDERS, Pool, rank
from napari_aml.review.queue.trust import CellTrust


def second(room, seed=5):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(4), len(room.uids)).astype(np.float32)
    return Predictions(CODES, p, room.embedding, np.zeros(len(p), np.float32), "other")


@pytest.fixture(scope="module")
def pool():
    room, truth = blobs(240, right=0.7, shares=(0.01, 0.45, 0.44, 0.10))
    decided = say(room, truth, range(60))
    return Pool(room, decided, room.teach(decided), second=second(room), trust=trust(240))


def trust(n):
    score = np.linspace(0, 2, n).astype(np.float32)
    return CellTrust(np.arange(n, dtype=np.int16) % 4, score > 1, score)


@pytest.mark.parametrize("order", list(ORDERS))
def test_every_order_gives_each_cell_once_with_a_reason_and_is_the_same_again(pool, order):
    ranking = rank(pool, order)
    assert len(ranking)
    assert len(set(ranking.rows.tolist())) == len(ranking)
    entries = ranking.entries()
    assert all(why and uid in pool.room.uids for uid, why in entries)
    assert entries == rank(Pool(pool.room, pool.decided, pool.taught, pool.second, trust=pool.trust), order).entries()
    table = ranking.table(5)
    assert table["place"].tolist() == [1, 2, 3, 4, 5][: len(table)]
    assert (np.diff(ranking.scores) <= 0).all()


def test_reasons_say_how_far_the_model_is_to_be_trusted(pool):
    ambiguous, unlike = rank(pool, "ambiguous"), rank(pool, "unlike")
    assert set(ambiguous.rows) == {r for r in range(60, 240) if r % 4 != 1}
    assert unlike.rows.tolist() == list(range(239, 59, -1))
    told = dict(unlike.entries())
    assert told["c239"].endswith("3 classes are possible; unlike the training cells")
    assert "no class fits well" in told["c236"] and "possible" not in told["c237"]
    assert "unlike" not in told["c61"]
    with pytest.raises(InputError, match="does not say which"):
        rank(Pool(pool.room), "unlike")


def test_doubtful_cells_are_undecided_and_the_narrowest_margin_is_first(pool):
    ranking = rank(pool, "uncertain")
    assert set(ranking.rows) == set(range(60, 240))
    assert (np.diff(pool.margin[ranking.rows]) >= 0).all()
    p = pool.probabilities[ranking.rows[0]]
    first, then = (pool.codes[i] for i in np.argsort(-p)[:2])
    assert first in ranking.why(0) and then in ranking.why(0)


def test_disagreement_names_both_sides():
    room, truth = blobs(200, right=1.0)
    decided = say(room, truth, range(100))
    decided["c7"] = CODES[(truth[7] + 1) % 4]
    ranking = rank(Pool(room, decided), "disagreement")
    assert ranking.uid(0) == "c7"
    assert f"decided {decided['c7']}" in ranking.why(0) and f"says {CODES[truth[7]]}" in ranking.why(0)


def test_two_models_that_differ_most_come_first():
    room, _ = blobs(50, right=1.0)
    other = second(room)
    ranking = rank(Pool(room, second=other), "disagreement")
    assert set(ranking.rows) == set(np.flatnonzero(room.probabilities.argmax(1) != other.index))
    assert "one model says" in ranking.why(0)


def test_planted_label_errors_come_first():
    room, truth = blobs(400, right=0.9)
    decided = say(room, truth, range(400))
    wrong = np.random.default_rng(0).choice(400, 20, replace=False)
    for row in wrong:
        decided[room.uids[row]] = CODES[(truth[row] + 2) % 4]
    ranking = rank(Pool(room, decided), "label-errors")
    found = np.isin(wrong, ranking.rows[:60]).mean()
    assert found >= 0.8
    assert len(ranking) == 400 and "speak for" in ranking.why(0) and "bear it out" in ranking.why(399)


def test_variety_shows_every_group_of_look_alikes_before_any_twice():
    room, truth = blobs(200, spread=0.1)
    ranking = rank(Pool(room), "diverse")

    group, _ = room.look_alikes
    n = len(np.unique(group))
    assert len(np.unique(group[ranking.rows[:n]])) == n
    assert set(truth[ranking.rows[:n]]) == {0, 1, 2, 3}
    decided = say(room, truth, [ranking.rows[0]])
    later = rank(Pool(room, decided), "diverse")
    assert group[later.rows[0]] != group[ranking.rows[0]]


def test_rare_classes_are_hunted_for_and_wanted_ones_where_asked(pool):
    ranking = rank(pool, "rare")
    assert "MYO" in ranking.why(0) and "rare here" in ranking.why(0)
    wanted = rank(Pool(pool.room, pool.decided, pool.taught, wanted=("NGS",)), "rare")
    assert "NGS" in wanted.why(0) and "asked for" in wanted.why(0)
    column = pool.codes.index("NGS")
    assert pool.probabilities[wanted.rows[0], column] == pool.probabilities[pool.undecided, column].max()


def test_the_mix_goes_on_where_it_was():
    """Whose turn it is follows from the number of decisions, so that no order is starved by ordering anew."""
    room, truth = blobs(240, right=0.7, shares=(0.02, 0.45, 0.43, 0.10))
    rows = np.flatnonzero(truth != 0)[:40]
    firsts = {}
    for n in (0, 1, 25, 39):
        decided = say(room, truth, rows[:n])
        ranking = rank(Pool(room, decided, room.teach(decided) if n else None), "mix")
        firsts[n] = ranking.why(0).split()[0]
    assert firsts[0] == "typical" and firsts[39] == "perhaps"
    assert firsts[1] in CODES and firsts[25] in CODES


def test_what_is_missing_is_said():
    room, truth = blobs(50)
    with pytest.raises(InputError, match="nothing that could disagree"):
        rank(Pool(room), "disagreement")
    with pytest.raises(InputError, match="at least 20"):
        rank(Pool(room, say(room, truth, range(5))), "label-errors")
    with pytest.raises(InputError, match="no order 'best'"):
        rank(Pool(room), "best")
    with pytest.raises(InputError, match="does not name PLC"):
        rank(Pool(room, wanted=("PLC",)), "rare")
    with pytest.raises(InputError, match="second model speaks of 3"):
        Pool(room, second=second(room).take(np.arange(3)))


def test_no_cells_make_an_empty_queue():
    from napari_aml.review.teach import Classroom

    room = Classroom([], CODES, np.zeros((0, 4), np.float32), np.zeros((0, 4), np.float32))
    for order in ("mix", "uncertain", "diverse", "rare"):
        assert not len(rank(Pool(room), order))
