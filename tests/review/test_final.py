"""Whose word counts."""

from __future__ import annotations

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from napari_aml.review.decisions import ADJUDICATOR, TAG, Decision
from napari_aml.review.final import FINAL_COLUMNS, final_codes, settled

TABLE = pd.DataFrame({"uid": list("abcd"), "class": ["MYO", "LYT", "MON", "NGS"]}, index=[5, 6, 7, 8])


def said(uid, value, reader="ada", **more):
    return Decision(uid, "S1", value, reader, **more)


def test_without_decisions_the_model_speaks_and_nothing_is_confirmed():
    out = final_codes(TABLE, [])
    assert tuple(out) == FINAL_COLUMNS and out.index.tolist() == [5, 6, 7, 8]
    assert out["code_final"].tolist() == ["MYO", "LYT", "MON", "NGS"]
    assert not out["confirmed"].any() and not out["disputed"].any() and set(out["decided_by"]) == {""}


def test_a_reader_s_own_view_knows_no_one_else():
    record = [said("a", "MOB"), said("a", "MON", "ben"), said("b", "LYA", "ben"), said("c", "UNK", ADJUDICATOR)]
    assert final_codes(TABLE, record, "ada")["code_final"].tolist() == ["MOB", "LYT", "MON", "NGS"]
    assert final_codes(TABLE, record, "ben")["code_final"].tolist() == ["MON", "LYA", "MON", "NGS"]
    assert final_codes(TABLE, record, ADJUDICATOR)["code_final"].tolist() == ["MYO", "LYT", "UNK", "NGS"]


def test_all_together_agreement_then_majority_then_dispute_then_adjudication():
    record = [said("a", "MOB"), said("a", "MOB", "ben")]
    record += [said("b", "LYA"), said("b", "LYA", "ben"), said("b", "LYT", "cem")]
    record += [said("c", "MOB"), said("c", "PRM", "ben")]
    out = final_codes(TABLE, record)
    assert out["code_final"].tolist() == ["MOB", "LYA", "MON", "NGS"]
    assert out["confirmed"].tolist() == [True, True, False, False]
    assert out["disputed"].tolist() == [False, True, True, False]
    assert out["decided_by"].tolist() == ["ada; ben", "ada; ben", "", ""]
    out = final_codes(TABLE, [*record, said("c", "PRM", ADJUDICATOR)])
    assert out.loc[7].tolist() == ["PRM", True, ADJUDICATOR, False]


def test_what_was_taken_back_or_is_no_class_counts_for_nothing():
    record = [said("a", "MOB"), said("a", None), said("b", "on", kind=TAG, name="Auer rod")]
    assert not final_codes(TABLE, record)["confirmed"].any()


def test_a_table_without_a_model_and_cells_of_other_slides():
    out = final_codes(TABLE[["uid"]], [said("a", "MOB"), said("elsewhere", "MYO")])
    assert out["code_final"].tolist() == ["MOB", "", "", ""]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["MYO", "LYT", None]), st.sampled_from("xyz"))))
def test_the_view_of_all_depends_on_each_reader_s_newest_word_only(rows):
    record = [said(uid, value, reader) for uid, value, reader in rows]
    newest = {(d.uid, d.reader): d for d in record}
    assert settled(record) == settled([d for d in record if newest[d.uid, d.reader] is d])


def test_an_analysis_tells_the_model_s_word_from_the_person_s():
    import numpy as np

    from napari_aml.analysis import Analysis
    from napari_aml.cells import CellMasks, Cells, measure
    from napari_aml.classify import Predictions

    labels = np.zeros((60, 60), np.int32)
    labels[5:20, 5:20], labels[30:50, 30:50] = 1, 2
    masks = CellMasks.from_arrays(labels)
    cells = Cells("S1", masks, measure(masks, "S1", 0.1), 0.1)
    f = np.float32
    said_by_model = Predictions(("MYO", "LYT"), np.eye(2, dtype=f), np.zeros((2, 3), f), np.full(2, np.nan, f))
    analysis = Analysis(None, cells, said_by_model)
    plain = analysis.table()
    assert plain["code_final"].tolist() == plain["class"].tolist() and not plain["confirmed"].any()
    uids = cells.table["uid"]
    analysis.final = final_codes(plain, [said(uids[1], "MOB")]).set_index(uids)
    table = analysis.table()
    assert table["class"].tolist() == ["MYO", "LYT"] and table["code_final"].tolist() == ["MYO", "MOB"]
    assert table["confirmed"].tolist() == [False, True] and table["decided_by"].tolist() == ["", "ada"]
    # A cell that came later is the model's.
    analysis.final = analysis.final.iloc[1:]
    assert analysis.table()["code_final"].tolist() == ["MYO", "MOB"]
    without = Analysis(None, cells, final=analysis.final).table()
    assert without["code_final"].tolist() == ["", "MOB"] and "class" not in without
