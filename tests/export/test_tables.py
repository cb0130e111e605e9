"""Tables on disk: nothing is lost, nothing runs as a formula."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_aml.errors import OutputError
from napari_aml.export import write_csv, write_parquet
from napari_aml.export.tables import FORMULA_STARTS, defused


def test_texts_that_are_formulas_get_an_apostrophe_and_numbers_do_not(tmp_path):
    texts = ["=cmd()", "+1", "-1", "@x", "\tx", "\rx", "NGS", "a=b"]
    path = write_csv(pd.DataFrame({"t": texts, "n": np.arange(8) - 4.5}), tmp_path / "t.csv")
    back = pd.read_csv(path)
    assert back["t"].tolist() == ["'=cmd()", "'+1", "'-1", "'@x", "'\tx", "' x", "NGS", "a=b"]
    assert back["n"].tolist() == [-4.5, -3.5, -2.5, -1.5, -0.5, 0.5, 1.5, 2.5]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.one_of(st.text(), st.none()), max_size=8), st.text(min_size=1))
def test_no_text_of_a_defused_table_starts_a_formula(texts, name):
    table = defused(pd.DataFrame({name: pd.Series(texts, dtype=object)}))
    for value in [*table.columns, *table.iloc[:, 0]]:
        assert not (isinstance(value, str) and value.startswith(FORMULA_STARTS))


def test_the_table_itself_is_left_alone():
    table = pd.DataFrame({"=t": ["=x"]})
    defused(table)
    assert table.columns[0] == "=t"
    assert table.iloc[0, 0] == "=x"


def test_float32_survives_csv(tmp_path):
    values = np.random.default_rng(0).random(500).astype(np.float32)
    back = pd.read_csv(write_csv(pd.DataFrame({"v": values}), tmp_path / "v.csv"))
    np.testing.assert_allclose(back["v"], values, rtol=1e-6)


def test_a_long_table_keeps_its_rows_in_order_under_one_head(tmp_path):
    table = pd.DataFrame({"i": np.arange(5001), "t": ["x"] * 5001})
    pd.testing.assert_frame_equal(pd.read_csv(write_csv(table, tmp_path / "l.csv")), table, check_dtype=False)


def test_an_empty_table_keeps_its_head(tmp_path):
    path = write_csv(pd.DataFrame({"uid": pd.Series(dtype="str"), "y": pd.Series(dtype=float)}), tmp_path / "e.csv")
    assert path.read_text() == "uid,y\n"


def test_parquet_keeps_types_and_says_what_it_is(tmp_path):
    table = pd.DataFrame({"uid": ["a"], "label": np.array([1], np.int32), "p": np.array([0.5], np.float32)})
    path = write_parquet(table, tmp_path / "c.parquet", {"slide_id": "S1"})
    pd.testing.assert_frame_equal(pd.read_parquet(path), table, check_dtype=True)
    told = json.loads(pyarrow.parquet.read_schema(path).metadata[b"napari_aml"])
    assert told["slide_id"] == "S1"
    assert "For Research Use Only" in told["research_use"]


def test_an_unwritable_place_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        write_csv(pd.DataFrame({"a": [1]}), tmp_path / "file" / "t.csv")
