"""The slide that is composed while it is read."""

from __future__ import annotations

import numpy as np
import pytest

from napari_aml.errors import SlideReadError
from napari_aml.slides import SyntheticSlide


def test_regions_agree_wherever_they_begin() -> None:
    slide = SyntheticSlide(3000, 4000, seed=3)
    whole = slide.region(0, 900, 1200, 300, 400)
    assert np.array_equal(whole[100:, 150:], slide.region(0, 1000, 1350, 200, 250))
    assert np.array_equal(whole, SyntheticSlide(3000, 4000, seed=3).region(0, 900, 1200, 300, 400))


def test_seeds_differ_and_are_hashed() -> None:
    a, b = SyntheticSlide(3000, 4000, seed=1), SyntheticSlide(3000, 4000, seed=2)
    assert a.sha256 != b.sha256
    assert not np.array_equal(a.region(0, 0, 0, 3000, 4000), b.region(0, 0, 0, 3000, 4000))


def test_levels_show_the_same_picture() -> None:
    slide = SyntheticSlide(2000, 2600)
    fine = slide.region(0, 0, 0, 1920, 2560).reshape(480, 4, 640, 4, 3).mean((1, 3))
    coarse = slide.region(2, 0, 0, 480, 640)
    assert np.abs(fine - coarse).mean() < 2


def test_its_fields_are_found_below_a_folder_of_any_letters(monkeypatch) -> None:
    import cv2

    from napari_aml.slides.synthetic import _block

    whole = SyntheticSlide(960, 1280).region(0, 0, 0, 960, 1280)
    monkeypatch.setattr(cv2, "imread", lambda *_: None)  # as on Windows, where it cannot open such a path
    _block.cache_clear()
    assert np.array_equal(SyntheticSlide(960, 1280).region(0, 0, 0, 960, 1280), whole)


def test_a_damaged_field_is_named(monkeypatch, tmp_path) -> None:
    from napari_aml.slides import synthetic

    (tmp_path / "field.png").write_bytes(b"no picture")
    monkeypatch.setattr(synthetic, "_field_paths", lambda: [tmp_path / "field.png"])
    synthetic._block.cache_clear()
    with pytest.raises(SlideReadError, match=r"field\.png"):
        SyntheticSlide(960, 1280).region(0, 0, 0, 10, 10)
    synthetic._block.cache_clear()


def test_a_size_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="positive"):
        SyntheticSlide(0, 10)
