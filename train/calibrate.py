"""Levels for verdicts, heat and boxes, fitted on validation frames. Image labels are all it needs."""

from dataclasses import dataclass

import numpy as np

from edge_runtime import cam
from edge_runtime.manifest import Calibration, HeatScale
from edge_runtime.results import Array


@dataclass(frozen=True, slots=True)
class Validated:
    """What the network says of the validation frames, and what they are.

    margins: (n,) logits. coarse: (n, h/16, w/16), fine: (n, h', w') smoothed; float32 logits. labels: (n,) 0 good, 1 anomaly.
    """

    margins: Array
    coarse: Array
    fine: Array
    labels: np.typing.NDArray[np.int64]


def calibrate(seen: Validated, input_hw: tuple[int, int], false_boxes: float, min_box_area: int) -> Calibration:
    """false_boxes: budget of boxes per good frame and map, counted whatever the verdict. min_box_area: input pixels."""
    good = seen.labels == 0
    return Calibration(
        threshold=decision_threshold(seen.margins, seen.labels),
        coarse=heat_scale(seen.coarse[good], seen.coarse[~good], input_hw, false_boxes, min_box_area),
        fine=heat_scale(seen.fine[good], seen.fine[~good], input_hw, false_boxes, min_box_area),
        good=int(good.sum()),
        anomaly=int((~good).sum()),
    )


def heat_scale(
    good: Array, anomaly: Array, input_hw: tuple[int, int], false_boxes: float, min_box_area: int
) -> HeatScale:
    """good, anomaly: maps (n, h, w) in logits; the rest as for `calibrate`."""
    cold = float(np.median(good.max(axis=(1, 2))))
    typical = float(np.median(anomaly.max(axis=(1, 2)))) if len(anomaly) else cold
    above_all_good = cold + 1.01 * (float(good.max()) - cold) + 1e-3
    widest = HeatScale(
        cold=cold, hot=max(typical, above_all_good), box_heat=1.0, min_box_area=min_box_area, false_boxes=0.0
    )
    level, rate = _box_level([cam.upsample(one, input_hw) for one in good], widest, false_boxes)
    hot = max(typical, level)
    return widest.model_copy(update={"hot": hot, "box_heat": (level - cold) / (hot - cold), "false_boxes": rate})


def decision_threshold(margins: Array, labels: np.typing.NDArray[np.int64]) -> float:
    """Score with the greatest balanced accuracy; of several, the middle of the widest gap between two frames."""
    edges = np.unique(margins.astype(np.float64))
    if len(edges) < 2:
        return 0.5
    middles, gaps = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    caught = np.searchsorted(np.sort(margins[labels == 1]), middles, side="left")
    passed = np.searchsorted(np.sort(margins[labels == 0]), middles, side="left")
    balanced = passed / max(1, (labels == 0).sum()) + 1 - caught / max(1, (labels == 1).sum())
    best = np.flatnonzero(balanced >= balanced.max() - 1e-12)
    margin = middles[best[gaps[best].argmax()]]
    return float(np.clip(1 / (1 + np.exp(-np.clip(margin, -500, 500))), 1e-15, 1 - 1e-15))


def _box_level(maps: list[Array], widest: HeatScale, budget: float) -> tuple[float, float]:
    """The lowest level, in logits, that keeps the budget on good frames, and the boxes per good frame there."""
    tried = [widest.model_copy(update={"box_heat": float(share)}) for share in np.geomspace(0.05, 1.0, 40)]
    rates = [sum(len(cam.defects(one, scale)) for one in maps) / max(1, len(maps)) for scale in tried]
    within = [index for index in range(len(tried)) if max(rates[index:]) <= budget]
    chosen = within[0] if within else len(tried) - 1
    return tried[chosen].box_level, rates[chosen]
