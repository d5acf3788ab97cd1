"""Ornaments as maps over the strip: 1 where the graver cut (or the wire lies), 0 elsewhere."""

import numpy as np

from train.bangles.fields import Array, Rng, nearest, smoothstep
from train.bangles.strip import Grid


def spots(grid: Grid, count: int, phase: float) -> tuple[Array, Array, Array]:
    """Distances in px to the nearest of `count` points on the middle line: along, across, straight."""
    pitch = np.float32(2 * np.pi / count)
    offset = np.mod(grid.theta - np.float32(phase) * pitch + pitch / 2, pitch) - pitch / 2
    along = offset * grid.radius
    side = np.broadcast_to(grid.radius - np.float32(grid.mid_px), along.shape)
    return along, side, np.hypot(along, side)


def draw_motif(rng: Rng, grid: Grid, reach: float) -> Array:
    """A repeating ornament within |across| < `reach`; returns (rows, COLUMNS) float32 in 0..1."""
    size = grid.half_px * min(reach, 0.8)
    pitch = size * rng.uniform(1.3, 2.6)
    count = 2 * round(np.pi * grid.mid_px / pitch)
    along, side, _ = spots(grid, count, rng.uniform(0, 1))
    # Measured in the middle of the band, or the repeats would not meet at its edges.
    x, y = along * (np.float32(grid.mid_px / size) / grid.radius), side / np.float32(size)
    half = np.array(np.pi * grid.mid_px / count / size, np.float32)
    away = _MOTIFS[rng.integers(len(_MOTIFS))](x, y, half) * np.float32(size)
    stroke = rng.uniform(0.7, 1.5)
    cut = 1 - smoothstep(stroke * 0.5, stroke * 1.5, away)
    return (cut * (np.abs(grid.across) < reach)).astype(np.float32)


# Each motif gives the distance to its lines. x runs along the ring from -half to half, y across it
# from -1 to 1; one unit is half the ornament's height.


def _chevrons(x: Array, y: Array, half: Array) -> Array:
    step = half / 2
    return np.abs(np.mod(x + 0.5 * np.abs(y), step) - step / 2) * 0.9


def _lattice(x: Array, y: Array, half: Array) -> Array:
    slope = 1 / half
    up, down = np.abs(y - x * slope), np.abs(y + x * slope)
    return nearest(nearest(up, down) / np.sqrt(1 + slope**2), np.hypot(np.abs(x) - half, y) - 0.12)


def _vine(x: Array, y: Array, half: Array) -> Array:
    stem = np.abs(y - 0.45 * np.sin(np.pi * x / half)) * 0.8
    leaf_x, leaf_y = np.abs(x) - half / 2, y * np.sign(x) + 0.25
    leaf = np.abs(np.hypot(leaf_x * 0.9 + leaf_y * 0.5, leaf_y * 0.9 - leaf_x * 0.5) - 0.26)
    return nearest(stem, leaf)


def _rosettes(x: Array, y: Array, half: Array) -> Array:
    away, turn = np.hypot(x, y), np.arctan2(y, x)
    petals = np.abs(away - 0.62 - 0.24 * np.cos(6 * turn)) * 0.7
    eye = np.abs(away - 0.18)
    between = np.hypot(np.abs(x) - half, y) - 0.06
    return nearest(petals, eye, between)


def _arcades(x: Array, y: Array, half: Array) -> Array:
    outer = np.abs(np.hypot(x / half, y * 0.9 + 0.8) - 1.0) * half
    inner = np.abs(np.hypot(x / half, y * 0.9 + 0.8) - 0.55) * half
    dot = np.hypot(np.abs(x) - half, y - 0.5) - 0.1
    return nearest(outer, inner, dot)


def _flutes(x: Array, y: Array, half: Array) -> Array:
    step = half / 3
    return np.abs(np.mod(x + 0.25 * y, step) - step / 2) + 0.0 * y


def _circles(x: Array, y: Array, half: Array) -> Array:
    away = np.hypot(x, y)
    dots = np.hypot(np.abs(x) - half, np.abs(y) - 0.6) - 0.1
    return nearest(np.abs(away - 0.75), np.abs(away - 0.4), dots)


_MOTIFS = (_chevrons, _lattice, _vine, _rosettes, _arcades, _flutes, _circles)
