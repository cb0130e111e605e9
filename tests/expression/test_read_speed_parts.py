"""The quick ways of reading give what the plain ways give."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_aml.expression.digits import whole_numbers
from napari_aml.expression.threads import in_threads

NAMES = st.text(st.sampled_from("ABGEN01.|-"), min_size=1, max_size=20)
CELLS = st.one_of(st.integers(0, 120), st.integers(0, 999_999_999))


@settings(deadline=None, max_examples=200)
@given(st.integers(1, 7).flatmap(lambda width: st.lists(
    st.tuples(NAMES, st.lists(CELLS, min_size=width, max_size=width)), min_size=1, max_size=30
)))  # fmt: skip
def test_whole_numbers_are_read_as_they_stand(lines):
    width = len(lines[0][1])
    block = "".join(f"{name},{','.join(map(str, cells))}\n" for name, cells in lines).encode()
    out = np.full((len(lines) + 2, width), -1, np.float32)
    leads = whole_numbers(block, ord(","), width + 1, 1, lambda lines: out[:lines])
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
        assert whole_numbers(block, ord(","), 4, 1, lambda lines: np.empty((lines, 3), np.float32)) is None


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
