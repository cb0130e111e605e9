"""The light head: what it learns, how far it is held to the model, and that it can be taken back."""

from __future__ import annotations

import numpy as np
import pytest
from blobs import CODES, blobs, say
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_aml.errors import InputError
from napari_aml.review.teach import Classroom, fit_head, out_of_fold
from napari_aml.review.teach.head import PULLS, Scale, choose_pull, log_probabilities


def test_without_decisions_the_model_speaks():
    room, _ = blobs()
    taught = room.teach({})
    assert taught.head is None and not len(taught.changes)
    np.testing.assert_array_equal(taught.probabilities, room.probabilities)


def test_decisions_mend_what_the_model_confuses():
    room, truth = blobs(400, right=0.5)
    before = (room.probabilities.argmax(1) == truth).mean()
    taught = room.teach(say(room, truth, range(40)))
    after = (taught.probabilities.argmax(1) == truth)[40:].mean()
    assert after > before + 0.3
    assert taught.after_right > taught.before_right and taught.judged == 40
    np.testing.assert_allclose(taught.probabilities.sum(1), 1, atol=1e-5)


def test_changes_are_undecided_cells_named_before_and_after_surest_first():
    room, truth = blobs(300, right=0.6)
    decided = say(room, truth, range(50))
    taught = room.teach(decided)
    old, new = room.probabilities.argmax(1), taught.probabilities.argmax(1)
    expected = {room.uids[r] for r in np.flatnonzero(old != new)} - set(decided)
    assert {c.uid for c in taught.changes} == expected and expected
    sure = [c.probability for c in taught.changes]
    assert sure == sorted(sure, reverse=True)
    moves = taught.changes.moves()
    assert sum(n for *_, n in moves) == len(taught.changes)
    before, after, n = moves[0]
    assert len(taught.changes.of(before, after)) == n
    row = room.row(taught.changes.of(before, after)[0])
    assert (CODES[old[row]], CODES[new[row]]) == (before, after)


def test_changes_against_what_was_shown_before_match_classes_by_name():
    room, truth = blobs(120)
    decided = say(room, truth, range(20))
    first = room.teach({**decided, "c30": "PLC"})
    second = room.teach({**decided, "c30": "HAC", "c31": "PLC"}, before=first)
    assert first.codes == (*CODES, "PLC") and second.codes == (*CODES, "HAC", "PLC")
    assert all(c.before != c.after for c in second.changes)


def test_a_class_that_only_people_use_is_learnt():
    room, truth = blobs(300, shares=(0.3, 0.3, 0.2, 0.2))
    decided = {u: ("PLC" if c == "MON" else c) for u, c in say(room, truth, range(80)).items()}
    taught = room.teach(decided)
    assert taught.codes[-1] == "PLC"
    said = np.array(taught.codes)[taught.probabilities.argmax(1)][80:]
    assert (said[truth[80:] == 3] == "PLC").mean() > 0.8


def test_a_model_that_is_at_home_is_hardly_moved_and_one_that_is_lost_is():
    """The pull is chosen by what decisions show."""
    room, truth = blobs(300)
    rows, sure = np.arange(60), np.full((300, 4), 0.01, np.float32)
    home, lost = sure.copy(), sure.copy()
    home[np.arange(300), truth] = lost[np.arange(300), (truth + 1) % 4] = 0.97
    pulls = []
    for said in (home, lost):
        offset = log_probabilities(said)
        pulls.append(choose_pull(room.embedding[rows], offset[rows], truth[rows], room.scale))
    assert pulls == [max(PULLS), min(PULLS)]


def test_teaching_does_not_depend_on_the_order_of_decisions():
    room, truth = blobs(150, right=0.6)
    decided = say(room, truth, range(30))
    backwards = dict(reversed(decided.items()))
    again, _ = blobs(150, right=0.6)
    np.testing.assert_array_equal(room.teach(decided).probabilities, again.teach(backwards).probabilities)


def test_a_warm_start_ends_where_a_cold_one_does():
    room, truth = blobs(200, right=0.6)
    cold, _ = blobs(200, right=0.6)
    for n in (40, 41, 42):
        taught = room.teach(say(room, truth, range(n)))
    other = cold.teach(say(cold, truth, range(42)))
    if taught.head.pull == other.head.pull:
        np.testing.assert_allclose(taught.probabilities, other.probabilities, atol=0.02)
    else:
        assert (taught.probabilities.argmax(1) == other.probabilities.argmax(1)).mean() > 0.95


@settings(max_examples=25, deadline=None)
@given(n=st.integers(2, 60), k=st.integers(1, 5), dim=st.integers(1, 6), seed=st.integers(0, 99))
def test_probabilities_are_probabilities_whatever_is_decided(n, k, dim, seed):
    rng = np.random.default_rng(seed)
    codes = tuple(f"C{i}" for i in range(k + 1))
    chances = rng.dirichlet(np.full(k + 1, 0.3), n).astype(np.float32)
    room = Classroom([str(i) for i in range(n)], codes, rng.normal(size=(n, dim)).astype(np.float32), chances)
    decided = {str(i): rng.choice([*codes, "UNK"]) for i in rng.choice(n, rng.integers(0, n + 1), replace=False)}
    taught = room.teach(decided)
    assert np.isfinite(taught.probabilities).all() and (taught.probabilities >= 0).all()
    np.testing.assert_allclose(taught.probabilities.sum(1), 1, atol=1e-4)
    assert taught.decisions == len(decided)


def test_out_of_fold_copies_of_a_cell_do_not_vouch_for_each_other():
    """A wrong label whose exact copy bears the same wrong label is still spoken against."""
    room, truth = blobs(120, right=1.0, spread=0.2)
    rows = np.r_[np.arange(60), [0, 0, 0]]
    targets = truth[rows].copy()
    targets[[0, 60, 61, 62]] = (truth[0] + 1) % 4
    offset = np.full((len(rows), 4), np.log(0.25), np.float32)
    chances = out_of_fold(room.embedding[rows], offset, targets, 0.1, room.scale)
    assert chances[[0, 60, 61, 62]].argmax(1).tolist() == [truth[0]] * 4


def test_embeddings_that_never_vary_are_left_out():
    embedding = np.ones((20, 3), np.float32)
    embedding[:, 0] = np.r_[np.zeros(10), np.ones(10)]
    scale = Scale.of(embedding)
    assert scale.factor[1] == scale.factor[2] == 0
    head = fit_head(embedding, np.zeros((20, 2), np.float32), np.r_[np.zeros(10, int), np.ones(10, int)], 0.1, scale)
    assert head.probabilities(embedding, np.zeros((20, 2), np.float32)).argmax(1).tolist() == [0] * 10 + [1] * 10


def test_predictions_without_embeddings_are_refused():
    with pytest.raises(InputError, match="no embeddings"):
        Classroom(["a"], ("X", "Y"), np.zeros((1, 0), np.float32), np.ones((1, 2), np.float32) / 2)
    with pytest.raises(InputError, match="2 cells"):
        Classroom(["a", "b"], ("X", "Y"), np.zeros((1, 3), np.float32), np.ones((1, 2), np.float32) / 2)
