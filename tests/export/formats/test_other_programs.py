"""What other programs read in our files, and what we read in theirs."""

from __future__ import annotations

import json
import math
import uuid

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_aml.errors import InputError, OutputError
from napari_aml.export.formats import AnnDataMissingError, ExportOptions, export_curation
from napari_aml.review.decisions import CLASS, Decision
from napari_aml.review.exchange import ExchangeError, curation_of, match, plan_import, read_annotations
from napari_aml.review.exchange.shapes import filled, from_run_lengths, geometry, run_lengths, trimmed


@pytest.fixture
def curation(analysis):
    uids = analysis.cells.table["uid"].tolist()
    said = [Decision(uids[0], analysis.slide.slide_id, "MOB", "ada", seq=1)]
    return curation_of([analysis], said, licence="CC BY 4.0")


MASKS = st.tuples(st.integers(1, 8), st.integers(1, 8), st.integers(0, 2**64 - 1)).map(
    lambda t: (((t[2] >> np.arange(64, dtype=np.uint64).astype(object)) & 1).astype(bool)[: t[0] * t[1]]).reshape(t[:2])
)


@settings(deadline=None, max_examples=150)
@given(MASKS, st.integers(0, 4), st.integers(0, 6))
def test_any_mask_is_read_by_shapely_and_pycocotools_pixel_by_pixel(mask, y0, x0):
    import shapely.geometry
    from pycocotools import mask as coco

    shape = (y0 + mask.shape[0] + 3, x0 + mask.shape[1] + 2)
    full = np.zeros(shape, bool)
    full[y0 : y0 + mask.shape[0], x0 : x0 + mask.shape[1]] = mask
    runs = run_lengths(mask, y0, x0, shape)
    coded = coco.frPyObjects(runs, *shape)
    np.testing.assert_array_equal(coco.decode(coded).astype(bool), full)
    top, left, inside = trimmed(y0, x0, mask)
    for form in (runs, coded):
        y, x, back = from_run_lengths(form)
        assert (y, x) == (top, left)
        np.testing.assert_array_equal(back, inside)
    if mask.any():
        drawn = geometry(mask, y0, x0)
        outline = shapely.geometry.shape(drawn)
        assert outline.is_valid and outline.area == mask.sum()
        yy, xx = np.nonzero(full)
        assert shapely.contains_xy(outline, xx + 0.5, yy + 0.5).all()
        y, x, back = filled([drawn["coordinates"]] if drawn["type"] == "Polygon" else drawn["coordinates"])
        assert (y, x) == (top, left)
        np.testing.assert_array_equal(back, inside)


@pytest.mark.parametrize("form", ["rle", "polygons"])
def test_pycocotools_reads_the_file(curation, tmp_path, form):
    from pycocotools.coco import COCO

    folder = export_curation(curation, tmp_path / "out", ["coco"], options=ExportOptions(coco_masks=form))
    found = COCO(str(folder / "coco.json"))
    (slide,) = curation
    assert [c["name"] for c in found.loadCats(found.getCatIds())][:2] == ["MYO", "MOB"]
    annotations = found.loadAnns(found.getAnnIds(imgIds=1))
    assert len(annotations) == len(slide)
    whole = slide.masks.to_array()
    for made, row in zip(annotations, slide.table.itertuples(), strict=True):
        assert isinstance(made["segmentation"], dict if form == "rle" else list)
        np.testing.assert_array_equal(found.annToMask(made).astype(bool), whole == row.label)
        assert made["bbox"] == [row.x0, row.y0, row.x1 - row.x0, row.y1 - row.y0]
        assert made["area"] == (whole == row.label).sum()
        assert found.cats[made["category_id"]]["name"] == row.code_final and made["uid"] == row.uid


def as_qupath_reads(feature):
    """Check one feature for what QuPath's own reader asks of it (its PathObjectTypeAdapters and ROITypeAdapters).

    The id must be a UUID, or it is dropped; rings are made without a look at whether they close; measurements become
    doubles, metadata texts; a type that it does not know becomes an annotation.
    """
    import shapely.geometry

    uuid.UUID(feature["id"])
    shapes = [feature["geometry"]] + ([feature["nucleusGeometry"]] if "nucleusGeometry" in feature else [])
    for shape in shapes:
        assert shape["type"] in ("Polygon", "MultiPolygon")
        polygons = [shape["coordinates"]] if shape["type"] == "Polygon" else shape["coordinates"]
        for ring in (ring for polygon in polygons for ring in polygon):
            assert len(ring) >= 4 and ring[0] == ring[-1] and all(len(point) == 2 for point in ring)
        assert shapely.geometry.shape(shape).is_valid
    told = feature["properties"]
    assert told["objectType"] in ("cell", "detection", "annotation") and isinstance(told.get("name", ""), str)
    if "classification" in told:
        assert isinstance(told["classification"]["name"], str)
        assert len(told["classification"]["color"]) == 3 and all(0 <= v <= 255 for v in told["classification"]["color"])
    assert all(type(v) in (int, float) and math.isfinite(v) for v in told.get("measurements", {}).values())
    assert all(isinstance(v, str) for v in told.get("metadata", {}).values())


def test_qupath_finds_what_it_needs_in_the_geojson(curation, tmp_path):
    import shapely.geometry

    folder = export_curation(curation, tmp_path / "out", ["geojson"])
    (path,) = (folder / "geojson").iterdir()
    data = json.loads(path.read_text("utf-8"))
    (slide,) = curation
    assert data["type"] == "FeatureCollection" and len(data["features"]) == len(slide)
    nuclei = slide.masks.to_array("nucleus")
    for feature, row in zip(data["features"], slide.table.itertuples(), strict=True):
        as_qupath_reads(feature)
        properties = feature["properties"]
        assert properties["objectType"] == "cell" and properties["classification"]["name"] == row.code_final
        assert shapely.geometry.shape(feature["geometry"]).contains(shapely.geometry.shape(feature["nucleusGeometry"]))
        assert shapely.geometry.shape(feature["nucleusGeometry"]).area == (nuclei == row.label).sum()


def test_the_image_folder_has_a_picture_a_cell_in_the_folder_of_its_class(curation, tmp_path):
    from PIL import Image

    folder = export_curation(curation, tmp_path / "out", ["imagefolder"], options=ExportOptions(crop_px=32))
    (slide,) = curation
    found = {p.stem: p for p in (folder / "imagefolder").rglob("*.png")}
    for line in slide.table.itertuples():
        assert found[line.uid].parent.name == line.code_final
        with Image.open(found[line.uid]) as picture:
            assert picture.size == (32, 32) and "CC BY 4.0" in picture.text["Comment"]
    assert len(found) == len(slide) == len(pd.read_csv(folder / "imagefolder.csv"))
    only = export_curation(curation, tmp_path / "c", ["imagefolder"], options=ExportOptions(cells="confirmed"))
    assert [p.parent.name for p in (only / "imagefolder").rglob("*.png")] == ["MOB"]


def test_the_data_set_folder_opens_with_its_licence(curation, tmp_path):
    from napari_aml.datasets import Dataset

    found = Dataset.open(export_curation(curation, tmp_path / "out", ["dataset"]) / "dataset")
    (slide,) = curation
    assert found.meta["licence"] == "CC BY 4.0"
    assert dict(zip(found.table["uid"], found.table["code"], strict=True)) == dict(
        zip(slide.table["uid"], slide.table["code_final"], strict=True)
    )
    # Each picture is that of its own cell: the middle pixel is the nucleus of the painted slide.
    rgb = slide.slide.region(0, 0, 0, *slide.shape)
    for row in range(len(found)):
        line = slide.table.set_index("uid").loc[found.table["uid"].iat[row]]
        middle = found.pixels(row)[128, 128].astype(int)
        assert np.abs(middle - rgb[round(line["y"]), round(line["x"])]).max() < 12


def test_without_anndata_the_error_names_the_extra(curation, tmp_path):
    try:
        import anndata  # noqa: F401
    except Exception:
        with pytest.raises(AnnDataMissingError, match=r"napari-aml\[anndata\]"):
            export_curation(curation, tmp_path / "out", ["h5ad"])
        assert not (tmp_path / "out").exists()
        return
    import anndata

    found = anndata.read_h5ad(export_curation(curation, tmp_path / "out", ["h5ad"]) / "cells.h5ad")
    (slide,) = curation
    assert found.obs_names.tolist() == slide.table["uid"].tolist()
    np.testing.assert_array_equal(found.X, slide.embedding)
    np.testing.assert_array_equal(found.obsm["spatial"], slide.table[["x", "y"]].to_numpy())
    assert found.obs["code_final"].tolist() == slide.table["code_final"].tolist()
    assert found.uns["napari_aml"]["licence"] == "CC BY 4.0"


def test_boxes_of_another_program_find_their_cells_and_unknown_classes_are_said(curation, tmp_path):
    (slide,) = curation
    table = slide.table
    names = {1: "blast", 2: "NGS", 3: "martian"}
    boxes = table[["x0", "y0", "x1", "y1"]].to_numpy(int)
    made = [
        {"id": i, "image_id": 7, "category_id": c, "bbox": [int(x0) + 2, int(y0), int(x1 - x0), int(y1 - y0)]}
        for i, (c, (x0, y0, x1, y1)) in enumerate(zip((1, 2, 2, 3), boxes[:4], strict=True))
    ]
    made.append({"id": 9, "image_id": 7, "category_id": 2, "bbox": [*made[1]["bbox"][:2], 50, 50]})  # the same cell
    made.append({"id": 10, "image_id": 7, "category_id": 2, "bbox": [800, 20, 40, 40]})  # nothing is there
    made.append({"id": 11, "image_id": 8, "category_id": 2, "bbox": [1, 2, 3, 4]})
    made.append({"id": 12, "image_id": 7, "category_id": 2, "bbox": [0, 0, 0, 0]})
    path = tmp_path / "theirs.json"
    height, width = slide.shape
    image = {"id": 7, "file_name": f"{slide.slide_id}.png", "height": height, "width": width}
    categories = [{"id": i, "name": n} for i, n in names.items()]
    path.write_text(json.dumps({"images": [image], "annotations": made, "categories": categories}), "utf-8")
    plan = plan_import(read_annotations(path), {slide.slide_id: slide}, curation.decisions, "eve", {"blast": "MYO"})
    changed = {d.uid: d.value for d in plan.decisions if d.kind == CLASS}
    uids = table["uid"].tolist()
    # The first cell was MOB by ada: eve's word is another. The second and third are the model's: eve confirms them.
    assert changed == {uids[0]: "MYO", uids[1]: "NGS", uids[2]: "NGS"}
    assert plan.unknown_codes == {"martian": 1} and plan.matches[0].doubled == 1
    assert len(plan.new_cells[slide.slide_id][1]) == 1
    said = " ".join(plan.remarks)
    for words in ("4 by their place", "martian", "--map", "no image of the file", "neither a readable box"):
        assert words in said, words


def test_outlines_drawn_in_qupath_and_label_images_find_their_cells(curation, tmp_path):
    (slide,) = curation
    line = slide.table.iloc[1]
    ring = [[line.x0, line.y0], [line.x1, line.y0], [line.x1, line.y1], [line.x0, line.y1], [line.x0, line.y0]]
    ring = [[int(x), int(y)] for x, y in ring]
    kind = {"objectType": "detection", "classification": {"name": "EOS"}}
    feature = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": kind}
    point = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 2]}, "properties": {}}
    region = {**feature, "properties": {"objectType": "annotation", "name": "leave out"}}
    other = {**feature, "properties": {"objectType": "annotation", "name": "nice area"}}
    path = tmp_path / "drawn.geojson"
    path.write_text(json.dumps([feature, point, region, other]), "utf-8")
    found = read_annotations(path, slide.slide_id, "eve")
    plan = plan_import(found, {slide.slide_id: slide}, [], "eve")
    assert {(d.kind, d.value if d.kind == CLASS else d.reader) for d in plan.decisions} == {
        (CLASS, "EOS"), ("region", "eve"),
    }  # fmt: skip
    said = " ".join(plan.remarks)
    assert "1 features have no outline" in said and "1 annotations were passed over" in said

    import tifffile

    labels = slide.masks.to_array()
    tifffile.imwrite(tmp_path / "made.tif", labels)
    (made,) = read_annotations(tmp_path / "made.tif", slide.slide_id).slides
    found = match(made, slide)
    assert (found.rows == np.arange(len(slide))).all()
    pd.testing.assert_series_equal(made.table["y0"], slide.table["y0"])


BROKEN = {
    "nothing.csv": b"",
    "zero.csv": b"uid,code\nS1-000001,MYO\0\n",
    "ragged.csv": b"uid,code\nS1-000001,MYO,extra\n",
    "noclass.csv": b"uid,colour\nS1-000001,red\n",
    "nocell.csv": b"colour,code\nred,MYO\n",
    "twice.csv": b"uid,uid,code\na,b,MYO\n",
    "latin.csv": "uid,code\nS1,M\xfc\n".encode("latin-1"),
    "cut.json": b'{"images": [',
    "list.geojson": b'{"type": "FeatureCollection"}',
    "coco.json": b'{"images": [], "annotations": 3}',
    "image.json": b'{"images": [{"id": 1}], "annotations": []}',
    "no.parquet": b"PAR1 not",
    "no.tif": b"II*\0 not",
    "text.docx": b"PK",
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_read_is_said_in_words(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(BROKEN[name])
    with pytest.raises(ExchangeError, match=name.replace(".", r"\.")):
        read_annotations(path)


def test_a_colour_picture_is_no_label_image(tmp_path):
    import tifffile

    tifffile.imwrite(tmp_path / "rgb.tif", np.zeros((9, 9, 3), np.uint8))
    with pytest.raises(ExchangeError, match="no label image"):
        read_annotations(tmp_path / "rgb.tif")


def test_an_earlier_export_is_replaced_and_other_folders_are_left_alone(curation, tmp_path):
    folder = export_curation(curation, tmp_path / "out", ["csv"])
    (folder / "mine.txt").write_text("keep", "utf-8")
    export_curation(curation, folder, ["geojson"])
    assert (folder / "mine.txt").read_text("utf-8") == "keep"
    assert (folder / "geojson").is_dir() and not (folder / "cells.csv").exists()
    other = tmp_path / "other"
    other.mkdir()
    (other / "cells.csv").write_text("a person's", "utf-8")
    with pytest.raises(OutputError, match="no export"):
        export_curation(curation, other, ["csv"])
    assert (other / "cells.csv").read_text("utf-8") == "a person's"
    with pytest.raises(InputError, match="no format 'xls'"):
        export_curation(curation, tmp_path / "x", ["xls"])


def test_cells_without_masks_leave_as_boxes_and_come_back_as_boxes(curation, tmp_path):
    from dataclasses import replace

    (slide,) = curation
    bare = replace(curation, load=lambda _: replace(slide, masks=None))
    for name in ("coco", "geojson"):
        folder = export_curation(bare, tmp_path / name, [name])
        found = read_annotations(folder)
        assert found.slides[0].masks is None
        assert found.slides[0].table["x1"].tolist() == slide.table["x1"].tolist()
        assert "no masks" in json.loads((folder / "provenance.json").read_text("utf-8"))["remarks"][0]
