from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_aml.classify.training import groups


def smooth_picture(seed: int, side: int = 64) -> np.ndarray:
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 255, (9, 9, 3), dtype=np.uint8)
    return cv2.resize(small, (side, side), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("turn", range(8))
def test_a_turned_or_mirrored_copy_has_the_same_hash(turn: int) -> None:
    original = smooth_picture(1)
    copy = np.rot90(original, turn % 4)
    copy = np.ascontiguousarray(copy[:, ::-1] if turn >= 4 else copy)
    pairs = groups.pairs_by_hash(groups.perceptual_hashes(np.stack([original, smooth_picture(2), copy])), bits=4)
    assert pairs.tolist() == [[0, 2]]


def test_a_recompressed_brighter_copy_is_found_and_others_are_not() -> None:
    pictures = [smooth_picture(seed) for seed in range(30)]
    coded = cv2.imencode(".jpg", pictures[3], [cv2.IMWRITE_JPEG_QUALITY, 40])[1]
    copy = np.clip(cv2.imdecode(coded, cv2.IMREAD_COLOR).astype(int) + 12, 0, 255).astype(np.uint8)
    pairs = groups.pairs_by_hash(groups.perceptual_hashes(np.stack([*pictures, copy])), bits=4)
    assert pairs.tolist() == [[3, 30]]


def test_pairs_chain_into_groups() -> None:
    found = groups.connected_groups(6, np.array([[0, 1], [1, 2], [4, 5]]))
    assert found[0] == found[1] == found[2]
    assert found[4] == found[5]
    assert len(set(found.tolist())) == 3


def test_copies_of_a_named_original_stay_together(made_up_cells) -> None:
    rng = np.random.default_rng(0)
    made_up_cells.table.loc[[40, 45, 50], "original"] = "BAS_0053"

    def embed(images: np.ndarray) -> np.ndarray:
        return rng.normal(size=(len(images), 64)).astype(np.float32)

    found = groups.group_near_duplicates(made_up_cells, embed, turns={"pbc": 1, "lmu": 2}, hash_bits=-1)
    assert found[40] == found[45] == found[50]
    assert len(np.unique(found)) == len(made_up_cells) - 2


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3)), min_size=10, max_size=80), st.integers(2, 5))
def test_no_group_is_ever_parted_between_folds(items: list[tuple[int, int]], n_folds: int) -> None:
    group, stratum = np.array(items).T
    fold = groups.grouped_folds(group, stratum, n_folds)
    for one in np.unique(group):
        assert len(np.unique(fold[group == one])) == 1
    assert fold.min() >= 0 and fold.max() < n_folds


def test_folds_share_out_each_class_evenly() -> None:
    stratum = np.repeat([0, 1, 2], [100, 50, 10])
    fold = groups.grouped_folds(np.arange(160), stratum, 5)
    for one, n in ((0, 20), (1, 10), (2, 2)):
        assert np.bincount(fold[stratum == one], minlength=5).tolist() == [n] * 5
