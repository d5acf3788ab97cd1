"""Is it slower than it was? Two reports of `edge-detect benchmark`, side by side, like with like."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from edge_runtime.benchmark.statistics import PERCENTILES
from edge_runtime.errors import UsageError

Report = dict[str, Any]
SCHEMA_VERSION = 1
SAME = {
    ("hardware", "cpu"): "processor",
    ("hardware", "features"): "processor features",
    ("hardware", "cores"): "number of cores",
    ("model", "sha256"): "model file",
    ("frames", "sha256"): "frames",
    ("pictures",): "pictures",
    ("pace",): "pace",
}
"""What must be the same, for a difference to be one of speed. The setup and the versions may differ: these one compares."""


@dataclass(frozen=True, slots=True)
class Change:
    """worse: the share by which a figure became worse, negative where it became better."""

    what: str
    unit: str
    before: float
    now: float
    worse: float

    def __str__(self) -> str:
        word = "worse" if self.worse > 0 else "better"
        return f"{self.what}: {self.before:.4g} -> {self.now:.4g} {self.unit}, {abs(self.worse):.1%} {word}"


def refuse_unlike(base: Report, now: Report) -> None:
    """now: its conditions will do. Raises UsageError where the two are not alike."""
    if base.get("schema") != SCHEMA_VERSION or "latency_ms" not in base:
        raise UsageError("--compare: expected a report that edge-detect benchmark --json of this version has printed")
    if differing := [name for path, name in SAME.items() if _at(base, path) != _at(now, path)]:
        raise UsageError(
            f"--compare: was measured with another {', another '.join(differing)}; only like with like says what became slower"
        )


def changes(base: Report, now: Report) -> Iterator[Change]:
    """Of every figure that both have."""
    if base["pace"] is None:  # a camera's pace is the same, however fast we are
        before, after = base["throughput_fps"], now["throughput_fps"]
        yield Change("throughput", "frames/s", before, after, before / after - 1)
    figures: list[tuple[tuple[str, ...], str, str]] = [
        (("latency_ms", f"p{percent}"), f"latency p{percent}", "ms") for percent in PERCENTILES
    ]
    figures += [(("cold_start_ms", "median"), "cold start", "ms"), (("peak_mib",), "peak memory", "MiB")]
    for path, what, unit in figures:
        before, after = _at(base, path), _at(now, path)
        if before and after:
            yield Change(what, unit, before, after, after / before - 1)


def _at(report: Report, path: tuple[str, ...]) -> Any:
    found: Any = report
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    return found
