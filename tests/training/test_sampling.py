from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_aml.classify.training.engine.sampling import balanced_weights


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("XYZ"), st.integers(0, 9)), min_size=4, max_size=60))
def test_each_source_gets_its_share(items: list[tuple[str, str, int]]) -> None:
    items += [("a", "X", 100), ("b", "X", 200)]
    source, code, group = (np.array(column) for column in zip(*items, strict=True))
    group = np.array([f"{s}{c}{g}" for s, c, g in zip(source, code, group, strict=True)])
    weights = balanced_weights(code, source, group, {"a": 0.7, "b": 0.3})
    assert np.isclose(weights[source == "a"].sum(), 0.7)
    assert (weights > 0).all()


def test_copies_of_one_cell_count_once() -> None:
    code = np.array(["X"] * 11)
    group = np.array([0] * 10 + [1])
    weights = balanced_weights(code, np.array(["a"] * 11), group, {"a": 1.0})
    assert np.isclose(weights[:10].sum(), 0.5) and np.isclose(weights[10], 0.5)


def test_power_zero_draws_every_class_alike() -> None:
    code = np.array(["X"] * 90 + ["Y"] * 10)
    weights = balanced_weights(code, np.array(["a"] * 100), np.arange(100), {"a": 1.0}, power=0)
    assert np.isclose(weights[:90].sum(), 0.5)
