"""The format: what is written is read, what is damaged is named."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from dataset_parts import cell

from napari_aml.datasets import Dataset, DatasetError, check, import_dataset, write_dataset
from napari_aml.datasets.duplicates import HASH_BITS, _all_against_all, _by_bands, perceptual_hashes
from napari_aml.errors import OutputError

META = {"name": "tiny", "licence": "CC0"}


def table(n=6, **columns):
    return pd.DataFrame({"code": ["MYO", "NGS"] * (n // 2), **columns})


def test_round_trip_keeps_everything(tmp_path):
    held = table(patient=list("aabbcc"), age=[30, np.nan, 5, 6, 7, 8.5], pixel_size_um=0.2, remark=["=1+1", "-x"] * 3)
    held["uid"] = [f"u{i}" for i in range(6)]
    made = write_dataset(tmp_path / "d", held, (cell(i) for i in range(6)), META)
    assert (tmp_path / "d" / "manifest.csv").read_text().count("'=1+1") == 3, "a spreadsheet must not run it"
    again = Dataset.open(tmp_path / "d")
    assert list(again.table["uid"]) == list(held["uid"]) and list(again.table["remark"]) == ["=1+1", "-x"] * 3
    assert again.table["age"].isna().sum() == 1 and again.table["crop_um"].iloc[0] == pytest.approx(4.8)
    assert np.array_equal(again.pixels(3), cell(3))
    assert again.leakage.level == "patient" and again.meta["licence"] == "CC0"
    assert made.fingerprint() == again.fingerprint() and "tiny" in made.summary()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda d: (d / "dataset.json").unlink(), "no dataset"),
        (lambda d: (d / "dataset.json").write_text("{"), "Cannot read"),
        (lambda d: (d / "dataset.json").write_text(json.dumps({"format": "else"})), "format"),
        (
            lambda d: (d / "dataset.json").write_text(
                json.dumps({"format": "napari-aml-dataset", "format_version": 9})
            ),
            "version 9",
        ),
        (lambda d: (d / "manifest.csv").unlink(), "manifest"),
        (lambda d: (d / "manifest.csv").write_text("uid,code\na,MYO\n"), "picture"),
        (lambda d: (d / "manifest.csv").write_text("uid,picture,code\na,x.png,MYO\na,y.png,MYO\n"), "twice"),
        (lambda d: (d / "manifest.csv").write_text("uid,picture,code\na,../../etc/passwd,MYO\n"), "outside"),
        (lambda d: (d / "manifest.csv").write_text("uid,picture,code,age\na,x.png,MYO,old\n"), "not a number"),
        (lambda d: (d / "manifest.csv").write_text("uid,picture,code\n"), "no pictures"),
    ],
)
def test_damaged_datasets_are_named(tmp_path, damage, said):
    write_dataset(tmp_path / "d", table(), (cell(i) for i in range(6)), META)
    damage(tmp_path / "d")
    with pytest.raises(DatasetError, match=said):
        Dataset.open(tmp_path / "d")


def test_nothing_is_left_when_writing_fails(tmp_path):
    with pytest.raises(DatasetError, match="No picture"):
        write_dataset(tmp_path / "d", table(2), [b"", b"xx"], META)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError):
        write_dataset(tmp_path / "file", table(2), [cell(0), cell(1)], META)


def test_checks_name_what_is_wrong(tmp_path):
    codes = ["MYO"] * 4 + ["myo"] * 3 + ["NGS"] + ["ODD"] * 4
    pictures = [cell(i) for i in (0, 1, 2, 3, 10, 11, 12, 20, 0, 1, 2, 3)]
    made = write_dataset(tmp_path / "d", pd.DataFrame({"code": codes}), pictures, META)
    said = "\n".join(f"{f.severity}: {f.text}" for f in check(made))
    assert "NGS has a single picture" in said
    assert "error: MYO and ODD share 4 pictures of 4: are they one class?" in said
    assert "MYO and myo differ in spelling" in said
    assert "ODD" in said and "outside the taxonomy" in said


def test_turned_and_compressed_copies_share_a_group(tmp_path):
    whole = cell(3, 64)
    pictures = [
        whole,
        np.rot90(whole),
        whole[:, ::-1],
        np.clip(whole.astype(int) + 9, 0, 255).astype(np.uint8),
        cell(4),
    ]
    made = write_dataset(tmp_path / "d", pd.DataFrame({"code": ["MYO"] * 5}), pictures, META)
    assert len(set(made.groups[:4])) == 1 and made.groups[4] != made.groups[0]


def test_copies_turned_by_any_angle_share_a_group(shared_data, tmp_path):
    """The rare classes of the LMU thumbnails hold turned copies of few cells: 11 atypical lymphocytes in all."""
    made = import_dataset("lmu", shared_data / "cells_aml_lmu_thumbs", tmp_path / "lmu")
    codes = made.table["code"].to_numpy(str)
    groups = {code: len(np.unique(made.groups[codes == code])) for code in made.codes}
    assert groups["LYA"] <= 15 and groups["KSC"] <= 16 and groups["MOB"] <= 12
    assert groups["MYO"] >= 58 and groups["NGS"] >= 58, "cells of common classes are no copies"


def test_search_by_bands_finds_the_same_pairs():
    rng = np.random.default_rng(0)
    base = rng.integers(0, 2**63, (40, 8), dtype=np.uint64)
    hashes = np.repeat(base, 5, axis=0)
    for row in hashes:
        for bit in rng.integers(0, 63, rng.integers(0, 9)):
            row ^= np.uint64(1) << np.uint64(bit)
    # A picture's turns are those of its copies: bands look from either side, all-against-all from one.
    a = {tuple(p) for part in _by_bands(hashes, HASH_BITS) for p in part}
    b = {tuple(p) for part in _all_against_all(hashes, HASH_BITS) for p in part}
    assert b <= a and len(b) > 50
    assert perceptual_hashes([cell(1), cell(2, 40)]).shape == (2, 8)
