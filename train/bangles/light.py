"""Light: what a surface with a given normal shows to the camera above the table.

Everything is looked up by the normal's x and y, so one picture of the surroundings ("cap") of a few
thousand texels replaces ray tracing for the whole bangle.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from train.bangles.fields import Array, Rng, direction, smoothstep
from train.bangles.strip import SAMPLES_PER_PX, Grid, Strip

CAP = 128


@dataclass(frozen=True, slots=True)
class Light:
    """The light of one frame: key (3,) unit vector; colours linear BGR (3,); caps (CAP, CAP, 3)."""

    key: Array
    key_colour: Array
    sky_colour: Array
    mirror: Array
    satin: Array
    diffuse: Array
    view_slant: float


def draw_light(rng: Rng, table_colour: Array) -> Light:
    """Draw lamps, colour temperature and a room; `table_colour` (3,) is what glancing normals mirror."""
    azimuth = rng.uniform(0, 2 * np.pi)
    key = direction(azimuth, np.deg2rad(rng.uniform(38, 66)))
    warmth = rng.uniform(-0.1, 0.18)
    tint = np.array([1 - warmth, 1.0, 1 + 0.8 * warmth], np.float32)
    key_colour, sky_colour = tint * np.float32(rng.uniform(0.75, 1.05)), np.float32(rng.uniform(0.25, 0.45))
    sky = sky_colour * np.array([1.06, 1.0, 0.96], np.float32)

    y, x = np.mgrid[-1 : 1 : CAP * 1j, -1 : 1 : CAP * 1j].astype(np.float32)
    z = np.sqrt(np.maximum(1 - x * x - y * y, 1e-4))
    away = np.stack([2 * z * x, 2 * z * y, 2 * z * z - 1], axis=-1)

    room = sky * (0.2 + 0.55 * smoothstep(-0.1, 1.0, away[..., 2]))[..., None]
    bearing = np.arctan2(away[..., 1], away[..., 0])
    for wave in range(1, 5):
        swing = np.sin(wave * bearing + rng.uniform(0, 2 * np.pi)) * (1 - away[..., 2] ** 2)
        room = room * (1 + rng.uniform(0.05, 0.35) * swing)[..., None]
    lens = smoothstep(0.985, 0.997, away[..., 2])[..., None]
    room = room * (1 - 0.5 * lens)
    below = smoothstep(0.06, -0.12, away[..., 2])[..., None]
    bounce = table_colour * (0.5 * key_colour + 0.6 * sky)
    room = room * (1 - below) + bounce * below
    power = rng.uniform(4.5, 9.0)
    mirror = room + _softbox(away, key, rng, rng.uniform(0.2, 0.5)) * (power * key_colour)
    for _ in range(rng.integers(1, 4)):
        turn = azimuth + rng.uniform(0.8, 2 * np.pi - 0.8)
        lamp = direction(turn, np.deg2rad(rng.uniform(15, 75)))
        mirror = mirror + _softbox(away, lamp, rng, rng.uniform(0.15, 0.6)) * (rng.uniform(0.4, 1.4) * tint)

    facing = np.maximum(x * key[0] + y * key[1] + z * key[2], 0)[..., None]
    diffuse = facing * key_colour + sky * (0.55 + 0.45 * z[..., None])
    satin = cv2.GaussianBlur(np.minimum(mirror, 3.5), (0, 0), CAP * rng.uniform(0.045, 0.075))
    sharp = cv2.GaussianBlur(mirror, (0, 0), CAP * 0.008)
    return Light(
        key,
        key_colour,
        sky,
        sharp.astype(np.float32),
        satin.astype(np.float32),
        diffuse.astype(np.float32),
        rng.uniform(0.06, 0.16),
    )


def _softbox(away: Array, centre: Array, rng: Rng, size: float) -> Array:
    """Radiance 0..1 of a soft rectangular lamp seen in the directions `away` (h, w, 3)."""
    side = np.cross(centre, np.array([0.0, 0.0, 1.0], np.float32))
    side /= np.linalg.norm(side)
    up = np.cross(side, centre)
    depth = away @ centre
    safe = np.maximum(depth, 0.05)
    stretch = rng.uniform(0.6, 1.7)
    across, along = np.abs(away @ side) / safe, np.abs(away @ up) / safe
    lit = smoothstep(size * stretch * 1.25, size * stretch * 0.8, across)
    return (lit * smoothstep(size / stretch * 1.25, size / stretch * 0.8, along) * (depth > 0.05))[..., None]


def shade(strip: Strip, grid: Grid, theta: Array, light: Light) -> Array:
    """Colour of the bangle under the light.

    strip: maps (rows, n); theta: (1, n) radians of its columns. The outermost columns have no
    neighbour and are only approximately right. Returns (rows, n, 4) float32: linear BGR times cover,
    then cover.
    """
    slope_r, slope_t = _slopes(strip.height, grid)
    up = 1 / np.sqrt(1 + slope_r**2 + slope_t**2)
    normal_r = -slope_r * up + np.float32(light.view_slant)
    normal_t = -slope_t * up
    cos, sin = np.cos(theta), np.sin(theta)
    x = normal_r * cos - normal_t * sin
    y = normal_r * sin + normal_t * cos

    mirror = _look_up(light.mirror, x, y)
    mirror += (_look_up(light.satin, x, y) - mirror) * strip.rough[..., None]
    away = 1 - up
    graze = (away * away) ** 2 * away
    metal = strip.metal[..., None]
    reflectance = 0.08 + (strip.colour - 0.08) * metal
    reflectance += (1 - reflectance) * (0.75 * graze)[..., None]
    colour = mirror
    colour *= reflectance
    if (metal < 1).any():
        colour += strip.colour * _diffuse(light, x, y, strip.translucence) * (1 - metal)
    colour *= _openness(strip)[..., None]
    cover = strip.cover[..., None]
    return np.concatenate([colour * cover, cover], axis=-1)


def _diffuse(light: Light, x: Array, y: Array, translucence: float) -> Array:
    """Light that comes out of the body: from the near side, and through glass from the far side too."""
    near: Array = _look_up(light.diffuse, x, y)
    if translucence:
        near += (1.25 * _look_up(light.diffuse, -x, -y) - near) * np.float32(translucence)
    return near


def _slopes(height: Array, grid: Grid) -> tuple[Array, Array]:
    """Radial and tangential slope (rows, n) of a height map in px."""
    radial = cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=1) * np.float32(SAMPLES_PER_PX / 2)
    column_px = grid.column_px * grid.radius / grid.mid_px
    tangential = cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=1) / (2 * column_px)
    return radial, tangential


def _openness(strip: Strip) -> Array:
    """How much of the sky a point sees, 0..1 (rows, n): recesses are darker, and dirt gathers there."""
    around = cv2.blur(strip.height, (17, 17))
    buried: Array = np.maximum((around - strip.height) * np.float32(0.22 + 0.5 * strip.patina), 0)
    return 1 / (1 + buried * buried + 0.6 * buried)


def _look_up(cap: Array, x: Array, y: Array) -> Array:
    """Sample a cap (CAP, CAP, 3) at normals x, y in -1..1; returns x.shape + (3,)."""
    scale = np.float32((CAP - 1) / 2)
    return cv2.remap(cap, (x + 1) * scale, (y + 1) * scale, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
