"""Levels for verdicts, heat and boxes, fitted on validation frames. Image labels are all it needs."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

from edge_runtime import cam
from edge_runtime.errors import UsageError
from edge_runtime.manifest import Calibration, HeatScale
from edge_runtime.results import Array, probability

Labels = np.typing.NDArray[np.int64]
Shares = np.typing.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Validated:
    """What the network says of the validation frames, and what they are.

    margins: (n,) logits. coarse: (n, h/16, w/16), fine: (n, h', w') smoothed; float32 logits. labels: (n,) 0 good, 1 anomaly.
    """

    margins: Array
    coarse: Array
    fine: Array
    labels: Labels


@dataclass(frozen=True, slots=True)
class Terms:
    """What the user asks of verdicts and boxes.

    max_false_rejects: share of the good frames that may be rejected; or cost_escape: what a missed defect costs, in false
    rejects, where defect_rate of the frames are defective; neither: both classes weigh the same. false_boxes: how many
    boxes a map may draw per good frame that passes, if it drew them there. min_box_area: input pixels.
    """

    max_false_rejects: float | None = None
    cost_escape: float | None = None
    defect_rate: float | None = None
    false_boxes: float = 0.02
    min_box_area: int = 64

    def __post_init__(self) -> None:
        if self.cost_escape is not None and not 0 < self.cost_escape < math.inf:
            raise UsageError(f"--cost-escape {self.cost_escape}: expected a number above 0, in false rejects")
        if self.max_false_rejects is not None and self.cost_escape is not None:
            raise UsageError("--max-false-rejects and --cost-escape both choose the threshold: give one of them")
        if self.defect_rate is not None and self.cost_escape is None:
            raise UsageError("--defect-rate belongs to --cost-escape")

    @property
    def rule(self) -> str:
        if self.max_false_rejects is not None:
            return f"at most {100 * self.max_false_rejects:g} % false rejects"
        if self.cost_escape is not None:
            rate = (
                "as often as among the validation frames"
                if self.defect_rate is None
                else f"in {100 * self.defect_rate:g} % of the frames"
            )
            return f"an escape costs {self.cost_escape:g} false rejects, with defects {rate}"
        return "escapes and false rejects weigh the same"


def calibrate(seen: Validated, input_hw: tuple[int, int], terms: Terms) -> Calibration:
    good = seen.labels == 0
    temperature = fit_temperature(seen.margins, seen.labels)
    margin = decision_margin(seen.margins, seen.labels, terms)
    threshold = float(np.clip(probability(margin, temperature), 1e-15, 1 - 1e-15))
    rejected = np.array([probability(float(one), temperature) >= threshold for one in seen.margins])
    passing = good & ~rejected  # a false reject shows boxes anyway, and is no measure of what good frames show
    sound = passing if passing.any() else good

    def scale(maps: Array) -> HeatScale:
        return heat_scale(maps[sound], maps[~good], input_hw, terms.false_boxes, terms.min_box_area)

    return Calibration(
        temperature=temperature,
        threshold=threshold,
        rule=terms.rule,
        coarse=scale(seen.coarse),
        fine=scale(seen.fine),
        good=int(good.sum()),
        anomaly=int((~good).sum()),
        false_rejects=int((rejected & good).sum()),
        escapes=int((~rejected & ~good).sum()),
    )


def fit_temperature(margins: Array, labels: Labels) -> float:
    """The temperature with the smallest cross-entropy, both classes weighing the same (Guo et al. 2017).

    Targets are a little short of 0 and 1 (Platt 1999), so that a network which makes no mistake on a few frames is not
    taken to be certain.
    """
    good, anomaly = max(1, int((labels == 0).sum())), max(1, int((labels == 1).sum()))
    target = np.where(labels == 1, (anomaly + 1) / (anomaly + 2), 1 / (good + 2))
    weight = np.where(labels == 1, 1 / anomaly, 1 / good)

    def loss(log_temperature: float) -> float:
        scaled = margins.astype(np.float64) / math.exp(log_temperature)
        return float((weight * (np.logaddexp(0, scaled) - target * scaled)).sum())

    return float(math.exp(minimize_scalar(loss, bounds=(math.log(0.5), math.log(100)), method="bounded").x))


def decision_margin(margins: Array, labels: Labels, terms: Terms) -> float:
    """The margin that serves the terms best; of several, the middle of the widest gap between two frames."""
    edges = np.unique(margins.astype(np.float64))
    beyond = max(1e-3, float(edges[-1] - edges[0]) / 20)
    edges = np.concatenate([[edges[0] - beyond], edges, [edges[-1] + beyond]])
    middles, gaps = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    good, anomaly = np.sort(margins[labels == 0]), np.sort(margins[labels == 1])
    false_rejects = 1 - np.searchsorted(good, middles) / max(1, len(good))
    escapes = np.searchsorted(anomaly, middles) / max(1, len(anomaly))
    cost = _cost(false_rejects, escapes, len(anomaly) / len(margins), terms)
    best = np.flatnonzero(cost <= cost.min() + 1e-12)
    mistakes = (false_rejects + escapes)[best]
    best = best[mistakes <= mistakes.min() + 1e-12]  # of what serves the terms alike, whatever makes fewer mistakes
    return float(middles[best[gaps[best].argmax()]])


def _cost(false_rejects: Shares, escapes: Shares, defective: float, terms: Terms) -> Shares:
    if terms.max_false_rejects is not None:
        return np.where(false_rejects <= terms.max_false_rejects + 1e-12, escapes, np.inf)
    if terms.cost_escape is not None:
        rate = defective if terms.defect_rate is None else terms.defect_rate
        return terms.cost_escape * rate * escapes + (1 - rate) * false_rejects
    return escapes + false_rejects


def heat_scale(
    good: Array, anomaly: Array, input_hw: tuple[int, int], false_boxes: float, min_box_area: int
) -> HeatScale:
    """good, anomaly: maps (n, h, w) in logits; the rest as for `Terms`."""
    cold = float(np.median(good.max(axis=(1, 2))))
    typical = float(np.median(anomaly.max(axis=(1, 2)))) if len(anomaly) else cold
    above_all_good = cold + 1.01 * (float(good.max()) - cold) + 1e-3
    widest = HeatScale(
        cold=cold, hot=max(typical, above_all_good), box_heat=1.0, min_box_area=min_box_area, false_boxes=0.0
    )
    level, rate = _box_level([cam.upsample(one, input_hw) for one in good], widest, false_boxes)
    hot = max(typical, level)
    return widest.model_copy(update={"hot": hot, "box_heat": (level - cold) / (hot - cold), "false_boxes": rate})


def _box_level(maps: list[Array], widest: HeatScale, budget: float) -> tuple[float, float]:
    """The lowest level, in logits, that keeps the budget on good frames, and the boxes per good frame there."""
    tried = [widest.model_copy(update={"box_heat": float(share)}) for share in np.geomspace(0.05, 1.0, 40)]
    rates = [sum(len(cam.defects(one, scale)) for one in maps) / max(1, len(maps)) for scale in tried]
    within = [index for index in range(len(tried)) if max(rates[index:]) <= budget]
    chosen = within[0] if within else len(tried) - 1
    return tried[chosen].box_level, rates[chosen]
