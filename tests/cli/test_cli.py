"""The command line as a person meets it: files, exit codes, words."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

import napari_aml.cli as cli

FILES = {
    "labels.tif", "nuclei.tif", "cells.csv", "cells.parquet", "cam.tif", "overlay.png", "differential.csv",
    "provenance.json", "report.html",
}  # fmt: skip


@pytest.fixture
def shell(monkeypatch, capsys):
    """Run the command line in this process: returns (exit code, standard output, standard error)."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["napari-aml", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out, err = capsys.readouterr()
        return stop.value.code, out, err

    return call


def test_version_and_research_use(shell):
    code, out, _ = shell("--version")
    assert code == 0 and "For Research Use Only" in out


def test_analyse_writes_everything(shell, bccd_field, tmp_path):
    code, out, _ = shell("analyse", bccd_field, "--out", tmp_path)
    folder = tmp_path / "BloodImage_00000"
    assert code == 0 and "1 cell" in out and "report.html" in out
    assert {p.name for p in folder.iterdir()} == FILES
    labels, nuclei = tifffile.imread(folder / "labels.tif"), tifffile.imread(folder / "nuclei.tif")
    assert labels.dtype == np.int32 and labels.shape == nuclei.shape == (480, 640)
    assert set(np.unique(nuclei)) <= set(np.unique(labels)) and (labels[nuclei > 0] == nuclei[nuclei > 0]).all()
    table, binary = pd.read_csv(folder / "cells.csv"), pd.read_parquet(folder / "cells.parquet")
    assert list(table.columns) == list(binary.columns)
    assert set(np.unique(labels)) - {0} == set(table.label)
    assert tifffile.imread(folder / "cam.tif").dtype == np.float32
    assert "<html" in (folder / "report.html").read_text("utf-8")


def test_a_broken_picture_is_named_and_the_others_are_done(shell, bccd_field, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(bccd_field.read_bytes()[:2000])
    good = tmp_path / "good.jpg"
    shutil.copy(bccd_field, good)
    code, out, err = shell("analyse", broken, good, "--out", tmp_path / "out", "--pixel-size", 0.07, "--cam", "none")
    assert code == 2 and "broken.jpg" in err and "Traceback" not in err
    assert "1 of 2" in err and "good.jpg: 1 cell" in out
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"good"}
    assert not (tmp_path / "out" / "good" / "cam.tif").exists()


def test_the_demo_analyses_the_shipped_smears(shell, tmp_path):
    code, out, err = shell("demo", "--out", tmp_path / "demo", "--no-window")
    reports = sorted((tmp_path / "demo").glob("*/report.html"))
    assert code == 0, err
    assert len(reports) == 11 and str(tmp_path / "demo") in out and "For Research Use Only" in out
    found = sum(len(pd.read_csv(report.parent / "cells.csv")) for report in reports)
    assert found >= 11  # every shipped field holds at least one white cell


def test_two_pictures_of_one_name_do_not_overwrite_each_other(shell, bccd_field, tmp_path):
    for side in "ab":
        (tmp_path / side).mkdir()
        shutil.copy(bccd_field, tmp_path / side / "field.jpg")
    pictures = (tmp_path / "a" / "field.jpg", tmp_path / "b" / "field.jpg")
    code, _, _ = shell("analyse", *pictures, "--out", tmp_path / "out", "--pixel-size", 0.07, "--cam", "none")
    assert code == 0 and {p.name for p in (tmp_path / "out").iterdir()} == {"field", "field_2"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("missing.png",), "no such file"),
        (("{field}", "--model", "no-such-bundle"), "no-such-bundle"),
        (("{field}", "--device", "tpu"), "no device called 'tpu'"),
        (("{field}", "--segmenter", "magic"), "no segmentation backend"),
    ],
)
def test_what_cannot_be_used_is_said_in_words(shell, bccd_field, tmp_path, arguments, words):
    arguments = [a.format(field=bccd_field) for a in arguments]
    code, _, err = shell("analyse", *arguments, "--out", tmp_path)
    assert code == 2 and words in err and "Traceback" not in err


def test_a_missing_gpu_is_said(shell, bccd_field, tmp_path):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    code, _, err = shell("analyse", bccd_field, "--out", tmp_path, "--device", "cuda")
    assert code == 2 and "--device auto" in err


def test_an_output_folder_that_is_a_file(shell, bccd_field, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = shell("analyse", bccd_field, "--out", tmp_path / "file")
    assert code == 3 and "Cannot write" in err


def test_classify_crops_flat_and_in_class_folders(shell, shared_data, tmp_path):
    for code in ("EOS", "LYT"):
        (tmp_path / "cells" / code).mkdir(parents=True)
        for picture in sorted((shared_data / "cells_aml_lmu_thumbs" / code).iterdir())[:3]:
            shutil.copy(picture, tmp_path / "cells" / code)
    out = tmp_path / "predictions.csv"
    code, said, _ = shell("classify-crops", tmp_path / "cells", "--out", out)
    table = pd.read_csv(out)
    assert code == 0 and "6 pictures" in said
    assert {"path", "class", "probability"} <= set(table.columns) and len(table) == 6
    probabilities = table[[c for c in table if c.startswith("p_")]]
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-4)
    assert table.path.str.startswith(("EOS/", "LYT/")).all()


def test_classify_crops_names_an_unreadable_picture_and_goes_on(shell, tmp_path):
    Image.fromarray(np.full((110, 110, 3), 200, np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"not a picture")
    code, _, err = shell("classify-crops", tmp_path, "--out", tmp_path / "out.csv")
    assert code == 2 and "b.png" in err
    assert pd.read_csv(tmp_path / "out.csv").path.tolist().count("a.png") == 1


def test_classify_crops_of_an_empty_folder(shell, tmp_path):
    (tmp_path / "empty").mkdir()
    code, _, err = shell("classify-crops", tmp_path / "empty", "--out", tmp_path / "out.csv")
    assert code == 2 and "empty" in err and not (tmp_path / "out.csv").exists()


def test_models_and_doctor(shell):
    code, out, _ = shell("models")
    assert code == 0 and "demonstration" in out.lower()
    code, out, _ = shell("doctor")
    assert code == 0 and all(word in out for word in ("torch", "device", "manifest", "bundles"))


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent differently on Windows")
def test_ctrl_c_stops_cleanly(shared_data, tmp_path):
    fields = shared_data / "smears_bccd" / "images"
    command = [sys.executable, "-m", "napari_aml.cli", "analyse", str(fields), "--out", str(tmp_path / "out")]
    # Whoever runs the tests in the background ignores Ctrl-C, and a child would inherit that.
    job = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and len(list((tmp_path / "out").glob("*/report.html"))) < 1:
            time.sleep(0.1)
        job.send_signal(signal.SIGINT)
        _, err = job.communicate(timeout=60)
    finally:
        job.kill()
    assert job.returncode == 130 and "Stopped" in err and "Traceback" not in err
    for folder in (tmp_path / "out").iterdir():
        assert {p.name for p in folder.iterdir()} == FILES, "a results folder is complete or not there"
