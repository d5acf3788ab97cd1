"""Small float32 fields that everything else is made of: noise, soft steps, unit vectors."""

from functools import reduce
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Rng = np.random.Generator

WIDTH, HEIGHT = 640, 480


def smoothstep(low: float, high: float, x: Array) -> Array:
    """0 below `low`, 1 above `high`, smooth between; `low` > `high` turns it round. Shape of `x`."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def nearest(*distances: Array) -> Array:
    """The smallest of several distances, point by point."""
    smallest: Array = reduce(np.minimum, distances)
    return smallest


def cloud(rng: Rng, shape: tuple[int, int], cell_px: float | tuple[float, float]) -> Array:
    """Smooth noise of about unit variance, (h, w) float32; `cell_px` is one size or (tall, wide)."""
    tall, wide = cell_px if isinstance(cell_px, tuple) else (cell_px, cell_px)
    small = (max(2, round(shape[0] / tall) + 1), max(2, round(shape[1] / wide) + 1))
    coarse = rng.standard_normal(small, dtype=np.float32)
    return cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)


def grain(rng: Rng, shape: tuple[int, int], sigma_px: float) -> Array:
    """Fine noise blurred to `sigma_px` and brought back to about unit variance, (h, w) float32."""
    noise = rng.standard_normal(shape, dtype=np.float32)
    if sigma_px <= 0.0:
        return noise
    gain = max(1.0, 2.0 * np.sqrt(np.pi) * sigma_px)
    return cv2.GaussianBlur(noise, (0, 0), sigma_px) * np.float32(gain)


def direction(azimuth: float, elevation: float) -> Array:
    """Unit vector (3,) float32 in frame axes: x right, y down, z towards the camera; radians."""
    flat = np.cos(elevation)
    return np.array([np.cos(azimuth) * flat, np.sin(azimuth) * flat, np.sin(elevation)], np.float32)


def linear(*rgb: float) -> Array:
    """An sRGB-like colour, 0..255 as people name it, as linear BGR (3,) float32 in 0..1."""
    return (np.array(rgb[::-1], np.float32) / np.float32(255.0)) ** 2
