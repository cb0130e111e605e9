"""Damage, full disks, folders that cannot be written: said, repaired where it can be, and no decision is lost."""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from project_parts import said, standing, verify

from napari_aml.errors import AmlError
from napari_aml.review.project import Project
from napari_aml.review.project.errors import DamagedProjectError, NotSavedError, ReadOnlyProjectError

N = 300


@pytest.fixture
def filled(project, analysis):
    """A project with a slide and many decisions, closed; the decisions are returned with it."""
    project.add_slide(analysis.slide, analysis)
    uids = analysis.cells.table["uid"].tolist()
    slide_id = analysis.slide.slide_id
    project.record([said(uids[i % 6], "MYO" if i % 2 else "LYT", "ada", slide_id) for i in range(N)])
    before = project.decisions()
    project.close()
    return project.folder, before


def decisions_of(folder):
    with Project.open(folder) as project:
        return project.decisions()


def test_a_whole_project_has_no_findings_but_ok(filled):
    folder, _ = filled
    assert {f.level for f in verify(folder)} == {"ok"}


@pytest.mark.parametrize("harm", ["gone", "empty", "text", "truncated", "page", "header"])
def test_a_damaged_record_is_said_and_made_anew_without_losing_a_decision(filled, harm):
    folder, before = filled
    record = folder / "project.sqlite"
    data = bytearray(record.read_bytes())
    if harm == "gone":
        record.unlink()
    elif harm == "empty":
        record.write_bytes(b"")
    elif harm == "text":
        record.write_bytes(b"this is no database" * 500)
    elif harm == "truncated":
        record.write_bytes(data[: len(data) // 2])
    elif harm == "page":
        for page in range(6, len(data) // 4096, 3):
            data[4096 * page : 4096 * page + 2000] = b"\xff" * 2000
        record.write_bytes(data)
    elif harm == "header":
        data[:100] = bytes(100)
        record.write_bytes(data)
    if harm not in ("page", "truncated"):
        with pytest.raises(DamagedProjectError, match="verify --repair"):
            Project.open(folder)
    assert standing(verify(folder))
    verify(folder, repair=True)
    assert standing(verify(folder)) == []
    assert decisions_of(folder) == before
    with Project.open(folder) as project:
        (entry,) = project.slides()
        assert len(project.analysis(entry.slide_id).cells) == 6 and project.readers == ("ada",)
        project.record([said("c", "MON")])
    if harm != "gone":
        assert list((folder / "kept").glob("damaged-*/project.sqlite"))


def test_without_the_second_copy_what_can_be_read_of_the_record_is_kept(filled):
    folder, before = filled
    (folder / "decisions.jsonl").unlink()
    record = folder / "project.sqlite"
    data = bytearray(record.read_bytes())
    pages = len(data) // 4096
    data[4096 * (pages // 2) : 4096 * (pages // 2 + 1)] = b"\xff" * 4096
    record.write_bytes(data)
    verify(folder, repair=True)
    rescued = decisions_of(folder)
    known = {d.id: d for d in before}
    assert len(rescued) > N // 2 and all(known[d.id] == d for d in rescued)
    # What is in neither copy is said for ever.
    assert any("chain" in text or "not what was recorded" in text for text in standing(verify(folder))) or len(
        rescued
    ) == N


def test_a_decision_changed_behind_the_program_s_back_is_found_and_put_right(filled):
    folder, before = filled
    with sqlite3.connect(folder / "project.sqlite") as db:
        db.execute("DROP TRIGGER decisions_stay")
        db.execute("UPDATE decisions SET value = 'NGS' WHERE seq = 17")
    db.close()
    assert any("decision 17" in text or "lacks" in text for text in standing(verify(folder)))
    verify(folder, repair=True)
    assert standing(verify(folder)) == [] and decisions_of(folder) == before


def test_an_older_copy_of_the_record_takes_back_what_the_second_copy_has(filled):
    folder, before = filled
    shutil.copy(folder / "project.sqlite", folder.parent / "backup")
    with Project.open(folder) as project:
        project.record([said("late", "MON"), said("later", "EOS")])
        whole = project.decisions()
    shutil.copy(folder.parent / "backup", folder / "project.sqlite")
    assert any("older" in text for text in standing(verify(folder)))
    assert standing(verify(folder, repair=True)) == []
    assert decisions_of(folder) == whole


def test_lines_cut_short_and_lines_missing_in_the_second_copy(filled):
    folder, before = filled
    mirror = folder / "decisions.jsonl"
    data = mirror.read_bytes()
    mirror.write_bytes(data[: len(data) - 40])
    with Project.open(folder) as project:
        project.record([said("next")])
    rows = [json.loads(line) for line in mirror.read_text().splitlines() if line.endswith("}")]
    assert {r["seq"] for r in rows} == set(range(1, N + 2))
    mirror.unlink()
    assert standing(verify(folder)) == [] and any("lacked" in f.text for f in verify(folder))
    verify(folder, repair=True)
    assert len(mirror.read_text().splitlines()) == N + 1


@pytest.mark.parametrize("name", ["cells.parquet", "masks.parquet", "predictions.parquet", "heatmaps.parquet"])
def test_damaged_cells_fall_back_on_the_revision_before(filled, name, analysis):
    folder, before = filled
    slide_id = analysis.slide.slide_id
    with Project.open(folder) as project:
        project.save(project.analysis(slide_id))
        newest = project.cell_store.path(project.runs[-1])
    (newest / name).write_bytes((newest / name).read_bytes()[:50])
    assert any("revision 2" in text for text in standing(verify(folder)))
    assert standing(verify(folder, repair=True)) == []
    with Project.open(folder) as project:
        assert len(project.analysis(slide_id).cells) == 6 and project.decisions() == before
    assert newest.exists()
    # The only revision damaged: said, never hidden.
    with Project.open(folder) as project:
        first = project.cell_store.path(project.runs[0])
    (first / "cells.parquet").write_bytes(b"")
    assert any("add the slide anew" in text for text in standing(verify(folder, repair=True)))
    assert decisions_of(folder) == before


def test_unknown_codes_and_deleted_cells_are_kept_and_said(filled):
    folder, before = filled
    slide_id = before[0].slide_id
    with Project.open(folder) as project:
        project.record([said("gone", "XYZ", "ada", slide_id)])
    notes = [f.text for f in verify(folder) if f.level == "note"]
    assert any("'XYZ'" in text for text in notes) and any("deleted since" in text for text in notes)


def test_the_card_is_written_anew(filled):
    folder, _ = filled
    told = json.loads((folder / "project.json").read_text())
    (folder / "project.json").write_text("{")
    assert standing(verify(folder))
    verify(folder, repair=True)
    assert json.loads((folder / "project.json").read_text()) == told


FILLS = {
    "zeros": lambda n: bytes(n), "ones": lambda n: b"\xff" * n, "letters": lambda n: b"A" * n,
    "blobs": lambda n: b"\x0c" * n, "noise": lambda n: random.Random(n).randbytes(n),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 171_000), length=st.integers(1, 9000), fill=st.sampled_from(sorted(FILLS)))
@example(place=1720, length=8, fill="ones")  # names in the schema: sqlite cannot even say what is wrong
@example(place=3680, length=1, fill="ones")  # the name of a column
@example(place=1472, length=40, fill="ones")  # lengths beyond all memory
@example(place=24_369, length=4096, fill="zeros")  # where the picture is
@example(place=24_408, length=700, fill="letters")
@example(place=95_148, length=100, fill="blobs")  # types of values
@example(place=129_719, length=3, fill="blobs")
def test_whatever_part_of_the_record_is_overwritten_no_decision_is_lost(filled, place, length, fill):
    """The examples are places where something else than sqlite's integrity check must see it."""
    folder, before = filled
    spoiled = folder.with_name("spoiled.amlproj")
    shutil.rmtree(spoiled, ignore_errors=True)
    shutil.copytree(folder, spoiled)
    record = spoiled / "project.sqlite"
    data = bytearray(record.read_bytes())
    data[place : place + length] = FILLS[fill](len(data[place : place + length]))
    record.write_bytes(data)
    with suppress(AmlError), Project.open(spoiled, read_only=length % 2 == 0) as project:  # damage is said in words
        assert len(project.decisions()) + len(project.readers) + len(project.runs) + len(project.events)
        for entry in project.slides():
            project.analysis(entry.slide_id)
    verify(spoiled, repair=True)
    assert standing(verify(spoiled)) == []
    assert decisions_of(spoiled) == before


def test_a_place_that_the_record_has_wrong_is_taken_from_its_second_copy(filled):
    folder, _ = filled
    with sqlite3.connect(folder / "project.sqlite") as db:
        db.execute("UPDATE slides SET path = 'AAAA', absolute = 'AAAA', name = 'AAAA'")
    db.close()
    assert any("is missing" in text for text in standing(verify(folder)))
    assert any("second copy" in f.text for f in verify(folder, repair=True)) and standing(verify(folder)) == []
    with Project.open(folder) as project:
        assert project.slides()[0].name == "field" and project.events[-1]["action"] == "slide restored"


def test_a_decision_of_which_a_part_is_spoiled_in_the_only_copy_is_kept(filled):
    folder, before = filled
    (folder / "decisions.jsonl").unlink()
    with sqlite3.connect(folder / "project.sqlite") as db:
        db.execute("DROP TRIGGER decisions_stay")
        db.execute("UPDATE decisions SET time = x'00ff', shown = 7 WHERE seq = 17")
    db.close()
    verify(folder, repair=True)
    assert [(d.uid, d.value, d.reader, d.seq) for d in decisions_of(folder)] == [
        (d.uid, d.value, d.reader, d.seq) for d in before
    ]
    assert any("decision 17" in text for text in standing(verify(folder)))  # when it was said is lost, and told


@pytest.mark.parametrize("copy", ["slide.json", "run.json"])
@pytest.mark.parametrize("text", ["[1]", "{}", '{"slide_id": [], "run_id": {}, "height": "x"}', '{"run_id": 3}'])
def test_damaged_copies_beside_a_damaged_record_keep_nothing_from_being_repaired(filled, copy, text):
    folder, before = filled
    for path in (folder / "slides").rglob(copy):
        path.write_text(text)
    (folder / "project.sqlite").write_bytes(b"this is no database" * 500)
    verify(folder, repair=True)
    assert decisions_of(folder) == before


@pytest.mark.parametrize("change", ["uid = x'00ff'", "shown = '{'", "shown = x'00'"])
def test_values_of_another_kind_are_said(filled, change):
    folder, before = filled
    with sqlite3.connect(folder / "project.sqlite") as db:
        db.execute("DROP TRIGGER decisions_stay")
        db.execute(f"UPDATE decisions SET {change} WHERE seq = 17")
        db.execute("CREATE TRIGGER decisions_stay BEFORE UPDATE ON decisions "
                   "BEGIN SELECT RAISE(ABORT, 'decisions are append-only'); END")  # fmt: skip
    db.close()
    if "shown" in change:
        with Project.open(folder) as project, pytest.raises(DamagedProjectError, match="decision"):
            project.decisions()
    assert standing(verify(folder))
    verify(folder, repair=True)
    assert standing(verify(folder)) == [] and decisions_of(folder) == before


# ---- disks that take nothing ---------------------------------------------------------------------------------

_FULL = """
import resource, signal, sys
from pathlib import Path
from napari_aml.review.decisions import Decision
from napari_aml.review.project.errors import NotSavedError
from napari_aml.review.project.record import Record
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
record = Record(Path(sys.argv[1]))
log = Path(sys.argv[1]) / "project.sqlite-wal"
record.record([Decision("c0", "S1", "MYO", "ada")])
limit = log.stat().st_size + 100_000
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
taken = 1
try:
    while taken < 2000:
        record.record([Decision(f"c{taken}", "S1", "MYO", "ada", shown={"pad": "x" * 3000})])
        taken += 1
except NotSavedError as error:
    print(taken, error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
record.record([Decision("after", "S1", "MYO", "ada")])
"""


@pytest.mark.skipif(os.name == "nt", reason="limits of the system")
def test_a_full_disk_takes_no_half_decision_and_all_is_well_when_there_is_room_again(project):
    project.close()
    done = subprocess.run([sys.executable, "-c", _FULL, project.folder], capture_output=True, text=True, check=True)
    taken, words = done.stdout.split(maxsplit=1)
    assert "Not saved" in words and "Free space" in words
    rows = decisions_of(project.folder)
    assert [d.uid for d in rows] == [*(f"c{i}" for i in range(int(taken))), "after"]
    verify(project.folder, repair=True)
    assert standing(verify(project.folder)) == []


def test_sqlite_s_own_word_for_a_full_disk(project):
    (pages,) = project._record._db.execute("PRAGMA page_count").fetchone()
    project._record._db.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(NotSavedError, match="disk is full"):
        for i in range(100):
            project.record([said(f"c{i}", shown={"pad": "x" * 2000})])
    n = len(project.decisions())
    project._record._db.execute("PRAGMA max_page_count = 100000")
    project.record([said("after")])
    assert len(project.decisions()) == n + 1


def test_a_writer_that_does_not_let_go_is_waited_for_and_then_said(project):
    other = sqlite3.connect(project.folder / "project.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    project._record._db.execute("PRAGMA busy_timeout = 50")
    with pytest.raises(NotSavedError, match="another window"):
        project.record([said("c1")])
    other.execute("ROLLBACK")
    other.close()
    project.record([said("c1")])
    assert len(project.decisions()) == 1


_READ_ONLY = """
import os, sys, tempfile
from napari_aml.review.decisions import Decision
from napari_aml.review.project import Project
from napari_aml.review.project.errors import ReadOnlyProjectError
if os.getuid() == 0:  # to whom everything is allowed
    os.setuid(65534)
with Project.open(sys.argv[1]) as project:
    print(len(project.decisions()), project.read_only, project.notes)
    try:
        project.record([Decision("c", "S1", "MYO", "ada")])
    except ReadOnlyProjectError as error:
        print(error)
"""


@pytest.mark.skipif(os.name == "nt", reason="permissions of the system")
@pytest.mark.parametrize("log", ["folded in", "with a log"])
def test_a_folder_that_cannot_be_written_can_be_looked_at(filled, log, tmp_path):
    folder, before = filled
    for parent in (folder, *folder.parents):
        if parent.stat().st_uid == os.getuid() and tmp_path.parent.parent in (parent, *parent.parents):
            parent.chmod(0o755)
    holder = Project.open(folder) if log == "with a log" else None
    if holder is not None:
        holder.record([said("late")])
        copy = folder.with_name("copy.amlproj")
        shutil.copytree(folder, copy)
        (copy / "project.sqlite-shm").unlink()
        holder.close()
        folder, before = copy, [*before, None]
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    done = subprocess.run([sys.executable, "-c", _READ_ONLY, folder], capture_output=True, text=True)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{len(before)} True") and "you can look" in done.stdout
    assert "Copy the folder" in done.stdout


def test_a_project_opened_to_read_writes_nothing(filled):
    folder, before = filled
    with Project.open(folder, read_only=True) as project:
        assert project.decisions() == before
        for attempt in (
            lambda: project.record([said("c")]), lambda: project.add_reader("cem"),
            lambda: project.session.save("ada", {}), lambda: project.set_setting("a", "b"),
        ):  # fmt: skip
            with pytest.raises(ReadOnlyProjectError):
                attempt()
