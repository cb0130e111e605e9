"""The results folder: complete, consistent, atomic, without names of patients."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from napari_aml.errors import OutputError
from napari_aml.export import RESULT_FILES, check_writable, results_folder, write_results, write_results_steps
from napari_aml.export.folder import read_provenance
from napari_aml.provenance import file_sha256
from napari_aml.review import CountingSettings, differential

COLUMNS = "uid slide_id label y x y0 x0 y1 x1 area_um2 nucleus_area_um2 nc_ratio class probability p_MYO p_NGS".split()


@pytest.fixture
def folder(tmp_path, analysis) -> Path:
    return write_results(analysis, tmp_path / "results" / "field")


def test_all_files_are_there_and_no_others(folder):
    assert {p.name for p in folder.iterdir()} == set(RESULT_FILES)
    assert [p.name for p in folder.parent.iterdir()] == ["field"]


def test_tables_and_label_images_tell_of_the_same_cells(folder, analysis):
    cells = pd.read_csv(folder / "cells.csv")
    labels, nuclei = (tifffile.imread(folder / name) for name in ("labels.tif", "nuclei.tif"))
    assert not set(COLUMNS) - set(cells)
    assert labels.shape == nuclei.shape == analysis.slide.shape
    assert set(np.unique(labels)) == {0, *cells["label"]}
    assert ((nuclei == 0) | (nuclei == labels)).all()
    for row in cells.itertuples():
        ys, xs = np.nonzero(labels == row.label)
        assert (ys.min(), xs.min(), ys.max() + 1, xs.max() + 1) == (row.y0, row.x0, row.y1, row.x1)
        assert len(ys) * 0.2**2 == pytest.approx(row.area_um2, rel=1e-5)
        assert (nuclei == row.label).sum() / len(ys) == pytest.approx(row.nc_ratio, rel=1e-5)
    assert np.allclose(cells.filter(regex="^p_").sum(axis=1), 1, atol=1e-5)
    parquet = pd.read_parquet(folder / "cells.parquet")
    pd.testing.assert_frame_equal(parquet, cells, check_dtype=False, rtol=1e-5)
    assert parquet["label"].dtype == np.int32


def test_the_differential_is_that_of_the_cells(folder):
    cells = pd.read_csv(folder / "cells.csv")
    found = pd.read_csv(folder / "differential.csv", keep_default_na=False, na_values=[""])
    want = differential(cells["class"].tolist(), classes=["MYO", "NGS", "EBO", "KSC"])
    assert found["code"].tolist() == want["code"].tolist()
    np.testing.assert_allclose(found["percent"], want["percent"], rtol=1e-6)
    # 2 myeloblasts among 4 leukocytes; the erythroblast and the smudge cell stand apart.
    assert found.set_index("code").loc["BLASTS", "percent"] == 50


def test_provenance_names_hashes_and_versions_and_the_files_it_stands_beside(folder, analysis):
    told = json.loads((folder / "provenance.json").read_text())
    assert told["slide_id"] == analysis.slide.slide_id
    assert told["slide"]["sha256"] == analysis.slide.sha256
    assert told["slide"]["pixel_size_source"] == "red cells"
    assert told["research_use"] == "For Research Use Only. Not for use in diagnostic procedures."
    assert told["versions"]["napari-aml"]
    assert set(told["files"]) == set(RESULT_FILES) - {"provenance.json"}
    for name, sha in told["files"].items():
        assert file_sha256(folder / name) == sha


def test_no_output_holds_the_name_or_place_of_the_picture(tmp_path, analysis):
    slide = analysis.slide
    slide.path = Path("/data/someone/patients/Anna_Muster_1961-03-04.png")
    slide.notes = (f"'{slide.name}' has an alpha channel.", f"read from {slide.path}")
    analysis.provenance["warnings"] = list(slide.notes)
    analysis.provenance["settings"]["source"] = slide.path
    folder = write_results(analysis, tmp_path / "case")
    for path in folder.iterdir():
        content = path.read_bytes()
        for secret in (b"Muster", b"someone", b"patients", str(tmp_path).encode()):
            assert secret not in content, f"{secret!r} stands in {path.name}"


def test_overlay_is_a_picture_of_the_field_with_outlines(folder, analysis):
    picture = np.asarray(Image.open(folder / "overlay.png").convert("RGB"))
    assert picture.shape == (*analysis.slide.shape, 3)
    field = analysis.slide.region(0, 0, 0, *analysis.slide.shape)
    changed = (picture != field).any(axis=2)
    near = np.zeros(analysis.slide.shape, bool)
    for y0, x0, y1, x1 in analysis.cells.masks.boxes.values():
        near[max(y0 - 30, 0) : y1 + 30, max(x0 - 10, 0) : x1 + 40] = True
    assert changed[near].any()
    assert not changed[~near].any()


def test_results_without_cells(tmp_path, without_cells):
    folder = write_results(without_cells, tmp_path / "none")
    assert {p.name for p in folder.iterdir()} == set(RESULT_FILES)
    assert not tifffile.imread(folder / "labels.tif").any()
    assert len(pd.read_csv(folder / "cells.csv")) == 0
    assert "No cells found" in (folder / "report.html").read_text()


def test_results_without_predictions_and_heatmaps(tmp_path, analysis):
    folder = write_results(replace(analysis, predictions=None, heatmaps=None), tmp_path / "cells")
    assert {p.name for p in folder.iterdir()} == set(RESULT_FILES) - {"cam.tif", "differential.csv"}
    assert "class" not in pd.read_csv(folder / "cells.csv")
    assert "Differential" not in (folder / "report.html").read_text()


def test_heatmaps_can_be_left_out(tmp_path, analysis):
    folder = write_results(analysis, tmp_path / "plain", cam=False)
    assert not (folder / "cam.tif").exists()
    assert "heatmap of cell" not in (folder / "report.html").read_text()


def test_the_threshold_reaches_table_and_report(tmp_path, analysis):
    folder = write_results(analysis, tmp_path / "sure", settings=CountingSettings(least_probability=0.5))
    found = pd.read_csv(folder / "differential.csv").set_index("code")
    assert found.loc["UNK", "count"] == 1
    assert found.loc["MYO", "count"] == 1
    assert "1 cells got less than 50%" in (folder / "report.html").read_text()


def test_older_results_are_replaced_and_a_persons_notes_kept(folder, analysis):
    (folder / "notes.txt").write_text("seen by me")
    (folder / "cam.tif").write_bytes(b"old")
    write_results(replace(analysis, heatmaps=None), folder)
    assert (folder / "notes.txt").read_text() == "seen by me"
    assert not (folder / "cam.tif").exists()


def test_a_persons_folder_is_filled_and_loses_nothing(tmp_path, analysis):
    mine = tmp_path / "Documents"
    (mine / "deep").mkdir(parents=True)
    (mine / "deep" / "thesis.txt").write_text("years of work")
    write_results(analysis, mine)
    assert (mine / "deep" / "thesis.txt").read_text() == "years of work"
    assert {p.name for p in mine.iterdir()} == {"deep", *RESULT_FILES}
    assert [p.name for p in tmp_path.iterdir()] == ["Documents"]


def test_a_persons_file_of_our_name_is_never_overwritten(tmp_path, analysis):
    (tmp_path / "cells.csv").write_text("counted by hand")
    with pytest.raises(OutputError, match=r"cells\.csv"):
        write_results(analysis, tmp_path)
    assert (tmp_path / "cells.csv").read_text() == "counted by hand"
    assert [p.name for p in tmp_path.iterdir()] == ["cells.csv"]


def test_stopping_half_way_leaves_nothing(tmp_path, analysis):
    steps = write_results_steps(analysis, tmp_path / "field")
    for _ in range(6):
        next(steps)
    assert any(tmp_path.iterdir())
    steps.close()
    assert list(tmp_path.iterdir()) == []


def test_stopping_half_way_leaves_older_results(folder, analysis):
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    steps = write_results_steps(analysis, folder)
    for _ in range(6):
        next(steps)
    steps.close()
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    assert [p.name for p in folder.parent.iterdir()] == ["field"]


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path, analysis, monkeypatch):
    from napari_aml.export import results

    def full(*_args, **_more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(results, "_write_png", full)
    with pytest.raises(OutputError, match="No space left") as caught:
        write_results(analysis, tmp_path / "field")
    assert caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_named(tmp_path, analysis):
    (tmp_path / "field").write_text("")
    with pytest.raises(OutputError, match="field"):
        write_results(analysis, tmp_path / "field")
    with pytest.raises(OutputError, match="field"):
        write_results(analysis, tmp_path / "field" / "deeper")


def test_progress_only_goes_forward_and_ends_at_the_end(tmp_path, analysis):
    events = list(write_results_steps(analysis, tmp_path / "field"))
    shares = [e.fraction for e in events]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert all(e.message for e in events)


def test_check_writable_makes_nothing(tmp_path):
    check_writable(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    for wrong in (tmp_path / "file", tmp_path / "file" / "b"):
        with pytest.raises(OutputError, match="file"):
            check_writable(wrong)


@pytest.mark.skipif(os.name != "posix", reason="/proc is Linux's")
def test_a_place_where_nothing_can_be_written_is_told():
    with pytest.raises(OutputError, match="/proc"):
        check_writable("/proc/nowhere")


def test_results_of_two_slides_of_one_name_do_not_meet(tmp_path, analysis, without_cells):
    first = results_folder(tmp_path, analysis.slide)
    assert first == tmp_path / "Anna_Muster_1961-03-04"
    write_results(analysis, first)
    assert results_folder(tmp_path, analysis.slide) == first
    assert read_provenance(first)["slide_id"] == analysis.slide.slide_id
    other = without_cells.slide
    other.__dict__["sha256"] = "0" * 64
    assert results_folder(tmp_path, other) == tmp_path / f"Anna_Muster_1961-03-04_{other.slide_id}"


@pytest.mark.parametrize(
    ("name", "folder"), [("../up", "_up"), ("a/b\\c:d", "a_b_c_d"), ("...", None), ("Müller Nr. 5", "Müller Nr. 5")]
)
def test_names_of_layers_become_names_of_folders(tmp_path, analysis, name, folder):
    analysis.slide.name = name
    got = results_folder(tmp_path, analysis.slide)
    assert got.parent == tmp_path
    assert got.name == (folder or analysis.slide.slide_id)
