"""The pixel size measured from the red cells."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from napari_aml.samples import sample_paths
from napari_aml.slides import SyntheticSlide, measure_pixel_size, open_slide


def _smear(diameter: float, n: int = 14, side: int = 640, seed: int = 0) -> np.ndarray:
    """Pale discs with a paler middle on a light background, apart from each other, and one dark blue nucleus."""
    rng = np.random.default_rng(seed)
    image = np.full((side, side, 3), (238, 232, 226), np.uint8)
    spots: list[tuple[float, float]] = []
    for _ in range(4000):
        y, x = rng.uniform(diameter, side - diameter, 2)
        if all((y - a) ** 2 + (x - b) ** 2 > (1.3 * diameter) ** 2 for a, b in spots):
            spots.append((y, x))
        if len(spots) == n + 1:
            break
    for y, x in spots[1:]:
        cv2.circle(image, (round(x), round(y)), round(diameter / 2), (205, 150, 150), -1, cv2.LINE_AA)
        cv2.circle(image, (round(x), round(y)), round(diameter / 6), (225, 195, 195), -1, cv2.LINE_AA)
    y, x = spots[0]
    cv2.circle(image, (round(x), round(y)), round(diameter * 0.6), (80, 40, 140), -1, cv2.LINE_AA)
    return cv2.GaussianBlur(image, (0, 0), 1.0)


@pytest.mark.parametrize("diameter", [24, 40, 70, 100])
def test_drawn_red_cells(diameter: int) -> None:
    n = 14 if diameter < 80 else 8
    found = measure_pixel_size(open_slide(_smear(diameter, n)))
    assert found.reliable
    assert found.diameter_px == pytest.approx(diameter, rel=0.06)
    assert found.pixel_size_um == pytest.approx(7.2 / diameter, rel=0.06)


@pytest.mark.parametrize("name", ["bccd_00008", "bccd_00344"])
def test_real_fields(name: str) -> None:
    found = measure_pixel_size(open_slide(next(p for p in sample_paths("smear") if name in p.name)))
    assert found.pixel_size_um == pytest.approx(0.075, rel=0.2)
    assert 0 <= found.crowding <= 1
    assert 0.05 < found.coverage < 0.95


def test_a_slide_is_sampled() -> None:
    found = measure_pixel_size(SyntheticSlide(6000, 6000, seed=1))
    assert found.reliable
    assert found.pixel_size_um == pytest.approx(0.075, rel=0.1)


@pytest.mark.parametrize("shape", [(1, 1), (3, 50), (20, 20), (400, 400)])
@pytest.mark.parametrize("value", [0, 200, 255])
def test_no_red_cells_is_said(shape: tuple[int, int], value: int) -> None:
    found = measure_pixel_size(open_slide(np.full((*shape, 3), value, np.uint8)))
    assert found.pixel_size_um is None
    assert not found.reliable
    assert found.n_cells == 0


def test_a_lone_nucleus_is_no_red_cell() -> None:
    assert not measure_pixel_size(open_slide(_smear(80, n=0))).reliable
