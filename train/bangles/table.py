"""The inspection table: a material with texture, and dust, in good and bad frames alike."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from train.bangles.fields import HEIGHT, WIDTH, Array, Rng, cloud, grain, linear

SHAPE = (HEIGHT, WIDTH)


@dataclass(frozen=True, slots=True)
class Table:
    """A table of one colour (3,), linear BGR 0..1, with maps (480, 640) float32.

    tone: factor on the colour, about 1; bump: height in px; dust: cover 0..1 of specks and lint, which
    have a colour (3,) of their own.
    """

    colour: Array
    tone: Array
    bump: Array
    dust: Array
    dust_colour: Array


MATS = [
    linear(*rgb)
    for rgb in (
        (128, 130, 132),
        (96, 98, 100),
        (70, 92, 124),
        (58, 84, 110),
        (70, 106, 84),
        (62, 90, 78),
        (186, 172, 148),
        (168, 158, 144),
        (52, 54, 58),
    )
]
PAPERS = [linear(*rgb) for rgb in ((214, 212, 206), (204, 196, 180), (178, 180, 182), (196, 204, 210))]
CLOTHS = [
    linear(*rgb)
    for rgb in (
        (62, 70, 96),
        (104, 100, 96),
        (120, 52, 56),
        (160, 148, 128),
        (48, 62, 56),
    )
]
BELTS = [linear(*rgb) for rgb in ((48, 96, 76), (50, 78, 116), (66, 68, 70), (196, 198, 196))]


def draw_table(rng: Rng) -> Table:
    """One table of any kind, dusty."""
    kinds: list[Callable[[Rng], tuple[Array, Array, Array]]] = [_mat, _paper, _foam, _brushed, _cloth, _belt]
    colour, tone, bump = kinds[rng.choice(len(kinds), p=[0.36, 0.18, 0.04, 0.12, 0.16, 0.14])](rng)
    blotch = cloud(rng, SHAPE, rng.uniform(90, 260)) * np.float32(rng.uniform(0.01, 0.05))
    bright = linear(205, 200, 192) if colour.mean() < 0.35 or rng.random() < 0.3 else linear(60, 56, 52)
    return Table(colour, np.maximum(1 + tone + blotch, 0.1), bump, _dust(rng), bright)


def _pick(rng: Rng, colours: list[Array]) -> Array:
    """A colour of the list, a little lighter, darker or tinted."""
    change = np.exp(rng.normal(0, 0.04, 3) + rng.normal(0, 0.15))
    return colours[rng.integers(len(colours))] * change.astype(np.float32)


# Each kind of table gives its colour, its tone around 0 and its bump.


def _mat(rng: Rng) -> tuple[Array, Array, Array]:
    bump = grain(rng, SHAPE, rng.uniform(0.6, 1.6)) * np.float32(rng.uniform(0.03, 0.12))
    return _pick(rng, MATS), bump * np.float32(0.25), bump


def _paper(rng: Rng) -> tuple[Array, Array, Array]:
    bump = grain(rng, SHAPE, 1.1) * np.float32(0.03) + cloud(rng, SHAPE, 9) * np.float32(0.05)
    return _pick(rng, PAPERS), bump * np.float32(0.12), bump


def _foam(rng: Rng) -> tuple[Array, Array, Array]:
    """Open-cell foam: pores are dips with dark floors."""
    pores = cv2.GaussianBlur(grain(rng, SHAPE, rng.uniform(1.2, 2.2)), (0, 0), 0.7)
    dips = np.minimum(pores + 0.4, 0)
    colour = _pick(rng, [linear(44, 45, 48), linear(58, 60, 64), linear(40, 44, 54)])
    return colour, dips * np.float32(0.28), dips * np.float32(0.6)


def _brushed(rng: Rng) -> tuple[Array, Array, Array]:
    """Brushed steel or aluminium; the streaks run straight across at any angle."""
    side = 820
    streaks: Array = cloud(rng, (side, side), (1.2, 260)) * 0.6 + cloud(rng, (side, side), (3.5, 400)) * 0.5
    turn = cv2.getRotationMatrix2D((side / 2, side / 2), rng.choice([0, 90, rng.uniform(0, 180)]), 1.0)
    turn[:, 2] += np.array([(WIDTH - side) / 2, (HEIGHT - side) / 2])
    streaks = cv2.warpAffine(streaks, turn, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)
    sheen = cloud(rng, SHAPE, 320) * np.float32(0.12)
    colour = _pick(rng, [linear(150, 152, 154), linear(126, 128, 132), linear(166, 166, 164)])
    return colour, streaks * np.float32(rng.uniform(0.03, 0.09)) + sheen, streaks * np.float32(0.02)


def _plane(rng: Rng, pitch_px: float) -> tuple[Array, Array]:
    """Turned coordinates (480, 640) in units of a pitch, with a little wander."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    turn = np.deg2rad(rng.uniform(-40, 40))
    wander = cloud(rng, SHAPE, 70) * np.float32(0.12 * pitch_px)
    cos, sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    pitch = np.float32(pitch_px)
    return (x * cos + y * sin + wander) / pitch, (y * cos - x * sin + wander) / pitch


def _cloth(rng: Rng) -> tuple[Array, Array, Array]:
    """Plain weave: warp and weft take turns on top."""
    u, v = _plane(rng, rng.uniform(3.6, 6.0))
    warp, weft = np.abs(np.sin(np.pi * u)), np.abs(np.sin(np.pi * v))
    on_top = (np.floor(u) + np.floor(v)) % 2 == 0
    bump = np.where(on_top, warp * (0.55 + 0.45 * weft), weft * (0.55 + 0.45 * warp))
    bump = cv2.GaussianBlur(bump.astype(np.float32), (0, 0), 0.8) + grain(rng, SHAPE, 0.8) * np.float32(0.08)
    return _pick(rng, CLOTHS), (bump - 0.6) * np.float32(0.35), bump * np.float32(0.3)


def _belt(rng: Rng) -> tuple[Array, Array, Array]:
    """A conveyor belt: a diamond embossing and lines worn by earlier parts."""
    u, v = _plane(rng, rng.uniform(7, 12))
    emboss = cv2.GaussianBlur(np.maximum(np.abs(np.sin(np.pi * u)), np.abs(np.sin(np.pi * v))), (0, 0), 0.8)
    wear = cloud(rng, SHAPE, (5, 500)) * np.float32(0.03)
    tone = grain(rng, SHAPE, 0.9) * np.float32(0.02) + wear + (emboss - 0.8) * np.float32(0.12)
    return _pick(rng, BELTS), tone, emboss * np.float32(rng.uniform(0.15, 0.5))


def _dust(rng: Rng) -> Array:
    """Cover of specks and lint."""
    cover = np.zeros(SHAPE, np.uint8)
    for _ in range(rng.poisson(5)):
        centre = (int(rng.integers(WIDTH * 16)), int(rng.integers(HEIGHT * 16)))
        axes = (int(rng.uniform(8, 34)), int(rng.uniform(8, 26)))
        turn, opacity = rng.uniform(0, 180), int(rng.integers(50, 170))
        cv2.ellipse(cover, centre, axes, turn, 0, 360, opacity, -1, cv2.LINE_AA, 4)
    for _ in range(rng.poisson(0.35)):
        start, heading = rng.uniform((0, 0), (WIDTH, HEIGHT)), rng.uniform(0, 2 * np.pi)
        bends = heading + np.cumsum(rng.normal(rng.normal(0, 0.05), 0.18, int(rng.integers(10, 40))))
        path = start + 2.2 * np.cumsum(np.stack([np.cos(bends), np.sin(bends)], axis=1), axis=0)
        fixed = np.round(path * 16).astype(np.int32)
        cv2.polylines(cover, [fixed], False, int(rng.integers(50, 120)), 1, cv2.LINE_AA, 4)
    return cv2.GaussianBlur(cover, (0, 0), 0.7).astype(np.float32) / 255
