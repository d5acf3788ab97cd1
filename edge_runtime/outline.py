"""How far a defect reaches: what around it looks to the network like the places its evidence lies on. Pure functions of arrays.

Evidence lies where the network looked, which of a large defect are mostly the edges. The activations it was read from know more:
they are much alike inside a defect, and unlike the rest of the frame.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from edge_runtime.results import Array, Box

ALIKE = 0.5
"""How near to the defect's own activations, 1, rather than to the frame's mean, 0, a cell must be to belong to it."""
EVEN = 1.5
"""Cells over which that is evened out (sigma)."""
NEAR = 1.6
"""Halves of the box's side to which it may reach, from the middle of the box."""
LEAST = 6
"""Cells: the side that a smaller box is taken to have."""
NOISE = 0.1
"""Share of the channels' mean variance that each is taken to have on top of its own."""


@dataclass(frozen=True, slots=True)
class Surface:
    """What a frame looks like to a layer. cells: (rows * columns, C) activations; mean, noise: (C,), over the frame."""

    cells: Array
    mean: Array
    noise: Array

    @classmethod
    def of(cls, activations: Array) -> "Surface":
        """activations: (rows, columns, C) float32."""
        cells = activations.reshape(-1, activations.shape[-1])
        with np.errstate(all="ignore"):  # what is not finite is like nothing
            mean = np.full(len(cells), 1 / len(cells), np.float32) @ cells
            variance = np.einsum("nc,nc->c", cells, cells) / len(cells) - mean**2  # in a third of the time of var()
            return cls(cells, mean, np.maximum(variance, 0) + NOISE * variance.mean())


def outline(surface: Surface, evidence: Array, box: Box, input_hw: tuple[int, int]) -> Box | None:
    """The box around what is connected, near a box and like its inside; None where nothing is.

    evidence: (rows, columns) float32, never negative. box: in input pixels, as what is returned. With m and v the mean and the
    noise of each channel, and a the mean inside the box, weighed by its evidence, a cell with x is alike by
    (x - m)·d / (a - m)·d, where d = (a - m) / v: a linear discriminant (after Fisher 1936) with the channels taken as independent and
    the whole frame in the place of the other class.
    """
    rows, columns = evidence.shape
    cell_hw = input_hw[0] / rows, input_hw[1] / columns
    away = np.maximum.outer(_away(box.y0, box.y1, rows, cell_hw[0]), _away(box.x0, box.x1, columns, cell_hw[1]))
    own = np.where(away < 1, evidence, 0)
    with np.errstate(all="ignore"):  # where nothing differs, nothing is alike
        apart = own.ravel() @ surface.cells / own.sum() - surface.mean
        direction = apart / surface.noise
        alike = ((surface.cells @ direction - surface.mean @ direction) / (apart @ direction)).reshape(rows, columns)
    even = cv2.GaussianBlur(alike.astype(np.float32), (0, 0), EVEN, borderType=cv2.BORDER_REFLECT)
    belongs = ((even > ALIKE) & (away < NEAR)).astype(np.uint8)
    count, labels, sides, _ = cv2.connectedComponentsWithStats(belongs, connectivity=8)
    held = np.bincount(labels.ravel(), weights=own.ravel().astype(np.float64), minlength=2)[1:]
    if count == 1 or not held.max() > 0:
        return None
    x, y, wide, high = (int(side) for side in sides[1 + int(held.argmax())][:4])
    return Box(*_pixels(x, y, cell_hw), *_pixels(x + wide, y + high, cell_hw))


def _away(low: int, high: int, cells: int, pixels: float) -> Array:
    """How far each cell is from the middle of a side, in halves of that side."""
    half = max((high - low) / pixels, LEAST) / 2
    return np.asarray(np.abs(np.arange(cells) + 0.5 - (low + high) / 2 / pixels) / half, np.float32)


def _pixels(x: int, y: int, cell_hw: tuple[float, float]) -> tuple[int, int]:
    return round(x * cell_hw[1]), round(y * cell_hw[0])


def between(a: Box, b: Box, share: float) -> Box:
    """Every side so far on the way from a to b; share in [0, 1]."""
    sides = ((a.x0, b.x0), (a.y0, b.y0), (a.x1, b.x1), (a.y1, b.y1))
    return Box(*(math.floor(one + share * (other - one) + 0.5) for one, other in sides))
