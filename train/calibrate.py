"""Levels for verdicts, heat and boxes, fitted on validation frames. Image labels are all it needs."""

from dataclasses import dataclass

import numpy as np

from edge_runtime import cam
from edge_runtime.manifest import Calibration
from edge_runtime.results import Array


@dataclass(frozen=True, slots=True)
class Validated:
    """What the network says of the validation frames, and what they are.

    margins: (n,) logits. cams: (n, h/16, w/16) float32 logits. labels: (n,) 0 good, 1 anomaly.
    """

    margins: Array
    cams: Array
    labels: np.typing.NDArray[np.int64]


def calibrate(seen: Validated, input_hw: tuple[int, int], false_boxes: float, min_box_area: int) -> Calibration:
    """false_boxes: budget of boxes per good frame, counted whatever the verdict. min_box_area: input pixels."""
    good, anomaly = seen.cams[seen.labels == 0], seen.cams[seen.labels == 1]
    cold = float(np.median(good.max(axis=(1, 2))))
    typical = float(np.median(anomaly.max(axis=(1, 2)))) if len(anomaly) else cold
    above_all_good = cold + 1.01 * (float(good.max()) - cold) + 1e-3
    hot = max(typical, above_all_good)
    unfinished = Calibration(
        threshold=decision_threshold(seen.margins, seen.labels),
        heat_cold=cold,
        heat_hot=hot,
        box_heat=1.0,
        min_box_area=min_box_area,
        false_boxes=0.0,
        good=len(good),
        anomaly=len(anomaly),
    )
    level, rate = _box_level([cam.upsample(one, input_hw) for one in good], unfinished, false_boxes)
    hot = max(typical, level)
    return unfinished.model_copy(
        update={"heat_hot": hot, "box_heat": (level - cold) / (hot - cold), "false_boxes": rate}
    )


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


def _box_level(maps: list[Array], calibration: Calibration, budget: float) -> tuple[float, float]:
    """The lowest CAM level, in logits, that keeps the budget on good frames, and the boxes per good frame there."""
    shares = np.geomspace(0.05, 1.0, 40)
    rates = [
        sum(len(cam.defects(one, calibration.model_copy(update={"box_heat": float(share)}))) for one in maps)
        / max(1, len(maps))
        for share in shares
    ]
    within = [index for index in range(len(shares)) if max(rates[index:]) <= budget]
    chosen = within[0] if within else len(shares) - 1
    cold, hot = calibration.heat_cold, calibration.heat_hot
    return cold + float(shares[chosen]) * (hot - cold), rates[chosen]
