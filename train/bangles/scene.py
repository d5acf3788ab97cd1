"""A scene: table, light, bangle and camera, put together."""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from train.bangles.camera import WHOLE, Camera, Roi, draw_camera, widen
from train.bangles.design import draw_product
from train.bangles.fields import HEIGHT, WIDTH, Array, Rng
from train.bangles.light import Light, draw_light, shade
from train.bangles.strip import COLUMNS, Grid, Strip
from train.bangles.table import Table, draw_table

TRIM = 12  # columns at the ends of a part whose shading wants for neighbours


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything about one frame but the defect. ground: (480, 640, 3) linear BGR with the shadow."""

    camera: Camera
    grid: Grid
    light: Light
    strip: Strip
    shaded: Array
    ground: Array

    def shade(self, part: Strip, columns: Array) -> Array:
        """Shade a part that holds the given (n,) columns; (rows, n - 2 * TRIM, 4), see `light.shade`."""
        world = columns * (2 * np.pi / COLUMNS) + self.camera.turn
        return shade(part, self.grid, world.astype(np.float32)[None, :], self.light)[:, TRIM:-TRIM]

    def shade_part(self, strip: Strip, columns: Array) -> Array:
        """Shade (n,) consecutive columns of the whole ring; (rows, n, 4)."""
        wider = np.arange(columns[0] - TRIM, columns[-1] + TRIM + 1)
        return self.shade(strip.part(wider), wider)

    def picture(self, shaded: Array, roi: Roi = WHOLE) -> Array:
        """The noise-free picture, float32 BGR (h, w, 3) in 0..1, of a shaded strip (rows, COLUMNS, 4)."""
        # The lens blurs beyond the cut, so develop a wider one.
        wide, inner = widen(roi)
        layer = self.camera.place(shaded, wide)
        radiance = self.ground[wide] * (1 - layer[..., 3:])
        radiance += layer[..., :3]
        return self.camera.develop(radiance, wide)[inner]


def draw_scene(rng: Rng, products: int) -> Scene:
    """Draw a whole scene; good and anomalous frames both come from here. products: how many the factory makes."""
    table = draw_table(rng)
    light = draw_light(rng, table.colour)
    grid, strip = draw_product(int(rng.integers(products)))
    camera = draw_camera(rng, grid)
    bare = Scene(camera, grid, light, strip, strip.cover, strip.cover)
    # Piecewise, because what stays in the processor's cache is shaded twice as fast.
    pieces = np.arange(COLUMNS).reshape(8, -1)
    shaded = np.concatenate([bare.shade_part(strip, piece) for piece in pieces], axis=1)
    ground = _ground(rng, table, bare, camera.place(strip.cover))
    return replace(bare, shaded=shaded, ground=ground)


def _ground(rng: Rng, table: Table, scene: Scene, cover: Array) -> Array:
    """Light that leaves the table, linear BGR (480, 640, 3), with the bangle's shadows."""
    light, strip = scene.light, scene.strip
    slope_x, slope_y = (cv2.Sobel(table.bump, cv2.CV_32F, *axis, ksize=1) / 2 for axis in ((1, 0), (0, 1)))
    facing = np.maximum(light.key[2] - light.key[0] * slope_x - light.key[1] * slope_y, 0)
    cast, contact = _shadows(rng, light, scene.grid, cover)
    open_sky = (1 - contact) * table.tone
    key = facing * open_sky
    # Glass focuses the light that passes it into its own shadow.
    glow = strip.colour.mean(axis=(0, 1)) * np.float32(1.5 * strip.translucence)
    share = cv2.merge([key * (1 - cast), key * cast, open_sky])
    colours = np.stack([light.key_colour, light.key_colour * glow, light.sky_colour], axis=1)
    dusty = np.nonzero(table.dust)
    lint = table.dust[dusty][:, None]
    ground = cv2.transform(share, colours * table.colour[:, None])
    ground[dusty] = ground[dusty] * (1 - lint) + (share[dusty] @ colours.T) * table.dust_colour * lint
    return ground


def _shadows(rng: Rng, light: Light, grid: Grid, cover: Array) -> tuple[Array, Array]:
    """How much of the key light and of the sky the bangle hides from the table, each (480, 640) in 0..1."""
    half = (WIDTH // 2, HEIGHT // 2)
    small = cv2.resize(cover, half, interpolation=cv2.INTER_AREA)
    throw = -light.key[:2] / light.key[2] * (grid.half_px * rng.uniform(0.6, 1.1))
    cast = cv2.warpAffine(small, np.array([[1, 0, throw[0] / 2], [0, 1, throw[1] / 2]], np.float32), half)
    cast = cv2.GaussianBlur(cast, (0, 0), rng.uniform(1.5, 6.0)) * np.float32(0.92)
    contact = cv2.GaussianBlur(small, (0, 0), grid.half_px * 0.3) * np.float32(0.8)
    wide, near = (cv2.resize(m, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR) for m in (cast, contact))
    return wide, near
