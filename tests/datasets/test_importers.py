"""Every layout of SCIENCE's public sets, in miniature, becomes the dataset that it should."""

from __future__ import annotations

import json

import numpy as np
import pytest
from dataset_parts import cell, class_folders, save

from napari_aml.datasets import Dataset, import_dataset, load_mapping
from napari_aml.datasets.layouts.found import LayoutError
from napari_aml.errors import InputError
from napari_aml.taxonomy import BY_CODE, LMU_CODES


def test_the_codes_that_are_often_confused_keep_their_meaning(tmp_path):
    class_folders(tmp_path / "set", {"MYB": 1, "MYO": 1, "MOB": 1, "MMZ": 1, "PMB": 1})
    table = import_dataset("lmu", tmp_path / "set", tmp_path / "out").table.set_index("source_label")
    names = {label: BY_CODE[code].name for label, code in table["code"].items()}
    assert names == {
        "MYB": "myelocyte", "MYO": "myeloblast", "MOB": "monoblast", "MMZ": "metamyelocyte",
        "PMB": "promyelocyte, bilobed",
    }  # fmt: skip
    assert load_mapping("mll23").code("myelocyte") == "MYB" and load_mapping("mll23").code("myeloblast") == "MYO"
    assert load_mapping("pbc").code("metamyelocyte") == "MMZ"


def test_shipped_tables_know_their_sets():
    assert set(load_mapping("lmu").table) == set(LMU_CODES)
    assert len(load_mapping("mll23").table) == 18
    for name in ("lmu", "mll23", "pbc", "bloodmnist", "raabin", "mll", "folder"):
        table = load_mapping(name)
        assert table.version and set(table.table.values()) <= {*BY_CODE, ""}


def test_lmu_with_ragged_annotations_and_rgba_tiffs(tmp_path):
    root = tmp_path / "PKG - AML-Cytomorphology_LMU" / "AML-Cytomorphology_LMU"
    save(root / "MYO" / "MYO_0001.tiff", 1, mode="RGBA")
    save(root / "NGS" / "NGS_0001.tiff", 2)
    (root.parent / "annotations.dat").write_text("MYO/MYO_0001.tiff MYO MOB MYO\nNGS/NGS_0001.tiff NGS\n")
    made = import_dataset("lmu", tmp_path, tmp_path / "out")
    table = made.table.set_index("code")
    assert list(table.loc["MYO", ["reannotation_1", "reannotation_2"]]) == ["MOB", "MYO"]
    assert table.loc["NGS", "reannotation_1"] == ""
    assert made.pixels(0).shape == (24, 24, 3)
    assert table["crop_um"].iloc[0] == pytest.approx(28.29, abs=0.01)
    assert made.leakage.level == "near-duplicate" and "cannot be excluded" in made.leakage.text


def test_unknown_folder_becomes_unk_with_a_warning(tmp_path):
    class_folders(tmp_path / "set", {"MYO": 2, "weird cells": 1})
    made = import_dataset("lmu", tmp_path / "set", tmp_path / "out")
    row = made.table[made.table["source_label"] == "weird cells"].iloc[0]
    assert row["code"] == "UNK"
    assert any("weird cells" in note and "UNK" in note for note in made.meta["notes"])
    assert made.codes == ("MYO",)


METADATA = (
    "patient_id,sex_1f_2m,age,bag_label,instance_count,leucocytes_per_{mu}l,pb_myeloblast,pb_promyelocyte,"
    "pb_neutrophil_segmented,pb_other,pb_total\n"
    "ABC,1,61,NPM1,2,12000,60,2,30,8,100\nXYZ,2,33,control,1,5500,0,0,100,0,100\nNOP,2,50,PML_RARA,9,1,2,3,4,5,6\n"
)


@pytest.mark.parametrize(("mu", "encoding"), [("µ", "utf-8"), ("¬µ", "utf-8"), ("µ", "latin-1")])
def test_mll_reads_patients_subtypes_and_the_manual_differential(tmp_path, mu, encoding):
    data = tmp_path / "AML-Cytomorphology_MLL_Helmholtz_v1" / "data"
    save(data / "NPM1" / "ABC" / "image_0.tif", 1)
    save(data / "NPM1" / "ABC" / "image_1.tif", 2)
    save(data / "control" / "XYZ" / "image_0.tif", 3)
    (data / "NPM1" / "ABC" / "fnl34_bn_features_layer_7.npy").write_bytes(b"not a picture")
    (data.parent / "metadata.csv").write_bytes(METADATA.format(mu=mu).encode(encoding))
    made = import_dataset("mll", tmp_path, tmp_path / "out")
    assert made.leakage.level == "patient"
    assert sorted(made.table["patient"]) == ["ABC", "ABC", "XYZ"]
    assert set(made.table["code"]) == {""} and set(made.table["subtype"]) == {"NPM1", "control"}
    assert made.table.set_index("patient").loc["XYZ", "sex"] == "M"
    patients = made.patients.set_index("patient")
    assert float(patients.loc["ABC", "pb_myeloblast"]) == 60
    assert float(patients.loc["ABC", "leucocytes_per_ul"]) == 12000
    assert patients.loc["ABC", "subtype"] == "NPM1" and int(patients.loc["ABC", "pictures"]) == 2
    assert made.meta["differential"]["pb_myeloblast"] == "MYO"
    assert any("NOP" in note for note in made.meta["notes"])


def test_pbc_finds_the_sub_class_in_the_prefix(tmp_path):
    root = tmp_path / "PBC_dataset_normal_DIB"
    for i, name in enumerate(("BNE_1", "SNE_2", "NEUTROPHIL_3")):
        save(root / "neutrophil" / f"{name}.jpg", i)
    for i, name in enumerate(("MY_1", "MMY_2", "PMY_3", "IG_4")):
        save(root / "ig" / f"{name}.jpg", 10 + i)
    save(root / "platelet" / "PLATELET_1.jpg", 20)
    table = import_dataset("pbc", tmp_path, tmp_path / "out").table
    assert sorted(table["code"]) == ["", "", "MMZ", "MYB", "NGB", "NGS", "PLT", "PMO"]


def test_bloodmnist_archive(tmp_path):
    rng = np.random.default_rng(0)
    parts = {}
    for part, n in (("train", 16), ("val", 8), ("test", 8)):
        parts[f"{part}_images"] = np.stack([cell(int(s), 28) for s in rng.integers(1_000_000, size=n)])
        parts[f"{part}_labels"] = (np.arange(n) % 8)[:, None].astype(np.uint8)
    np.savez(tmp_path / "bloodmnist.npz", **parts)
    made = import_dataset("bloodmnist", tmp_path / "bloodmnist.npz", tmp_path / "out")
    assert len(made) == 32 and made.table["official_split"].value_counts()["train"] == 16
    by = made.table.groupby("source_label")["code"].first()
    assert by["basophil"] == "BAS" and by["platelet"] == "PLT" and by["immature granulocytes"] == ""
    np.savez(tmp_path / "bad.npz", train_images=np.array([{}], dtype=object))
    with pytest.raises(LayoutError, match="no BloodMNIST file"):
        import_dataset("bloodmnist", tmp_path / "bad.npz", tmp_path / "out2")


def test_raabin_and_mll23(tmp_path):
    for part in ("Train", "TestA", "TestB"):
        save(tmp_path / "raabin" / part / "Neutrophil" / f"{part}.jpg", hash(part) % 1000)
    table = import_dataset("raabin", tmp_path / "raabin", tmp_path / "r").table
    assert set(table["code"]) == {"NGS"} and table["site"].nunique() == 2 and table["pixel_size_um"].isna().all()
    save(tmp_path / "mll23" / "neutrophil_band" / "a.tif", 1)
    save(tmp_path / "mll23" / "promyelocyte_atypical" / "b.tif", 2)
    table = import_dataset("mll23", tmp_path / "mll23", tmp_path / "m").table
    assert sorted(table["code"]) == ["NGB", "PMB"] and table["crop_um"].iloc[0] == 25


def test_exact_copies_are_left_out_and_damaged_pictures_named(tmp_path):
    save(tmp_path / "set" / "MYO" / "a.png", 1)
    save(tmp_path / "set" / "MYO" / "copy.png", 1)
    save(tmp_path / "set" / "NGS" / "same_elsewhere.png", 1)
    (tmp_path / "set" / "NGS" / "broken.png").write_bytes(b"\x89PNG not really")
    made = import_dataset("folder", tmp_path / "set", tmp_path / "out")
    assert len(made) == 2 and made.meta["exact_copies_left_out"][0]["picture"] == "copy.png"
    assert made.meta["unreadable"][0]["picture"] == "broken.png"
    assert len(set(made.groups)) == 1, "a picture under two classes may not be parted"
    with pytest.raises(InputError, match=r"broken\.png"):
        import_dataset("folder", tmp_path / "set", tmp_path / "other", unreadable="refuse")
    assert not (tmp_path / "other").exists()


def test_own_mapping_and_wrong_codes(tmp_path):
    class_folders(tmp_path / "set", {"blasts": 1, "segs": 1})
    (tmp_path / "map.json").write_text(
        json.dumps({"name": "ours", "version": "3", "table": {"blasts": "MYO", "segs": "NGS"}})
    )
    made = import_dataset("folder", tmp_path / "set", tmp_path / "out", mapping=tmp_path / "map.json")
    assert made.codes == ("MYO", "NGS") and made.meta["mapping"]["version"] == "3"
    (tmp_path / "map.json").write_text(json.dumps({"name": "x", "version": "1", "table": {"blasts": "BLAST"}}))
    with pytest.raises(InputError, match="BLAST"):
        load_mapping(tmp_path / "map.json")


@pytest.mark.parametrize("name", ["lmu", "mll", "mll23", "pbc", "raabin", "bloodmnist", "folder"])
def test_wrong_folders_are_refused_in_words(tmp_path, name):
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "absent"):
        with pytest.raises(InputError) as caught:
            import_dataset(name, path, tmp_path / "out")
        assert caught.value.hint
    assert not (tmp_path / "out").exists()


def test_what_lies_at_the_target_is_not_overwritten(tmp_path):
    class_folders(tmp_path / "set", {"MYO": 2})
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="something else"):
        import_dataset("folder", tmp_path / "set", tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"
    import_dataset("folder", tmp_path / "set", tmp_path / "out")
    assert len(import_dataset("folder", tmp_path / "set", tmp_path / "out", most_px=16).pixels(0)) == 16


def test_the_shipped_sample(tmp_path):
    made = import_dataset("sample", "", tmp_path / "sample")
    assert len(made.codes) == 16 and len(made) > 200
    assert Dataset.open(tmp_path / "sample").fingerprint() == made.fingerprint()


def test_real_cells(shared_data, tmp_path):
    made = import_dataset("pbc", shared_data / "cells_pbc" / "fullres_sample", tmp_path / "pbc", most_px=96)
    assert len(made) == 440 and len(made.codes) == 11 and made.pixels(5).shape[0] <= 96
    assert made.table["pixel_size_um"].between(0.34, 0.38).all()
