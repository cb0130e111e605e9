"""The quick ways of reading give what the plain ways give."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_aml.expression import digits
from napari_aml.expression.digits import read_lines, split_lines, whole_numbers
from napari_aml.expression.ensembl import EnsemblIndex
from napari_aml.expression.memory import zeros
from napari_aml.expression.summary import Summary
from napari_aml.expression.threads import in_threads

IDS = ("ENSG00000000003", "ENSG00000141510", "ENSG00000000005", "ENSG00000291301")
ODD_IDS = st.builds(
    lambda known, cut, more: known[:cut] + more, st.sampled_from(IDS), st.sampled_from([15, 15, 15, 14, 8, 3, 0]),
    st.sampled_from(["", ".1", ".12", ".1234", ".12345", ".", "1", "_1", "|TP53", "\n", "é", "TP53", "\0"]),
)  # fmt: skip
NAMES = st.text(st.sampled_from("ABGEN01.|-"), min_size=1, max_size=20)
CELLS = st.one_of(st.integers(0, 120), st.integers(0, 999_999_999))


def span(block: bytes) -> tuple[bytes, int, int]:
    """All of a block, which stands between other bytes."""
    return b"8\n" + block + b"7\n", 2, 2 + len(block)


@settings(deadline=None, max_examples=200)
@given(st.integers(1, 7).flatmap(lambda width: st.lists(
    st.tuples(NAMES, st.lists(CELLS, min_size=width, max_size=width)), min_size=1, max_size=30
)))  # fmt: skip
def test_whole_numbers_are_read_as_they_stand(lines):
    width = len(lines[0][1])
    block = "".join(f"{name},{','.join(map(str, cells))}\n" for name, cells in lines).encode()
    out = np.full((len(lines) + 2, width), -1, np.float32)
    leads = whole_numbers(span(block), ord(","), width + 1, 1, lambda lines: out[:lines])
    assert leads == [name.encode() for name, _ in lines]
    # Above 16,777,216 float32 rounds; two roundings may differ from one by a step.
    assert out[:-2] == pytest.approx(np.array([cells for _, cells in lines], np.float64), rel=2e-7)
    assert (out[:-2].astype(np.float64) == [cells for _, cells in lines])[out[:-2] < 2**24].all()
    assert (out[-2:] == -1).all()


@pytest.mark.parametrize("cell", ["", "-1", "1.5", "1e3", "NA", '"7"', " 7", "1234567890", "9" * 300, "٣"])
def test_anything_else_is_left_to_the_general_reader(cell):
    for place in range(3):
        cells = ["12", "3", "4567"]
        cells[place] = cell
        block = f"GENE1,1,2,3\nGENE2,{','.join(cells)}\n".encode()
        assert whole_numbers(span(block), ord(","), 4, 1, lambda lines: np.empty((lines, 3), np.float32)) is None


@pytest.mark.parametrize(
    "text", ["A,1,2\nB,3,4,5,6\n", "A,10,2,3,4\nB,5,66\n", "A,1,2,3\nB,4,5\n", "A,1,2,3\nB\n", "A,1,2,3"]
)
def test_ragged_lines_are_left_to_the_general_reader(text):
    assert whole_numbers(span(text.encode()), ord(","), 4, 1, lambda lines: np.empty((lines, 3), np.float32)) is None


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 400), st.integers(2, 9), st.sampled_from(",;\t|"), st.integers(0, 2**32 - 1))
def test_lines_of_any_length_come_once_and_are_summed_as_they_stand(at_once, width, between, seed):
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 10 ** rng.integers(1, 8, (40, 1)), (40, width))
    lines = [between.join([f"G{i}", "x", *map(str, row)]) + "\n" for i, row in enumerate(values.tolist())]
    text, cut = "".join(lines).encode(), len("".join(lines[:25]))
    leads, cells = split_lines([(text, 0, cut), (text + b"G", cut, len(text))], ord(between), 2)
    assert leads == [f"G{i}{between}x".encode() for i in range(40)]
    read, summary, on = np.full(values.shape, -1.0), Summary(width), np.empty((40, -(-width // 8)), np.uint8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(digits, "_IN_CACHE", at_once)
        for which, found in read_lines(cells, ord(between), width):
            assert (read[which] == -1).all()
            read[which] = found
            on[which] = summary.look(found, True)
    assert (read == values).all()
    assert (summary.total == values.sum(0)).all() and (summary.most == values.max(0)).all()
    assert (np.unpackbits(on, axis=1, count=width) == (values > 0)).all() and summary.lines == 40


@given(st.lists(ODD_IDS), st.permutations(IDS))
def test_known_ids_are_found_with_and_without_a_version(names, known):
    def place(name):
        bare = len(name) == 15 or (name[15:16] == "." and len(name) < 20)
        return known.index(name[:15]) if bare and name[:15] in known else -1

    assert EnsemblIndex(known).places(names).tolist() == list(map(place, names))
    assert (EnsemblIndex([]).places(names) == -1).all()


def test_sums_of_small_numbers_do_not_run_over():
    values = np.full((700, 3), 99, np.uint16)
    values[:, 1] = 9_999
    for some in (values[:600, :1], values):
        summary = Summary(some.shape[1])
        summary.look(some, True)
        assert (summary.total == some.sum(0, dtype=np.int64)).all()


@pytest.mark.parametrize("rows", [3, 700])  # under and over the size from which the system is asked itself
def test_new_memory_is_empty_and_can_be_written_to(rows):
    made = zeros((rows, 2000))
    assert made.dtype == np.float32 and made.shape == (rows, 2000) and made.flags.c_contiguous and not made.any()
    made[-1] = 7
    assert made.sum() == 14_000


def test_parts_come_in_order_and_errors_in_their_turn():
    slow = threading.Event()

    def work(part: int) -> int:
        if part == 0:
            slow.wait(0.2)
        if part == 7:
            raise ValueError("seven")
        return part * part

    assert list(in_threads(work, range(7))) == [i * i for i in range(7)]
    found = in_threads(work, range(20))
    assert [next(found) for _ in range(7)] == [i * i for i in range(7)]
    with pytest.raises(ValueError, match="seven"):
        list(found)


def test_closing_starts_nothing_more():
    begun: list[int] = []
    found = in_threads(lambda part: begun.append(part), range(1000))
    next(found)
    found.close()
    assert len(begun) < 20


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 300), st.sampled_from([1, 9, 250, 800, 9_999, 40_000, 65_535]), st.integers(0, 2**32 - 1))
def test_16_bit_numbers_are_summed_exactly(lines, top, seed):
    values = np.random.default_rng(seed).integers(0, top + 1, (lines, 3)).astype(np.uint16)
    summary = Summary(3)
    summary.look(values, True)
    summary.look(values[::-1], True)
    assert (summary.total == 2 * values.sum(0, dtype=np.int64)).all()
    assert (summary.most == values.max(0)).all() and (summary.positive == 2 * (values > 0).sum(0)).all()
