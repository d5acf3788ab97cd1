"""Looking for files in a folder, again and again, in a thread of its own: one that takes minutes to list, or a dead share, holds up no
other folder and no frame that is there.
"""

import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from edge_runtime import frames
from edge_runtime.line.wake import Wake

WAITING = 10_000
"""Files kept until somebody takes them."""
SHARE = 0.1
"""Of the time, at most, for looking at all files; but no rest is longer than MOST_REST_S: a share may have been away."""
MOST_REST_S = 300.0
STALLED_S = 10.0
"""After which a look that finds nothing more, and does not end, is told."""
SLOW = "takes long to list"
MAX_UNSEARCHED = 20
"""Folders named of those in which frames can't be looked for."""


class Search:
    """root: the folder. unsearched: where in it frames can't be looked for, each with the reason. away: why in none of it; empty where
    it is there."""

    def __init__(self, root: Path, others: Sequence[Path], rescan_s: float) -> None:
        """others: folders that are searched on their own, and not from here. rescan_s: between two looks, at least."""
        self.root, self.unsearched, self.away = root, list[str](), ""
        self.next_at = 0.0
        self._others, self._rescan_s = others, rescan_s
        self._look: _Look | None = None
        self._found = False
        self._handled_s = self._heard_at = 0.0
        self._noted: list[str] = []
        self._gone = ""

    @property
    def goes_on(self) -> bool:
        return self._look is not None

    def files(self, wake: Wake, until: float) -> Iterator[Path]:
        """Those that a look finds now, for as long as there are any, and until that moment (monotonic seconds)."""
        now = time.monotonic()
        if self._look is None:
            if now < self.next_at:
                return
            self._look, self._handled_s, self._heard_at = _Look(lambda: self._all_files(wake)), 0.0, now
            self._found = False
            self.next_at = now + self._rescan_s
        while (now := time.monotonic()) <= until:
            try:
                path = self._look.take()
            except queue.Empty:
                if now > self._heard_at + STALLED_S:
                    self.unsearched = [f"{frames.printable(str(self.root))}: {SLOW}"]
                    self.away = self.away if self._found else SLOW
                return
            self._heard_at = now
            if path is None:
                rest_s = min((self._handled_s + self._look.took_s) / SHARE, MOST_REST_S)
                self._look, self.next_at = None, max(self.next_at, now + rest_s)
                self.unsearched, self.away = self._noted, self._gone
                return
            self._found, self.away = True, ""
            yield path
            self._handled_s += time.monotonic() - now

    def _all_files(self, wake: Wake) -> Iterator[Path]:
        self._noted, self._gone = [], ""
        wake.refresh(self.root)
        if frames.holds_results(self.root):
            self._note(self.root, "holds results")
        elif os.path.isdir(self.root):
            yield from frames.walk(self.root, self._cannot_search, self._others)
        else:  # it may come back
            self._note(self.root, "is not there")

    def _cannot_search(self, err: OSError) -> None:
        if not isinstance(err, FileNotFoundError):  # a folder that was taken away meanwhile
            self._note(err.filename, err.strerror)

    def _note(self, folder: object, why: str | None) -> None:
        if str(folder) == str(self.root):
            self._gone = why or "can't be read"
        if len(self._noted) < MAX_UNSEARCHED:
            self._noted.append(f"{frames.printable(str(folder))}: {why}")


class _Look:
    """Lists files, and hands them over to another thread."""

    def __init__(self, files: Callable[[], Iterator[Path]]) -> None:
        """files: called in the thread."""
        self.took_s = 0.0
        """Seconds of work, without those in which it waited to hand over."""
        self._files = files
        self._found: queue.Queue[Path | Exception | None] = queue.Queue(WAITING)
        threading.Thread(target=self._list, daemon=True).start()

    def take(self) -> Path | None:
        """The next file, None after the last. Raises queue.Empty where there is none for now, and whatever went wrong."""
        found = self._found.get_nowait()
        if isinstance(found, Exception):
            raise found
        return found

    def _list(self) -> None:
        started = time.monotonic()
        try:
            for file in self._files():
                self.took_s += time.monotonic() - started
                self._found.put(file)
                started = time.monotonic()
            self.took_s += time.monotonic() - started
            self._found.put(None)
        except Exception as err:  # the thread that takes is to fail with it
            self._found.put(err)
