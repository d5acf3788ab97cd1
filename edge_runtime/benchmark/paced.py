"""When frames are handed to the pipeline: as fast as it takes them, or at the pace of a camera."""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edge_runtime.frames import FrameFile

Clock = Callable[[], float]


@dataclass(slots=True)
class Arrivals:
    """Frames with the moments they are due. fps: frames per second, 0 to hand them out as fast as they are taken. seconds,
    count: after which no more come, 0 for no limit.

    A late pipeline does not slow the camera down: a frame that is taken late was due all the same, and `due` says when. What
    is measured from there has no coordinated omission.
    """

    paths: Sequence[Path]
    fps: float
    seconds: float
    count: int
    clock: Clock = time.perf_counter
    sleep: Callable[[float], None] = time.sleep
    due: dict[str, float] = field(default_factory=dict)

    def __iter__(self) -> Iterator[FrameFile | None]:
        """None says that the next frame is not due yet: what is in work should be finished meanwhile."""
        began = self.clock()
        for number in itertools.count():
            at = began + number / self.fps if self.fps else self.clock()
            if (self.count and number == self.count) or (self.seconds and at - began >= self.seconds):
                return
            if self.clock() < at:
                yield None
                self.sleep(max(0.0, at - self.clock()))
            path = self.paths[number % len(self.paths)]
            file = FrameFile(path, f"{number:08}-{path.name}")
            self.due[file.source] = at
            yield file


def miss_rate(latency_ms: Sequence[float], deadline_ms: float) -> float:
    """Share of the frames whose row came after the deadline."""
    return sum(one > deadline_ms for one in latency_ms) / len(latency_ms)
