"""A slide of a known stain stays as it is; another is taken to the stain that is right for it."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from imageio.v3 import imwrite

import napari_aml as aml
from napari_aml.cells.stain import Recolouring, Stain
from napari_aml.classify.recolouring import ALIKE, choose_stain, crops_stain_steps
from napari_aml.classify.sources import ArrayCrops
from napari_aml.errors import BundleError
from napari_aml.pipeline import classify_cells_steps, segment_slide_steps
from napari_aml.progress import run

FIRST = Stain((254.0, 227.0, 202.0), (0.96, 1.47, 0.35), (0.20, 0.28, 0.17))
SECOND = Stain((237.0, 231.0, 231.0), (0.69, 2.56, 0.21), (0.18, 0.31, 0.20))
KNOWN = (("first", FIRST), ("second", SECOND))


def near(stain: Stain, step: float) -> Stain:
    return Stain(tuple(v - step for v in stain.ground), stain.nucleus, stain.red)


def test_known_stains_stay_as_they_are():
    for name, stain in KNOWN:
        choice = choose_stain(near(stain, 3), KNOWN)
        assert choice is not None and choice.recolouring is None
        assert choice.source == name and choice.distance < ALIKE and choice.note == ""


def test_strange_stains_go_to_the_first_unless_another_is_much_nearer():
    pale = Stain((200.0, 200.0, 195.0), (0.28, 0.55, -0.09), (0.08, 0.22, 0.15))
    choice = choose_stain(pale, KNOWN)
    assert choice is not None and choice.recolouring == Recolouring(pale, FIRST)
    assert "first" in choice.note and choice.facts()["recoloured"] is True
    choice = choose_stain(near(SECOND, 18), KNOWN)
    assert choice is not None and choice.recolouring is not None and choice.recolouring.target == SECOND


def test_one_cell_tells_a_stain_less_well_than_many():
    away = near(FIRST, 25)
    assert ALIKE < away.distance(FIRST) < 27
    done = [choose_stain(replace(away, cells=n), KNOWN).recolouring is not None for n in (1, 20, None)]
    assert done == [False, True, True]


def test_nothing_is_done_where_either_side_is_unknown():
    assert choose_stain(None, KNOWN) is None
    assert choose_stain(FIRST, ()) is None


def test_a_damaged_card_is_named_and_the_shipped_one_knows_its_stains():
    bundle = aml.load_bundle()
    assert len(bundle.stains) == 2 and bundle.stains[0][1].distance(FIRST) < ALIKE
    whole = {"source": "x", "ground": [1, 2, 3], "nucleus": [1, 2, 3], "red": [1, 2, 3]}
    for part in ({"nucleus": "dark"}, {"nucleus": [1, 2]}, {"red": [1, 2, 3, 4]}, {"ground": None}):
        damaged = replace(bundle, card={**bundle.card, "stains": [{**whole, **part}]})
        with pytest.raises(BundleError, match="stains"):
            _ = damaged.stains


@pytest.mark.parametrize(
    ("step", "asked", "done"), [(2, [8], False), (9, [8, 32], False), (40, [8, 32], True)]
)
def test_of_a_clearly_known_stain_few_pictures_are_looked_at(monkeypatch, step, asked, done):
    """What is nearly strange, and strange, is measured on more before anything is done about it."""
    stain, seen = near(FIRST, step), []

    def measured(pictures, um, known):
        seen.append(len(pictures))
        return stain, [stain.distance(FIRST)] * len(pictures)

    monkeypatch.setattr("napari_aml.classify.recolouring._stain_of", measured)
    crops = ArrayCrops(np.zeros((50, 8, 8, 3), np.uint8), 8)
    found, choice = run(crops_stain_steps(crops, 0.3, KNOWN))
    assert found == stain and seen == asked and (choice.recolouring is not None) == done
    seen.clear()
    run(crops_stain_steps(ArrayCrops(np.zeros((5, 8, 8, 3), np.uint8), 8), 0.3, KNOWN))
    assert seen == [5], "there are no more"


def test_bccd_is_recoloured_and_named_better(shared_data):
    """Neutrophils and eosinophils of a pale microscope; types as Banik et al. published them."""
    folder, bundle = shared_data / "smears_bccd", aml.load_bundle()
    types = pd.read_csv(folder / "wbc_types.csv").query("wbc_type in ['NEUTROPHIL', 'EOSINOPHIL']")
    wanted = {"NEUTROPHIL": ["NGS", "NGB"], "EOSINOPHIL": ["EOS"]}
    right = {True: 0, False: 0}
    for row in types.iloc[::16].itertuples():
        found = run(segment_slide_steps(folder / "images" / f"{row.image}.jpg", pixel_size_um=0.069))
        for recolour in right:
            done = run(classify_cells_steps(found, model=bundle, device="cpu", cam=None, recolour=recolour))
            choice = done.provenance["stain_choice"]
            assert (choice is not None and choice["recoloured"]) is recolour
            assert any("stain" in w for w in done.provenance["warnings"]) is recolour
            assert (done.stain is not None) is recolour  # cells that are classified anew later go the same way
            right[recolour] += int(np.isin(done.predictions.code, wanted[row.wbc_type]).any())
    assert right[True] > 1.3 * right[False]


def test_a_folder_of_strange_cells_is_recoloured_and_a_mixed_one_is_not(shared_data, tmp_path):
    bundle = aml.load_bundle()
    for name in ("00000", "00036", "00072", "00110", "00150", "00192", "00222", "00256"):
        slide = aml.open_slide(shared_data / "smears_bccd" / "images" / f"BloodImage_{name}.jpg", 0.069)
        cell = aml.segment(slide).table.nlargest(1, "area_um2")
        crop = aml.crops(slide, cell["y"], cell["x"], bundle.crop_um, bundle.crop_px)[0]
        imwrite(tmp_path / f"{name}.png", crop)
    strange = aml.classify_folder(tmp_path, bundle)
    assert strange.attrs["stain"]["recoloured"] and "recoloured" in strange.attrs["stain"]["note"]
    plain = aml.classify_folder(tmp_path, bundle, recolour=False)
    assert plain.attrs["stain"] is None
    columns = [c for c in plain if c.startswith("p_")]
    assert np.abs(plain[columns].to_numpy() - strange[columns].to_numpy()).max() > 0.1
    for path in sorted((shared_data / "cells_pbc" / "px160").rglob("*.jpg"))[::1000][:10]:
        shutil.copy(path, tmp_path / f"pbc_{path.name}")
    assert not aml.classify_folder(tmp_path, bundle).attrs["stain"]["recoloured"]
