"""Pictures that are no smears are told; smears never are, however badly they were taken."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from napari_aml.slides import check_smear, open_slide
from napari_aml.slides.array import ArraySlide


def doubts(rgb: np.ndarray) -> tuple[str, ...]:
    return check_smear(ArraySlide([np.ascontiguousarray(rgb)])).doubts


def vignette(rgb):
    y, x = np.mgrid[: rgb.shape[0], : rgb.shape[1]]
    fall = 1 - 1.3 * ((y / rgb.shape[0] - 0.5) ** 2 + (x / rgb.shape[1] - 0.5) ** 2)
    return (rgb * fall[..., None]).astype(np.uint8)


ALTERED = {
    "as it is": lambda x: x,
    "dim": lambda x: (x * 0.25).astype(np.uint8),
    "vignette": vignette,
    "blur": lambda x: cv2.GaussianBlur(x, (0, 0), 4),
    "sharpened": lambda x: cv2.addWeighted(x, 2.5, cv2.GaussianBlur(x, (0, 0), 1.5), -1.5, 0),
    "blue cast": lambda x: np.clip(x * np.array([0.7, 0.8, 1.15]), 0, 255).astype(np.uint8),
    "yellow cast": lambda x: np.clip(x * np.array([1, 0.95, 0.6]), 0, 255).astype(np.uint8),
    "pale": lambda x: (x * 0.5 + 90).astype(np.uint8),
    "overexposed": lambda x: np.clip(x * 1.3, 0, 255).astype(np.uint8),
    "noise": lambda x: np.clip(x + np.random.default_rng(0).normal(0, 30, x.shape), 0, 255).astype(np.uint8),
    "few pixels": lambda x: cv2.resize(x, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA),
}


@pytest.mark.parametrize("name", ALTERED)
def test_no_smear_is_doubted_however_it_was_taken(shared_data, name):
    paths = sorted((shared_data / "smears_bccd/images").glob("*"))[::60]
    paths += sorted((shared_data / "smears_chula_wbc/images").glob("*"))[::20]
    paths += sorted((shared_data / "cells_pbc/fullres_sample").rglob("*.jpg"))[::110]
    paths += sorted((shared_data / "cells_aml_lmu_fullres").rglob("*.png"))[::25]
    for path in paths:
        assert doubts(ALTERED[name](np.array(Image.open(path).convert("RGB")))) == (), path.name


@pytest.mark.parametrize(
    ("name", "doubt"),
    [("astronaut.png", "edges"), ("coffee.png", "dark"), ("chelsea.png", "brown"), ("ihc.png", "brown"),
     ("retina.jpg", "dark"), ("hubble_deep_field.jpg", "dark"), ("motorcycle_left.png", "edges"),
     ("rocket.jpg", "edges")],
)  # fmt: skip
def test_photographs_and_tissue_are_told(name, doubt):
    import skimage.data

    path = Path(skimage.data.__file__).parent / name
    if not path.exists():
        pytest.skip("scikit-image does not carry it")
    check = check_smear(open_slide(path))
    assert doubt in check.doubts
    assert check.warning.startswith("This does not look like a blood smear") and "right picture" in check.warning
    assert check.facts()["looks_like_a_smear"] is False and list(check.doubts) == check.facts()["doubts"]


def test_fluorescence_noise_plain_colours_and_grey_are_told(shared_data):
    rng = np.random.default_rng(0)
    spots = cv2.GaussianBlur((rng.random((400, 500)) > 0.999).astype(np.float32), (0, 0), 5)
    glow = (10 + 200 * (spots / spots.max())[..., None] * np.array([0.1, 0.3, 1.0])).astype(np.uint8)
    assert "dark" in doubts(glow)
    assert doubts(rng.integers(0, 256, (400, 500, 3), dtype=np.uint8)) == ("noise",)
    for colour in ((255, 255, 255), (0, 0, 0), (230, 180, 200)):
        assert doubts(np.full((400, 500, 3), colour, np.uint8)) == ("blank",)
    path = sorted((shared_data / "smears_bccd/images").glob("*"))[0]
    grey = np.array(Image.open(path).convert("L").convert("RGB"))
    check = check_smear(ArraySlide([grey]))
    assert check.doubts == ("grey",) and "no colours" in check.warning and "not look like" not in check.warning


def test_gradients_are_told():
    y, x = np.mgrid[0 : 1 : 480j, 0 : 1 : 640j]
    round_ = np.exp(-3 * ((x - 0.5) ** 2 + (y - 0.5) ** 2))
    rainbow = np.stack([179 * x, 0 * x + 200, 0 * x + 230], -1).astype(np.uint8)
    for made in (
        np.stack([255 * x, 255 * y, 255 * (1 - x)], -1), np.stack([255 - 60 * x, 255 - 120 * x * y, 255 - 30 * y], -1),
        np.stack([250 * round_, 200 * round_, 225 * round_], -1), cv2.cvtColor(rainbow, cv2.COLOR_HSV2RGB),
    ):  # fmt: skip
        for noise in (0, 3):
            taken = made + np.random.default_rng(0).normal(0, noise, made.shape)
            check = check_smear(ArraySlide([np.clip(taken, 0, 255).astype(np.uint8)]))
            assert "smooth" in check.doubts and "slow change of light or colour" in check.warning


def test_a_page_of_text_is_told():
    page = np.full((500, 700, 3), 255, np.uint8)
    for row in range(40, 480, 30):
        cv2.putText(page, "Erythrocytes and platelets", (20, row), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (20, 20, 90), 2)
    assert doubts(page) == ("edges",)


def test_a_part_that_shows_a_smear_is_enough(shared_data):
    field = np.array(Image.open(sorted((shared_data / "smears_bccd/images").glob("*"))[0]).convert("RGB"))
    slide = np.full((2400, 3200, 3), 10, np.uint8)  # black beside the glass
    slide[960:1440, 1280:1920] = field
    slide[::2, :640] = 250  # and a label full of hard lines
    assert doubts(slide[:, :640]) != ()
    whole = np.tile(field, (5, 5, 1))
    whole[:, :640] = slide[:2400, :640]
    assert doubts(whole) == ()


def test_tiny_pictures_are_left_alone():
    assert doubts(np.zeros((8, 300, 3), np.uint8)) == ()
