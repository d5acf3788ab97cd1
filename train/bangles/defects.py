"""Defects change the height, the outline or the material of the strip; the light does the rest.

Every defect gets a window of the strip whose middle column is its place, and returns that window
altered. `strength` is about 1; larger is deeper, wider and longer.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from train.bangles.fields import Array, Rng, cloud, grain, smoothstep
from train.bangles.strip import SAMPLES_PER_PX, Grid, Strip


@dataclass(frozen=True, slots=True)
class Window:
    """Part of a strip and its samples' place in px: along (1, n), 0 in the middle; across (rows, 1)."""

    strip: Strip
    along: Array
    across: Array
    half_px: float
    column_px: float

    def draw(self, paths: list[Array], widths_px: list[float]) -> Array:
        """Cover 0..1 (rows, n) of polylines, each (k, 2) in px (along, across)."""
        canvas = np.zeros(self.strip.height.shape, np.uint8)
        for path, width in zip(paths, widths_px, strict=True):
            thick = max(1, round(width * SAMPLES_PER_PX))
            cv2.polylines(canvas, [self._fixed(path)], False, 255, thick, cv2.LINE_AA, 4)
        return canvas.astype(np.float32) / 255

    def fill(self, outline: Array) -> Array:
        """Cover 0..1 (rows, n) of a polygon (k, 2) in px (along, across)."""
        canvas = np.zeros(self.strip.height.shape, np.uint8)
        cv2.fillPoly(canvas, [self._fixed(outline)], 255, cv2.LINE_AA, 4)
        return canvas.astype(np.float32) / 255

    def _fixed(self, path: Array) -> Array:
        """Path in the strip's samples with four binary places, as cv2 draws them."""
        x = path[:, 0] / self.column_px + self.along.shape[1] // 2
        y = (path[:, 1] - self.across[0, 0]) * SAMPLES_PER_PX
        return np.round(np.stack([x, y], axis=1) * 16).astype(np.int32)


def window(strip: Strip, grid: Grid, columns: Array) -> Window:
    """The window of `strip` at (n,) columns."""
    middle = columns[len(columns) // 2]
    along = ((columns - middle) * grid.column_px).astype(np.float32)[None, :]
    across = grid.radius - np.float32(grid.mid_px)
    return Window(strip.part(columns), along, across, grid.half_px, grid.column_px)


def crack(rng: Rng, part: Window, strength: float) -> Strip:
    """A jagged split with a branch or two; where it is wide it goes through and shows the table."""
    length = min(rng.uniform(22, 80) * max(strength, 0.8), 100)
    across_band = rng.random() < 0.6
    heading = rng.choice([-1, 1]) * (np.pi / 2 + rng.normal(0, 0.3)) if across_band else rng.normal(0, 0.35)
    length = min(length, 2.1 * part.half_px) if across_band else length
    middle = np.array([0.0, 0.0 if across_band else rng.uniform(-0.45, 0.45) * part.half_px])
    main = _walk(rng, middle, heading, length)
    paths, widths = [main], [rng.uniform(1.5, 3.0) * strength]
    for _ in range(rng.integers(0, 3)):
        start = main[rng.integers(len(main) // 4, len(main))]
        turn = heading + rng.choice([-1, 1]) * rng.uniform(0.5, 1.1)
        twig = _walk(rng, start, turn, length * rng.uniform(0.2, 0.4))
        paths.append(twig + start - twig[0])
        widths.append(1.1 * strength)
    line = part.draw(paths, widths)
    lips = cv2.GaussianBlur(line, (0, 0), 2.2)
    strip = part.strip
    through = line * np.float32(0.85 if rng.random() < 0.35 else 0.0)
    kept = (1 - np.float32(0.93) * line)[..., None]
    return replace(
        strip,
        height=strip.height - line * np.float32(2.5 * strength) + lips * np.float32(0.8),
        cover=strip.cover * (1 - through),
        colour=strip.colour * kept,
        rough=np.maximum(strip.rough, line),
    )


def _walk(rng: Rng, middle: Array, heading: float, length: float) -> Array:
    """A jagged path (k, 2) of about `length` px whose midpoint is `middle`."""
    steps = max(4, round(length / 3.2))
    bends = heading + 0.35 * np.cumsum(rng.normal(0, 0.3, steps)) + rng.normal(0, 0.5, steps)
    path: Array = np.cumsum(np.stack([np.cos(bends), np.sin(bends)], axis=1), axis=0) * (length / steps)
    path += middle - path[len(path) // 2]
    return path


def chip(rng: Rng, part: Window, strength: float) -> Strip:
    """A bite out of the inner or outer edge, with a rough broken slope around the gap."""
    side = rng.choice([-1, 1])
    wide, deep = rng.uniform(14, 42) * strength, rng.uniform(9, 24) * strength
    wide, deep = min(wide, 72), min(max(deep, 7), part.half_px * 1.2)
    turns = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    ragged = 1 + rng.normal(0, 0.11, 28) + 0.12 * np.sin(2 * turns + rng.uniform(0, 6))
    rim = np.array([0, side * part.half_px])
    bite = np.stack([wide * ragged * np.cos(turns), deep * ragged * np.sin(turns)], axis=1)
    gap = part.fill(bite + rim)
    torn = part.fill(bite * rng.uniform(1.25, 1.6) + rim)
    slope = cv2.GaussianBlur(torn, (0, 0), 2.0)
    strip = part.strip
    rubble = grain(rng, gap.shape, 1.0) * np.float32(0.8) + cloud(rng, gap.shape, 6) * np.float32(1.2)
    height = strip.height - slope * np.float32(deep * 0.35) + torn * rubble
    stale = (1 - np.float32(0.35) * torn)[..., None]
    return replace(
        strip,
        height=height.astype(np.float32),
        cover=strip.cover * (1 - gap),
        colour=strip.colour * stale,
        rough=np.maximum(strip.rough, torn * np.float32(0.9)),
    )


def dent(rng: Rng, part: Window, strength: float) -> Strip:
    """A smooth hollow with a slight rim."""
    wide = rng.uniform(13, 36)
    tall = min(wide * rng.uniform(0.6, 1.1), part.half_px * 0.8)
    across = part.across - np.float32(rng.uniform(-0.4, 0.4) * part.half_px)
    skew = rng.uniform(-0.4, 0.4)
    away = np.sqrt(((part.along + skew * across) / wide) ** 2 + (across / tall) ** 2)
    hollow = np.exp(-(away**2) * 1.6) - 0.22 * np.exp(-(((away - 1.35) / 0.35) ** 2))
    depth = np.float32(min(wide, tall) * rng.uniform(0.22, 0.42) * strength)
    hollow = hollow + 0.12 * hollow * cloud(rng, hollow.shape, 14)
    # A blow also flattens the ornament it hits; a stone does not give.
    worn = smoothstep(1.1, 0.3, away) * np.float32(0.6)
    if part.strip.stones:
        hollow, worn = hollow * part.strip.metal, worn * part.strip.metal
    smooth = cv2.GaussianBlur(part.strip.height, (0, 0), 5)
    height = part.strip.height + (smooth - part.strip.height) * worn - depth * hollow
    return replace(part.strip, height=height.astype(np.float32))


def scratch(rng: Rng, part: Window, strength: float) -> Strip:
    """One to three shallow furrows along a flat arc, with a burr on each side and bare material inside."""
    length = min(rng.uniform(45, 140) * max(strength, 0.9), 150)
    heading = rng.normal(0, 0.45)
    bend = rng.normal(0, 0.0025)
    t = np.linspace(-length / 2, length / 2, 24)
    place = rng.uniform(-0.45, 0.45) * part.half_px
    paths, widths = [], []
    for k in range(rng.integers(1, 4)):
        offset = k * rng.uniform(2.2, 4.0)
        span = t * (1 if k == 0 else rng.uniform(0.4, 0.9)) + rng.normal(0, 4) * (k > 0)
        y = place + offset + span * np.sin(heading) + bend * span**2
        y = np.clip(y, -0.92 * part.half_px, 0.92 * part.half_px)
        paths.append(np.stack([span * np.cos(heading), y], axis=1))
        widths.append(rng.uniform(1.1, 2.4) * strength)
    furrow = part.draw(paths, widths)
    furrow *= np.clip(0.8 + 0.35 * cloud(rng, furrow.shape, 18), 0.25, 1)
    burr = cv2.GaussianBlur(furrow, (0, 0), 1.6) - furrow
    strip = part.strip
    tone = np.float32(rng.choice([0.35, 1.5])) * np.ones(3, np.float32)
    colour = np.clip(strip.colour * (1 - furrow[..., None]) + strip.colour * tone * furrow[..., None], 0, 1)
    return replace(
        strip,
        height=strip.height - furrow * np.float32(0.9 * strength) + burr * np.float32(0.9 * strength),
        colour=colour,
        rough=np.maximum(strip.rough, furrow * np.float32(0.8)),
    )


def missing_stone(rng: Rng, part: Window, strength: float) -> Strip:
    """An empty setting: a hollow with a dull floor and remains of cement, the bezel left standing."""
    strip = part.strip
    radius = strip.stones[0].radius_px
    away = np.hypot(part.along * (part.across / np.float32(300) + 1), part.across)
    inside = smoothstep(radius + 0.4, radius - 0.4, away).astype(np.float32)
    level = np.median(strip.height[np.abs(away - radius - 4.0) < 1.2]) - 2.0
    depth = np.float32(radius * rng.uniform(0.2, 0.45) * strength)
    floor = level - np.sqrt(np.maximum(1 - (away / radius) ** 2, 0)) * depth
    floor = floor + cloud(rng, floor.shape, 5) * np.float32(0.35)
    cement = smoothstep(0.2, 1.0, cloud(rng, floor.shape, 9)) * np.float32(rng.uniform(0.2, 0.9))
    dull = np.float32(rng.uniform(0.25, 0.6) / max(strength, 0.5))
    metal_colour = np.median(strip.colour[np.abs(away - radius - 2.0) < 1.0], axis=0)
    seat = metal_colour * dull * (1 - cement[..., None]) + np.float32(0.3) * cement[..., None]
    keep = (1 - inside)[..., None]
    return replace(
        strip,
        height=(strip.height * (1 - inside) + floor * inside).astype(np.float32),
        colour=(strip.colour * keep + seat * inside[..., None]).astype(np.float32),
        metal=strip.metal * (1 - inside) + (1 - cement) * inside * np.float32(0.8),
        rough=strip.rough * (1 - inside) + np.float32(0.95) * inside,
    )


KINDS: dict[str, Callable[[Rng, Window, float], Strip]] = {
    "crack": crack,
    "chip": chip,
    "dent": dent,
    "scratch": scratch,
    "missing stone": missing_stone,
}


def draw_kind(rng: Rng, strip: Strip) -> str:
    """A kind of defect that this bangle can have: glass does not dent, and only a set stone gets lost."""
    odds = {
        "crack": 1.0,
        "chip": 1.0,
        "dent": 1.0 if strip.smooth else 0.0,
        "scratch": 1.0,
        "missing stone": 2.2 if strip.stones else 0.0,
    }
    weights = np.array(list(odds.values()))
    return str(rng.choice(list(odds), p=weights / weights.sum()))
