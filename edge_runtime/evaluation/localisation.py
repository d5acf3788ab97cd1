"""Does the heat lie on the defects, and do the boxes hold them? Always beside the same boxes at the centre, and by chance.

Every defective frame counts, an escape as a miss.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from sklearn.metrics import roc_auc_score

from edge_runtime.evaluation.truth import Rectangle
from edge_runtime.results import Array

IOUS = (0.3, 0.5, 0.7)
GROW = 7.0
"""Input pixels by which true boxes are grown for pointing, at an input of 224; the rest in proportion."""
CHANCES = 200
"""Random places per box for the chance baseline; the seed is fixed."""
PRO_LIMIT = 0.3
"""False-positive rate up to which the per-region overlap is integrated (Bergmann et al. 2021)."""


@dataclass(frozen=True, slots=True)
class Case:
    """One judged frame with known defects. truth, drawn, whatever_the_verdict: boxes in frame pixels; the last are those its maps
    would draw in a reject. coarse, fine: maps at input size, in logits, smoothed. mask: (h, w) bool at input size, or None.
    """

    defective: bool
    size_wh: tuple[int, int]
    truth: tuple[Rectangle, ...]
    drawn: tuple[Rectangle, ...]
    whatever_the_verdict: tuple[Rectangle, ...]
    coarse: Array
    fine: Array
    mask: np.typing.NDArray[np.bool_] | None


def measure(cases: Sequence[Case]) -> dict[str, Any]:
    """Every figure is a share in [0, 1], but for boxes per frame."""
    bad, good = [case for case in cases if case.defective], [case for case in cases if not case.defective]
    drawn_at = {
        "ours": [(case, case.drawn) for case in bad],
        "centre": [(case, tuple(_centred(box, case.size_wh) for box in case.drawn)) for case in bad],
    }
    figures: dict[str, Any] = {
        "pointing": {
            "fine_peak": _share(_hit(_peak(case.fine), case) for case in bad),
            "coarse_peak": _share(_hit(_peak(case.coarse), case) for case in bad),
            "coarse_centre_of_mass": _share(_hit(_centre_of_mass(case.coarse), case) for case in bad),
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
    if all(case.mask is not None for case in bad):
        figures["pixels"] = {
            "fine_auroc": _pixel_auroc(cases, lambda case: case.fine),
            "coarse_auroc": _pixel_auroc(cases, lambda case: case.coarse),
            "fine_aupro": _aupro(cases, lambda case: case.fine),
            "coarse_aupro": _aupro(cases, lambda case: case.coarse),
            "chance_auroc": 0.5,
            "chance_aupro": PRO_LIMIT / 2,
        }
    return figures


def _share(hits: Iterable[bool]) -> float:
    return float(np.mean(list(hits)))


def _peak(map_: Array) -> tuple[float, float]:
    """(x, y) of the hottest point of a map, as shares of the frame's sides."""
    y, x = np.unravel_index(int(map_.argmax()), map_.shape)
    return (float(x) + 0.5) / map_.shape[1], (float(y) + 0.5) / map_.shape[0]


def _centre_of_mass(map_: Array) -> tuple[float, float]:
    """(x, y) of the centre of what is above half of the map's greatest evidence, as shares of the frame's sides."""
    evidence = map_ - np.median(map_)
    weight = np.where(evidence >= evidence.max() / 2, evidence, 0)
    if not weight.any():
        return 0.5, 0.5
    ys, xs = np.mgrid[: map_.shape[0], : map_.shape[1]] + 0.5
    total = weight.sum()
    return float((xs * weight).sum() / total / map_.shape[1]), float((ys * weight).sum() / total / map_.shape[0])


def _grown(case: Case) -> list[Rectangle]:
    """The true boxes, grown on each side, in frame pixels."""
    grow_x, grow_y = GROW / 224 * case.size_wh[0], GROW / 224 * case.size_wh[1]
    return [(x0 - grow_x, y0 - grow_y, x1 + grow_x, y1 + grow_y) for x0, y0, x1, y1 in case.truth]


def _hit(point: tuple[float, float], case: Case) -> bool:
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


def _pixel_auroc(cases: Sequence[Case], pick: Callable[[Case], Array]) -> float:
    """Over all pixels of all frames, good ones too."""
    truth = np.concatenate(
        [(np.zeros(case.fine.shape, bool) if case.mask is None else case.mask).ravel() for case in cases]
    )
    return float(roc_auc_score(truth, np.concatenate([pick(case).ravel() for case in cases])))


def _aupro(cases: Sequence[Case], pick: Callable[[Case], Array]) -> float:
    """Area under the per-region overlap, over false-positive rates up to PRO_LIMIT, in [0, 1] (Bergmann et al. 2021)."""
    sound = np.sort(
        np.concatenate([pick(case)[~case.mask if case.mask is not None else ...].ravel() for case in cases])
    )
    rates = np.linspace(0, PRO_LIMIT, 301)
    levels = sound[np.minimum(((1 - rates) * len(sound)).astype(int), len(sound) - 1)]
    overlaps = []
    for case in cases:
        if case.mask is None:
            continue
        count, regions = cv2.connectedComponents(case.mask.astype(np.uint8), connectivity=8)
        for region in range(1, count):
            values = np.sort(pick(case)[regions == region])
            overlaps.append(1 - np.searchsorted(values, levels, side="right") / len(values))
    return float(np.trapezoid(np.mean(overlaps, axis=0), rates) / PRO_LIMIT) if overlaps else float("nan")
