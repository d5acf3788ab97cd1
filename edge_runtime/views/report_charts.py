"""The report's charts: where each bar stands. The template draws them as SVG."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from edge_runtime.views.report_numbers import VERDICTS, Numbers, percent

WIDTH, HEIGHT = 440, 230
LEFT, RIGHT, TOP, BOTTOM = 46, 432, 14, 196
"""Of the plot in the drawing, which is WIDTH x HEIGHT."""
MAX_BARS = 60
STEPS_S = (1, 5, 10, 30, 60, 300, 900, 3600, 4 * 3600, 86_400, 7 * 86_400, 28 * 86_400)
BINS = 40
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Bar:
    """kind: its class in the style sheet. says: what it stands for."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    says: str


@dataclass(frozen=True, slots=True)
class Chart:
    """legend: kinds of bars. x_ticks, y_ticks: (where, what). line: (where, what) of an upright line."""

    title: str
    about: str
    legend: tuple[str, ...]
    bars: list[Bar]
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    line: tuple[float, str] | None = None


def charts(numbers: Numbers) -> list[Chart]:
    """None where there is nothing to draw."""
    if not numbers.total:
        return []
    starts, step, counts = _over_time(numbers)
    labels = [_moment(start) for start in starts]
    ticks = _time_ticks(starts, step)
    drawn = [
        _totals(counts, labels, ticks, _named(step)),
        _rates(counts, labels, ticks, _named(step)),
    ]
    return [*drawn, _scores(numbers)] if numbers.judged else drawn[:1]


def _over_time(numbers: Numbers) -> tuple[list[int], int, Counts]:
    """(starts of the spans of time, their length in seconds, (spans, verdicts) results). Spans begin at round times of the clock; an
    hour that it showed twice is one."""
    times = np.array(numbers.times)
    first, last = float(times.min()), float(times.max())
    step = next((step for step in STEPS_S if last // step - first // step < MAX_BARS), STEPS_S[-1])
    while last // step - first // step >= MAX_BARS:
        step *= 2
    begin = int(first // step)
    spans = int(last // step) - begin + 1
    index = np.floor(times / step).astype(np.int64) - begin
    cells = index * len(VERDICTS) + np.frombuffer(bytes(numbers.verdicts), np.uint8)
    counts = np.bincount(cells, minlength=spans * len(VERDICTS)).reshape(spans, len(VERDICTS))
    return [(begin + span) * step for span in range(spans)], step, counts


def _totals(counts: Counts, labels: list[str], ticks: list[tuple[float, str]], step: str) -> Chart:
    top, y_ticks = _scale(int(counts.sum(axis=1).max()))
    bars = []
    for span, row in enumerate(counts.tolist()):
        base = BOTTOM
        told = ", ".join(f"{count:,} {verdict}" for verdict, count in zip(VERDICTS, row, strict=True) if count)
        for verdict, count in zip(VERDICTS, row, strict=True):
            if count:
                height = (BOTTOM - TOP) * count / top
                bars.append(_bar(span, len(labels), base, height, verdict, f"{labels[span]}: {told}"))
                base -= height
    legend = tuple(verdict for verdict, count in zip(VERDICTS, counts.sum(axis=0), strict=True) if count)
    return Chart(f"Results per {step}", "", legend, bars, ticks, y_ticks)


def _rates(counts: Counts, labels: list[str], ticks: list[tuple[float, str]], step: str) -> Chart:
    shares = [(row[1], row[0] + row[1]) for row in counts.tolist()]
    highest = max((100 * bad / judged for bad, judged in shares if judged), default=0)
    top, y_ticks = _scale(highest, " %", least=1.0)
    bars = [
        _bar(
            *(span, len(labels), BOTTOM, (BOTTOM - TOP) * 100 * bad / judged / top, "anomaly"),
            f"{labels[span]}: {bad:,} of {judged:,} rejected, {percent(bad, judged)}",
        )
        for span, (bad, judged) in enumerate(shares)
        if judged
    ]
    return Chart(f"Rejected, per {step}", "share of what was judged", (), bars, ticks, y_ticks)


def _scores(numbers: Numbers) -> Chart:
    """Bins meet at the threshold, so that each holds frames of one verdict. Heights are logarithms: one reject among
    thousands of good frames is to be seen."""
    threshold = numbers.threshold or 0.0
    below = min(BINS - 1, max(1, round(BINS * threshold)))
    edges = np.concatenate([np.linspace(0, threshold, below + 1)[:-1], np.linspace(threshold, 1, BINS - below + 1)])
    edges = edges if threshold > 0 else np.linspace(0, 1, BINS + 1)
    found = np.histogram(np.array(numbers.scores), edges)[0].tolist()
    decades = max(1.0, math.log10(max(found)))

    def height(count: float) -> float:
        """One frame is a tenth of a decade high."""
        return (BOTTOM - TOP) * (math.log10(count) + 0.1) / (decades + 0.1) if count else 0.0

    bars = []
    for low, high, count in zip(edges.tolist(), edges[1:].tolist(), found, strict=False):
        if count:
            left, right = _across(low), _across(high)
            kind = "good" if low < threshold else "anomaly"
            says = f"score {low:.3f} to {high:.3f}: {count:,} results"
            bars.append(Bar(left, BOTTOM - height(count), max(1.5, right - left - 1), height(count), kind, says))
    y_ticks = [(BOTTOM - height(10**power), f"{10**power:,}") for power in range(int(decades) + 1)]
    x_ticks = [(_across(share), f"{share:g}") for share in (0, 0.25, 0.5, 0.75, 1)]
    line = (_across(threshold), f"threshold {threshold:.3f}")
    return Chart("Scores and threshold", "results per score, on a logarithmic scale", (), bars, x_ticks, y_ticks, line)


def _across(share: float) -> float:
    return LEFT + (RIGHT - LEFT) * share


def _bar(span: int, spans: int, base: float, height: float, kind: str, says: str) -> Bar:
    room = (RIGHT - LEFT) / max(spans, 8)  # a few bars are no walls
    return Bar(LEFT + room * span + 1, base - height, max(1.0, room - 2), height, kind, says)


def _scale(highest: float, unit: str = "", least: float = 4.0) -> tuple[float, list[tuple[float, str]]]:
    """(value at the top, ticks) for values from 0 up to the highest."""
    highest = max(highest, least)
    power = 10 ** math.floor(math.log10(highest / 4))
    step = next(step * power for step in (1, 2, 5, 10) if step * power * 4 >= highest)
    count = math.ceil(highest / step - 1e-9)
    ticks = [(BOTTOM - (BOTTOM - TOP) * tick / count, f"{round(tick * step, 9):,g}{unit}") for tick in range(count + 1)]
    return step * count, ticks


def _time_ticks(starts: list[int], step: int) -> list[tuple[float, str]]:
    room = (RIGHT - LEFT) / max(len(starts), 8)
    days = starts[-1] - starts[0] >= 86_400
    form = "%Y-%m-%d" if step >= 86_400 else "%m-%d %H:%M" if days else "%H:%M" if step >= 60 else "%H:%M:%S"
    every = max(1, math.ceil(len(starts) / 5), math.ceil(84 / room))
    return [
        (LEFT + room * span + room / 2, datetime.fromtimestamp(starts[span], UTC).strftime(form))
        for span in range(0, len(starts), every)
        if LEFT + room * span + room / 2 < RIGHT - 24
    ]


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S").removesuffix(":00")


def _named(step: int) -> str:
    for unit, seconds in (("week", 604_800), ("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1)):
        if step % seconds == 0:
            number = step // seconds
            return unit if number == 1 else f"{number} {unit}s"
    raise AssertionError(step)
