"""Pictures that only the operator screen shows: made while no frame waits for it, so that looking never slows the line."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

KINDS = ("overlay", "input", "heat", "panel")
PREVIEWS_S, LATEST_S = 0.4, 2.0
"""Between two live pictures of a camera: when there is time, and at the latest."""
SHARE = 0.005
"""Of the threads' time goes to the screen while frames wait."""
MOST_S = 0.2
"""Of a thread's time that can be saved up, or owed: some ten rejects in a row get all their pictures."""


class Screen:
    """Says what there is time for. Safe to use from several threads.

    idle: whether the source of frames has no more for now; told by the pipeline.
    """

    def __init__(self, jobs: int, clock: Callable[[], float] = time.monotonic) -> None:
        """jobs: threads that frames are judged by."""
        self.idle = True
        self._clock, self._rate = clock, SHARE * jobs
        self._saved_s, self._counted = MOST_S, clock()
        self._previewed: dict[str | None, float] = {}
        self._lock = threading.Lock()

    def has_time(self) -> bool:
        """Whether pictures can be made now that nobody but the screen asked for."""
        with self._lock:
            return self._has_time()

    def preview_is_due(self, camera: str | None) -> bool:
        """Whether the live picture of a camera is to be renewed, and if so, that it is."""
        with self._lock:
            age = self._clock() - self._previewed.get(camera, -1e9)
            if age < (PREVIEWS_S if self._has_time() else LATEST_S):
                return False
            self._previewed[camera] = self._clock()
            return True

    @contextmanager
    def spending(self) -> Iterator[None]:
        """What a thread does within, it does for the screen."""
        started, free = self._clock(), self.idle
        try:
            yield
        finally:
            with self._lock:
                if not free:
                    self._saved_s = max(-MOST_S, self._saved_s - (self._clock() - started))

    def _has_time(self) -> bool:
        now = self._clock()
        self._saved_s = min(MOST_S, self._saved_s + (now - self._counted) * self._rate)
        self._counted = now
        return self.idle or self._saved_s > 0
