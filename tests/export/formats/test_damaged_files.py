"""Whatever is wrong in a file of annotations, reading it says so in words; nothing else is ever raised."""

from __future__ import annotations

import shutil
from contextlib import suppress

import pytest
from damage import damage_one
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_round_trips import FORMATS, curated  # noqa: F401

from napari_aml.export.formats import export_curation
from napari_aml.review.exchange import plan_import, read_annotations
from napari_aml.review.exchange.incoming import ExchangeError


@pytest.fixture
def exported(curated, tmp_path):  # noqa: F811
    """Fresh copies of an export: make(name) returns the folder."""
    whole = {name: export_curation(curated, tmp_path / name, [name], pseudonyms=False) for name in FORMATS}

    def make(name):
        copy = tmp_path / "damaged"
        shutil.rmtree(copy, ignore_errors=True)
        return shutil.copytree(whole[name], copy)

    return curated, make


@pytest.mark.filterwarnings("ignore")  # of the libraries that decode what is damaged
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(FORMATS), seed=st.integers(0, 1 << 32))
def test_damage_is_said(exported, name, seed):
    curation, make = exported
    (slide,) = curation
    folder = make(name)
    path = damage_one(folder, seed)
    for source in (folder, path):
        with suppress(ExchangeError):
            found = read_annotations(source, slide.slide_id if source is path else "")
            plan_import(found, {slide.slide_id: slide}, curation.decisions, "eve")
            plan_import(found, {}, [], "eve")


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [("csv/slides.csv", ",40,", ",inf,"), ("coco/coco.json", '"id": 1', '"id": {}'),
     ("coco/coco.json", '"height": 40', '"height": 1e30')],
)  # fmt: skip
def test_values_that_no_place_can_hold(exported, name, old, new):
    kind, file = name.split("/")
    _, make = exported
    folder = make(kind)
    path = next(folder.rglob(file))
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")
    with suppress(ExchangeError):
        plan_import(read_annotations(folder), {}, [], "eve")
