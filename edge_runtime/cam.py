"""The explanation: activations and dense weights -> CAM in logits -> heat -> boxes. Pure functions of arrays.

With A the activations that feed the pooling, (w, b) the Dense(1) and (v, beta) the two-unit output:

    margin = logit_anomaly - logit_good = (v1 - v0) * (w . mean(A) + b) + beta1 - beta0
    CAM(x, y) = (v1 - v0) * w . A(x, y)         =>         mean(CAM) + offset = margin

The sign of v1 - v0 matters: without it, half of all trainings would show the good parts.
"""

from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np

from edge_runtime.manifest import HeatScale
from edge_runtime.results import Array, Box, Defect, Maps


@dataclass(frozen=True, slots=True)
class Head:
    """The two dense layers, folded into one direction.

    direction: (C,) float32, (v1 - v0) * w. offset: logits, the part of the margin that lies nowhere in the picture.
    """

    direction: Array
    offset: float

    @classmethod
    def fold(cls, dense_weights: Array, dense_bias: Array, output_weights: Array, output_bias: Array) -> "Head":
        """dense_weights (C, 1), dense_bias (1,), output_weights (1, 2), output_bias (2,), all float32."""
        turn = float(output_weights[0, 1]) - float(output_weights[0, 0])
        offset = turn * float(dense_bias[0]) + float(output_bias[1]) - float(output_bias[0])
        return cls((turn * dense_weights[:, 0].astype(np.float64)).astype(np.float32), offset)


def class_activation_map(activations: Array, head: Head) -> Array:
    """Spread the logit margin over the picture (Zhou et al. 2016, eq. 2).

    activations: (h, w, C) float32, the layer that feeds the global average pooling.
    Returns (h, w) float32 in logits; its mean plus `head.offset` is the margin.
    """
    return np.asarray(activations @ head.direction, np.float32)


def residual(cam: Array, head: Head, margin: float) -> float:
    """How far the map is from adding up to the margin: |mean(CAM) + offset - margin|, in logits."""
    return abs(float(cam.mean(dtype=np.float64)) + head.offset - margin)


def smooth(fine: Array) -> Array:
    """Even out a fine map over its neighbouring cells (Gaussian, sigma one cell): pieces of one defect join."""
    return np.asarray(cv2.GaussianBlur(fine, (0, 0), 1.0, borderType=cv2.BORDER_REFLECT), np.float32)


def upsample(cam: Array, size_hw: tuple[int, int]) -> Array:
    """(h, w) float32 -> size_hw, bilinear between cell centres. Keeps the mean where size_hw is a multiple of (h, w)."""
    return np.asarray(cv2.resize(cam, (size_hw[1], size_hw[0]), interpolation=cv2.INTER_LINEAR), np.float32)


def heat(cam: Array, scale: HeatScale) -> Array:
    """CAM in logits -> heat in [0, 1] on the absolute scale fixed at calibration; the same for every frame."""
    span = scale.hot - scale.cold
    return np.asarray(np.clip((cam - scale.cold) / span, 0, 1), np.float32)


def defects(cam: Array, scale: HeatScale) -> tuple[Defect, ...]:
    """Regions that are hotter than good parts get, strongest contribution first.

    cam: (h, w) float32 in logits, at input size. A region is a connected piece of at least
    `min_box_area` pixels above the box threshold; its box holds what is also above half of its own peak,
    so that a strong defect does not grow a wide margin. Contribution: share of the frame's evidence
    (what exceeds cold) that lies inside the box.
    """
    evidence = np.maximum(cam - np.float32(scale.cold), 0)
    level = np.float32(scale.box_level - scale.cold)
    count, labels, stats, _ = cv2.connectedComponentsWithStats((evidence >= level).astype(np.uint8), connectivity=8)
    kept = [label for label in range(1, count) if stats[label, cv2.CC_STAT_AREA] >= scale.min_box_area]
    pieces = [np.where(labels == label, evidence, 0) for label in kept]
    found = [_defect(piece, evidence, float(piece.max()) + scale.cold) for piece in pieces]
    return tuple(sorted(found, key=lambda defect: (-defect.contribution, defect.box.y0, defect.box.x0)))


def hottest(cam: Array, scale: HeatScale) -> tuple[Defect, ...]:
    """The one region around the peak, for a reject in which no region passes the box threshold by itself.

    cam: as for `defects`. Where the whole frame is colder than cold, evidence is what exceeds the frame's own
    median. None for a map that is the same everywhere.
    """
    evidence = np.maximum(cam - np.float32(scale.cold), 0)
    if not evidence.any():
        evidence = np.maximum(cam - np.median(cam), 0)
    if not evidence.any():
        return ()
    _, labels = cv2.connectedComponents((evidence >= evidence.max() / 2).astype(np.uint8), connectivity=8)
    region = np.where(labels == labels.flat[int(evidence.argmax())], evidence, 0)
    return (_defect(region, evidence, float(cam.max())),)


def _defect(region: Array, evidence: Array, peak: float) -> Defect:
    """region: the evidence inside one connected piece, zero elsewhere. peak: its hottest CAM value, in logits."""
    rows, columns = np.nonzero(region >= region.max() / 2)
    box = Box(int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)
    return Defect(box, _share(box, evidence), peak)


def _share(box: Box, evidence: Array) -> float:
    inside = evidence[box.y0 : box.y1, box.x0 : box.x1].sum(dtype=np.float64)
    return float(inside / evidence.sum(dtype=np.float64))


def enclose(found: tuple[Defect, ...], cam: Array, scale: HeatScale) -> tuple[Defect, ...]:
    """All defects as the one box around them; none, or one, stay as they are. cam: as for `defects`."""
    if len(found) < 2:
        return found
    boxes = [defect.box for defect in found]
    box = Box(min(b.x0 for b in boxes), min(b.y0 for b in boxes), max(b.x1 for b in boxes), max(b.y1 for b in boxes))
    evidence = np.maximum(cam - np.float32(scale.cold), 0)
    return (Defect(box, _share(box, evidence), max(defect.peak for defect in found)),)


def locate(
    maps: Maps, coarse: HeatScale, fine: HeatScale, input_hw: tuple[int, int], single_box: bool = False
) -> tuple[Defect, ...]:
    """The boxes of a reject, in input pixels: from the fine map; where it has none, from the coarse one; and else around
    the hottest place, so that a reject has at least one unless its maps are flat."""
    sources: list[tuple[Literal["fine", "coarse"], Array, HeatScale]] = [
        ("coarse", upsample(maps.coarse, input_hw), coarse)
    ]
    if maps.fine is not None:
        sources.insert(0, ("fine", upsample(maps.fine, input_hw), fine))
    for find in (defects, hottest):
        for name, map_, scale in sources:
            found = find(map_, scale)
            if found:
                found = enclose(found, map_, scale) if single_box else found
                return tuple(replace(defect, map=name) for defect in found)
    return ()
