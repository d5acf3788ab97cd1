"""The bangle unrolled: rows run from the inner edge outwards, columns once round the ring."""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from train.bangles.fields import Array, Rng, cloud, smoothstep

COLUMNS = 1664
SAMPLES_PER_PX = 2
MARGIN_PX = 4


@dataclass(frozen=True, slots=True)
class Grid:
    """Where the samples of a strip lie on the ring, in frame px before the camera's tilt."""

    inner_px: float
    outer_px: float

    @property
    def mid_px(self) -> float:
        return (self.inner_px + self.outer_px) / 2

    @property
    def half_px(self) -> float:
        return (self.outer_px - self.inner_px) / 2

    @property
    def radius(self) -> Array:
        """(rows, 1) float32 px from the centre."""
        rows = round((self.outer_px - self.inner_px + 2 * MARGIN_PX) * SAMPLES_PER_PX)
        step = np.arange(rows, dtype=np.float32) / SAMPLES_PER_PX
        return (np.float32(self.inner_px - MARGIN_PX) + step)[:, None]

    @property
    def across(self) -> Array:
        """(rows, 1) float32: -1 at the inner edge, 0 in the middle, 1 at the outer edge."""
        return (self.radius - np.float32(self.mid_px)) / np.float32(self.half_px)

    @property
    def theta(self) -> Array:
        """(1, COLUMNS) float32 radians."""
        return (np.arange(COLUMNS, dtype=np.float32) * np.float32(2 * np.pi / COLUMNS))[None, :]

    @property
    def column_px(self) -> float:
        """Width of one column in px, measured in the middle of the band."""
        return 2 * np.pi * self.mid_px / COLUMNS


def ring_cloud(rng: Rng, rows: int, cell: float | tuple[float, float]) -> Array:
    """`cloud` over a strip, (rows, COLUMNS) float32, that closes without a seam; cells in samples."""
    overlap = min(COLUMNS // 4, round(2 * (cell[1] if isinstance(cell, tuple) else cell)))
    field = cloud(rng, (rows, COLUMNS + overlap), cell)
    share = smoothstep(0, 1, np.linspace(0, 1, overlap, dtype=np.float32))
    # The start fades in while what follows the end fades out; this keeps the variance.
    head = field[:, :overlap] * share + field[:, COLUMNS:] * (1 - share)
    field[:, :overlap] = head / np.sqrt(share**2 + (1 - share) ** 2)
    return field[:, :COLUMNS]


@dataclass(frozen=True, slots=True)
class Stone:
    """One inlaid stone: its angle in radians and its radius in px; it sits in the middle of the band."""

    theta: float
    radius_px: float


@dataclass(frozen=True, slots=True)
class Strip:
    """Geometry and material of the bangle, all maps float32 of shape (rows, columns[, 3]).

    height: px above the table; cover: 0..1, how much of the sample is bangle at all;
    colour: linear BGR 0..1, reflectance of metal or body colour of glass, enamel and stones;
    metal: 0 for a dielectric, 1 for metal; rough: 0 for a mirror, 1 for matt.
    """

    height: Array
    cover: Array
    colour: Array
    metal: Array
    rough: Array
    stones: tuple[Stone, ...] = ()
    translucence: float = 0.0
    patina: float = 0.0
    smooth: bool = True  # a dent would show; not so on hammered metal or on glass, which breaks instead

    def part(self, columns: Array) -> "Strip":
        """The same strip at the given (n,) consecutive columns, which count on round the ring."""
        start, overhang = int(columns[0]) % COLUMNS, int(columns[0]) % COLUMNS + len(columns) - COLUMNS

        def cut(full: Array) -> Array:
            if overhang <= 0:
                return full[:, start : start + len(columns)]
            return np.concatenate([full[:, start:], full[:, :overhang]], axis=1)

        values = ((field.name, getattr(self, field.name)) for field in fields(self))
        parts: dict[str, Any] = {name: cut(value) for name, value in values if isinstance(value, np.ndarray)}
        return replace(self, **parts)
