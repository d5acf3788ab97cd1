"""How far a run is, on stderr, where that is a terminal."""

import sys
import time
from collections import deque
from types import TracebackType
from typing import TYPE_CHECKING

from edge_runtime.commands.summary import Tally
from edge_runtime.line.events import Done, Event, Ready, Status

if TYPE_CHECKING:
    from rich.progress import TaskID

RATE_OVER_S = 10.0


class Rate:
    """Frames per second over the last seconds."""

    def __init__(self) -> None:
        self._moments: deque[float] = deque(maxlen=2000)

    def tick(self) -> None:
        self._moments.append(time.monotonic())

    def per_second(self) -> float:
        now = time.monotonic()
        while self._moments and self._moments[0] < now - RATE_OVER_S:
            self._moments.popleft()
        return len(self._moments) / max(0.5, now - self._moments[0]) if self._moments else 0.0


class Progress:
    """A bar with frames per second and what was found. Use as a context manager."""

    def __init__(self, watching: bool, shown: bool = True) -> None:
        self._watching = watching
        self._rate = Rate()
        self._shown = shown and sys.stderr.isatty()

    def __enter__(self) -> "Progress":
        if self._shown:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            words = TextColumn("{task.fields[words]}")
            columns = (
                (SpinnerColumn(), TextColumn("watching"), words)
                if self._watching
                else (BarColumn(20), MofNCompleteColumn(), words, TimeRemainingColumn())
            )
            both = sys.stdout.isatty()
            self._bar = Bar(*columns, console=Console(stderr=True), transient=True, redirect_stdout=both)
            self._task: TaskID = self._bar.add_task("", total=None, words="starting")
            self._bar.start()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        if self._shown:
            self._bar.stop()

    def show(self, event: Event, tally: Tally) -> None:
        if not self._shown:
            return
        if isinstance(event, Done):
            self._rate.tick()
        done, counts = tally.total, tally.counts
        words = f"{self._rate.per_second():.1f} frames/s, anomalies {counts['anomaly']}, errors {counts['error']}"
        if isinstance(event, Ready):
            self._bar.update(self._task, total=event.total, completed=done, words=words)
        elif isinstance(event, Status):
            self._bar.update(
                self._task,
                words=f"{done} frames since the start, {words}, {event.pending} waiting, lag {event.lag_s:.1f} s",
            )
        elif not self._watching:
            self._bar.update(self._task, completed=done, words=words)
