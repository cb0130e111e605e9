from __future__ import annotations

import re

import pytest

from napari_aml.taxonomy import BY_CODE, CLASSES, LMU_CODES, Role, cell_class, is_blast, within_one_stage


def test_the_confusable_codes_mean_what_lmu_means():
    # A public downloader maps these wrongly; see Matek et al. 2019 for the right ones.
    assert cell_class("MYB").name == "myelocyte"
    assert cell_class("MYO").name == "myeloblast"
    assert cell_class("MOB").name == "monoblast"
    assert cell_class("MMZ").name == "metamyelocyte"
    assert cell_class("PMB").name == "promyelocyte, bilobed"


def test_blasts_are_myeloblast_monoblast_promonocyte_only():
    assert {c.code for c in CLASSES if is_blast(c.code)} == {"MYO", "MOB", "PRM"}
    assert cell_class("PMB").role is Role.APL


def test_fifteen_lmu_classes_are_known():
    assert len(set(LMU_CODES)) == 15
    assert set(LMU_CODES) <= set(BY_CODE)


@pytest.mark.parametrize("attribute", ["code", "colour", "key", "name"])
def test_no_two_classes_share(attribute):
    values = [getattr(c, attribute) for c in CLASSES]
    assert len(set(values)) == len(values)


def test_ontology_ids_are_well_formed_and_avoid_the_known_trap():
    for c in CLASSES:
        assert c.ontology_id is None or re.fullmatch(r"CL:\d{7}", c.ontology_id)
    # An antigen-stimulated lymphocyte, not a leukaemic blast; and a term of bone marrow alone.
    assert not {"CL:0017005", "CL:0011114"} & {c.ontology_id for c in CLASSES}


def test_maturation_neighbours_are_tolerated_and_others_not():
    assert within_one_stage("NGB", "NGS") and within_one_stage("PMO", "MYB") and within_one_stage("EOS", "EOS")
    assert not within_one_stage("PMO", "NGS") and not within_one_stage("MYO", "LYT")


def test_an_unknown_code_is_excluded_from_the_differential():
    assert cell_class("XYZ").role is Role.EXCLUDED
    assert not Role.EXCLUDED.is_leukocyte
