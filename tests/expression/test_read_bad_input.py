"""What is wrong with an expression file is said in one typed sentence that names the place; nothing is filled in."""

from __future__ import annotations

import gzip
import pickle

import numpy as np
import pandas as pd
import pytest

from napari_aml.errors import InputError
from napari_aml.expression import (
    CellValueError,
    ExpressionError,
    ExpressionReadError,
    GeneIdError,
    PanelError,
    SampleNameError,
    TooLargeError,
    UnitsError,
    prepare,
    read_expression,
)
from napari_aml.expression.genes import gene_book

BOOK = gene_book()
CODING = set(BOOK.entrez.values())
SYMBOLS = sorted(s for s in CODING if BOOK.length_of(s) > 0 and s.isalnum() and s.isupper())[9000:9300]


@pytest.fixture
def table() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    made = rng.integers(0, 900, (len(SYMBOLS), 3)).astype(object)
    return pd.DataFrame(made, index=SYMBOLS, columns=["S1", "S2", "S3"])


def refused(path, kind: type[InputError], *words: str, **settings: object) -> str:
    with pytest.raises(kind) as caught:
        read_expression(path, **settings)
    for word in words:
        assert word in str(caught.value)
    assert caught.value.hint and path.name in caught.value.message
    return str(caught.value)


def write(tmp_path, table, **settings):
    path = tmp_path / "table.csv"
    table.to_csv(path, **settings)
    return path


@pytest.mark.parametrize(
    ("value", "words"),
    [(np.nan, "is empty"), ("NA", "has no value ('NA')"), ("NaN", "has no value"), ("inf", "not finite"),
     ("-inf", "not finite"), ("abc", "is 'abc', not a number"), ("1,5", "cells"), ("1e999", "not finite"),
     ("#DIV/0!", "has no value"), ("<5", "'<5', not a number")],
)  # fmt: skip
def test_cells_that_are_no_numbers_are_named_by_line_gene_and_sample(tmp_path, table, value, words):
    table.iloc[250, 1] = value
    path = write(tmp_path, table, quoting=3, escapechar="\\") if value != "1,5" else write(tmp_path, table)
    if value == "1,5":
        path.write_text(path.read_text().replace('"', ""))
    said = refused(path, ExpressionReadError, words, "line 252", SYMBOLS[250])
    if "cells" not in words:
        assert "'S2'" in said
        with pytest.raises(CellValueError):
            read_expression(path)


def test_negative_counts_are_named(tmp_path, table):
    table.iloc[17, 2] = -5
    refused(write(tmp_path, table), CellValueError, SYMBOLS[17], "'S3'", "-5")
    refused(write(tmp_path, table), CellValueError, SYMBOLS[17], units="counts")


def test_wrong_delimiter(tmp_path, table):
    path = write(tmp_path, table)
    refused(path, ExpressionReadError, "one column only", delimiter="tab")
    assert read_expression(path, delimiter=",").shape == (3, len(SYMBOLS))
    path.write_text("one\ntwo\nthree\n")
    refused(path, ExpressionReadError, "delimiter")
    with pytest.raises(ExpressionError, match="no delimiter"):
        read_expression(write(tmp_path, table), delimiter="ab")


def test_a_title_above_the_header_is_told(tmp_path, table):
    path = write(tmp_path, table)
    path.write_text("AML of 2026\nTPM of all genes\n" + path.read_text())
    refused(path, ExpressionReadError, "From line 3 on", "delete the lines above")


def test_ragged_line(tmp_path, table):
    path = write(tmp_path, table)
    lines = path.read_text().splitlines()
    lines[100] = lines[100].rsplit(",", 1)[0]
    path.write_text("\n".join(lines))
    refused(path, ExpressionReadError, "line 101", SYMBOLS[99], "has 3 cells, the header 4")
    lines[100], lines[101] = lines[100] + ",1,2", lines[101].rsplit(",", 1)[0]  # the number of cells comes out even
    path.write_text("\n".join(lines))
    refused(path, ExpressionReadError, "line 101")


@pytest.mark.parametrize("content", [b"", b"\n\n  \n", b"\xef\xbb\xbf", gzip.compress(b"")])
def test_empty(tmp_path, content):
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    refused(path, ExpressionReadError, "empty")


def test_header_alone_and_no_numbers(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("gene,S1,S2\n")
    refused(path, ExpressionReadError, "no lines of values")
    path.write_text("gene,S1\nTP53,high\nKIT,low\n")
    refused(path, ExpressionReadError, "no column holds numbers", "high")


def test_one_gene(tmp_path, table):
    refused(write(tmp_path, table.iloc[:1]), ExpressionReadError, "one gene", SYMBOLS[0])


def test_tenth_of_the_panel_is_refused_and_names_genes(tmp_path, table):
    path = write(tmp_path, table.iloc[:30])
    with pytest.raises(PanelError, match=rf"lacks 270 of the 300 genes.*90\.0 %.*{SYMBOLS[30]}"):
        prepare(read_expression(path), SYMBOLS)


def test_doubled_and_nameless_samples(tmp_path, table):
    table.columns = ["S1", "S2", "S1"]
    refused(write(tmp_path, table), SampleNameError, "'S1'", "2 times")
    table.columns = ["S1", "", "S3"]
    refused(write(tmp_path, table), SampleNameError, "number 2")
    table.columns = ["S1", "S2", "S3"]
    refused(write(tmp_path, table.T), SampleNameError, "no sample 'S9'", "'S1'", samples=["S9"])


def test_other_species_transcripts_and_probes(tmp_path, table, shared_data):
    for names, word in (
        ([s.capitalize() for s in SYMBOLS], "mouse"),
        ([f"ENSMUSG{i:011d}.2" for i in range(300)], "mouse"),
        ([f"ENSRNOG{i:011d}" for i in range(300)], "rat"),
        ([f"ENST{i:011d}.1" for i in range(300)], "transcripts"),
        ([f"20{i:04d}_s_at" for i in range(300)], "microarray"),
        ([f"thing{i}" for i in range(300)], "0 of 300"),
    ):
        table.index = names
        said = refused(write(tmp_path, table), GeneIdError, word)
        assert str(names[150]) in said
    refused(shared_data / "expression" / "golub_3051x38.csv.gz", GeneIdError, "microarray")


def test_microarray_and_standardised_scales(tmp_path):
    rng = np.random.default_rng(2)
    symbols = sorted(s for s in BOOK.symbols if BOOK.length_of(s) > 0)[:3000]
    array = pd.DataFrame(rng.normal(7.5, 1.5, (3000, 2)).clip(3, 14), index=symbols, columns=["a", "b"])
    refused(write(tmp_path, array), UnitsError, "'a'", "microarray")
    refused(write(tmp_path, array - 7.5), UnitsError, "below zero", "standardised")


def test_pickles_and_other_files_posing_as_tables(tmp_path, table):
    path = tmp_path / "table.csv"
    for content, word in (
        (pickle.dumps(table), "pickle"), (gzip.compress(pickle.dumps(table)), "pickle"),
        (b"PK\x03\x04rest of a zip", "Excel"), (b"%PDF-1.7", "PDF"), (b"<!DOCTYPE html><html>", "web page"),
        (bytes(range(256)) * 9, "binary"), (b"version https://git-lfs.github.com/spec/v1\n", "elsewhere"),
        (b"\x1f\x8bnot really gzip", "gzip"), (b"PAR1 but broken", "Parquet"),
        (gzip.compress(table.to_csv().encode())[:-20], "gzip"),
    ):  # fmt: skip
        path.write_bytes(content)
        refused(path, ExpressionReadError, word)


def test_missing_file_folder_and_permission(tmp_path):
    refused(tmp_path / "absent.csv", ExpressionReadError, "no such file")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", ExpressionReadError, "no expression files")


def test_too_large_is_refused_before_it_is_read(tmp_path, table, monkeypatch):
    path = write(tmp_path, pd.concat([table] * 40, axis=1).set_axis([f"S{i}" for i in range(120)], axis=1))
    said = refused(path, TooLargeError, "memory", "Split", memory_limit=100_000)
    assert "about 3" in said and "rows x 120 columns" in said
    monkeypatch.setenv("NAPARI_AML_MEMORY_LIMIT", "1000")
    refused(path, TooLargeError, "memory")
    parquet = tmp_path / "a.parquet"
    table.astype(int).to_parquet(parquet)
    refused(parquet, TooLargeError, "300 rows x 4 columns")


def test_samples_in_different_units_are_refused_and_named(tmp_path, table):
    table["S2"] = np.log2(table["S2"].astype(float) + 1)
    refused(write(tmp_path, table), UnitsError, "different units", "'S1'", "'S2'")


def test_an_empty_sample_is_refused_and_the_others_go_on(tmp_path, table):
    table["S2"] = 0
    matrix = read_expression(write(tmp_path, table))
    assert list(matrix.unusable) == ["S2"]
    assert any(said.startswith("1 of 3 samples cannot be used") for said in matrix.warnings)  # counted, not named
    prepared = prepare(matrix, SYMBOLS)
    assert prepared.status == ("ok", "unusable", "ok") and not prepared.values[1].any()
    assert ["all its values are 0" in " ".join(said) for said in prepared.warnings] == [False, True, False]
    table[:] = 0
    refused(write(tmp_path, table), UnitsError, "empty")


def test_dates_of_spreadsheets_are_repaired_with_a_warning(tmp_path, table):
    names = list(SYMBOLS)
    for place, (date, gene) in enumerate(
        {"1-Mar": "MARCHF1", "Mar-02": "MARCHF2", "2-Sep": "SEPTIN2", "2021-09-07 00:00:00": "SEPTIN7",
         "1-Dec": "DELEC1", "15-Sep": "SELENOF", "3. Mrz": "MARCHF3"}.items()
    ):  # fmt: skip
        names[place] = date
        table.index = names
        matrix = read_expression(write(tmp_path, table))
        assert matrix.genes[place] == gene and matrix.gene_ids[place] == date
        assert any("spreadsheet" in said and names[0] in said for said in matrix.warnings)
    np.testing.assert_array_equal(matrix.values, table.to_numpy(float).T)


def test_a_date_that_two_genes_became_is_left_alone(tmp_path, table):
    table.index = ["1-Mar", *SYMBOLS[1:-1], "1-Mar"]  # MARCH1 and MARC1
    matrix = read_expression(write(tmp_path, table))
    assert "MARCHF1" not in matrix.genes and "MTARC1" not in matrix.genes
    assert any("1-Mar" in said and "not used" in said for said in matrix.warnings)


def test_which_side_is_genes_cannot_be_told(tmp_path):
    square = pd.DataFrame(np.eye(30, dtype=int) + 3, index=SYMBOLS[:30], columns=SYMBOLS[30:60])
    path = write(tmp_path, square)
    refused(path, ExpressionReadError, "cannot be told", "--orientation")
    assert read_expression(path, orientation="samples-in-rows").samples == tuple(SYMBOLS[:30])


@pytest.mark.parametrize("setting", ["orientation", "ids", "units", "strand"])
def test_settings_that_are_none(tmp_path, table, setting):
    path = write(tmp_path, table)
    if setting == "strand":
        path.write_text("".join(f"{n}\t1\t1\t1\n" for n in ("N_unmapped", *SYMBOLS)))
    with pytest.raises(ExpressionError, match="nonsense"):
        read_expression(path, **{setting: "nonsense"})


def test_closing_stops_the_reading(tmp_path, table):
    from napari_aml.expression import read_expression_steps

    path = write(tmp_path, pd.concat([table.set_axis([f"{n}.{i}" for n in SYMBOLS]) for i in range(800)]))
    steps = read_expression_steps(path)
    seen = next(event for event in steps if event.done)
    assert seen.total == path.stat().st_size and 0 < seen.done < seen.total
    steps.close()
