"""One look at all files, in a thread of its own: a folder that takes minutes to list, or a dead share, holds up no frame that is there."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

WAITING = 1000
"""Files kept until somebody takes them."""
Found = tuple[Path, str | None]
"""A file, and the camera it is of."""


class Look:
    """Lists files, and hands them over to another thread."""

    def __init__(self, files: Callable[[], Iterator[Found]]) -> None:
        """files: called in the thread."""
        self.took_s = 0.0
        """Seconds of work, without those in which it waited to hand over."""
        self._files = files
        self._found: queue.Queue[Found | None] = queue.Queue(WAITING)
        threading.Thread(target=self._list, daemon=True).start()

    def take(self, wait_s: float) -> Found | None:
        """The next file, None after the last. Raises queue.Empty where there is none within wait_s."""
        return self._found.get(timeout=wait_s) if wait_s > 0 else self._found.get_nowait()

    def _list(self) -> None:
        started = time.monotonic()
        try:
            for file in self._files():
                self.took_s += time.monotonic() - started
                self._found.put(file)
                started = time.monotonic()
            self.took_s += time.monotonic() - started
        finally:
            self._found.put(None)
