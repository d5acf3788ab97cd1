"""Draw a bangle: a cross-section, a material and an ornament that repeats round the ring."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from train.bangles.fields import Array, Rng, grain, linear, smoothstep
from train.bangles.ornament import draw_motif, spots
from train.bangles.strip import COLUMNS, SAMPLES_PER_PX, Grid, Stone, Strip, ring_cloud

METALS = {
    "gold": linear(255, 212, 118),
    "pale gold": linear(255, 226, 158),
    "silver": linear(248, 246, 240),
    "rose gold": linear(246, 196, 166),
    "copper": linear(244, 172, 132),
    "steel": linear(206, 208, 210),
}
STONES = [
    linear(176, 18, 44),
    linear(16, 122, 72),
    linear(28, 52, 160),
    linear(64, 182, 190),
    linear(232, 228, 220),
    linear(118, 50, 140),
    linear(226, 138, 36),
    linear(28, 28, 34),
]
ENAMELS = [
    linear(20, 60, 140),
    linear(12, 110, 96),
    linear(168, 26, 34),
    linear(232, 226, 208),
    linear(24, 24, 28),
    linear(220, 150, 40),
    linear(120, 40, 110),
    linear(96, 170, 190),
]
GLASSES = [
    linear(190, 24, 40),
    linear(20, 130, 70),
    linear(30, 70, 180),
    linear(226, 150, 30),
    linear(110, 40, 130),
    linear(40, 160, 170),
    linear(214, 90, 130),
    linear(60, 34, 22),
]


CATALOGUE = 7
"""Seed of the products. They are the same for every seed of the frames: a factory makes the same parts every day."""


def draw_product(number: int) -> tuple[Grid, Strip]:
    """Product `number` of the catalogue: its size, seen from the camera's fixed height, and its looks."""
    rng = np.random.default_rng(np.random.SeedSequence(CATALOGUE, spawn_key=(number,)))
    styles: list[Callable[[Rng, Grid], Strip]] = [
        _jewelled,
        _plain,
        _engraved,
        _enamelled,
        _beaded,
        _glass,
        _twisted,
    ]
    outer = rng.uniform(170, 220)
    grid = Grid(outer - rng.uniform(38, 64), outer)
    return grid, styles[number % len(styles)](rng, grid)


def _band(rng: Rng, grid: Grid, low: float, high: float) -> Strip:
    """A bare metal ring; the section goes from a flat ribbon (high power) to half-round (power 2)."""
    v = np.minimum(np.abs(grid.across), 1)
    power = rng.uniform(2.0, 5.0)
    lift = grid.half_px * rng.uniform(low, high)
    section = 0.7 * (1 - v**power) ** (1 / power) + 0.3 * (1 - v * v)
    full = np.ones((len(v), COLUMNS), np.float32)
    height = (lift * section).astype(np.float32) * full
    height += ring_cloud(rng, len(height), (40, 160)) * np.float32(0.06)
    colour = METALS[str(rng.choice(list(METALS)))] * np.float32(rng.uniform(0.86, 1.0))
    return Strip(
        height=height,
        cover=full * edge((1 - np.abs(grid.across)) * grid.half_px),
        colour=np.broadcast_to(colour, (*height.shape, 3)).astype(np.float32),
        metal=full,
        rough=full * np.float32(0.04 + 0.6 * rng.random() ** 1.7),
        patina=rng.uniform(0.0, 1.0) ** 2,
    )


def edge(inside_px: Array) -> Array:
    """Antialiased cover 0..1 from the distance to the outline in px, positive inside."""
    return np.clip(inside_px * SAMPLES_PER_PX + 0.5, 0, 1).astype(np.float32)


def _finish(rng: Rng, strip: Strip) -> Strip:
    """Polished, brushed along the ring, or hammered."""
    kind = rng.choice(["polished", "brushed", "hammered"], p=[0.45, 0.35, 0.2])
    height: Array = strip.height
    if kind == "brushed":
        height = height + ring_cloud(rng, len(height), (1, 150)) * np.float32(rng.uniform(0.03, 0.08))
    elif kind == "hammered":
        size = rng.uniform(14, 26)
        wave = ring_cloud(rng, len(height), size)
        blows = np.sqrt(wave * wave + np.float32(0.06))
        height = height - blows * np.float32(size * rng.uniform(0.03, 0.055))
    return replace(strip, height=height, smooth=kind != "hammered")


def _rims(rng: Rng, grid: Grid, height: Array) -> Array:
    """Height with a raised wire along both edges, plain or beaded (milgrain)."""
    where = rng.uniform(0.8, 0.88)
    away = np.abs(np.abs(grid.across) - where) * grid.half_px
    wide = (1 - where) * grid.half_px * 0.75
    wire: Array = np.sqrt(np.maximum(1 - (away / wide) ** 2, 0)) * np.float32(wide * 0.8)
    if rng.random() < 0.4:
        count = round(2 * np.pi * grid.mid_px / (wide * 2.4))
        wire = wire * (0.45 + 0.55 * np.abs(np.sin(grid.theta * count / 2)))
    return (height + wire).astype(np.float32)


def _plain(rng: Rng, grid: Grid) -> Strip:
    strip = _finish(rng, _band(rng, grid, 0.4, 0.8))
    return replace(strip, height=_rims(rng, grid, strip.height)) if rng.random() < 0.35 else strip


def _engraved(rng: Rng, grid: Grid) -> Strip:
    strip = _band(rng, grid, 0.3, 0.6)
    reach = rng.uniform(0.6, 0.75)
    motif = draw_motif(rng, grid, reach)
    depth = rng.uniform(0.7, 1.6)
    height = strip.height - motif * np.float32(depth)
    height = _rims(rng, grid, height) if rng.random() < 0.6 else height
    return replace(strip, height=height, patina=rng.uniform(0.1, 1.0))


def _twisted(rng: Rng, grid: Grid) -> Strip:
    """A rope: strands that run slanted across the band, each round on top."""
    strip = _band(rng, grid, 0.45, 0.7)
    count = round(2 * np.pi * grid.mid_px / (grid.half_px * rng.uniform(0.5, 1.3)))
    slant = rng.uniform(0.35, 0.9) * rng.choice([-1, 1])
    lag = np.float32(slant) * np.arcsin(np.clip(grid.across, -1, 1))
    phase = grid.theta * np.float32(count / (2 * np.pi)) + lag
    strand = np.abs(np.mod(phase, 1) * 2 - 1)
    bulge = np.sqrt(np.maximum(1 - strand**2, 0)).astype(np.float32)
    pitch = 2 * np.pi * grid.mid_px / count
    outline = (1 - np.abs(grid.across)) * grid.half_px - (1 - bulge) * np.float32(min(pitch * 0.2, 4.0))
    height = strip.height * (0.55 + 0.45 * bulge) + bulge * np.float32(pitch * 0.16)
    return replace(strip, height=height, cover=edge(outline), patina=rng.uniform(0, 0.7))


def _beaded(rng: Rng, grid: Grid) -> Strip:
    """A string of balls on a wire."""
    strip = _band(rng, grid, 0.3, 0.5)
    radius = grid.half_px * 0.98
    count = int(2 * np.pi * grid.mid_px / (2 * radius))
    _, _, away = spots(grid, count, rng.uniform(0, 1))
    ball = np.sqrt(np.maximum(radius**2 - away**2, 0)).astype(np.float32)
    wire = grid.half_px * rng.uniform(0.35, 0.55)
    side = np.abs(grid.across) * grid.half_px
    core = np.sqrt(np.maximum(wire**2 - side**2, 0)).astype(np.float32)
    outline = np.maximum(radius - away, wire - side)
    height = np.maximum(ball * np.float32(rng.uniform(0.55, 0.9)), core * np.float32(0.6))
    if rng.random() < 0.4:
        strip = replace(strip, rough=strip.rough * np.float32(0.3))
    return replace(strip, height=height, cover=edge(outline), patina=rng.uniform(0, 0.5))


def _jewelled(rng: Rng, grid: Grid) -> Strip:
    strip = _plain(rng, grid) if rng.random() < 0.5 else _engraved(rng, grid)
    radius = float(min(max(10.0, grid.half_px * rng.uniform(0.5, 0.75)), 17.0))
    pitch = radius * rng.uniform(2.9, 7.0)
    count = int(2 * np.pi * grid.mid_px / pitch)
    phase = rng.uniform(0, 1)
    along, side, away = spots(grid, count, phase)
    inside = edge(radius - away)
    socket = edge(radius + 3.2 - away)
    bezel = np.exp(-(((away - radius - 1.2) / 1.3) ** 2)) * np.float32(2.2)
    level = np.float32(np.interp(0, grid.across[:, 0], strip.height[:, 0]) - 1.0)
    gem = faceted(along, side, radius) if rng.random() < 0.6 else cabochon(away, radius)
    height = strip.height * (1 - socket) + (level + bezel) * socket
    height = height * (1 - inside) + (level + gem) * inside
    first = STONES[rng.integers(len(STONES))]
    second = STONES[rng.integers(len(STONES))] if rng.random() < 0.3 and count % 2 == 0 else first
    odd = (np.floor(grid.theta * count / (2 * np.pi) - phase + 0.5) % 2 == 1)[..., None]
    stone = np.where(odd, second, first).astype(np.float32) * np.ones((len(height), 1, 1), np.float32)
    stones = tuple(Stone(float((k + phase) * 2 * np.pi / count), radius) for k in range(count))
    return replace(
        strip,
        height=height.astype(np.float32),
        stones=stones,
        colour=strip.colour * (1 - inside[..., None]) + stone * inside[..., None],
        metal=strip.metal * (1 - inside * np.float32(0.92)),
        rough=strip.rough * (1 - inside * np.float32(0.9)),
    )


def faceted(along: Array, side: Array, radius: float) -> Array:
    """Height of a brilliant-like cut in px: a flat table and two rings of eight facets."""
    turn = np.arctan2(side, along)
    away = np.hypot(along, side)
    eighth = np.float32(np.pi / 4)
    crown = away * np.cos(np.mod(turn, eighth) - eighth / 2)
    star = away * np.cos(np.mod(turn + eighth / 2, eighth) - eighth / 2)
    table = np.float32(radius * 0.33)
    return np.minimum(np.minimum((radius - crown) * 0.85, (radius * 0.9 - star) * 0.55 + 0.6), table)


def cabochon(away: Array, radius: float) -> Array:
    """Height of a smooth dome in px."""
    return np.sqrt(np.maximum(1.15 * radius**2 - away**2, 0)) * np.float32(0.6)


def _enamelled(rng: Rng, grid: Grid) -> Strip:
    """Metal with coloured panels between raised wires."""
    strip = _band(rng, grid, 0.25, 0.5)
    strip = replace(strip, height=_rims(rng, grid, strip.height))
    reach = rng.uniform(0.6, 0.74)
    panel = smoothstep(reach + 0.05, reach - 0.03, np.abs(grid.across)).astype(np.float32)
    wires = draw_motif(rng, grid, 1.2) if rng.random() < 0.75 else np.zeros_like(strip.height)
    glaze = panel * (1 - smoothstep(0.25, 0.75, wires))
    count = int(rng.integers(1, 5)) * 6
    first, second = ENAMELS[rng.integers(len(ENAMELS))], ENAMELS[rng.integers(len(ENAMELS))]
    swap = np.sin(grid.theta * count / 2) > (0 if rng.random() < 0.5 else -2)
    tone: Array = np.where(swap[..., None], first, second).astype(np.float32)
    tone = tone * (1 + 0.12 * ring_cloud(rng, len(glaze), 30)[..., None])
    height = strip.height - panel * np.float32(0.8) + panel * wires * np.float32(0.9)
    return replace(
        strip,
        height=height.astype(np.float32),
        colour=strip.colour * (1 - glaze[..., None]) + tone * glaze[..., None],
        metal=strip.metal * (1 - glaze),
        rough=strip.rough * (1 - glaze * np.float32(0.85)),
    )


def _glass(rng: Rng, grid: Grid) -> Strip:
    """Coloured glass, sometimes with a gilded ornament or a swirl."""
    strip = _band(rng, grid, 0.7, 0.95)
    body = GLASSES[rng.integers(len(GLASSES))] * np.float32(rng.uniform(0.8, 1.3))
    swirl = ring_cloud(rng, len(strip.height), (30, 200)) * np.float32(rng.uniform(0.05, 0.3))
    # Light goes a longer way through the middle and comes out deeper in colour.
    depth = 0.45 + 0.75 * (strip.height / strip.height.max())[..., None]
    colour = np.clip(np.power(body * np.exp(swirl)[..., None], depth), 0, 1)
    metal: Array = np.zeros_like(strip.height)
    if rng.random() < 0.55:
        gilt = draw_motif(rng, grid, rng.uniform(0.45, 0.7))
        gold = METALS["gold"]
        metal = (gilt * np.float32(0.9)).astype(np.float32)
        colour = colour * (1 - gilt[..., None]) + gold * gilt[..., None]
        strip = replace(strip, height=strip.height + gilt * np.float32(0.35))
    rough = np.full_like(metal, 0.03) + metal * np.float32(0.4)
    flecks = grain(rng, metal.shape, 0.8) > (2.6 if rng.random() < 0.3 else 99)
    metal = np.maximum(metal, flecks.astype(np.float32) * np.float32(0.8))
    return replace(
        strip,
        colour=colour.astype(np.float32),
        metal=metal,
        rough=rough,
        translucence=rng.uniform(0.35, 0.8),
        patina=0.0,
        smooth=False,
    )
