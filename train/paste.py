"""Defects made up in good frames, at known places: they teach the CAM where to look, and no human marks anything.

After CutPaste (Li et al. 2021): a piece of the frame is pasted elsewhere; here with irregular outlines, thin scars and
local changes of light as well, and the known mask supervises the map, not only the label.
"""

import cv2
import numpy as np

from edge_runtime.results import Array, Image

CANDIDATES = 4


def paste_defect(image: Image, rng: np.random.Generator) -> tuple[Image, Array]:
    """(h, w, 3) uint8 BGR good frame -> (a copy with one made-up defect, its mask (h, w) float32 in [0, 1])."""
    mask = _outline(image, rng)
    changed = _filling(image, rng)
    blended = image + (changed - image) * mask[..., np.newaxis]
    return np.clip(blended, 0, 255).astype(np.uint8), mask


def _outline(image: Image, rng: np.random.Generator) -> Array:
    """A thin jagged scar or a rough blob; of a few places, often the one with the most texture: parts, not tables."""
    height, width = image.shape[:2]
    side = min(height, width) * np.exp(rng.uniform(np.log(0.05), np.log(0.22)))
    spots = rng.uniform((0.04 * width, 0.04 * height), (0.96 * width, 0.96 * height), (CANDIDATES, 2))
    x, y = max(spots, key=lambda spot: _texture(image, spot, side)) if rng.random() < 0.85 else spots[0]
    angle = rng.uniform(0, 2 * np.pi)
    mask = np.zeros((height, width), np.uint8)
    if rng.random() < 0.5:
        along = np.linspace(-0.5, 0.5, 6) * side
        across = np.cumsum(rng.normal(0, 0.09 * side, 6))
        points = np.stack(
            [x + along * np.cos(angle) - across * np.sin(angle), y + along * np.sin(angle) + across * np.cos(angle)], 1
        )
        cv2.polylines(
            mask, [np.round(points * 8).astype(np.int32)], False, 255, int(rng.integers(1, 4)), cv2.LINE_AA, 3
        )
    else:
        turn = np.sort(rng.uniform(0, 2 * np.pi, 9))
        radius = side / 2 * rng.uniform(0.5, 1.0, 9)
        stretch = rng.uniform(0.35, 1.0)
        u, v = radius * np.cos(turn), radius * np.sin(turn) * stretch
        points = np.stack([x + u * np.cos(angle) - v * np.sin(angle), y + u * np.sin(angle) + v * np.cos(angle)], 1)
        cv2.fillPoly(mask, [np.round(points * 8).astype(np.int32)], 255, cv2.LINE_AA, 3)
    soft = cv2.GaussianBlur(mask.astype(np.float32) / 255, (0, 0), rng.uniform(0.4, 1.2))
    return np.asarray(soft, np.float32)


def _texture(image: Image, spot: Array, side: float) -> float:
    x, y, half = int(spot[0]), int(spot[1]), max(2, int(side / 2))
    return float(image[max(0, y - half) : y + half, max(0, x - half) : x + half].std())


def _filling(image: Image, rng: np.random.Generator) -> Array:
    """What the defect is made of: the frame shifted, its light changed, or both. (h, w, 3) float32."""
    height, width = image.shape[:2]
    shift = rng.integers(8, max(9, min(height, width) // 2), 2) * rng.choice((-1, 1), 2)
    source = np.roll(image, shift, (0, 1)) if rng.random() < 0.6 else image
    if source is image or rng.random() < 0.6:
        step = rng.uniform(18, 70) * rng.choice((-1, 1))
        return np.asarray(source + np.float32(step) * (1 + rng.normal(0, 0.15, 3)), np.float32)
    return source.astype(np.float32)
