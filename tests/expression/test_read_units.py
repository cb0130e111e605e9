"""Units are told from a sample's own values; what a sample becomes never depends on the others."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_aml.expression import CellValueError, ExpressionError, UnitsError, prepare, read_expression
from napari_aml.expression.genes import gene_book
from napari_aml.expression.units import Units, judge, parse_units

BOOK = gene_book()
GENES = sorted(s for s in BOOK.symbols if BOOK.length_of(s) > 0)[:14_000]
LENGTHS = np.array([BOOK.length_of(s) for s in GENES])


@cache
def sample(seed: int, depth: float = 3e7) -> np.ndarray:
    """Reads of a made-up library: a few genes take most, a third is silent, long genes have more."""
    rng = np.random.default_rng(seed)
    rate = LENGTHS * np.exp(rng.normal(0, 2.2, len(GENES))) * (rng.random(len(GENES)) < 0.67)
    return rng.poisson(rate / rate.sum() * depth).astype(float)


def as_units(reads: np.ndarray, name: str) -> np.ndarray:
    units = parse_units(name)
    rate = reads / LENGTHS
    linear = {
        "counts": reads, "tpm": rate / rate.sum() * 1e6, "fpkm": rate * 1e9 / reads.sum(),
        "cpm": reads / reads.sum() * 1e6, "normalised-counts": reads * 1.137,
    }[units.quantity]  # fmt: skip
    return np.round(units.stored(linear), 4)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "name", ["counts", "tpm", "fpkm", "normalised-counts", "log2-tpm", "log2-fpkm", "log2-counts", "ln-tpm",
             "ln-counts", "log10-tpm", "log2-tpm+0.001", "log2-fpkm+0.001"],
)  # fmt: skip
def test_units_are_found_with_evidence(name, seed):
    units, evidence, sure = judge(as_units(sample(seed), name).astype(np.float32))
    assert (units.name, sure) == (name, True)
    assert any(digit in evidence for digit in "0123456789")


def test_ln_fpkm_is_told_from_log2_by_the_sum():
    # Natural logarithms undone as powers of two sum to far less than any FPKM table does.
    units, _, _ = judge(as_units(sample(4), "ln-fpkm").astype(np.float32))
    assert units.name == "ln-fpkm"


def test_estimated_reads_are_counts():
    reads = sample(1)
    assert judge(reads + 0.37 * (np.arange(len(reads)) % 5 == 0))[0].name == "counts"


def test_few_genes_leave_it_open_and_say_so(tmp_path):
    part = pd.DataFrame(as_units(sample(2), "tpm")[:500, None] + 0.01, index=GENES[:500], columns=["a"])
    path = tmp_path / "part.csv"
    part.to_csv(path)
    matrix = read_expression(path)
    assert matrix.units.value == "linear" and not matrix.units.sure
    assert any("--units" in said for said in matrix.warnings)
    told = read_expression(path, units="tpm")
    assert told.units.by == "person" and not any("--units" in said for said in told.warnings)


def test_a_persons_word_is_believed_unless_it_cannot_be(tmp_path):
    path = tmp_path / "a.csv"
    pd.DataFrame(as_units(sample(2), "log2-tpm")[:, None] - 0.5, index=GENES, columns=["a"]).to_csv(path)
    with pytest.raises(UnitsError, match=r"'a'"):
        read_expression(path)
    with pytest.raises((CellValueError, UnitsError), match=r"-0\.5"):
        read_expression(path, units="tpm")
    with pytest.raises(ExpressionError, match="no units"):
        read_expression(path, units="log-tpm")


@pytest.mark.parametrize("name", ["counts", "log2-tpm", "ln-fpkm", "log10-cpm", "log2-tpm+0.001", "normalised-counts"])
def test_names_of_units_go_there_and_back(name):
    units = parse_units(name)
    assert units.name == name
    linear = np.array([0.0, 1.0, 12345.678])
    np.testing.assert_allclose(units.linear(units.stored(linear)), linear, atol=1e-9)
    assert parse_units("RPKM").name == "fpkm" and parse_units("log2(TPM+1)").name == "log2-tpm"


@pytest.mark.parametrize("name", ["counts", "fpkm", "log2-tpm", "log2-counts", "ln-fpkm"])
def test_all_units_of_one_sample_become_one_row(tmp_path, name):
    """Reads, FPKM and logarithms lead to the TPM of the panel that the reads themselves give."""
    path = tmp_path / "a.csv"
    pd.DataFrame(as_units(sample(5), name)[:, None], index=GENES, columns=["a"]).to_csv(path)
    panel = GENES[100:3000]
    made = prepare(read_expression(path), panel)
    rate = (sample(5) / LENGTHS)[100:3000]
    expected = np.log2(rate / rate.sum() * 1e6 + 1)
    np.testing.assert_allclose(made.values[0], expected, atol=0.02)
    assert abs((np.exp2(made.values[0].astype(float)) - 1).sum() - 1e6) < 100


@settings(max_examples=8, deadline=None)
@given(
    seeds=st.lists(st.integers(0, 10_000), min_size=1, max_size=4, unique=True),
    name=st.sampled_from(["counts", "tpm", "log2-tpm", "log2-counts"]),
    upright=st.booleans(),
)
def test_a_row_never_depends_on_the_other_samples(tmp_path_factory, seeds, name, upright):
    """The prepared row of a sample, bit for bit: alone in a file, beside others, in any order."""
    folder = tmp_path_factory.mktemp("alone")
    few = GENES[:2500]
    table = pd.DataFrame({f"s{seed}": as_units(sample(seed), name)[:2500] for seed in seeds}, index=few)
    together = folder / "together.csv"
    (table if upright else table.T).to_csv(together)
    panel = [*few[50:900], "a gene that is missing"]
    setting = {"units": name}
    rows = prepare(read_expression(together, **setting), panel)
    backwards = prepare(read_expression(together, samples=list(table)[::-1], **setting), panel)
    for i, column in enumerate(table):
        alone = folder / f"{column}.csv"
        table[[column]].to_csv(alone)
        np.testing.assert_array_equal(prepare(read_expression(alone, **setting), panel).values[0], rows.values[i])
        np.testing.assert_array_equal(backwards.values[::-1][i], rows.values[i])


def test_samples_of_one_kind_may_differ_in_what_they_are_called(tmp_path):
    """A sum that happens to be a million does not make a sample's file contradict itself."""
    table = pd.DataFrame({"a": as_units(sample(1), "tpm"), "b": as_units(sample(2), "tpm") * 0.8}, index=GENES)
    path = tmp_path / "a.csv"
    table.to_csv(path)
    assert len(read_expression(path)) == 2


def test_units_of_logarithms_sum_doubles_in_linear_space(tmp_path):
    table = pd.DataFrame({"a": as_units(sample(1), "log2-tpm")}, index=GENES)
    doubled = pd.concat([table, table.iloc[[5]]])
    path = tmp_path / "a.csv"
    doubled.to_csv(path)
    matrix = read_expression(path, units="log2-tpm")
    assert len(matrix.genes) == len(GENES) and any("summed" in said for said in matrix.warnings)
    np.testing.assert_allclose(
        Units("tpm", "log2").linear(matrix.values[0, 5]), 2 * (2 ** table.iloc[5, 0] - 1), rtol=1e-5
    )
