"""What is written comes back: every cell, mask, decision, tag and note, from every format."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_aml.analysis import Analysis
from napari_aml.cells import COLUMNS, CellMasks, Cells, measure
from napari_aml.classify.predictions import Predictions
from napari_aml.export.formats import export_curation
from napari_aml.review.decisions import ADJUDICATOR, CLASS, NOTE, REGION, TAG, Decision
from napari_aml.review.exchange import Pseudonyms, curation_of, plan_import, read_annotations
from napari_aml.review.regions import LEAVE_OUT, Region
from napari_aml.slides import ArraySlide, PixelSize

UM = 0.17


def analysis_of(labels, nuclei, seed=0):
    """A picture, its cells and a model's word on each."""
    rng = np.random.default_rng(seed)
    picture = rng.integers(0, 255, (*labels.shape, 3), np.uint8)
    slide = ArraySlide([picture], "Anna_Muster_1961", pixel_size=PixelSize(UM, "person"))
    masks = CellMasks.from_arrays(labels, nuclei)
    cells = Cells(slide.slide_id, masks, measure(masks, slide.slide_id, UM), UM, "by hand 1")
    p = rng.dirichlet(np.ones(3), len(cells)).astype(np.float32).reshape(-1, 3)
    said = Predictions(
        ("MYO", "NGS", "LYT"), p, rng.normal(size=(len(cells), 5)).astype(np.float32),
        np.full(len(cells), np.nan, np.float32), "demo 1 sha256:abc",
    )  # fmt: skip
    return Analysis(slide, cells, said)


def decided(analysis):
    """Two readers who differ, an adjudicator, tags, notes that are hard to write, a region, a word taken back."""
    s, uid = analysis.slide.slide_id, analysis.cells.table["uid"].tolist()
    region = Region(((1.0, 1.0), (1.0, 9.5), (9.0, 9.5)), LEAVE_OUT)
    rows = [
        Decision(uid[0], s, "MOB", "lovelace", CLASS, shown={"code": "MYO", "probability": 0.5, "blinded": True}),
        Decision(uid[0], s, "MYO", "=cmd|' /C calc'!A0"),
        Decision(uid[1], s, "PMO", ADJUDICATOR),
        Decision(uid[1], s, "on", "lovelace", TAG, "auer_rod"),
        Decision(uid[1], s, "on", "lovelace", TAG, "+own tag, \"quoted\""),
        Decision(uid[2], s, '=HYPERLINK("x";"ü")\r\nline two\ttab\'', "lovelace", NOTE),
        Decision(uid[2], s, "NGS", "lovelace"),
        Decision(uid[2], s, None, "lovelace", previous="NGS"),
        Decision(region.uid, s, region.to_geojson(), "lovelace", REGION),
    ]
    return [replace(d, seq=i) for i, d in enumerate(rows, start=1)]


@pytest.fixture
def curated():
    labels = np.zeros((40, 60), np.int32)
    nuclei = np.zeros_like(labels)
    labels[2:12, 3:15], nuclei[4:9, 5:10] = 1, 1
    labels[20:30, 20:33], nuclei[22:28, 22:28] = 4, 4
    labels[24:26, 25:27] = nuclei[24:26, 25:27] = 0  # a hole
    labels[35:40, 50:60] = 7  # no nucleus, cut by the border
    labels[33, 48] = 7  # a second piece, touching nothing
    analysis = analysis_of(labels, nuclei)
    plain = curation_of([analysis], decided(analysis), name="study", licence="CC BY 4.0", source="here")
    (slide,) = plain
    # What a bundle with sets and likeness adds, and a column of a person's own.
    table = slide.table.assign(set=["MYO NGS", "", "LYT"], unlike_training=[True, False, False], own=["a", "", "=b"])
    return replace(plain, load={slide.slide_id: replace(slide, table=table)}.__getitem__)


def same_masks(a, b):
    assert a.boxes == b.boxes
    for label in a.boxes:
        np.testing.assert_array_equal(a.patches[label], b.patches[label])


def same_tables(a, b, columns=None):
    assert set(a.columns) <= set(b.columns) or columns
    for name in columns or a.columns:
        left, right = a[name], b[name]
        if left.dtype.kind == "f":
            np.testing.assert_array_equal(left.to_numpy(np.float32), right.to_numpy(np.float32), err_msg=name)
        else:
            assert left.tolist() == right.tolist(), name


FORMATS = ["csv", "parquet", "coco", "geojson", "labels"]


@pytest.mark.parametrize("name", FORMATS)
def test_everything_comes_back(curated, tmp_path, name):
    folder = export_curation(curated, tmp_path / "out", [name], pseudonyms=False)
    found = read_annotations(folder)
    assert found.ours and found.remarks == []
    assert found.decisions == list(curated.decisions)
    (slide,), (before,) = found.slides, list(curated)
    assert (slide.slide_id, slide.sha256, slide.name) == (before.slide_id, before.sha256, "Anna_Muster_1961") or (
        name == "labels" and slide.slide_id == before.slide_id
    )
    assert slide.pixel_size_um == pytest.approx(UM) and slide.shape == before.shape
    same_tables(before.table, slide.table)
    assert {c: str(slide.table[c].dtype) for c in COLUMNS} == {c: str(before.table[c].dtype) for c in COLUMNS}
    if name in ("coco", "geojson", "labels"):
        same_masks(before.masks, slide.masks)
    # A second time nothing is left to do.
    plan = plan_import(found, {before.slide_id: before}, curated.decisions, "eve")
    assert plan.decisions == [] and plan.known_before == len(curated.decisions) and not plan.new_cells


@pytest.mark.parametrize("name", FORMATS)
def test_into_an_empty_record_the_record_is_taken_over(curated, tmp_path, name):
    found = read_annotations(export_curation(curated, tmp_path / "out", [name], pseudonyms=False))
    analysis = [s for s in curated][0]
    bare = curation_of([_analysis_again(analysis)]).load(analysis.slide_id)
    plan = plan_import(found, {bare.slide_id: bare}, [], "eve")
    assert plan.decisions == list(curated.decisions)  # and no word of eve's


def _analysis_again(slide):
    said = Predictions(
        slide.codes, slide.table[[f"p_{c}" for c in slide.codes]].to_numpy(), slide.embedding,
        np.full(len(slide), np.nan, np.float32), slide.model,
    )  # fmt: skip
    table = slide.table[list(COLUMNS)]
    return Analysis(slide.slide, Cells(slide.slide_id, slide.masks, table, UM, slide.segmenter), said)


@pytest.mark.parametrize("name", FORMATS)
def test_a_class_changed_elsewhere_comes_in_as_a_decision(curated, tmp_path, name):
    folder = export_curation(curated, tmp_path / "out", [name], pseudonyms=False)
    (before,) = curated
    if name == "coco":
        data = json.loads((folder / "coco.json").read_text("utf-8"))
        data["annotations"][2]["category_id"] = next(c["id"] for c in data["categories"] if c["name"] == "EOS")
        (folder / "coco.json").write_text(json.dumps(data), "utf-8")
    elif name == "geojson":
        (path,) = (folder / "geojson").iterdir()
        data = json.loads(path.read_text("utf-8"))
        data["features"][2]["properties"]["classification"]["name"] = "EOS"
        path.write_text(json.dumps(data["features"]), "utf-8")  # as QuPath writes it: a list, our own entry gone
    elif name == "parquet":
        table = pd.read_parquet(folder / "cells.parquet")
        table.loc[2, "code_final"] = "EOS"
        table.to_parquet(folder / "cells.parquet")
    else:
        path = folder / "cells.csv"
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        table.loc[2, "code_final"] = "EOS"
        table.to_csv(path, index=False, sep=";")  # as some spreadsheets save it
    plan = plan_import(read_annotations(folder), {before.slide_id: before}, curated.decisions, "eve")
    (made,) = plan.decisions
    assert (made.uid, made.value, made.reader, made.kind) == (before.table["uid"][2], "EOS", "eve", CLASS)
    assert made.shown["imported"] is True


def test_pseudonyms_hide_every_name_and_keep_every_uid(curated, tmp_path):
    folder = export_curation(
        curated, tmp_path / "out", ["csv", "parquet", "coco", "geojson", "labels", "imagefolder", "dataset"],
        pseudonyms=Pseudonyms("secret"),
    )  # fmt: skip
    texts = b"".join(p.read_bytes() for p in folder.rglob("*") if p.is_file()) + str(list(folder.rglob("*"))).encode()
    for name in (b"Anna", b"lovelace", b"HYPERLINK", b"study", b"calc"):
        assert name not in texts, name
    uids = set(next(iter(curated)).table["uid"])
    assert {p.stem for p in (folder / "imagefolder").rglob("*.png")} == uids
    assert set(pd.read_parquet(folder / "cells.parquet")["uid"]) == uids
    assert set(pd.read_csv(folder / "dataset" / "manifest.csv")["uid"]) == uids
    told = json.loads((folder / "provenance.json").read_text("utf-8"))
    assert told["pseudonyms"] is True and told["licence"] == "CC BY 4.0" and "Research Use Only" in told["research_use"]
    # With the key the owner finds the readers again; with another key nobody does.
    said = {d.reader for d in read_annotations(folder).decisions}
    assert Pseudonyms("secret").readers(["lovelace"]).keys() <= said
    assert not Pseudonyms("other").readers(["lovelace"]).keys() & said
    # Decisions keep their ids, so that the owner's own record takes none of them twice.
    (before,) = curated
    plan = plan_import(read_annotations(folder), {before.slide_id: before}, curated.decisions, "eve")
    assert plan.decisions == []


def test_texts_that_begin_a_formula_are_defused_in_csv_and_only_there(curated, tmp_path):
    import csv

    folder = export_curation(curated, tmp_path / "out", ["csv"], pseudonyms=False)
    for path in folder.glob("*.csv"):
        with open(path, encoding="utf-8", newline="") as stream:
            head, *rows = list(csv.reader(stream))
        for row in rows:
            for name, value in zip(head, row, strict=True):
                if value.startswith(("=", "+", "-", "@", "\t", "\r")):
                    float(value)  # numbers stay numbers
                    assert name not in ("note", "tags", "value", "reader")
    assert "'=HYPERLINK" in (folder / "decisions.csv").read_text("utf-8")


WORDS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=12)
RISKY = st.builds(lambda a, b: a + b, st.sampled_from(["=", "+", "-", "@", "\t", "\r", "'", "''=", "\n", ";"]), WORDS)


@st.composite
def any_slide(draw):
    """Any label image with any decisions of any readers."""
    h, w = draw(st.integers(3, 14)), draw(st.integers(3, 14))
    values = draw(st.lists(st.sampled_from([0, 0, 0, 1, 2, 3]), min_size=h * w, max_size=h * w))
    labels = np.array(values, np.int32).reshape(h, w)
    kernels = np.array(draw(st.lists(st.booleans(), min_size=h * w, max_size=h * w))).reshape(h, w)
    analysis = analysis_of(labels, np.where(kernels, labels, 0), draw(st.integers(0, 99)))
    rows = []
    if len(analysis.cells):
        uids = st.sampled_from(analysis.cells.table["uid"].tolist())
        kinds = st.sampled_from([CLASS, TAG, NOTE])
        for seq in range(1, draw(st.integers(0, 6)) + 1):
            kind, text = draw(kinds), draw(WORDS | RISKY)
            value = {CLASS: draw(st.sampled_from(["MYO", "LYT", None])), TAG: "on", NOTE: text or None}[kind]
            name = (text.replace("; ", "") or "own") if kind == TAG else ""
            reader = (draw(WORDS | RISKY) or "lovelace").replace("; ", "")
            before = draw(st.sampled_from([None, "MYO", ""]))
            about = draw(uids), analysis.slide.slide_id
            rows.append(Decision(*about, value, reader or "eve", kind, name, before, {"code": text}, seq=seq))
    return curation_of([analysis], rows, licence=draw(WORDS), name="any")


@settings(deadline=None, max_examples=12, suppress_health_check=list(HealthCheck))
@given(any_slide(), st.sampled_from(["rle", "polygons"]))
def test_any_curation_comes_back_from_every_format(tmp_path_factory, curation, coco_masks):
    from napari_aml.export.formats import ExportOptions

    options = ExportOptions(coco_masks=coco_masks)
    (before,) = curation
    for name in FORMATS:
        folder = tmp_path_factory.mktemp("any") / "out"
        found = read_annotations(export_curation(curation, folder, [name], options=options, pseudonyms=False))
        assert found.decisions == list(curation.decisions), name
        if not len(before):
            continue
        (slide,) = found.slides
        same_tables(before.table, slide.table)
        if name in ("coco", "geojson", "labels"):
            same_masks(before.masks, slide.masks)
