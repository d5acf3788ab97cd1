"""Percentiles that mean something: each is given only with enough samples to know it."""

import math
from collections.abc import Sequence

CONFIDENCE = 0.99
PERCENTILES = (50, 90, 95, 99)


def needed(percent: float) -> int:
    """The fewest samples of which, with 99 % confidence, at least two lie beyond this percentile: 11 for p50, 64 for p90, 130
    for p95, 662 for p99. With fewer, what looks like the percentile may be the luck of one sample.

    percent: in (0, 100). The samples beyond it are binomial; whether one or none is, is what must be unlikely.
    """
    beyond = 1 - percent / 100

    def unlucky(count: int) -> float:
        return (1 - beyond) ** count + count * beyond * (1 - beyond) ** (count - 1)

    count = 2
    while unlucky(count) > 1 - CONFIDENCE:
        count += 1
    return count


def percentile(samples: Sequence[float], percent: float) -> float | None:
    """The smallest sample that this share of all does not exceed; None with fewer samples than that needs."""
    if len(samples) < needed(percent):
        return None
    return sorted(samples)[math.ceil(len(samples) * percent / 100) - 1]


def summary(samples: Sequence[float]) -> dict[str, float | None]:
    """`mean`, `p50`, `p90`, `p95`, `p99`, `max` of at least one sample; None for a percentile that needs more of them."""
    found: dict[str, float | None] = {"mean": math.fsum(samples) / len(samples)}
    for percent in PERCENTILES:
        found[f"p{percent}"] = percentile(samples, percent)
    return found | {"max": max(samples)}


def slope(at: Sequence[float], values: Sequence[float]) -> float:
    """Of the straight line with the least squared distance to these points."""
    mean_at, mean_value = math.fsum(at) / len(at), math.fsum(values) / len(values)
    spread = math.fsum((x - mean_at) ** 2 for x in at)
    shared = math.fsum((x - mean_at) * (y - mean_value) for x, y in zip(at, values, strict=True))
    return shared / spread if spread else 0.0
