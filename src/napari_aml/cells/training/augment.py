"""Stain, lamp, optics and camera, varied far beyond what the pictures at hand show."""

from __future__ import annotations

import cv2
import numpy as np


def augment(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Vary how a picture was stained, lit and taken.

    Parameters
    ----------
    rgb
        uint8 (h, w, 3).
    rng
        Source of chance.

    Returns
    -------
    numpy.ndarray
        float32 (h, w, 3) in 0…1.
    """
    x = rgb.astype(np.float32) / 255
    if rng.random() < 0.85:
        x = _stain(x, rng)
    if rng.random() < 0.25:
        x = _hue(x, rng)
    x = _lamp(x, rng)
    x = _optics(x, rng)
    return _camera(x, rng)


def _stain(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mix and scale the channels' optical density: another dye ratio, thickness or spectral response."""
    density = -np.log(np.clip(x, 1 / 255, 1))
    mix = np.eye(3, dtype=np.float32) + rng.normal(0, 0.10, (3, 3)).astype(np.float32)
    if rng.random() < 0.8:
        mix *= rng.uniform(0.65, 1.4, (3, 1)).astype(np.float32)
    density = density @ mix.T * rng.uniform(0.55, 1.45)
    return np.exp(-np.clip(density, -0.1, 5)).astype(np.float32)


def _hue(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    hsv = cv2.cvtColor(np.clip(x, 0, 1).astype(np.float32), cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0] + rng.uniform(-18, 18)) % 360
    hsv[..., 1] = np.clip(hsv[..., 1] * rng.uniform(0.5, 1.5), 0, 1)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


def _lamp(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Colour and strength of the light, vignetting, haze, gamma."""
    h, w = x.shape[:2]
    if rng.random() < 0.7:
        x = x * (np.exp(rng.normal(0, 0.15, 3)) * np.exp(rng.uniform(-0.9, 0.15))).astype(np.float32)
    if rng.random() < 0.5:
        x = x * np.exp(_smooth(rng, h, w, 1, 0.25) + _smooth(rng, h, w, 3, 0.12))
    if rng.random() < 0.3:
        haze = rng.uniform(0, 0.42)
        x = x * (1 - haze) + haze * rng.uniform(0.3, 1, 3).astype(np.float32)
    if rng.random() < 0.3:
        x = np.clip(x, 0, None) ** rng.uniform(0.65, 1.5)
    return x.astype(np.float32)


def _smooth(rng: np.random.Generator, h: int, w: int, channels: int, strength: float) -> np.ndarray:
    knots = rng.normal(0, strength, (rng.integers(2, 4), rng.integers(2, 4), channels)).astype(np.float32)
    return cv2.resize(knots, (w, h), interpolation=cv2.INTER_CUBIC).reshape(h, w, channels)


def _optics(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if rng.random() < 0.45:
        return cv2.GaussianBlur(x, (0, 0), rng.uniform(0.4, 2.6))
    if rng.random() < 0.3:
        return x + rng.uniform(0.3, 1.5) * (x - cv2.GaussianBlur(x, (0, 0), rng.uniform(0.7, 1.5)))
    return x


def _camera(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Noise, grey pictures, rounding, JPEG."""
    if rng.random() < 0.3:
        x = x + rng.normal(0, rng.uniform(0.005, 0.05), x.shape).astype(np.float32)
    if rng.random() < 0.06:
        x = np.repeat(x.mean(2, keepdims=True), 3, 2)
    x = np.clip(x, 0, 1)
    if rng.random() < 0.3:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 90))]
        coded = cv2.imencode(".jpg", (x[..., ::-1] * 255).astype(np.uint8), quality)[1]
        seen = cv2.imdecode(coded, cv2.IMREAD_COLOR)
        assert seen is not None, "what was just coded can be read"
        x = seen[..., ::-1].astype(np.float32) / 255
    return x.astype(np.float32)
