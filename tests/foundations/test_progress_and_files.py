from __future__ import annotations

import pytest

from napari_aml._files import replacing, replacing_folder
from napari_aml.errors import AmlError, OutputError
from napari_aml.progress import Progress, run


def _job(log):
    try:
        for i in range(3):
            yield Progress(i, 3)
        return "done"
    finally:
        log.append("closed")


def test_run_returns_the_result_and_reports_every_event():
    log, seen = [], []
    assert run(_job(log), seen.append) == "done"
    assert [e.done for e in seen] == [0, 1, 2]
    assert seen[1].fraction == pytest.approx(1 / 3)


def test_an_exception_in_the_listener_closes_the_job():
    log = []

    def stop(event):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(_job(log), stop)
    assert log == ["closed"]


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), replacing(target) as beside:
        beside.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_finished_write_replaces(tmp_path):
    with replacing(tmp_path / "new" / "a.txt") as beside:
        beside.write_text("new")
    assert (tmp_path / "new" / "a.txt").read_text() == "new"


def test_a_failed_folder_leaves_the_old_folder_whole(tmp_path):
    target = tmp_path / "results"
    target.mkdir()
    (target / "cells.csv").write_text("old")
    with pytest.raises(RuntimeError), replacing_folder(target, ours=["cells.csv"]) as beside:
        (beside / "cells.csv").write_text("half")
        raise RuntimeError
    assert (target / "cells.csv").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["results"]


def test_a_replaced_folder_keeps_what_a_person_put_there(tmp_path):
    target = tmp_path / "results"
    (target / "mine").mkdir(parents=True)
    (target / "notes.txt").write_text("looked at with a colleague")
    (target / "mine" / "a.txt").write_text("a")
    (target / "cells.csv").write_text("old")
    (target / "cam.tif").write_text("old map")
    with replacing_folder(target, ours=["cells.csv", "cam.tif"]) as beside:
        (beside / "cells.csv").write_text("new")
    assert (target / "cells.csv").read_text() == "new"
    assert not (target / "cam.tif").exists()  # a result of the last run, not made by this one
    assert (target / "notes.txt").exists() and (target / "mine" / "a.txt").exists()


def test_writing_below_a_file_is_a_typed_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="Choose another folder"), replacing(tmp_path / "file" / "a.txt"):
        pass


def test_errors_carry_the_way_out_in_their_text():
    assert str(AmlError("It is broken.", "Mend it.")) == "It is broken. Mend it."
