"""Levels for verdicts, heat and boxes, fitted on validation frames. Image labels are all it needs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from msgspec.structs import replace
from scipy.optimize import minimize_scalar

from edge_runtime import boxes, cam
from edge_runtime.errors import UsageError
from edge_runtime.manifest import BoxRule, Calibration, HeatScale
from edge_runtime.results import Array, Box, Maps, probability

Labels = np.typing.NDArray[np.int64]
Shares = np.typing.NDArray[np.float64]
STRETCH = 1.6
"""Of the reach of the evidence, where no frame is marked: docs/explanation.md has how it was found."""
STRETCHES = np.arange(0.8, 2.41, 0.05).round(2)
OUTLINE = 0.5
"""How far towards the outline of what looks alike, where no frame is marked."""
OUTLINES = np.arange(0, 1.01, 0.25)
FAINT = 0.05
"""Share of a typical defect's strength below which nothing is a further defect, however cold good frames are."""


@dataclass(frozen=True, slots=True)
class Validated:
    """What the network says of the validation frames, and what they are.

    margins: (n,) logits. coarse: (n, h/16, w/16), fine: (n, h', w'); float32 logits. labels: (n,) 0 good, 1 anomaly.
    marked: true boxes in input pixels by row, where somebody has marked any, and activations: (h', w', C) of the fine map's layer, of some of these rows.
    groups: the part, place or sequence that each frame is of, as --group names it; empty where nothing does.
    """

    margins: Array
    coarse: Array
    fine: Array
    labels: Labels
    marked: dict[int, list[Box]] = field(default_factory=dict)
    activations: dict[int, Array] = field(default_factory=dict)
    groups: Sequence[str] = ()

    def maps(self, row: int) -> Maps:
        """Without the activations, of which most rows have none."""
        return Maps(self.coarse[row], self.fine[row])


@dataclass(frozen=True, slots=True)
class Terms:
    """What the user asks of verdicts and boxes.

    max_false_rejects: share of the good frames that may be rejected, of all and of each group that is large enough to tell; or cost_escape: what a missed defect costs, in false
    rejects, where defect_rate of the frames are defective; neither: both classes weigh the same. false_boxes: how many
    boxes a map may draw per good frame that passes, if it drew them there. min_box_area: input pixels.
    """

    max_false_rejects: float | None = None
    cost_escape: float | None = None
    defect_rate: float | None = None
    false_boxes: float = 0.02
    min_box_area: int = 32

    def __post_init__(self) -> None:
        if not 0 <= self.false_boxes < math.inf:
            raise UsageError(f"--false-boxes {self.false_boxes}: expected boxes per good frame, such as 0.02")
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


def calibrate(seen: Validated, input_hw: tuple[int, int], terms: Terms, guided: bool) -> Calibration:
    """guided: whether the coarse map has a say in where boxes are, as it has where it is exact."""
    good = seen.labels == 0
    temperature = fit_temperature(seen.margins, seen.labels)
    margin = decision_margin(seen.margins, seen.labels, terms, seen.groups)
    threshold = float(np.clip(probability(margin, temperature), 1e-15, 1 - 1e-15))
    rejected = np.array([probability(float(one), temperature) >= threshold for one in seen.margins])
    passing = good & ~rejected  # a false reject shows boxes anyway, and is no measure of what good frames show
    sound = np.flatnonzero(passing if passing.any() else good).tolist()
    defective = np.flatnonzero(~good).tolist()
    even = np.stack([cam.smooth(map_) for map_ in seen.fine])
    scaled = Calibration(
        temperature=temperature,
        threshold=threshold,
        rule=terms.rule,
        coarse=heat_scale(seen.coarse[sound], seen.coarse[defective]),
        fine=heat_scale(even[sound], even[defective]),
        boxes=BoxRule(
            guided=guided,
            level=0,
            false_boxes=0,
            stretch=STRETCH,
            marked=0,
            min_area=terms.min_box_area,
            outline=OUTLINE if guided else 0,  # nobody has measured it where boxes lie elsewhere
        ),
        good=int(good.sum()),
        anomaly=len(defective),
        false_rejects=int((rejected & good).sum()),
        escapes=int((~rejected & ~good).sum()),
    )
    marked = [(seen.maps(row), truth) for row, truth in seen.marked.items()]
    if marked:
        scaled = with_rule(scaled, stretch=_best("stretch", STRETCHES, marked, scaled, input_hw), marked=len(marked))
    looked_at = [
        (Maps(seen.coarse[row], seen.fine[row], activations), seen.marked[row])
        for row, activations in seen.activations.items()
    ]
    if looked_at and guided:
        scaled = with_rule(scaled, outline=_best("outline", OUTLINES, looked_at, scaled, input_hw))
    strengths = [boxes.located(seen.maps(row), scaled).max() for row in defective]
    faint = FAINT * float(np.median(strengths)) if strengths else 0.0
    level, rate = box_level([seen.maps(row) for row in sound], scaled, input_hw, terms.false_boxes, faint)
    return with_rule(scaled, level=level, false_boxes=rate)


def with_rule(calibration: Calibration, **changes: object) -> Calibration:
    return replace(calibration, boxes=replace(calibration.boxes, **changes))


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


def decision_margin(margins: Array, labels: Labels, terms: Terms, groups: Sequence[str] = ()) -> float:
    """The margin that serves the terms best; of several, the middle of the widest gap between two frames. groups: of every frame;
    what the next place is like, the worst of these tells better than their mean."""
    edges = np.unique(margins.astype(np.float64))
    beyond = max(1e-3, float(edges[-1] - edges[0]) / 20)
    edges = np.concatenate([[edges[0] - beyond], edges, [edges[-1] + beyond]])
    middles, gaps = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    good, anomaly = margins[labels == 0], np.sort(margins[labels == 1])
    false_rejects = _beyond(good, middles)
    escapes = np.searchsorted(anomaly, middles) / max(1, len(anomaly))
    cost = _cost(false_rejects, escapes, len(anomaly) / len(margins), terms)
    if terms.max_false_rejects:
        names = np.array(groups)[labels == 0] if groups else np.array([])
        for name in np.unique(names):
            of_it = good[names == name]
            if len(of_it) * terms.max_false_rejects >= 1:  # a smaller one could not have a single false reject
                cost = np.where(_beyond(of_it, middles) <= terms.max_false_rejects + 1e-12, cost, np.inf)
    best = np.flatnonzero(cost <= cost.min() + 1e-12)
    mistakes = (false_rejects + escapes)[best]
    best = best[mistakes <= mistakes.min() + 1e-12]  # of what serves the terms alike, whatever makes fewer mistakes
    return float(middles[best[gaps[best].argmax()]])


def _beyond(margins: Array, limits: Shares) -> Shares:
    return np.asarray(1 - np.searchsorted(np.sort(margins), limits) / max(1, len(margins)), np.float64)


def _cost(false_rejects: Shares, escapes: Shares, defective: float, terms: Terms) -> Shares:
    if terms.max_false_rejects is not None:
        return np.where(false_rejects <= terms.max_false_rejects + 1e-12, escapes, np.inf)
    if terms.cost_escape is not None:
        rate = defective if terms.defect_rate is None else terms.defect_rate
        return terms.cost_escape * rate * escapes + (1 - rate) * false_rejects
    return escapes + false_rejects


def heat_scale(good: Array, anomaly: Array) -> HeatScale:
    """good: maps (n, h, w) in logits of good frames that pass; anomaly: of defective frames."""
    cold = float(np.median(good.max(axis=(1, 2))))
    typical = float(np.median(anomaly.max(axis=(1, 2)))) if len(anomaly) else cold
    return HeatScale(cold=cold, hot=max(typical, cold + 1.01 * (float(good.max()) - cold) + 1e-3))


def box_level(
    good: list[Maps], calibration: Calibration, input_hw: tuple[int, int], budget: float, faint: float
) -> tuple[float, float]:
    """The lowest strength from `faint` on that keeps the budget of boxes per good frame, and the boxes per good frame there."""
    every = []
    for maps in good:
        evidence = boxes.located(maps, calibration)
        every.extend(boxes.further(boxes.regions(evidence), calibration.boxes, evidence.shape, input_hw))
    strengths = sorted((region.strength for region in every), reverse=True)
    allowed = int(budget * len(good) + 1e-9)
    level = faint if len(strengths) <= allowed else max(faint, float(np.nextafter(strengths[allowed], np.inf)))
    return level, sum(strength >= level for strength in strengths) / max(1, len(good))


def _best(
    name: str,
    values: Shares,
    marked: list[tuple[Maps, list[Box]]],
    calibration: Calibration,
    input_hw: tuple[int, int],
) -> float:
    """The value of a box rule's field with the greatest mean overlap of a frame's best box with a true one; of several, the middle one."""
    overlaps = []
    for value in values.tolist():
        rule = with_rule(calibration, level=math.inf, **{name: value})
        drawn = [boxes.locate(maps, rule, input_hw) for maps, _ in marked]
        best = [
            max((found.box.iou(true) for found in defects for true in truth), default=0.0)
            for defects, (_, truth) in zip(drawn, marked, strict=True)
        ]
        overlaps.append(float(np.mean(best)))
    close = [float(value) for value, overlap in zip(values, overlaps, strict=True) if overlap >= max(overlaps) - 1e-9]
    return close[len(close) // 2]
