"""A table read for some of its genes says what it says when read as a whole, errors with it."""

from __future__ import annotations

import gzip
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_aml.expression import ExpressionError, delimited, prepare, quality, read_expression
from napari_aml.expression import reading as reading_room
from napari_aml.expression.genes import gene_book
from napari_aml.expression.quality_genes import is_quality_gene

BOOK = gene_book()
PLAIN = sorted(s for s, ids in BOOK.symbols.items() if len(ids) == 1 and ids[0] in BOOK.length)
PANEL = PLAIN[100:9000:300]
OTHERS = PLAIN[150:9000:300]
QUALITY = sorted(filter(is_quality_gene, PLAIN))
FORMER = [old for old, new in sorted(BOOK.former.items()) if new in PANEL][:10]
STRANGE = ["1-Mar", "Mar-01", "MARCHF1", "2-Sep", "SEPTIN2", "__no_feature", "__ambiguous", "N_unmapped", "nonsense",
           "ENSG00000182378.15_PAR_Y", "ENSG99999999999.1", "LOC100130417", "7157", "TSPAN6|7105",
           "ENSG00000000003.15|TSPAN6", "A1BG-AS1|503538", *FORMER]  # fmt: skip
ERRORS = ["", "NA", "x", "-3", "-0.5", "inf", "1e999", "nan", "1,2,3", "\u00e4", '"', "12 000"]


@pytest.fixture(autouse=True, scope="module")
def small_blocks():
    """Tables of a few lines go through many blocks and tasks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited, "_IN_CACHE", 300)
        patch.setattr(delimited, "_TASK_SIZE", 900)
        yield


@st.composite
def tables(draw) -> tuple[str, dict]:
    """Text of a table, and settings to read it with."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    genes = [*PANEL, *OTHERS, *QUALITY[:: draw(st.sampled_from([1, 5, 40]))]]
    lacking = draw(st.integers(0, 3))
    genes = [g for g in genes if g not in PANEL[:lacking]]
    genes += draw(st.lists(st.sampled_from(genes), max_size=4)) + draw(st.lists(st.sampled_from(STRANGE), max_size=6))
    style = draw(st.sampled_from(["symbol", "ensembl", "mixed"]))
    names = [
        f"{BOOK.symbols[g][0]}.{i % 7}" if g in BOOK.symbols and (style == "ensembl" or style == "mixed" and i % 3)
        else g for i, g in enumerate(genes)
    ]  # fmt: skip
    rng.shuffle(names)
    samples = draw(st.integers(2, 6))
    values = rng.negative_binomial(1, 0.02, (len(names), samples)) * (rng.random((len(names), 1)) < 0.6)
    if draw(st.booleans()):
        values[rng.integers(len(names)), rng.integers(samples)] = draw(st.sampled_from([99_999, 123_456_789, 10**10]))
    kind = draw(st.sampled_from(["counts", "counts", "quoted", "decimals", "estimated", "logs", "few", "log counts"]))
    cells = {
        "counts": lambda: values.astype(str), "quoted": lambda: np.char.add(np.char.add('"', values.astype(str)), '"'),
        "decimals": lambda: np.char.mod("%.3f", values * 3.37),
        "estimated": lambda: np.where(rng.random(values.shape) < 0.3, np.char.mod("%.2f", values + 0.25),
                                      values.astype(str)),
        "logs": lambda: np.char.mod("%.4f", np.log2(values * 1.7 + 1)),
        "few": lambda: (values > 60).astype(int).astype(str),
        "log counts": lambda: np.char.mod("%.6f", np.log2(values + 1.0)),
    }[kind]().astype("<U24")  # fmt: skip
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        cells[rng.integers(len(names)), rng.integers(samples)] = draw(st.sampled_from(ERRORS))
    if draw(st.sampled_from([False, False, False, True])):
        cells[:, rng.integers(samples)] = "0"
    between = draw(st.sampled_from([",", "\t"]))
    heads = [f"s{i}" for i in range(samples)]
    if draw(st.sampled_from([False, False, False, False, True])):
        heads[-1] = heads[0]
    lines = [between.join(["gene", *heads]), *(between.join([n, *row]) for n, row in zip(names, cells, strict=True))]
    if draw(st.sampled_from([False, False, False, True])):
        lines.insert(int(rng.integers(1, len(lines))), draw(st.sampled_from(["", "A1CF" + between + "1"])))
    overrides: dict = {}
    if draw(st.sampled_from([False, False, True])):
        overrides["samples"] = ["s1"]
    if draw(st.sampled_from([False, False, True])):
        overrides["units"] = draw(st.sampled_from(["counts", "tpm", "log2-tpm"]))
    return draw(st.sampled_from(["\n", "\r\n"])).join(lines) + "\n", overrides


def told(path, overrides: dict, genes: list[str] | None) -> object:
    """What the file becomes, or how it is refused."""
    try:
        matrix = read_expression(path, genes=genes, **overrides)
        made = prepare(matrix, PANEL)
    except ExpressionError as error:
        return type(error), str(error)
    return (made, matrix, [asdict(one) for one in quality(matrix, made)])


@settings(deadline=None, max_examples=80)
@given(tables(), st.booleans())
def test_some_genes_or_all_say_the_same(tmp_path_factory, table, packed):
    text, overrides = table
    path = tmp_path_factory.mktemp("t") / ("table.csv" + (".gz" if packed else ""))
    path.write_bytes(gzip.compress(text.encode(), 1) if packed else text.encode())
    some, all_ = told(path, overrides, PANEL), told(path, overrides, None)
    path.unlink()
    if isinstance(all_[0], type):
        assert some == all_
        return
    assert some[0].missing == all_[0].missing and some[0].warnings == all_[0].warnings
    assert some[0].status == all_[0].status
    np.testing.assert_allclose(some[0].values, all_[0].values, rtol=0, atol=1e-6)
    np.testing.assert_allclose(some[0].share, all_[0].share, rtol=0, atol=1e-9)
    for one, other in zip(some[2], all_[2], strict=True):
        for name, value in other.items():
            same = one[name] == value or np.isclose(one[name], value, rtol=1e-9, atol=0, equal_nan=True)
            assert same, (name, one[name], value)
    for name in ("samples", "units", "orientation", "ids", "evidence", "warnings", "unusable", "genes_in_file"):
        assert getattr(some[1], name) == getattr(all_[1], name), name
    np.testing.assert_allclose(some[1].totals, all_[1].totals, rtol=1e-12)


def counts_file(path, names, samples=3, **changes):
    rng = np.random.default_rng(0)
    cells = rng.negative_binomial(1, 0.01, (len(names), samples)).astype(str)
    for (row, column), cell in changes.get("cells", {}).items():
        cells[row, column] = cell
    lines = [",".join(["gene", *(f"s{i}" for i in range(samples))])]
    path.write_text("\n".join(lines + [",".join([n, *r]) for n, r in zip(names, cells, strict=True)]) + "\n")
    return path


def test_values_of_other_genes_are_not_kept_but_counted(tmp_path):
    path = counts_file(tmp_path / "t.csv", [*PANEL, *OTHERS])
    some, all_ = read_expression(path, genes=PANEL), read_expression(path)
    assert set(some.genes) == set(PANEL) and len(all_.genes) == some.genes_in_file == len(PANEL) + len(OTHERS)
    assert (some.totals == all_.totals).all()
    assert (some.detected == (all_.values > 0).sum(1)).all()


def test_a_hole_in_a_gene_that_nobody_wanted_is_named(tmp_path):
    names = [*PANEL, *OTHERS]
    path = counts_file(tmp_path / "t.csv", names, cells={(len(PANEL) + 4, 1): ""})
    with pytest.raises(ExpressionError, match=f"line {len(PANEL) + 6}.*'{OTHERS[4]}'.*'s1' is empty"):
        read_expression(path, genes=PANEL)


def test_a_line_that_was_not_kept_but_is_wanted_makes_the_table_be_read_again(tmp_path, monkeypatch):
    path = counts_file(tmp_path / "t.csv", [*PANEL, *OTHERS])
    monkeypatch.setattr("napari_aml.expression.wanted.may_be", lambda name: set())
    reads = []
    whole = reading_room.read_rows_steps
    monkeypatch.setattr(reading_room, "read_rows_steps", lambda *a: reads.append(1) or whole(*a))
    assert len(read_expression(path, genes=PANEL).genes) == len(PANEL) + len(OTHERS) and reads == [1]
