"""A picture that is decoded in a thread: the same pixels, nothing waits before it is asked for, errors come out."""

from __future__ import annotations

import threading
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from napari_aml.errors import SlideReadError
from napari_aml.slides import UNKNOWN, PixelSize, open_slide
from napari_aml.slides.coming import AT_A_TIME, ComingSlide


def coming(path, decode=None, shape=None):
    real = open_slide(path)
    decode = decode or (lambda: open_slide(path))
    return real, ComingSlide(decode, "a", path, shape or real.shape, UNKNOWN, real.sha256)


@pytest.fixture
def picture(tmp_path, field):
    path = tmp_path / "field.png"
    Image.fromarray(field).save(path)
    return path


def test_all_that_was_noted_is_there_before_the_pixels_and_then_they_are_the_same(picture, field):
    held, decoded = threading.Event(), []

    def decode():
        assert held.wait(20)
        decoded.append(1)
        return open_slide(picture)

    real, slide = coming(picture, decode)
    slide.begin()
    other = slide.with_pixel_size(PixelSize(0.1, "person"))
    assert not slide.ready and not slide.wait(0.01) and not decoded
    assert (slide.shape, slide.slide_id, other.pixel_size.um) == (real.shape, real.slide_id, 0.1)
    held.set()
    slide.begin()
    for some in (slide, other):
        np.testing.assert_array_equal(some.region(0, 3, -2, 20, 30), real.region(0, 3, -2, 20, 30))
        np.testing.assert_array_equal(some.peek(0, 0, 0, *field.shape[:2]), field)
    assert decoded == [1] and slide.ready and other.wait(0)


def test_what_was_not_begun_is_begun_by_who_asks(picture, field):
    _, slide = coming(picture)
    np.testing.assert_array_equal(slide.region(0, 0, 0, *slide.shape), field)


def test_a_damaged_file_and_another_picture_say_so_to_whoever_asks(picture, field):
    _, slide = coming(picture)
    picture.write_bytes(picture.read_bytes()[:400])
    for _ in range(2):
        with pytest.raises(SlideReadError, match="truncated or damaged"):
            slide.region(0, 0, 0, 5, 5)
    assert not slide.ready
    Image.fromarray(field[:-7]).save(picture)
    _, slide = coming(picture, shape=field.shape[:2])
    with pytest.raises(SlideReadError, match="were noted"):
        slide.wait()


def test_only_a_few_are_decoded_at_a_time(picture):
    at_work, most, lock = [], [], threading.Lock()

    def decode():
        with lock:
            at_work.append(1)
            most.append(len(at_work))
        threading.Event().wait(0.01)
        with lock:
            at_work.pop()
        return open_slide(picture)

    slides = [coming(picture, decode)[1] for _ in range(6)]
    for slide in slides:
        slide.begin()
    assert all(slide.wait(20) for slide in slides) and max(most) <= AT_A_TIME


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**20), h=st.integers(1, 40), w=st.integers(1, 40), channels=st.sampled_from([3, 4]),
       level=st.integers(0, 9), smooth=st.booleans())  # fmt: skip
def test_png_comes_back_as_pillow_decodes_it(tmp_path_factory, seed, h, w, channels, level, smooth):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (h, w, channels), np.uint8)
    if smooth:  # other filters are chosen for it
        pixels = (np.cumsum(pixels % 3, 0) + np.cumsum(pixels % 2, 1)).astype(np.uint8)
    pixels[..., 3:] = 255
    path = tmp_path_factory.mktemp("png") / "a.png"
    Image.fromarray(pixels).save(path, compress_level=level)
    slide = open_slide(path)
    np.testing.assert_array_equal(slide.region(0, 0, 0, h, w), pixels[..., :3])


def test_png_with_a_wrong_checksum_is_judged_as_pillow_judges_it(picture):
    raw = bytearray(picture.read_bytes())
    at = raw.index(b"IDAT")
    length = int.from_bytes(raw[at - 4 : at], "big")
    assert int.from_bytes(raw[at + 4 + length : at + 8 + length], "big") == zlib.crc32(raw[at : at + 4 + length])
    raw[at + 5 + length] ^= 255
    picture.write_bytes(raw)
    try:
        with Image.open(picture) as image:
            expected = np.asarray(image)
    except (OSError, SyntaxError):
        with pytest.raises(SlideReadError, match="truncated or damaged"):
            open_slide(picture)
    else:
        np.testing.assert_array_equal(open_slide(picture).region(0, 0, 0, *expected.shape[:2]), expected)
