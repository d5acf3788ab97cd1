"""Where the defects are: both maps -> regions -> boxes. Pure functions of arrays.

The coarse map says whether and how much, the fine map where exactly. A region is found where both agree; its box reaches as
far as the evidence in it, less what a single point is spread over, and widened, so that a speck stays a speck and a pit whose
evidence lies in many pieces gets one box around all of them; then it is moved towards the outline of what looks like it.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from edge_runtime import outline
from edge_runtime.cam import smooth
from edge_runtime.manifest import BoxRule, Calibration
from edge_runtime.results import Array, Box, Defect, Maps

EVEN = 0.7
"""Cells by which evidence is evened out before regions are sought (sigma)."""
TAIL = 0.03
"""Share of the frame's strongest place down to which a region reaches."""
CUT = 0.1
"""Share of a region's evidence that lies beyond its reach, on either side: what is far out counts, but not how far."""
POINT = 1.7
"""Cells that the evidence of a single point reaches to either side: the network's doing, and EVEN's. Variances of independent blurs
add, so its square is taken off."""
LEAST = 0.75
"""Cells: half the side of the smallest box."""


@dataclass(frozen=True, slots=True)
class Region:
    """A connected place where the evidence lies. rows, columns: between which, in cells, all of it lies but for CUT at either end.
    strength: of its strongest cell."""

    rows: tuple[float, float]
    columns: tuple[float, float]
    strength: float


def located(maps: Maps, calibration: Calibration) -> Array:
    """Where the network looked and the coarse map agrees: |fine|, weighed by the root of the coarse map as a share of a
    typical peak.

    maps: of one frame, with a fine map. Returns float32 at the fine map's size, in logits, never negative. Evidence
    against a defect counts as well as evidence for it: inside a defect both alternate, elsewhere there is little of
    either. `guided` is off where the coarse map is an approximation, which may point beside the defect.
    """
    assert maps.fine is not None
    looked = cv2.GaussianBlur(np.abs(maps.fine), (0, 0), EVEN, borderType=cv2.BORDER_REFLECT)
    if not calibration.boxes.guided or calibration.coarse.hot <= 0:  # a map below 0 has no share of its peak
        return np.asarray(looked, np.float32)
    coarse = cv2.resize(maps.coarse, looked.shape[::-1], interpolation=cv2.INTER_LINEAR)
    agrees = np.sqrt(np.clip(coarse / calibration.coarse.hot, 0, 1))
    return np.asarray(looked * agrees, np.float32)


def regions(evidence: Array) -> list[Region]:
    """Connected pieces of what is above TAIL, the strongest first; none where there is no evidence at all.

    evidence: (rows, columns) float32, never negative.
    """
    strongest = float(evidence.max())
    if not strongest > 0:
        return []
    count, labels = cv2.connectedComponents((evidence >= TAIL * strongest).astype(np.uint8), connectivity=8)
    found = [_region(np.where(labels == label, evidence, 0).astype(np.float64)) for label in range(1, count)]
    return sorted(found, key=lambda region: -region.strength)


def _region(weight: np.typing.NDArray[np.float64]) -> Region:
    return Region(_reach(weight.sum(axis=1)), _reach(weight.sum(axis=0)), float(weight.max()))


def _reach(weight: np.typing.NDArray[np.float64]) -> tuple[float, float]:
    """Between which places along one axis, in cells, the weight lies but for CUT at either end."""
    passed = np.concatenate([[0.0], np.cumsum(weight) / weight.sum()])
    low, high = np.interp([CUT, 1 - CUT], passed, np.arange(len(passed)))
    return float(low), float(high)


def box_of(region: Region, stretch: float, cells_hw: tuple[int, int], input_hw: tuple[int, int]) -> Box:
    """stretch: of the reach, around its middle; 1.25 for evidence spread evenly. Returns input pixels, half-open, inside."""
    sides = []
    for (start, end), cells, pixels in zip((region.rows, region.columns), cells_hw, input_hw, strict=True):
        centre, own, cell = (start + end) / 2, max(0.0, ((end - start) / 2) ** 2 - POINT**2) ** 0.5, pixels / cells
        half = max(LEAST, stretch * own)
        low = min(max(0, round((centre - half) * cell)), pixels - 1)
        sides.append((low, max(low + 1, min(pixels, round((centre + half) * cell)))))
    (y0, y1), (x0, x1) = sides
    return Box(x0, y0, x1, y1)


def locate(
    maps: Maps, calibration: Calibration, input_hw: tuple[int, int], single_box: bool = False
) -> tuple[Defect, ...]:
    """The boxes of a reject in input pixels, the largest contribution first. At least one, unless its maps are flat:
    around the strongest region, and one for every other that is stronger than good frames show and adds to the margin.

    single_box: one box around all of them instead.
    """
    rule = calibration.boxes
    if maps.fine is not None:
        evidence = located(maps, calibration)
        found = regions(evidence)
        if found:
            strong = [found[0], *further(found[1:], rule, evidence.shape, input_hw)]
            drawn = [box_of(region, rule.stretch, evidence.shape, input_hw) for region in strong]
            if rule.outline and maps.activations is not None:
                surface = outline.Surface.of(maps.activations)
                drawn = [_moved(box, outline.outline(surface, evidence, box, input_hw), rule) for box in drawn]
            return _defects(drawn, maps, input_hw, single_box)
    warm = np.maximum(maps.coarse - calibration.coarse.cold, 0)
    if not warm.any():  # colder than every good part, and a reject all the same: where it is warmest
        warm = np.maximum(maps.coarse - np.median(maps.coarse), 0)
    drawn = [box_of(region, rule.stretch, warm.shape, input_hw) for region in regions(warm)[:1]]
    return _defects(drawn, replace(maps, fine=None), input_hw, single_box)


def _moved(box: Box, to: Box | None, rule: BoxRule) -> Box:
    return box if to is None else outline.between(box, to, rule.outline)


def further(found: list[Region], rule: BoxRule, cells_hw: tuple[int, int], input_hw: tuple[int, int]) -> list[Region]:
    """Those that are strong and large enough for a box of their own; in most good frames, none."""
    return [
        region
        for region in found
        if region.strength >= rule.level and box_of(region, rule.stretch, cells_hw, input_hw).area >= rule.min_area
    ]


def _defects(drawn: list[Box], maps: Maps, input_hw: tuple[int, int], single_box: bool) -> tuple[Defect, ...]:
    found = [_defect(box, maps, input_hw) for box in drawn]
    found = [one for one in found if one.logits > 0] or found[:1]  # what speaks against a defect is none
    if single_box and found:
        sides = np.array([[one.box.x0, one.box.y0, one.box.x1, one.box.y1] for one in found])
        around = Box(*sides[:, :2].min(axis=0).tolist(), *sides[:, 2:].max(axis=0).tolist())
        found = [_defect(around, maps, input_hw)]
    return tuple(sorted(found, key=lambda defect: (-defect.contribution, defect.box.y0, defect.box.x0)))


def _defect(box: Box, maps: Maps, input_hw: tuple[int, int]) -> Defect:
    map_ = maps.coarse if maps.fine is None else maps.fine
    even = map_ if maps.fine is None else smooth(map_)
    inside = coverage(box, map_.shape, input_hw)
    evidence = np.maximum(even, 0)
    total = float(evidence.sum(dtype=np.float64))
    return Defect(
        box,
        contribution=float((evidence * inside).sum(dtype=np.float64)) / total if total else 0.0,
        logits=float((map_ * inside).sum(dtype=np.float64)) / map_.size,
        peak=float(even[inside > 0].max()),
        map="coarse" if maps.fine is None else "fine",
    )


def coverage(box: Box, cells_hw: tuple[int, int], input_hw: tuple[int, int]) -> Array:
    """(rows, columns) float32 in [0, 1]: how much of each cell of a map lies inside the box, in input pixels."""
    sides = []
    for low, high, cells, pixels in zip((box.y0, box.x0), (box.y1, box.x1), cells_hw, input_hw, strict=True):
        edges = np.arange(cells + 1) * (pixels / cells)
        shared = np.minimum(edges[1:], high) - np.maximum(edges[:-1], low)
        sides.append(np.clip(shared / (pixels / cells), 0, 1))
    return np.asarray(np.outer(*sides), np.float32)
