"""May INT8 ship instead of float? Judged on the validation frames: neither was trained or quantised on them."""

import math
import statistics
import time
from dataclasses import dataclass, fields, replace

import numpy as np
from sklearn.metrics import roc_auc_score

from edge_runtime import boxes
from edge_runtime.errors import UsageError
from edge_runtime.manifest import Quantisation
from edge_runtime.model import Model
from edge_runtime.results import Array, Box, Image, agreement, probability
from export.candidate import Candidate

ROUNDS = 25
FAR = 1e9
"""Instead of infinity, which JSON has no word for."""
MOST = ("auroc_drop", "missed", "flips", "fine_residual")
WORDS = {
    "auroc_drop": "drop of the image AUROC",
    "missed": "defects that float catches and INT8 misses",
    "flips": "share of the verdicts that differ",
    "cam_correlation": "correlation of the coarse maps, median",
    "box_iou": "agreement of the boxes, median IoU",
    "fine_residual": "how far a fine map is from adding up, per logit of evidence",
    "speedup": "speed against float, on this PC",
}
Mask = np.typing.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Limits:
    """auroc_drop, missed, flips, fine_residual: at most; cam_correlation, box_iou, speedup: at least. As for Quantisation."""

    auroc_drop: float = 0.003
    missed: float = 0
    flips: float = 0.005
    cam_correlation: float = 0.98
    box_iou: float = 0.8
    fine_residual: float = 0.05
    speedup: float = 1.0

    def breaches(self, found: Quantisation) -> list[str]:
        """In plain words; empty where all holds."""
        return [
            f"{name.replace('_', ' ')} {getattr(found, name):.4g} ({'at most' if most else 'at least'} {limit:g})"
            for name, limit, most in self.items()
            if not (getattr(found, name) <= limit if most else getattr(found, name) >= limit)
        ]

    def items(self) -> list[tuple[str, float, bool]]:
        """(name, limit, whether that is the most allowed)."""
        return [(one.name, getattr(self, one.name), one.name in MOST) for one in fields(self)]


def adjusted(settings: str) -> Limits:
    """`flips=0.01,speedup=1.2` -> the defaults with these changes. Raises UsageError, which lists all limits."""
    limits = Limits()
    for setting in filter(None, settings.split(",")):
        name, _, value = setting.partition("=")
        known = {one: limit for one, limit, _ in limits.items()}
        try:
            if name not in known:
                raise ValueError(name)
            limits = replace(limits, **{name: float(value)})
        except ValueError:
            listed = ", ".join(f"{one}={limit:g}" for one, limit in known.items())
            raise UsageError(f"--gate {setting}: expected NAME=NUMBER, of {listed}") from None
    return limits


def compare(plain: Candidate, small: Candidate, scheme: str, frames: int, images: Image) -> Quantisation:
    """plain: in float; small: in INT8. Boxes are compared before they follow outlines. frames: that its ranges were measured on; images: the validation frames."""
    labels = plain.seen.labels
    reject, reject_small = (_rejected(one) for one in (plain, small))
    both = np.flatnonzero(reject & reject_small).tolist()
    input_hw = plain.runtime.input_hw

    def drawn(one: Candidate, row: int) -> list[Box]:
        return [defect.box for defect in boxes.locate(one.seen.maps(row), one.calibration, input_hw)]

    overlaps = [agreement(drawn(plain, row), drawn(small, row)) for row in both]
    correlations = [correlation(a, b) for a, b in zip(plain.seen.coarse, small.seen.coarse, strict=True)]
    auroc, auroc_small = (float(roc_auc_score(labels, one.seen.margins)) for one in (plain, small))
    return Quantisation(
        scheme=scheme,
        frames=frames,
        auroc_drop=auroc - auroc_small,
        missed=int((reject & ~reject_small & (labels == 1)).sum()),
        flips=float((reject != reject_small).mean()),
        cam_correlation=statistics.median(correlations),
        box_iou=statistics.median(overlaps) if overlaps else 1.0,
        fine_residual=min(small.fine_residual, FAR),
        speedup=_speedup(plain.runtime, small.runtime, images),
    )


def correlation(a: Array, b: Array) -> float:
    """Of two maps, in [-1, 1]; 1 where both are the same everywhere, 0 where only one is, or is not finite."""
    spreads = float(a.std()), float(b.std())
    if not all(math.isfinite(spread) for spread in spreads):
        return 0.0
    if min(spreads) == 0:
        return float(max(spreads) == 0)
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def _rejected(one: Candidate) -> Mask:
    levels = one.calibration
    scores = [probability(margin, levels.temperature) for margin in one.seen.margins.tolist()]
    return np.array(scores) >= levels.threshold


def _speedup(plain: Model, small: Model, images: Image) -> float:
    """Median of the ratios of runs that alternate, on whatever else this PC is doing."""
    ratios = []
    for turn in range(ROUNDS + 3):
        frame = images[turn % len(images)][np.newaxis]
        elapsed = []
        for model in (plain, small):
            started = time.perf_counter()
            model.predict(frame)
            elapsed.append(time.perf_counter() - started)
        ratios.append(elapsed[0] / elapsed[1])
    return statistics.median(ratios[3:])
