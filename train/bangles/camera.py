"""The camera: where the ring lands in the frame, lens, exposure, sensor noise."""

from dataclasses import dataclass

import cv2
import numpy as np

from train.bangles.fields import HEIGHT, WIDTH, Array, Rng, cloud
from train.bangles.strip import COLUMNS, MARGIN_PX, SAMPLES_PER_PX, Grid

SHAPE = (HEIGHT, WIDTH)
MARGIN_FRAME_PX = 8
WHOLE = (slice(0, HEIGHT), slice(0, WIDTH))

Roi = tuple[slice, slice]


@dataclass(frozen=True, slots=True)
class Camera:
    """One camera set-up.

    column, row: (480, 640) float32, the strip sample that each pixel sees; falloff: (480, 640)
    float32, exposure with illumination gradient and vignetting. The tilted ring is an ellipse around
    `centre` (x, y), its long axis turned by `turn`; a strip's angle counts from there.
    """

    column: Array
    row: Array
    falloff: Array
    centre: tuple[float, float]
    turn: float
    squeeze: float
    blur_px: float
    shot: float
    read: float

    def around(self, theta: Array, radius_px: Array) -> Roi:
        """The part of the frame that shows the strip between the given angles and radii."""
        major, minor = radius_px * np.cos(theta), radius_px * np.sin(theta) * self.squeeze
        x = self.centre[0] + major * np.cos(self.turn) - minor * np.sin(self.turn)
        y = self.centre[1] + major * np.sin(self.turn) + minor * np.cos(self.turn)
        low_x, low_y = max(0, int(x.min()) - 2), max(0, int(y.min()) - 2)
        return slice(low_y, min(HEIGHT, int(y.max()) + 3)), slice(low_x, min(WIDTH, int(x.max()) + 3))

    def place(self, strip: Array, roi: Roi = WHOLE) -> Array:
        """Lay a shaded strip (rows, COLUMNS, 4) into the frame: (480, 640, 4) float32, or `roi` of it."""
        smooth = cv2.GaussianBlur(strip, (3, 3), 0.8)
        wrapped = cv2.copyMakeBorder(smooth, 0, 0, 1, 1, cv2.BORDER_WRAP)
        return cv2.remap(wrapped, self.column[roi], self.row[roi], cv2.INTER_LINEAR)

    def develop(self, radiance: Array, roi: Roi = WHOLE) -> Array:
        """Linear BGR (h, w, 3) to the noise-free picture, float32 in 0..1, gamma 2, soft shoulder."""
        lens = cv2.GaussianBlur(radiance, (0, 0), self.blur_px)
        lens *= -self.falloff[roi][..., None]
        return cv2.sqrt(1 - cv2.exp(lens))

    def expose(self, picture: Array, rng: Rng) -> Array:
        """Add sensor noise and quantise: uint8 (480, 640, 3).

        At gamma 2 shot noise has the same strength everywhere, read noise grows in the dark.
        """
        luma = rng.standard_normal(SHAPE, dtype=np.float32)
        half = rng.standard_normal((HEIGHT // 2, WIDTH // 2, 3), dtype=np.float32)
        noise: Array = cv2.resize(half, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
        noise += luma[..., None]
        sigma = np.float32(self.shot) + np.float32(self.read) / (picture[..., 1] + np.float32(0.12))
        noise *= sigma[..., None]
        noise += picture
        return cv2.convertScaleAbs(np.maximum(noise, 0, out=noise), alpha=255.0)


def widen(roi: Roi) -> tuple[Roi, Roi]:
    """A part of the frame with as much around it as the lens blurs in, and where the part lies in that."""
    reach = 6
    rows, columns = roi
    wide = (
        slice(max(0, rows.start - reach), min(HEIGHT, rows.stop + reach)),
        slice(max(0, columns.start - reach), min(WIDTH, columns.stop + reach)),
    )
    inner = (
        slice(rows.start - wide[0].start, rows.stop - wide[0].start),
        slice(columns.start - wide[1].start, columns.stop - wide[1].start),
    )
    return wide, inner


def draw_camera(rng: Rng, grid: Grid) -> Camera:
    """Draw place, tilt and settings; the bangle always lies wholly inside the frame."""
    outer = grid.outer_px
    squeeze, turn = rng.uniform(0.93, 1.0), rng.uniform(0, 2 * np.pi)
    room = np.array([WIDTH, HEIGHT]) / 2 - outer - MARGIN_FRAME_PX
    centre = np.array([WIDTH, HEIGHT]) / 2 + rng.uniform(-1, 1, 2) * room * [0.8, 1.0]

    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    x, y = x - np.float32(centre[0]), y - np.float32(centre[1])
    major = x * np.float32(np.cos(turn)) + y * np.float32(np.sin(turn))
    minor = (y * np.float32(np.cos(turn)) - x * np.float32(np.sin(turn))) / np.float32(squeeze)
    radius, angle = cv2.cartToPolar(major, minor)
    column = angle * np.float32(COLUMNS / (2 * np.pi)) + 1
    row = (radius - np.float32(grid.inner_px - MARGIN_PX)) * SAMPLES_PER_PX

    heading = rng.uniform(0, 2 * np.pi)
    slope = x * np.float32(np.cos(heading)) + y * np.float32(np.sin(heading))
    slope *= np.float32(rng.uniform(0, 0.0011))
    corner = (x**2 + y**2) * np.float32(rng.uniform(0.05, 0.5) / 400**2)
    falloff = (1 + slope + cloud(rng, SHAPE, 300) * np.float32(0.03)) / (1 + corner)
    exposure = np.float32(np.exp(rng.normal(0.45, 0.16)))
    return Camera(
        column,
        row,
        np.maximum(falloff, 0.3) * exposure,
        centre=(float(centre[0]), float(centre[1])),
        turn=turn,
        squeeze=squeeze,
        blur_px=rng.uniform(0.45, 0.95),
        shot=rng.uniform(0.003, 0.009),
        read=rng.uniform(0.0003, 0.0012),
    )
