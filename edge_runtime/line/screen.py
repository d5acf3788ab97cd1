"""Pictures that only the operator screen shows: made while no frame waits for it, so that looking never slows the line."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

KINDS = ("overlay", "input", "heat", "panel")
PREVIEWS_S = 0.4
SHARE = 0.01
"""Of the threads' time goes to the screen, at most, while frames wait for a thread."""
MOST_S = 0.2
"""Of a thread's time that can be saved up: a dozen rejects in a row get all their pictures on any line."""


class Screen:
    """Says what there is time for. Safe to use from several threads."""

    def __init__(
        self, jobs: int, clock: Callable[[], float] = time.monotonic, work: Callable[[], float] = time.thread_time
    ) -> None:
        """jobs: threads that frames are judged by. work: seconds that the asking thread has worked; others in its way don't count."""
        self._clock, self._work, self._rate = clock, work, SHARE * jobs
        self._saved_s, self._counted = MOST_S, clock()
        self._waiting = 0
        self._previewed: dict[str | None, float] = {}
        self._lock = threading.Lock()

    def queued(self) -> None:
        """A frame is there that a thread is to judge,"""
        with self._lock:
            self._waiting += 1

    def started(self) -> None:
        """and one has begun."""
        with self._lock:
            self._waiting -= 1

    def has_time(self) -> bool:
        """Whether pictures can be made now that nobody but the screen asked for."""
        with self._lock:
            now = self._clock()
            self._saved_s = min(MOST_S, self._saved_s + (now - self._counted) * self._rate)
            self._counted = now
            return self._waiting == 0 or self._saved_s > 0

    def preview_is_due(self, camera: str | None) -> bool:
        """Whether the live picture of a camera is to be renewed, and if so, that it is."""
        with self._lock:
            now = self._clock()
            if now - self._previewed.get(camera, -1e9) < PREVIEWS_S:
                return False
            self._previewed[camera] = now
            return True

    @contextmanager
    def spending(self) -> Iterator[None]:
        """What is done within is done for the screen."""
        started = self._work()
        try:
            yield
        finally:
            with self._lock:
                if self._waiting:
                    self._saved_s -= self._work() - started
