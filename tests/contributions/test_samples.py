"""What ships: small, attributed, and really what it says."""

from __future__ import annotations

import numpy as np
import pytest

from napari_aml import samples
from napari_aml.samples import make
from napari_aml.slides import open_slide
from napari_aml.taxonomy import BY_CODE


def test_every_picture_opens_and_is_listed_once():
    listed = [entry["path"] for entry in samples.index()]
    assert len(set(listed)) == len(listed)
    for path in listed:
        assert open_slide(samples.folder() / path).region(0, 0, 0, 50, 50).std() > 0
    suffixes = {".jpg", ".png"}
    there = {p.relative_to(samples.folder()).as_posix() for p in samples.folder().rglob("*") if p.suffix in suffixes}
    assert there == set(listed)


def test_samples_are_small():
    assert sum((samples.folder() / entry["path"]).stat().st_size for entry in samples.index()) < 4e6


def test_every_source_is_attributed_in_the_notice():
    from pathlib import Path

    notice = (Path(__file__).resolve().parents[2] / "NOTICE").read_text("utf-8")
    sources = samples.sources()
    assert {entry["source"] for entry in samples.index()} == set(sources)
    for source in sources.values():
        assert source["url"] in notice
        assert source["licence"] in notice
        assert source["authors"] and source["changes"]


def test_kinds():
    assert len(samples.sample_paths("smear")) >= 8
    assert {path.name.split("_")[0] for path in samples.sample_paths("smear")} == {"bccd", "chula"}
    codes = {path.parent.name for path in samples.sample_paths("cell")}
    assert codes == {folder.name for folder in samples.cells_folder().iterdir() if folder.is_dir()}
    assert len(codes) == 11
    assert codes <= set(BY_CODE)


def test_mosaic_holds_all_fifteen_classes_one_a_row():
    entry = next(e for e in samples.index() if e["kind"] == "mosaic")
    assert len(set(entry["classes"])) == 15
    assert set(entry["classes"]) <= set(BY_CODE)
    slide = open_slide(samples.mosaic_path())
    side = entry["tile_px"]
    assert slide.shape == (15 * side, entry["columns"] * side)
    whole = slide.region(0, 0, 0, *slide.shape)
    tiles = whole.reshape(15, side, entry["columns"], side, 3).swapaxes(1, 2).reshape(-1, side * side * 3)
    assert len(np.unique(tiles, axis=0)) == len(tiles), "a cell stands twice"
    assert (tiles.std(axis=1) > 10).all(), "a tile is empty"


def test_samples_can_be_made_again(shared_data, tmp_path):
    """The same data give the same pixels."""
    pictures = make.make(shared_data, tmp_path)
    assert pictures == samples.index()
    for entry in pictures:
        if entry["kind"] in ("mosaic", "sheet"):
            slides = open_slide(tmp_path / entry["path"]), open_slide(samples.folder() / entry["path"])
            a, b = (s.region(0, 0, 0, *s.shape) for s in slides)
            assert np.array_equal(a, b)
        else:
            assert (tmp_path / entry["path"]).read_bytes() == (samples.folder() / entry["path"]).read_bytes()


def test_make_refuses_a_folder_that_is_not_there(tmp_path, capsys):
    with pytest.raises(SystemExit):
        make.main(["--data", str(tmp_path / "nowhere")])
    assert "nowhere" in capsys.readouterr().err
