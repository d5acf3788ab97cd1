"""What the report counts, in one pass over the rows."""

import re
from array import array
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime

from edge_runtime.benchmark.statistics import percentile
from edge_runtime.line.record import Row
from edge_runtime.views.clock import Clock

VERDICTS = ("good", "anomaly", "error", "skipped")
QUANTILES = (50, 90, 99)
NAMED = 100
"""Frames that are listed for each reason."""
KEPT = 500
"""Newest rows that are kept of each kind, so that the page can show them."""


def percent(count: int, total: int) -> str:
    """Three digits; never `0 %` for what is not zero, nor `100 %` for what is less."""
    if not total:
        return "-"
    share = 100 * count / total
    if 0 < count < total and not 0.01 <= share < 99.95:
        return "< 0.01 %" if share < 1 else "> 99.9 %"
    return f"{share:.3g} %"


@dataclass(slots=True)
class Reason:
    """Frames that failed alike: their messages differ in nothing but numbers. parts: the message, every other part a number;
    where these differ, `…`."""

    parts: list[str]
    count: int = 0
    frames: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return "".join(self.parts)

    def add(self, frame: str, parts: list[str]) -> None:
        self.parts = [old if old == new else "…" for old, new in zip(self.parts, parts, strict=True)]
        self.count += 1
        if len(self.frames) < NAMED:
            self.frames.append(frame)


@dataclass(slots=True)
class Tested:
    """Of rejects that were judged again: how many then pass."""

    passed: int = 0
    total: int = 0

    def add(self, judged: Row | None) -> None:
        if judged is not None:
            self.passed += bool(judged["flips"])
            self.total += 1


@dataclass(slots=True)
class Numbers:
    """times: seconds from 1970 to what the clock showed, and verdicts: index into VERDICTS, of every row. span: the earliest and the
    latest moment, which clocks that were set back can make others than those of the first and the last row. scores: of the frames that were judged.
    elapsed_ms: stage -> of every row that has it; `total` the sum. marks: (verdict, mark). cameras: name, empty for none, -> results per verdict and per mark. newest: rows to be shown:
    good ones that somebody marked, errors, skipped ones. last: the highest id."""

    clock: Clock = field(default_factory=Clock)
    counts: Counter[str] = field(default_factory=Counter)
    span: tuple[datetime, datetime] | None = None
    times: "array[float]" = field(default_factory=lambda: array("d"))
    verdicts: bytearray = field(default_factory=bytearray)
    scores: "array[float]" = field(default_factory=lambda: array("d"))
    elapsed_ms: dict[str, "array[float]"] = field(default_factory=dict)
    reasons: dict[tuple[str, ...], Reason] = field(default_factory=dict)
    without_boxes: Tested = field(default_factory=Tested)
    control: Tested = field(default_factory=Tested)
    marks: Counter[tuple[str, str]] = field(default_factory=Counter)
    cameras: dict[str, Counter[str]] = field(default_factory=dict)
    newest: dict[str, deque[Row]] = field(
        default_factory=lambda: {verdict: deque(maxlen=KEPT) for verdict in ("good", "error", "skipped")}
    )
    threshold: float | None = None
    last: int = 0

    def add(self, row: Row) -> None:
        verdict = row["verdict"]
        self.last = row["id"]
        self.counts[verdict] += 1
        self._add_time(datetime.fromisoformat(row["inspected_at"]))
        self.verdicts.append(VERDICTS.index(verdict))
        camera = self.cameras.setdefault(row["camera"] or "", Counter())
        camera[verdict] += 1
        if row["score"] is not None:
            self.scores.append(row["score"])
            self.threshold = row["threshold"]
        for stage, ms in row["elapsed_ms"].items():
            self.elapsed_ms.setdefault(stage, array("d")).append(ms)
        if row["elapsed_ms"]:
            self.elapsed_ms.setdefault("total", array("d")).append(sum(row["elapsed_ms"].values()))
        if row["error"] is not None:
            self._add_reason(row["frame"], row["error"].removeprefix(row["frame"]).strip(" :"), verdict)
        if row["proof"] is not None:
            self.without_boxes.add(row["proof"]["without_boxes"])
            self.control.add(row["proof"]["control"])
        if row["mark"] is not None:
            self.marks[verdict, row["mark"]["mark"]] += 1
            camera[row["mark"]["mark"]] += 1
        if row["error"] is not None or (verdict == "good" and row["mark"] is not None):
            self.newest[verdict].append(row)

    def _add_time(self, moment: datetime) -> None:
        earliest, latest = self.span or (moment, moment)
        self.span = min(earliest, moment), max(latest, moment)
        self.times.append(self.clock.local(moment).replace(tzinfo=UTC).timestamp())

    def _add_reason(self, frame: str, message: str, verdict: str) -> None:
        parts = re.split(r"(\d[\d,.]*)", message)
        self.reasons.setdefault((verdict, *parts[::2]), Reason(parts)).add(frame, parts)

    @property
    def total(self) -> int:
        return self.counts.total()

    @property
    def judged(self) -> int:
        return self.counts["good"] + self.counts["anomaly"]

    def latency(self) -> list[tuple[str, list[float | None], int]]:
        """(stage, its percentiles in ms, results they rest on); None where these are too few."""
        stages = sorted(self.elapsed_ms, key=lambda stage: stage == "total")
        return [
            (stage, [percentile(ms, percent) for percent in QUANTILES], len(ms))
            for stage, ms in ((stage, sorted(self.elapsed_ms[stage])) for stage in stages)
        ]

    def failures(self, verdict: str) -> list[Reason]:
        """Most frequent first."""
        found = [reason for key, reason in self.reasons.items() if key[0] == verdict]
        return sorted(found, key=lambda reason: -reason.count)
