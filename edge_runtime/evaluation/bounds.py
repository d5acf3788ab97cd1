"""What counts can promise: exact binomial bounds, and the same in plain words; and shares as people write them."""

import math
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

import numpy as np

from edge_runtime.errors import UsageError

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Rate:
    """`count` of `total` frames. low, high: two-sided 95 % bounds; at_most: the one-sided 95 % upper bound
    (Clopper & Pearson 1934)."""

    count: int
    total: int

    def __post_init__(self) -> None:
        if not 0 <= self.count <= self.total:
            raise ValueError(f"{self.count} of {self.total}")

    @property
    def share(self) -> float:
        return self.count / self.total if self.total else math.nan

    @property
    def low(self) -> float:
        return self._lower((1 - CONFIDENCE) / 2)

    @property
    def high(self) -> float:
        return self._upper((1 - CONFIDENCE) / 2)

    @property
    def at_most(self) -> float:
        return self._upper(1 - CONFIDENCE)

    def _lower(self, tail: float) -> float:
        return 1 - _greatest(self.total - self.count, self.total, tail)

    def _upper(self, tail: float) -> float:
        return _greatest(self.count, self.total, tail)

    def as_dict(self) -> dict[str, float]:
        return {"count": self.count, "of": self.total, "share": self.share, "low": self.low, "high": self.high}

    def __str__(self) -> str:
        return f"{self.count} of {self.total} ({percent(self.share)}, 95 % bounds {percent(self.low, ROUND_FLOOR)} to {percent(self.high, ROUND_CEILING)})"


def _greatest(count: int, total: int, tail: float) -> float:
    """The share with which so few as `count` of `total` are seen with the probability `tail`. By halving: SciPy, which has it, is
    not on the line."""
    if count == total:
        return 1.0
    seen = np.arange(count + 1)
    ways = np.concatenate(
        [[0.0], np.cumsum(np.log((total - seen[:-1]) / seen[1:]))]
    )  # logarithms of binomial coefficients
    low, high = 0.0, 1.0
    for _ in range(60):
        share = (low + high) / 2
        probability = np.exp(ways + seen * math.log(share) + (total - seen) * math.log1p(-share)).sum()
        low, high = (share, high) if probability > tail else (low, share)
    return high


def needed(share: float) -> int:
    """Frames without a single miss that it takes to promise at most this share of misses, at 95 % confidence."""
    return math.ceil(math.log(1 - CONFIDENCE) / math.log(1 - share))


def promise(escapes: Rate, false_rejects: Rate) -> tuple[str, ...]:
    """What can be promised of frames like these, and what can't."""
    return (
        _sentence(escapes, "miss", "misses", "defects", "escapes"),
        _sentence(false_rejects, "false reject", "false rejects", "good frames", "false rejects"),
    )


def _sentence(rate: Rate, one: str, many: str, frames: str, what: str) -> str:
    of = frames.removesuffix("s") if rate.total == 1 else frames
    said = f"{rate.count} {one if rate.count == 1 else many} in {rate.total} {of}: up to {percent(rate.at_most, ROUND_CEILING)} {what} at 95 % confidence"
    goals = [goal for goal in (0.01, 0.001) if rate.at_most > goal]
    if not goals or rate.low > goals[0]:  # where it is worse, more frames are not what is needed
        return said
    return f"{said}; {needed(goals[0])} {frames} without a single {one} are needed for {percent(goals[0])}"


def percent(share: float, rounding: str = ROUND_HALF_EVEN) -> str:
    """0.0333 -> `3.33 %`: three digits that matter, and never `0 %` for what is not zero, nor `100 %` for what is less."""
    if not math.isfinite(share):
        return "-"
    if share in (0, 1):
        return f"{100 * share:.0f} %"
    value = Decimal(100 * share)
    digits = 2 - value.adjusted() if share < 0.99 else 2 - (100 - value).adjusted()
    return f"{value.quantize(Decimal(1).scaleb(-max(0, digits)), rounding).normalize():f} %"


def share(option: str, text: str, at_most: float = 1.0) -> float:
    """`10%` or `0.1` -> 0.1. option: it was given to. Raises UsageError."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = math.nan
    if not 0 <= value <= at_most or math.isinf(value):
        raise UsageError(f"{option} {text}: expected a share such as 10% or 0.1")
    return value
