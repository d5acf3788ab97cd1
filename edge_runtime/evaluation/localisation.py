"""Does the heat lie on the defects, and do the boxes hold them? Always beside the same boxes at the centre, and by chance.

Every defective frame counts, an escape as a miss.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from sklearn.metrics import roc_auc_score

from edge_runtime.evaluation.truth import Rectangle
from edge_runtime.results import Array

Point = tuple[float, float]
IOUS = (0.3, 0.5, 0.7)
GROW = 7.0
"""Input pixels by which true boxes are grown for pointing, at an input of 224; the rest in proportion."""
CHANCES = 200
"""Random places per box for the chance baseline; the seed is fixed."""
SAMPLE = 16
"""Every so many pixels without a defect are looked at: ranks need no more, and memory stays small."""
PRO_LIMIT = 0.3
"""False-positive rate up to which the per-region overlap is integrated (Bergmann et al. 2021)."""


@dataclass(frozen=True, slots=True)
class Pixels:
    """How one map ranks the pixels of a frame. sound: a regular sample of those without a defect. regions: for each connected
    piece of the mask, its pixels, rising."""

    sound: Array
    regions: tuple[Array, ...]

    @classmethod
    def of(cls, map_: Array, mask: np.typing.NDArray[np.bool_] | None) -> "Pixels":
        if mask is None:
            return cls(map_.ravel()[::SAMPLE].copy(), ())
        count, pieces = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
        return cls(map_[~mask][::SAMPLE].copy(), tuple(np.sort(map_[pieces == piece]) for piece in range(1, count)))


@dataclass(frozen=True, slots=True)
class Case:
    """One judged frame with known defects. truth, drawn, whatever_the_verdict: boxes in frame pixels; the last are those its
    maps would draw in a reject. Points: (x, y) as shares of the frame's sides. fine, coarse: pixels of the maps, None
    where truth has no masks."""

    defective: bool
    size_wh: tuple[int, int]
    truth: tuple[Rectangle, ...]
    drawn: tuple[Rectangle, ...]
    whatever_the_verdict: tuple[Rectangle, ...]
    located_peak: Point
    fine_peak: Point
    coarse_peak: Point
    coarse_centre_of_mass: Point
    fine: Pixels | None
    coarse: Pixels | None

    @classmethod
    def of(
        cls,
        defective: bool,
        size_wh: tuple[int, int],
        truth: tuple[Rectangle, ...],
        drawn: tuple[Rectangle, ...],
        whatever_the_verdict: tuple[Rectangle, ...],
        located: Array,
        coarse: Array,
        fine: Array,
        mask: np.typing.NDArray[np.bool_] | None,
    ) -> "Case":
        """located, coarse, fine: maps (h, w) at input size, in logits; located is where both agree, fine is smoothed. mask: (h, w), True on a defect, or None."""
        with_pixels = mask is not None or not defective
        return cls(
            defective,
            size_wh,
            truth,
            drawn,
            whatever_the_verdict,
            _peak(located),
            _peak(fine),
            _peak(coarse),
            _centre_of_mass(coarse),
            Pixels.of(fine, mask) if with_pixels else None,
            Pixels.of(coarse, mask) if with_pixels else None,
        )


def measure(cases: Sequence[Case]) -> dict[str, Any]:
    """Every figure is a share in [0, 1], but for boxes per frame."""
    bad, good = [case for case in cases if case.defective], [case for case in cases if not case.defective]
    drawn_at = {
        "ours": [(case, case.drawn) for case in bad],
        "centre": [(case, tuple(_centred(box, case.size_wh) for box in case.drawn)) for case in bad],
    }
    figures: dict[str, Any] = {
        "pointing": {
            "located_peak": _share(_hit(case.located_peak, case) for case in bad),
            "fine_peak": _share(_hit(case.fine_peak, case) for case in bad),
            "coarse_peak": _share(_hit(case.coarse_peak, case) for case in bad),
            "coarse_centre_of_mass": _share(_hit(case.coarse_centre_of_mass, case) for case in bad),
            "true_centre_of_mass": _share(_hit(_true_centre(case), case) for case in bad),
            "centre": _share(_hit((0.5, 0.5), case) for case in bad),
            "chance": float(np.mean([_grown_share(case) for case in bad])),
        },
        "box_iou": {},
        "defect_recall": {},
        "boxes_per_good_frame": {
            "drawn": float(np.mean([len(case.drawn) for case in good])),
            "whatever_the_verdict": float(np.mean([len(case.whatever_the_verdict) for case in good])),
        },
    }
    rng = np.random.default_rng(0)
    for limit in IOUS:
        figures["box_iou"][f"{limit:g}"] = {
            **{name: _share(_best(boxes, case) >= limit for case, boxes in pairs) for name, pairs in drawn_at.items()},
            "chance": float(np.mean([_by_chance(case, limit, rng) for case in bad])),
        }
        figures["defect_recall"][f"{limit:g}"] = {name: _recall(pairs, limit) for name, pairs in drawn_at.items()}
    figures["box_iou"]["mean"] = {
        name: float(np.mean([figures["box_iou"][f"{limit:g}"][name] for limit in IOUS]))
        for name in ("ours", "centre", "chance")
    }
    fine, coarse = [case.fine for case in cases if case.fine], [case.coarse for case in cases if case.coarse]
    if len(fine) == len(cases):
        figures["pixels"] = {
            "fine_auroc": _pixel_auroc(fine),
            "coarse_auroc": _pixel_auroc(coarse),
            "fine_aupro": _aupro(fine),
            "coarse_aupro": _aupro(coarse),
            "chance_auroc": 0.5,
            "chance_aupro": PRO_LIMIT / 2,
        }
    return figures


def _share(hits: Iterable[bool]) -> float:
    return float(np.mean(list(hits)))


def _peak(map_: Array) -> Point:
    """(x, y) of the hottest point of a map, as shares of the frame's sides."""
    y, x = np.unravel_index(int(map_.argmax()), map_.shape)
    return (float(x) + 0.5) / map_.shape[1], (float(y) + 0.5) / map_.shape[0]


def _centre_of_mass(map_: Array) -> Point:
    """(x, y) of the centre of what is above half of the map's greatest evidence, as shares of the frame's sides."""
    evidence = map_ - np.median(map_)
    weight = np.where(evidence >= evidence.max() / 2, evidence, 0)
    if not weight.any():
        return 0.5, 0.5
    ys, xs = np.mgrid[: map_.shape[0], : map_.shape[1]] + 0.5
    total = weight.sum()
    return float((xs * weight).sum() / total / map_.shape[1]), float((ys * weight).sum() / total / map_.shape[0])


def _true_centre(case: Case) -> Point:
    """(x, y) of the centre of mass of the true boxes, as shares of the frame's sides: of two defects, it lies between them, and
    a perfect map's would, too."""
    x0, y0, x1, y1 = np.asarray(case.truth, np.float64).T
    areas = (x1 - x0) * (y1 - y0)
    x, y = np.average((x0 + x1) / 2, weights=areas), np.average((y0 + y1) / 2, weights=areas)
    return float(x) / case.size_wh[0], float(y) / case.size_wh[1]


def _grown(case: Case) -> list[Rectangle]:
    """The true boxes, grown on each side, in frame pixels."""
    grow_x, grow_y = GROW / 224 * case.size_wh[0], GROW / 224 * case.size_wh[1]
    return [(x0 - grow_x, y0 - grow_y, x1 + grow_x, y1 + grow_y) for x0, y0, x1, y1 in case.truth]


def _hit(point: Point, case: Case) -> bool:
    x, y = point[0] * case.size_wh[0], point[1] * case.size_wh[1]
    return any(x0 <= x < x1 and y0 <= y < y1 for x0, y0, x1, y1 in _grown(case))


def _grown_share(case: Case) -> float:
    """How much of the frame the grown boxes cover: what a random point would hit."""
    width, height = case.size_wh
    covered = np.zeros((height, width), bool)
    for x0, y0, x1, y1 in _grown(case):
        covered[max(0, round(y0)) : max(0, round(y1)), max(0, round(x0)) : max(0, round(x1))] = True
    return float(covered.mean())


def iou(a: Rectangle, b: Rectangle) -> float:
    """Intersection over union, in [0, 1]."""
    shared = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def _best(boxes: Sequence[Rectangle], case: Case) -> float:
    """Best overlap of any box with any true one."""
    return max((iou(box, true) for box in boxes for true in case.truth), default=0.0)


def _recall(pairs: Sequence[tuple[Case, tuple[Rectangle, ...]]], limit: float) -> float:
    """Share of all defects that have a box of their own: each box is given to one defect."""
    found = total = 0
    for case, boxes in pairs:
        left = list(boxes)
        total += len(case.truth)
        for true in case.truth:
            best = max(left, key=lambda box: iou(box, true), default=None)
            if best is not None and iou(best, true) >= limit:
                left.remove(best)
                found += 1
    return found / total


def _centred(box: Rectangle, size_wh: tuple[int, int]) -> Rectangle:
    width, height = box[2] - box[0], box[3] - box[1]
    x, y = (size_wh[0] - width) / 2, (size_wh[1] - height) / 2
    return x, y, x + width, y + height


def _by_chance(case: Case, limit: float, rng: np.random.Generator) -> float:
    """How often the same boxes would do at random places."""
    if not case.drawn:
        return 0.0
    hits = 0
    for _ in range(CHANCES):
        moved = []
        for x0, y0, x1, y1 in case.drawn:
            x, y = rng.uniform(0, case.size_wh[0] - (x1 - x0)), rng.uniform(0, case.size_wh[1] - (y1 - y0))
            moved.append((x, y, x + x1 - x0, y + y1 - y0))
        hits += _best(moved, case) >= limit
    return hits / CHANCES


def _pixel_auroc(frames: Sequence[Pixels]) -> float:
    """Over the pixels of all frames, good ones too."""
    sound = np.concatenate([one.sound for one in frames])
    defective = np.concatenate([region for one in frames for region in one.regions])
    truth = np.concatenate([np.zeros(len(sound), bool), np.ones(len(defective), bool)])
    return float(roc_auc_score(truth, np.concatenate([sound, defective])))


def _aupro(frames: Sequence[Pixels]) -> float:
    """Area under the per-region overlap, over false-positive rates up to PRO_LIMIT, in [0, 1] (Bergmann et al. 2021)."""
    sound = np.sort(np.concatenate([one.sound for one in frames]))
    rates = np.linspace(0, PRO_LIMIT, 301)
    levels = sound[np.minimum(((1 - rates) * len(sound)).astype(int), len(sound) - 1)]
    regions = [region for one in frames for region in one.regions]
    overlaps = [1 - np.searchsorted(region, levels, side="right") / len(region) for region in regions]
    return float(np.trapezoid(np.mean(overlaps, axis=0), rates) / PRO_LIMIT)
