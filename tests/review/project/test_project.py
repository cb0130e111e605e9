"""A project keeps what it is given, under the same uids, wherever its folder goes."""

from __future__ import annotations

import shutil
import sqlite3

import numpy as np
import pandas as pd
import pytest
from project_parts import CENTRES, analysis_of, said, standing, verify, write_picture

from napari_aml.errors import InputError
from napari_aml.review.decisions import ADJUDICATOR, TAG
from napari_aml.review.links import ExpressionLink
from napari_aml.review.project import Project
from napari_aml.review.project.errors import (
    DamagedProjectError,
    NewerProjectError,
    ProjectError,
    SlideChangedError,
    SlideMissingError,
)
from napari_aml.review.project.schema import MIGRATIONS, VERSION, statements


def test_everything_that_is_known_of_a_slide_comes_back(project, analysis):
    added = project.add_slide(analysis.slide, analysis, patient="P07")
    assert added.is_new and not added.pending
    assert Project.open(project.folder).analysis(added.slide_id).slide.name == "field"
    back = project.analysis(added.slide_id)
    pd.testing.assert_frame_equal(back.cells.table, analysis.cells.table)
    for part in ("cell", "nucleus"):
        np.testing.assert_array_equal(back.cells.masks.to_array(part), analysis.cells.masks.to_array(part))
    for name in ("probabilities", "embedding", "ood"):
        np.testing.assert_array_equal(getattr(back.predictions, name), getattr(analysis.predictions, name))
    assert back.predictions.codes == analysis.predictions.codes
    for name in ("maps", "target", "box", "in_cell", "in_nucleus", "has_evidence"):
        np.testing.assert_array_equal(getattr(back.heatmaps, name), getattr(analysis.heatmaps, name))
    assert (back.heatmaps.method, back.heatmaps.stage) == ("gradcam", 3)
    assert back.slide.pixel_size.um == 0.1 and back.provenance["segmenter"] == "by hand"
    assert project.entry(added.slide_id).patient == "P07"
    np.testing.assert_array_equal(project.embeddings(added.slide_id), analysis.predictions.embedding)


def test_a_project_without_cells_and_cells_without_a_model(project, analysis):
    assert project.table().empty and project.runs == []
    added = project.add_slide(analysis.slide)
    assert added.is_new and not project.has_cells(added.slide_id)
    with pytest.raises(ProjectError, match="no cells"):
        project.cells(added.slide_id)
    analysis.predictions = analysis.heatmaps = None
    assert not project.add_slide(analysis.slide, analysis).is_new
    assert project.predictions(added.slide_id) is None and project.analysis(added.slide_id).heatmaps is None
    empty = analysis_of(analysis.slide.path, centres=())
    project.add_slide(empty.slide, empty)
    assert len(project.cells(added.slide_id)) == 0


def test_decisions_of_two_windows_are_all_kept_and_seen_by_both(project):
    with Project.open(project.folder, "ben") as other:
        assert [w.reader for w in other.others()] == ["ada"] and "open elsewhere" in other.notes[0]
        assert [w.reader for w in project.others()] == ["ben"]
        for i in range(10):
            project.record([said(f"c{i}", "MYO")])
            other.record([said(f"c{i}", "LYT", "ben")])
        assert [d.seq for d in project.decisions()] == list(range(1, 21))
        assert project.decisions() == other.decisions()
        assert [d.reader for d in other.decisions(after=18)] == ["ada", "ben"]
        # The same reader at two windows: the record knows what was said before, the window need not.
        (late,) = other.record([said("c0", "MON")])
        assert late.previous == "MYO"
    assert not project.others()
    assert project.readers == ("ada", "ben")


def test_another_machine_on_a_network_drive_may_only_look(project):
    import json
    import time

    project.record([said("c1")])
    marker = project.folder / "in-use.json"
    assert marker.exists()
    marker.write_text(json.dumps({"host": "elsewhere", "seen": time.time()}))
    with Project.open(project.folder) as other:
        assert other.read_only and "another machine (elsewhere)" in other.notes[0] and len(other.decisions()) == 1
    marker.write_text(json.dumps({"host": "elsewhere", "seen": time.time() - 1000}))
    with Project.open(project.folder) as other:
        assert not other.read_only
    project.close()
    assert not marker.exists()


def test_what_was_recorded_once_is_not_recorded_twice(project):
    first = said("c1")
    (placed,) = project.record([first])
    assert project.record([first, said("c2")])[0] == placed
    assert len(project.decisions()) == 2
    one = said("c3")
    assert len(project.record([one, one])) == 2 and len(project.decisions()) == 3


def test_decisions_are_append_only_even_for_sqlite(project):
    project.record([said("c1")])
    with sqlite3.connect(project.folder / "project.sqlite") as db:
        for sql in ("UPDATE decisions SET value = 'LYT'", "DELETE FROM decisions"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                db.execute(sql)
    db.close()


@pytest.mark.parametrize(
    "wrong", [said("", "MYO"), said("c", "MYO", reader=" "), said("c", "MYO", kind="guess"), said("c", 3)]
)
def test_a_decision_that_says_nothing_is_refused_and_takes_no_other_with_it(project, wrong):
    with pytest.raises(InputError):
        project.record([said("c1"), wrong])
    assert project.decisions() == []


def test_another_segmentation_keeps_uids_and_cells_that_were_decided_on(project, analysis):
    project.add_slide(analysis.slide, analysis)
    uids = analysis.cells.table["uid"].tolist()
    slide_id = analysis.slide.slide_id
    tag = {"kind": TAG, "name": "x", "slide_id": slide_id}
    project.record([said(uids[5], "MOB", slide_id=slide_id), said(uids[4], "on", **tag), said(uids[4], "off", **tag)])
    # Found in another order and a little larger; cells 5 and 6 are missed, one is new.
    centres = (CENTRES[2], (140, 130), CENTRES[0], CENTRES[1], CENTRES[3])
    again = analysis_of(analysis.slide.path, centres, radius=42, seed=9, bundle_id="another")
    added = project.add_slide(again.slide, again)
    table = added.analysis.cells.table.set_index("uid")
    assert table.index.tolist() == [*uids[:4], uids[5], f"{slide_id}-000007"]
    assert added.pending == (uids[5],)
    for uid in (*uids[:4], uids[5]):
        before = analysis.cells.table.set_index("uid").loc[uid]
        assert abs(table.loc[uid, "y"] - before["y"]) < 2 and abs(table.loc[uid, "x"] - before["x"]) < 2
    np.testing.assert_array_equal(added.analysis.predictions.probabilities[0], again.predictions.probabilities[2])
    assert added.analysis.predictions.confidence[4] == 0
    back = project.analysis(slide_id)
    pd.testing.assert_frame_equal(back.cells.table, added.analysis.cells.table)
    assert back.final.loc[uids[5], "code_final"] == "MOB" and back.final["confirmed"].sum() == 1
    # Adding the same again changes nothing and doubles nothing.
    once_more = project.add_slide(again.slide, again)
    assert once_more.analysis.cells.table["uid"].tolist() == added.analysis.cells.table["uid"].tolist()


def test_edits_in_two_windows_are_both_kept_and_said(project, analysis):
    project.add_slide(analysis.slide, analysis)
    slide_id = analysis.slide.slide_id
    with Project.open(project.folder, "ben") as other:
        mine, theirs = project.analysis(slide_id), other.analysis(slide_id)
        assert not other.save(theirs).conflict
        saved = project.save(mine)
        assert saved.conflict and saved.run.revision == 3
        assert [r.revision for r in other.runs] == [1, 2, 3]
    # Intermediate revisions of one window make room for the next one.
    assert not project.save(mine).conflict
    assert [r.revision for r in project.runs] == [1, 2, 4]
    assert len(list((project.folder / "slides" / slide_id).glob("r*"))) == 3


def test_the_whole_table_has_the_words_of_all(project, tmp_path):
    for i in range(2):
        picture = write_picture(tmp_path / f"{i}.png", seed=i)
        one = analysis_of(picture, seed=i)
        project.add_slide(one.slide, one)
    table = project.table()
    assert len(table) == 12 and table["uid"].is_unique and table["slide_id"].nunique() == 2
    uid, slide_id = table["uid"][3], table["slide_id"][3]
    project.record([said(uid, "LYA", slide_id=slide_id), said(uid, "LYT", "ben", slide_id=slide_id)])
    assert project.table().loc[3, ["confirmed", "disputed"]].tolist() == [False, True]
    assert project.table(reader="ben").loc[3, "code_final"] == "LYT"
    project.record([said(uid, "LYA", ADJUDICATOR, slide_id=slide_id)])
    assert project.table().loc[3, "code_final"] == "LYA"
    assert len(project.table(slide_ids=[slide_id])) == 6


# ---- moved, changed, missing ---------------------------------------------------------------------------------


def test_project_and_pictures_move_together(project, analysis, tmp_path):
    project.add_slide(analysis.slide, analysis)
    project.close()
    (tmp_path / "elsewhere").mkdir()
    shutil.move(tmp_path / "study.amlproj", tmp_path / "elsewhere" / "other.amlproj")
    shutil.move(tmp_path / "pictures", tmp_path / "elsewhere" / "pictures")
    with Project.open(tmp_path / "elsewhere" / "other.amlproj") as moved:
        located = moved.locate(analysis.slide.slide_id)
        assert located.status == "ok" and located.path.is_file()
        assert moved.open_slide(analysis.slide.slide_id).sha256 == analysis.slide.sha256


def test_the_project_moves_alone_and_pictures_move_alone(project, analysis, tmp_path):
    slide_id = analysis.slide.slide_id
    project.add_slide(analysis.slide, analysis)
    project.close()
    (tmp_path / "a" / "b").mkdir(parents=True)
    moved = tmp_path / "a" / "b" / "study.amlproj"
    shutil.move(project.folder, moved)
    with Project.open(moved) as project:
        assert project.locate(slide_id).status == "moved"
        assert project.entry(slide_id).path == "../../../pictures/field.png"
        assert project.locate(slide_id).status == "ok"
        (tmp_path / "drive" / "deep").mkdir(parents=True)
        shutil.copy(tmp_path / "pictures" / "field.png", tmp_path / "drive" / "decoy.png")
        (tmp_path / "drive" / "decoy.png").write_bytes(b"x" * (tmp_path / "pictures" / "field.png").stat().st_size)
        shutil.move(tmp_path / "pictures" / "field.png", tmp_path / "drive" / "deep" / "renamed.png")
        assert project.locate(slide_id).status == "missing"
        with pytest.raises(SlideMissingError, match="decisions are safe"):
            project.open_slide(slide_id)
        assert len(project.cells(slide_id)) == 6  # without the picture, too
        assert any("missing" in text for text in standing(verify(moved)))
        assert standing(verify(moved, repair=True, look_in=tmp_path / "drive")) == []
        assert project.locate(slide_id).path.name == "renamed.png"
        assert project.open_slide(slide_id).name == "field"


def test_a_picture_that_changed_is_not_taken_for_the_slide(project, analysis):
    project.add_slide(analysis.slide, analysis)
    slide_id, path = analysis.slide.slide_id, analysis.slide.path
    original = path.read_bytes()
    write_picture(path, seed=30)
    assert project.locate(slide_id).status == "changed"
    with pytest.raises(SlideChangedError, match="has changed"):
        project.open_slide(slide_id)
    assert any("changed" in text for text in standing(verify(project.folder)))
    # The changed one is a slide of its own.
    other = analysis_of(path)
    assert project.add_slide(other.slide, other).is_new and len(project.slides()) == 2
    path.write_bytes(original)
    assert project.locate(slide_id).status in ("ok", "moved")


# ---- versions ------------------------------------------------------------------------------------------------


def test_an_older_project_is_brought_up_to_date_and_a_copy_is_kept(project, analysis):
    project.add_slide(analysis.slide, analysis)
    project.record([said("c1"), said("c2", "LYT")])
    before = project.decisions()
    project.close()
    record = project.folder / "project.sqlite"
    with sqlite3.connect(record) as db:  # as version 1 wrote it
        for statement in statements(MIGRATIONS[1]):
            kind, name = statement.split()[1:3]
            if kind == "TABLE":
                db.execute(f"DROP TABLE {name}")
        db.execute("PRAGMA user_version = 1")
    db.close()
    with Project.open(project.folder) as opened:
        assert opened.decisions() == before and "from format 1 to" in opened.notes[0]
        assert len(opened.analysis(analysis.slide.slide_id).cells) == 6
        (copy,) = (project.folder / "kept").glob("version-1-*.sqlite")
        opened.record([said("c3")])
    with sqlite3.connect(copy) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
        assert db.execute("SELECT count(*) FROM decisions").fetchone() == (2,)
    db.close()
    with Project.open(project.folder) as again:
        assert again.notes == () and len(again.decisions()) == 3
    assert standing(verify(project.folder)) == []


def test_a_newer_project_is_left_alone(project):
    project.close()
    record = project.folder / "project.sqlite"
    with sqlite3.connect(record) as db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")
    db.close()
    before = record.read_bytes()
    for attempt in (lambda: Project.open(project.folder), lambda: verify(project.folder, repair=True)):
        with pytest.raises(NewerProjectError, match="Update napari-aml"):
            attempt()
    assert record.read_bytes() == before


# ---- what is no project --------------------------------------------------------------------------------------


def test_folders_that_are_no_project_and_places_that_are_taken(project, tmp_path):
    with pytest.raises(ProjectError, match="no such folder"):
        Project.open(tmp_path / "nothing.amlproj")
    with pytest.raises(ProjectError, match="holds no project"):
        Project.open(tmp_path)
    with pytest.raises(ProjectError, match="a project already"):
        Project.create(tmp_path / "study")
    (tmp_path / "taken.amlproj").write_text("mine")
    with pytest.raises(ProjectError, match="something else"):
        Project.create(tmp_path / "taken")
    (project.folder / "project.sqlite").rename(tmp_path / "away.sqlite")
    with pytest.raises(DamagedProjectError, match="verify --repair"):
        Project.open(project.folder)


# ---- links and sessions --------------------------------------------------------------------------------------


def test_links_to_expression_files_move_with_the_project(project, analysis, tmp_path):
    project.add_slide(analysis.slide)
    slide_id = analysis.slide.slide_id
    file = tmp_path / "counts.csv"
    file.write_text("gene,a\nCD34,1\n")
    project.links.link([ExpressionLink(slide_id, str(file), "a", "0" * 64, age=54.0, sex="F")])
    project.links.link([ExpressionLink(slide_id, str(file), "b", "0" * 64)])
    assert len(project.links) == 1 and project.links.link_of(slide_id).sample == "b"
    assert project.links.link_of("S0") is None
    project.close()
    (tmp_path / "new").mkdir()
    for name in ("study.amlproj", "counts.csv"):
        shutil.move(tmp_path / name, tmp_path / "new" / name)
    with Project.open(tmp_path / "new" / "study.amlproj") as moved:
        (link,) = moved.links
        assert (tmp_path / "new" / "counts.csv").samefile(link.path)
        moved.links.unlink([slide_id])
        assert len(moved.links) == 0
        assert [e["action"] for e in moved.events][-2:] == ["expression linked", "expression unlinked"]


def test_views_come_back_for_each_reader(project):
    assert project.session.load() == {} and project.session.last_reader() == ""
    project.session.save("ada", {"zoom": 2.5, "slides": ["S1"]})
    project.session.save("ben", {"zoom": 1.0})
    with Project.open(project.folder) as again:
        assert again.session.load("ada") == {"zoom": 2.5, "slides": ["S1"]}
        assert again.session.load() == {"zoom": 1.0} and again.session.last_reader() == "ben"
        assert again.session.load("cem") == {}
    project.set_setting("blinded", "1")
    assert project.setting("blinded") == "1" and project.setting("other", "x") == "x"
