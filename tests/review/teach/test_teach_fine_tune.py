"""Fine-tuning: cells become a dataset, a process trains, stops, goes on; old and new bundle are compared."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from small_models import make_bundle

from napari_aml.errors import AmlError, InputError
from napari_aml.progress import run
from napari_aml.review.teach import (
    Comparison,
    EpochDone,
    FineTuneError,
    FineTuneSettings,
    SlideCells,
    fine_tune_steps,
    gather_steps,
    read_result,
    write_job,
)
from napari_aml.slides import ArraySlide, PixelSize

COLOURS = {"MYO": (90, 40, 150), "LYT": (40, 90, 160), "EOS": (190, 80, 60)}


@pytest.fixture(scope="module")
def slide():
    """Discs of three colours on one slide: 12 x 10 cells, 0.5 µm/px."""
    rng, pitch = np.random.default_rng(0), 70
    picture = np.full((10 * pitch, 12 * pitch, 3), 235, np.uint8)
    rows, columns = np.ogrid[:pitch, :pitch]
    disc = (rows - 35) ** 2 + (columns - 35) ** 2 < 18**2
    cells = []
    for i in range(120):
        y, x = (pitch * v for v in divmod(i, 12))
        code = list(COLOURS)[rng.integers(3)]
        for _ in range(14):  # surroundings that differ, else all cells would be copies of one
            a, b = rng.integers(0, pitch - 16, 2)
            picture[y + a : y + a + 16, x + b : x + b + 16] = rng.integers(120, 255)
        picture[y : y + pitch, x : x + pitch][disc] = COLOURS[code]
        cells.append((f"u{i}", y + 35.0, x + 35.0, code))
    picture = np.clip(picture + rng.normal(0, 6, picture.shape), 0, 255).astype(np.uint8)
    table = pd.DataFrame(cells, columns=["uid", "y", "x", "code"])
    return ArraySlide([picture], "discs", pixel_size=PixelSize(0.5, "person")), table


@pytest.fixture(scope="module")
def dataset(slide, tmp_path_factory):
    picture, table = slide
    decided = dict(zip(table["uid"], table["code"], strict=True)) | {"u3": "UNK", "elsewhere": "MYO"}
    folder = tmp_path_factory.mktemp("decided") / "data"
    return run(gather_steps([SlideCells(picture, table[["uid", "y", "x"]])], decided, folder, 25.0, reader="ada"))


def test_decided_cells_become_a_dataset_with_their_uids_and_a_split_level(dataset, slide):
    _, table = slide
    assert len(dataset) == 119 and "u3" not in set(dataset.table["uid"])
    truth = dict(zip(table["uid"], table["code"], strict=True))
    assert all(truth[u] == c for u, c in dataset.table[["uid", "code"]].itertuples(index=False))
    assert set(dataset.table["reader"]) == {"ada"}
    assert dataset.leakage.level == "field"  # one slide: cells are divided by their place on it
    assert dataset.table["field"].nunique() >= 12
    row = int(np.flatnonzero(dataset.table["uid"] == "u5")[0])
    middle = dataset.pixels(row)
    side = middle.shape[0]
    assert side * 0.5 == pytest.approx(25 * 1.3, abs=1)
    colour = middle[side // 2 - 4 : side // 2 + 4, side // 2 - 4 : side // 2 + 4].reshape(-1, 3).mean(0)
    assert np.abs(colour - COLOURS[truth["u5"]]).max() < 12


def test_many_slides_are_divided_by_slide_and_patients_by_patient(slide, tmp_path):
    picture, table = slide
    parts, decided = [], {}
    for i in range(6):
        mine = table.iloc[i * 10 : i * 10 + 10]
        pixels = picture.region(0, 0, 0, *picture.shape).copy()
        pixels[:8] = 10 * i
        turned = ArraySlide([pixels], f"s{i}", pixel_size=picture.pixel_size)
        parts.append(SlideCells(turned, mine[["uid", "y", "x"]], f"P{i}"))
        decided.update(dict(zip(mine["uid"], mine["code"], strict=True)))
    made = run(gather_steps(parts, decided, tmp_path / "patients", 25.0))
    assert made.leakage.level == "patient"
    nameless = [SlideCells(p.slide, p.table) for p in parts]
    assert run(gather_steps(nameless, decided, tmp_path / "slides", 25.0)).leakage.level == "slide"


def test_too_little_is_refused(slide, tmp_path):
    picture, table = slide
    cells = [SlideCells(picture, table[["uid", "y", "x"]])]
    with pytest.raises(InputError, match="0 decided cells"):
        run(gather_steps(cells, {}, tmp_path / "a", 25.0))
    with pytest.raises(InputError, match="1 class"):
        run(gather_steps(cells, {"u1": "MYO", "u2": "MYO"}, tmp_path / "b", 25.0))
    assert not (tmp_path / "a").exists()


def test_a_training_stops_when_asked_goes_on_and_is_compared_with_its_parent(dataset, tmp_path):
    """One process is stopped after its first epoch and leaves nothing running; the next goes on from there."""
    parent = make_bundle(tmp_path / "parent", class_codes=["MYO", "LYT", "EOS", "MON"], crop_px=32)
    settings = FineTuneSettings(epochs=3, rate=5e-3, batch=16, device="cpu", augmentation="turns")
    job = write_job(tmp_path / "job", dataset.path, parent.path, settings, name="mine", decisions=119)
    steps = fine_tune_steps(job)
    process = None
    for event in steps:
        process = process or steps.gi_frame.f_locals.get("process")
        if isinstance(event.payload, EpochDone):
            break
    steps.close()
    assert process.poll() is not None
    assert (job / "work" / "checkpoint.pt").exists() and not (job / "bundle").exists()
    with pytest.raises(InputError, match="no result"):
        read_result(job)
    seen = []
    result = run(fine_tune_steps(job), lambda e: seen.append(e.payload.epoch) if e.payload else None)
    assert seen and seen[0] > 1 and seen[-1] == 3
    assert any("Taken up again" in note for note in result.notes)
    assert [e.epoch for e in result.history] == [1, 2, 3]
    card = result.bundle.verify().card
    assert card["name"] == "mine" and card["decisions"] == 119
    assert card["parent"]["sha256"] == parent.sha256 and "field of view" in card["split_level"]
    compared = result.comparison
    held = json.loads((job / "work" / "split.json").read_text())["parts"]["test"]
    assert set(compared.uids) == set(held) and len(compared) >= 10
    assert compared.only_new > compared.only_old and "only the new one" in compared.verdict()
    assert card["against_parent"]["right_only_now"] == compared.only_new
    codes, matrix = compared.confusion()
    assert matrix.sum() == len(compared)
    i, j = np.argwhere(matrix)[0]
    assert len(compared.cells(codes[i], codes[j])) == matrix[i, j]
    figures = compared.figures["per_class"]["MYO"]["recall"]
    assert figures["interval_95"][0] <= figures["value"] <= figures["interval_95"][1]
    assert read_result(job).comparison.uids == compared.uids


def test_what_goes_wrong_in_the_process_is_said_in_its_words(tmp_path, dataset):
    job = write_job(tmp_path / "job", tmp_path / "nowhere", tmp_path / "parent")
    with pytest.raises(FineTuneError, match="does not exist"):
        run(fine_tune_steps(job))
    with pytest.raises(InputError, match="no fine-tuning job"):
        run(fine_tune_steps(tmp_path / "empty"))


def compared(new_right, old_right, n=60):
    truth = ["MYO"] * n
    new = ["MYO" if i < new_right else "LYT" for i in range(n)]
    old = ["MYO" if i >= n - old_right else "LYT" for i in range(n)]
    return Comparison(tuple(map(str, range(n))), tuple(truth), tuple(old), tuple(new), {}, {})


def test_verdicts_are_given_only_where_cells_tell():
    assert compared(55, 20).better is True and compared(20, 55).better is False
    assert "WORSE" in compared(20, 55).verdict()
    assert compared(31, 30).better is None and "cannot be told apart" in compared(31, 30).verdict()
    assert compared(10, 1, n=12).better is None and "too few" in compared(10, 1, n=12).verdict()
    assert "Nothing was held out" in compared(0, 0, n=0).verdict()
    gain, low, high = compared(55, 20).gain
    assert gain == pytest.approx(35 / 60) and low < gain < high
    # Exact McNemar by hand: 1 against 6 of 7 discordant cells, two-sided 2 * (1 + 7) / 2**7.
    c = Comparison(tuple("abcdefg"), ("MYO",) * 7, ("MYO",) + ("LYT",) * 6, ("LYT",) + ("MYO",) * 6, {}, {})
    assert c.p_value == pytest.approx(2 * 8 / 2**7)


def test_a_comparison_survives_being_written_down():
    c = compared(5, 3, n=8)
    again = Comparison.from_dict(json.loads(json.dumps(c.to_dict())))
    assert again.verdict() == c.verdict() and again.uids == c.uids
    with pytest.raises(AmlError):
        Comparison(("a",), (), (), (), {}, {})
