"""Which cells the gallery shows and in which order, and where each lies."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qtpy.QtGui import QUndoStack
from state_parts import analysis_of, state_of, uids_of

from napari_aml.review.decisions import Decision
from napari_aml.taxonomy import LMU_CODES
from napari_aml.ui.deciding import Decider
from napari_aml.ui.gallery_layout import GridLayout
from napari_aml.ui.gallery_query import (
    CHANGED,
    DECIDED,
    SORTS,
    UNDECIDED,
    GalleryCells,
    GalleryQuery,
    class_rank,
    order,
)


@pytest.fixture
def state(qapp):
    return state_of(60)


@pytest.fixture
def decider(state):
    return Decider(state, QUndoStack())


def cells_of(state):
    return GalleryCells(state, [state.analysis])


def shown(state, **query):
    cells = cells_of(state)
    return [cells.uids[i] for i in order(cells, GalleryQuery(**{"grouped": False, **query}))[0]]


def test_every_order_shows_every_cell_once(state):
    for sort in SORTS:
        for grouped in (True, False):
            assert sorted(shown(state, sort=sort, grouped=grouped)) == sorted(uids_of(state))


def test_least_sure_first_and_the_other_way_round(state):
    p = state.analysis.predictions
    by = dict(zip(uids_of(state), p.confidence, strict=True))
    values = [by[uid] for uid in shown(state, sort="confidence")]
    assert values == sorted(values) and shown(state, sort="confidence", descending=True)[0] == max(by, key=by.get)
    two = np.sort(p.probabilities, 1)
    narrow = uids_of(state)[int((two[:, -1] - two[:, -2]).argmin())]
    assert shown(state, sort="margin")[0] == narrow


def test_groups_hold_one_class_each_in_reading_order(state):
    cells = cells_of(state)
    rows, groups = order(cells, GalleryQuery(sort="confidence"))
    assert [g.start for g in groups] == [0, *[g.stop for g in groups[:-1]]] and groups[-1].stop == 60
    assert [class_rank(g.code) for g in groups] == sorted({class_rank(c) for c in state.codes()})
    for g in groups:
        assert {cells.codes[i] for i in rows[g.start : g.stop]} == {g.code}
        inside = cells.confidence[rows[g.start : g.stop]]
        assert (np.diff(inside) >= 0).all()
    assert cells.counts() == {g.code: (g.stop - g.start, 0) for g in groups}


def test_filters_by_decision_tag_note_reader_and_text(state, decider):
    uids = uids_of(state)
    decider.confirm(uids[:3])
    other = "EOS" if state.model_code(5) != "EOS" else "BAS"
    decider.decide([uids[5]], other)
    decider.tag([uids[7]], "auer_rod", True)
    decider.note(uids[8], "Döhle bodies?")
    assert set(shown(state, decided=DECIDED)) == {*uids[:3], uids[5]}
    assert len(shown(state, decided=UNDECIDED)) == 56
    assert shown(state, decided=CHANGED) == [uids[5]]
    assert shown(state, tag="auer_rod") == [uids[7]] == shown(state, text="auer")
    assert shown(state, text="döhle") == [uids[8]] and shown(state, text="000009") == [uids[8]]
    assert set(shown(state, reader=state.reader)) == {*uids[:3], uids[5]} and shown(state, reader="nobody") == []
    named = {u for u, c in zip(uids, state.codes(), strict=True) if c in ("LYT", "LYA")}
    assert set(shown(state, text="lymphocyte")) == named == set(shown(state, codes=frozenset({"LYT", "LYA"})))
    assert cells_of(state).counts()[other][1] >= 1


def test_filters_by_confidence_size_and_slide(state):
    p = state.analysis.predictions.confidence
    some = shown(state, least_confidence=0.3, most_confidence=0.6)
    assert len(some) == ((p >= 0.3) & (p <= 0.6)).sum()
    assert shown(state, least_um2=2.0) == [] and len(shown(state, most_um2=2.0)) == 60
    assert len(shown(state, slide="S")) == 60 and shown(state, slide="T") == []


def test_cells_of_other_slides_stand_beside(state):
    from dataclasses import replace

    other = analysis_of(9, seed=3)
    table = other.cells.table.assign(uid=[f"T-{i}" for i in range(9)], slide_id="T")
    other = replace(other, cells=replace(other.cells, table=table, slide_id="T"))
    cells = GalleryCells(state, [state.analysis, other])
    rows, _ = order(cells, GalleryQuery(slide="T", grouped=False))
    assert [cells.uids[i] for i in rows] == [f"T-{i}" for i in range(9)]
    assert cells.analysis_of(rows[4]) == (other, 4) and list(cells.codes[60:]) == list(other.predictions.code)


def test_the_queue_goes_first_and_says_why(state):
    uids = uids_of(state)
    state.queue = [(uids[40], "unsure"), (uids[3], "rare class")]
    cells = cells_of(state)
    assert shown(state, sort="queue")[:2] == [uids[40], uids[3]] and cells.why[uids[3]] == "rare class"


def test_blinded_nothing_of_the_model_orders_or_names_cells(state, decider):
    uids = uids_of(state)
    state.blinded = True
    decider.decide([uids[4]], "MYO")
    cells = cells_of(state)
    assert np.isfinite(cells.confidence).sum() == 1 and set(cells.codes) == {"", "MYO"}
    assert set(cells.model_codes) == {"", state.model_code(4)}
    assert shown(state, sort="confidence")[0] == uids[4] and shown(state, text="neutrophil") == []


def test_updating_some_cells_equals_reading_all_anew(state, decider):
    uids = uids_of(state)
    cells = cells_of(state)
    decider.decide(uids[10:20], "PLC")
    state.pending = frozenset(uids[30:33])
    found = cells.update([*uids[10:20], *uids[30:33], "not there"])
    assert sorted(found) == [*range(10, 20), *range(30, 33)]
    fresh = cells_of(state)
    for name in ("codes", "decided", "rank", "margin", "model_codes"):
        keep = np.delete(np.arange(60), [30, 31, 32]) if name == "margin" else np.arange(60)
        np.testing.assert_array_equal(getattr(cells, name)[keep], getattr(fresh, name)[keep], err_msg=name)
    assert np.isnan(cells.margin[30])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=6), st.integers(1, 7), st.sampled_from([0, 20]))
def test_a_cell_is_found_where_it_lies(sizes, columns, header):
    stops = np.cumsum(sizes).tolist()
    grid = GridLayout(list(zip([0, *stops[:-1]], stops, strict=True)), columns, 50, 60, header)
    seen = set()
    for row in range(stops[-1]):
        x, y = grid.corner(row)
        assert grid.at(x, y) == row == grid.at(x + 49, y + 59) and grid.header_at(y) is None
        assert 0 <= x < columns * 50 and y + 60 <= grid.total
        assert (x, y) not in seen
        seen.add((x, y))
        assert 0 <= grid.step(row, 1) < stops[-1] and 0 <= grid.step(row, -1) < stops[-1]
    every = [r for _, a, b in grid.bands(0, grid.total) for r in range(a, b)]
    assert every == list(range(stops[-1]))
    top, bottom = grid.total // 3, 2 * grid.total // 3
    meets = [r for r in range(stops[-1]) if grid.corner(r)[1] + 60 > top and grid.corner(r)[1] < bottom]
    assert set(meets) <= {r for _, a, b in grid.bands(top, bottom) for r in range(a, b)}
    assert list(grid.within(0, 0, columns * 50 - 1, grid.total)) == list(range(stops[-1]))


class _Bundle:
    """A bundle that says how far its word is to be trusted: two classes possible of the first cells."""

    codes = LMU_CODES

    class trust:
        class conformal:
            @staticmethod
            def membership(p):
                out = np.zeros(p.shape, bool)
                out[:, 0] = True
                out[:3, 1] = True
                out[5] = False
                return out

        @staticmethod
        def unlike(scores):
            return np.asarray(scores) > 1


@pytest.fixture
def trusted():
    from dataclasses import replace

    state = state_of(10)
    said = replace(state.analysis.predictions, ood=np.linspace(0, 2, 10).astype(np.float32))
    state.analysis = replace(state.analysis, predictions=said, bundle=_Bundle())
    return state


def test_cells_are_found_by_how_far_the_model_is_to_be_trusted(trusted):
    cells = GalleryCells(trusted, [trusted.analysis])

    def shown(**query):
        return order(cells, GalleryQuery(grouped=False, **query))[0].tolist()

    assert shown(trust="ambiguous") == shown(text="ambiguous:") == shown(text="set:2") == [0, 1, 2]
    assert shown(trust="noset") == shown(text="noset:") == [5]
    assert shown(trust="unlike") == shown(text="unlike:") == [5, 6, 7, 8, 9]
    assert shown(text="noset: unlike:") == [5] and shown(text="noset: ambiguous:") == []
    assert shown(sort="unlike") == list(range(9, -1, -1))
    assert shown(sort="set")[:3] == [0, 1, 2] and shown(sort="set")[-1] == 5


def test_trust_is_the_models_word_and_hidden_in_a_blinded_reading(trusted):
    from dataclasses import replace

    trusted.blinded = True
    cells = GalleryCells(trusted, [trusted.analysis])
    assert (cells.trust.size == -1).all() and not cells.trust.unlike.any()
    uid = cells.uids[1]
    trusted.take(trusted.store.record([Decision(uid, "S", "MYO", trusted.reader)]))
    cells.update([uid])
    assert cells.trust.size.tolist().count(-1) == 9 and cells.trust.size[1] == 2
    trusted.blinded = False
    taught = replace(trusted.analysis.predictions, bundle_id="by hand, taught by 5 decisions")
    cells.replace_analysis(replace(trusted.analysis, predictions=taught))
    assert (cells.trust.size == -1).all(), "sets do not hold for what decisions taught"


def test_the_shipped_bundle_says_how_far_it_is_to_be_trusted():
    from napari_aml.classify import load_bundle
    from napari_aml.classify.predictions import Predictions
    from napari_aml.review.queue.trust import trust_of

    bundle = load_bundle()
    k = len(bundle.codes)
    p = np.full((3, k), 0.02 / (k - 1), np.float32)
    p[:, 0] = 0.98
    p[2] = 1 / k
    ood = np.array([0.0, 1e6, np.nan], np.float32)
    said = Predictions(tuple(bundle.codes), p, np.zeros((3, 2), np.float32), ood, bundle.bundle_id)
    trust = trust_of(bundle, said, 3)
    assert trust.unlike.tolist() == [False, True, False] and trust.words(1)[-1] == "unlike the training cells"
    assert (trust.size >= 0).all() and [len(s) for s in bundle.trust.conformal.sets(p)] == trust.size.tolist()
