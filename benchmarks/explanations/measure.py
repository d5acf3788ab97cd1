"""How well a map points, boxes and explains. Boxes are in input pixels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from edge_runtime.results import Array, Box

LEVELS = np.arange(0.05, 1.0, 0.05).round(2)
IOUS = (0.3, 0.5, 0.7)
GROW = 7 / 224
"""Share of the sides by which true boxes are grown for pointing."""


@dataclass(slots=True)
class Tally:
    """What one method did, frame by frame. best: (frames, levels), best IoU at each level; boxes: those the method would
    draw in defective frames, per level; false: how many in good frames that are rejected; deletion, insertion: mean score."""

    pointed: list[bool] = field(default_factory=list)
    best: list[list[float]] = field(default_factory=list)
    found: list[list[int]] = field(default_factory=list)
    false: list[list[int]] = field(default_factory=list)
    deletion: list[float] = field(default_factory=list)
    insertion: list[float] = field(default_factory=list)
    ms: list[float] = field(default_factory=list)


def points_at(map_: Array, truth: Sequence[Box]) -> bool:
    y, x = (int(at) for at in np.unravel_index(int(map_.argmax()), map_.shape))
    grow_y, grow_x = GROW * map_.shape[0], GROW * map_.shape[1]
    return any(box.x0 - grow_x <= x < box.x1 + grow_x and box.y0 - grow_y <= y < box.y1 + grow_y for box in truth)


def boxes_at(map_: Array, level: float) -> list[Box]:
    """One box around every connected piece above a share of the frame's own range, as MaxBoxAcc has it (Choe et al. 2020)."""
    low, high = float(map_.min()), float(map_.max())
    if not high > low:
        return []
    hot = ((map_ - low) / (high - low) >= level).astype(np.uint8)
    count, _, stats, _ = cv2.connectedComponentsWithStats(hot, connectivity=8)
    return [Box(int(x), int(y), int(x + w), int(y + h)) for x, y, w, h, _ in stats[1:count]]


def enclosing(map_: Array, level: float) -> list[Box]:
    """One box around everything above a share of the frame's own range."""
    found = boxes_at(map_, level)
    if not found:
        return []
    low = min(box.x0 for box in found), min(box.y0 for box in found)
    return [Box(*low, max(box.x1 for box in found), max(box.y1 for box in found))]


def best_iou(drawn: Sequence[Box], truth: Sequence[Box]) -> float:
    return max((box.iou(true) for box in drawn for true in truth), default=0.0)


def found_of(drawn: Sequence[Box], truth: Sequence[Box], limit: float = 0.3) -> int:
    """Defects that have a box of their own."""
    left, found = list(drawn), 0
    for true in truth:
        nearest = max(left, key=true.iou, default=None)
        if nearest is not None and true.iou(nearest) >= limit:
            left.remove(nearest)
            found += 1
    return found


def probabilities(margins: Array, temperature: float) -> Array:
    return np.asarray(1 / (1 + np.exp(-np.clip(margins / temperature, -80, 80))), np.float32)


def summary(tally: Tally, defects: int, good: int) -> dict[str, float]:
    """The level is each method's best for these very frames; where boxes are drawn by a rule there is only one."""
    best, found, false = (np.array(values, float) for values in (tally.best, tally.found, tally.false))
    level = int(np.argmax([(best[:, at] >= 0.5).mean() for at in range(best.shape[1])]))
    accuracies = [max(float((best[:, at] >= iou).mean()) for at in range(best.shape[1])) for iou in IOUS]
    return {
        "pointing": _mean(tally.pointed),
        **{f"box IoU ≥ {iou}": accuracy for iou, accuracy in zip(IOUS, accuracies, strict=True)},
        "MaxBoxAccV2": float(np.mean(accuracies)),
        "defects found": float(found[:, level].sum() / defects),
        "false boxes": float(false[:, level].sum() / good) if len(false) else 0.0,
        "deletion": _mean(tally.deletion),
        "insertion": _mean(tally.insertion),
        "ms": float(np.median(tally.ms)) if tally.ms else math.nan,
    }


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan
