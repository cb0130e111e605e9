"""A picture that is no smear is analysed all the same, and every way out says what it is."""

from __future__ import annotations

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import napari_aml as aml
from napari_aml.cli.app import app
from napari_aml.errors import PixelSizeUnknownError
from napari_aml.pipeline import segment_slide_steps
from napari_aml.slides import open_slide


@pytest.fixture(scope="module")
def glowing(tmp_path_factory):
    """Bright spots on black, as fluorescence shows them."""
    rng = np.random.default_rng(0)
    spots = cv2.GaussianBlur((rng.random((220, 260)) > 0.9995).astype(np.float32), (0, 0), 6)
    rgb = (8 + 220 * (spots / spots.max())[..., None] * np.array([0.2, 0.4, 1.0])).astype(np.uint8)
    path = tmp_path_factory.mktemp("glow") / "glowing.png"
    Image.fromarray(rgb).save(path)
    return path


def test_result_provenance_and_dock_say_it(glowing):
    from napari_aml.viewer.words import found_cells, pixel_size

    analysis = aml.run(segment_slide_steps(glowing, pixel_size_um=0.25))
    warning = analysis.slide.smear.warning
    assert "does not look like a blood smear" in warning and "most of it is dark" in warning
    assert analysis.slide.notes[0] == warning == analysis.provenance["warnings"][0]
    assert analysis.provenance["smear_check"]["doubts"][0] == "dark"
    assert found_cells(analysis).endswith(f"⚠ {warning}")
    assert pixel_size(SimpleNamespace(analysis=analysis), None, None).startswith(
        f"⚠ {warning} The results rest on 0.25"
    )
    json.dumps(analysis.provenance)


def test_the_shell_and_the_report_say_it(glowing, tmp_path):
    said = CliRunner().invoke(
        app, ["analyse", str(glowing), "--pixel-size", "0.25", "--cam", "none", "--out", str(tmp_path)]
    )
    assert said.exit_code == 0 and "does not look like a blood smear" in said.output
    folder = tmp_path / "glowing"
    assert "does not look like a blood smear" in (folder / "report.html").read_text()
    assert json.loads((folder / "provenance.json").read_text())["smear_check"]["looks_like_a_smear"] is False


def test_where_the_pixel_size_is_unknown_the_error_says_it_too():
    with pytest.raises(PixelSizeUnknownError, match="Nothing is to be seen here"):
        aml.run(segment_slide_steps(np.full((300, 300, 3), 200, np.uint8)))


def test_a_smear_is_not_warned_of_and_looking_twice_says_it_once(glowing, shared_data):
    from napari_aml.viewer.words import found_cells

    field = sorted((shared_data / "smears_bccd/images").glob("*"))[0]
    slide = open_slide(field, 0.075).with_smear_check()
    assert slide.smear.doubts == () and slide.notes == ()
    assert "⚠" not in found_cells(SimpleNamespace(cells=[1], slide=slide, provenance={}))
    twice = open_slide(glowing).with_smear_check().with_smear_check()
    assert len(twice.notes) == 1
