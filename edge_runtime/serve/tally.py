"""Figures that are kept while frames go by: each is O(1) to add to and bounded in size."""

from bisect import bisect_left
from itertools import accumulate

BOUNDS_MS = (1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0)


class Rate:
    """Events per second over the last minute, in whole seconds of a monotonic clock."""

    SPAN_S = 60

    def __init__(self, now: float) -> None:
        self._since = now
        self._counts = [0] * self.SPAN_S
        self._seconds = [-1] * self.SPAN_S

    def add(self, now: float) -> None:
        second = int(now)
        slot = second % self.SPAN_S
        if self._seconds[slot] != second:
            self._seconds[slot], self._counts[slot] = second, 0
        self._counts[slot] += 1

    def per_second(self, now: float) -> float:
        oldest = int(now) - self.SPAN_S
        count = sum(n for second, n in zip(self._seconds, self._counts, strict=True) if second > oldest)
        return count / max(1.0, min(float(self.SPAN_S), now - self._since))


class Histogram:
    """Milliseconds in buckets with the upper bounds BOUNDS_MS, and one for all beyond."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS_MS) + 1)
        self.sum_ms = 0.0

    def add(self, ms: float) -> None:
        self._counts[bisect_left(BOUNDS_MS, ms)] += 1
        self.sum_ms += ms

    def cumulative(self) -> list[int]:
        """How many were at most each bound; the last is how many there were."""
        return list(accumulate(self._counts))
