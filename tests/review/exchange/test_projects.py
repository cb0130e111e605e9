"""A project goes out and comes back: nothing twice, nothing overwritten, pictures that are gone, new cells."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from exchange_parts import analysis_of, make_study

from napari_aml.errors import InputError
from napari_aml.export.formats import export_curation
from napari_aml.progress import run
from napari_aml.review import Project
from napari_aml.review.decisions import CLASS, Decision
from napari_aml.review.exchange import curation_of_project, import_steps, pseudonyms_of, read_annotations
from napari_aml.review.exchange.projects import curated_slide


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("study"))


@pytest.fixture
def project(made, tmp_path):
    """A copy of the study, open."""
    shutil.copytree(made[0].parent, tmp_path / "copy")
    with Project.open(tmp_path / "copy" / made[0].name, "lovelace") as opened:
        yield opened


FORMATS = ["csv", "parquet", "coco", "geojson", "labels"]


@pytest.mark.parametrize("name", FORMATS)
def test_importing_what_was_exported_changes_nothing(project, tmp_path, name):
    before = project.decisions()
    for hidden in (False, pseudonyms_of(project)):
        out = export_curation(curation_of_project(project), tmp_path / f"out{bool(hidden)}", [name], pseudonyms=hidden)
        plan = run(import_steps(project, out, "eve"))
        assert plan.decisions == [] and project.decisions() == before
        # Notes are left out of a pseudonymous export, with their rows.
        assert plan.known_before == len(before) - bool(hidden)


@pytest.mark.parametrize("name", FORMATS)
def test_a_second_project_of_the_same_pictures_takes_the_record_over(project, made, tmp_path, name):
    out = export_curation(curation_of_project(project), tmp_path / "out", [name], pseudonyms=False)
    with Project.create(tmp_path / "other", reader="eve") as other:
        for analysis in made[1]:
            other.add_slide(analysis.slide, analysis)
        plan = run(import_steps(other, out, "eve"))
        assert len(plan.decisions) == 8
        assert {d.id for d in other.decisions()} == {d.id for d in project.decisions()}
        mine, theirs = (p.table().set_index("uid").sort_index() for p in (project, other))
        assert mine["code_final"].tolist() == theirs["code_final"].tolist()
        assert mine["decided_by"].tolist() == theirs["decided_by"].tolist()


def test_a_dry_run_says_what_would_be_and_leaves_all_as_it_is(project, tmp_path):
    slide = project.slides()[0].slide_id
    path = tmp_path / "theirs.csv"
    path.write_text(f"cell;code\n{slide}-000003;EOS\n{slide}-000004;neutro\n{slide}-000999;MYO\n", "utf-8")
    before = project.decisions()
    plan = run(import_steps(project, path, "eve", {"neutro": "NGS"}, dry_run=True))
    assert [(d.uid[-6:], d.value) for d in plan.decisions] == [("000003", "EOS"), ("000004", "NGS")]
    assert {d.reader for d in plan.decisions} == {"eve"}
    assert project.decisions() == before and "1 cells of the file are not among" in " ".join(plan.remarks)
    run(import_steps(project, path, "eve", {"neutro": "NGS"}))
    assert [d.value for d in project.decisions() if d.reader == "eve"] == ["EOS", "NGS"]
    again = run(import_steps(project, path, "eve", {"neutro": "NGS"}))
    assert again.decisions == []
    with pytest.raises(InputError, match="Whose words"):
        run(import_steps(project, path, " "))


def test_new_cells_are_added_only_when_asked_for_and_where_that_is_possible(project, tmp_path):
    entry = project.slides()[0]
    ring = [[100, 90], [120, 90], [120, 115], [100, 115], [100, 90]]
    kind = {"objectType": "detection", "classification": {"name": "BAS"}}
    feature = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": kind}
    path = tmp_path / "drawn.geojson"
    path.write_text(json.dumps([feature]), "utf-8")
    plan = run(import_steps(project, path, "eve", slide_id=entry.slide_id))
    assert plan.decisions == [] and len(project.cells(entry.slide_id)) == 6
    # The model that classified the others is not on this machine, so a new cell could not be classified.
    plan = run(import_steps(project, path, "eve", slide_id=entry.slide_id, add_new=True))
    assert "toy 1" in " ".join(plan.remarks) and len(project.cells(entry.slide_id)) == 6
    # Without a model there is nothing to miss.
    analysis = project.analysis(entry.slide_id)
    analysis.predictions = analysis.heatmaps = analysis.final = None
    project.save(analysis, "model taken off")
    plan = run(import_steps(project, path, "eve", slide_id=entry.slide_id, add_new=True))
    cells = project.cells(entry.slide_id)
    assert len(cells) == 7 and [d.value for d in plan.decisions] == ["BAS"]
    row = cells.table.iloc[-1]
    assert (row["y0"], row["x0"], row["y1"], row["x1"]) == (90, 100, 115, 120)
    assert plan.decisions[0].uid == row["uid"] and row["uid"] not in cells.table["uid"].tolist()[:-1]
    assert row["area_um2"] == pytest.approx(20 * 25 * 0.01)
    assert (cells.masks.patches[int(row["label"])] > 0).all()


def test_a_new_cell_is_classified_by_the_model_of_the_others(tmp_path):
    from dataclasses import replace

    from napari_aml.classify import load_bundle
    from napari_aml.explain import classify_and_explain_steps

    bundle = load_bundle()
    bare = analysis_of(tmp_path / "one.png", 1)
    said, _ = run(classify_and_explain_steps(bare.slide, bare.cells, bundle, "cpu", None))
    with Project.create(tmp_path / "small") as project:
        project.add_slide(bare.slide, replace(bare, predictions=said, bundle=bundle))
        slide_id = bare.slide.slide_id
        box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [90, 90, 20, 20],
               "segmentation": [[90, 90, 110, 90, 110, 110, 90, 110]]}  # fmt: skip
        data = {
            "images": [{"id": 1, "file_name": f"{slide_id}.png", "height": 220, "width": 300}],
            "annotations": [box], "categories": [{"id": 1, "name": "LYT"}],
        }  # fmt: skip
        (tmp_path / "more.json").write_text(json.dumps(data), "utf-8")
        run(import_steps(project, tmp_path / "more.json", "eve", add_new=True, device="cpu"))
        now = project.predictions(slide_id)
        assert len(now) == 7 and now.probabilities[6].sum() == pytest.approx(1, abs=1e-4)
        np.testing.assert_array_equal(now.probabilities[:6], said.probabilities)
        assert project.table().iloc[-1][["code_final", "confirmed", "decided_by"]].tolist() == ["LYT", True, "eve"]


def test_a_slide_whose_picture_is_gone_leaves_with_all_but_its_pixels(tmp_path):
    folder, _ = make_study(tmp_path)
    for picture in tmp_path.glob("*.png"):
        picture.unlink()
    with Project.open(folder) as project:
        slide = curated_slide(project, project.slides()[0].slide_id)
        assert slide.slide is None and len(slide) == 6 and slide.codes == ("MYO", "NGS", "LYT")
        out = export_curation(curation_of_project(project), tmp_path / "out", ["geojson", "imagefolder"])
    (first, _) = read_annotations(out).slides
    assert len(first.masks) == 6 and first.table["tags"].tolist()[2] == "auer_rod"
    told = json.loads((out / "provenance.json").read_text("utf-8"))
    assert any("is not at hand" in remark for remark in told["remarks"])


def test_what_is_not_there_is_said(project, tmp_path):
    with pytest.raises(InputError, match="S000 is not in the project"):
        curation_of_project(project, ["S000"])
    with Project.create(tmp_path / "empty") as empty, pytest.raises(InputError, match="No slide of the project"):
        curation_of_project(empty)
    other = tmp_path / "other.csv"
    other.write_text("uid,code\nSffffffffffff-000001,MYO\n", "utf-8")
    plan = run(import_steps(project, other, "eve"))
    assert plan.unknown_slides == ["Sffffffffffff"] and "are not here" in " ".join(plan.remarks)


def test_only_the_slides_and_the_reader_asked_for_leave(project, tmp_path):
    first = project.slides()[0].slide_id
    out = export_curation(curation_of_project(project, [first], reader="hopper"), tmp_path / "out", ["csv"])
    (slide,) = read_annotations(out).slides
    assert slide.slide_id == first
    assert slide.table["code_final"].tolist()[0] == "MYO" and slide.table["confirmed"].tolist()[:2] == [True, True]
    assert {d.slide_id for d in read_annotations(out).decisions if d.kind == CLASS} == {first}


def test_an_id_that_stands_at_another_cell_does_not_carry_its_word_there(made, tmp_path):
    """The slide was segmented anew elsewhere: its cells were numbered in another order."""
    from napari_aml.review.exchange import curation_of
    from napari_aml.review.exchange.incoming import Incoming
    from napari_aml.review.exchange.matching import plan_import

    analysis = made[1][0]
    (there,) = curation_of([analysis], ())
    uids = there.table["uid"].tolist()
    turned = there.table.assign(uid=uids[1:] + uids[:1])  # the cell at place 0 is called what place 1 is called here
    slide = replace(there, table=turned.assign(code_final=[""] * len(turned)))
    said = [Decision(uids[1], there.slide_id, "MOB", "noether"), Decision(uids[3], there.slide_id, "PLT", "noether")]
    plan = plan_import(Incoming([slide], said, ours=True), {there.slide_id: there}, [], "noether")
    assert [(d.uid, d.value) for d in plan.decisions] == [(uids[0], "MOB"), (uids[2], "PLT")]
    assert plan.matches[0].rows.tolist() == list(range(len(uids))) and plan.matches[0].by_uid == 0
    assert any("segmented anew" in remark for remark in plan.remarks)
    elsewhere = turned.assign(**{c: turned[c] + 5000 for c in ("y0", "x0", "y1", "x1")})
    plan = plan_import(
        Incoming([replace(slide, table=elsewhere)], said, ours=True), {there.slide_id: there}, [], "noether"
    )
    assert plan.decisions == [] and any("2 decisions found no cell" in r for r in plan.remarks)
