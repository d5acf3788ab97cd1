"""Events of the file system, as hints where to look. None of them is needed, and none is trusted to come."""

import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from watchdog.events import (
    FileClosedEvent,
    FileCreatedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

MAX_HINTS = 10_000
"""Beyond, hints are dropped: there is so much to do that the next look at all files comes early enough."""
_KINDS: list[type[FileSystemEvent]] = [FileClosedEvent, FileCreatedEvent, FileModifiedEvent, FileMovedEvent]


class Wake(FileSystemEventHandler):
    """Sleeps until something happens in the folders. poll: without events, for network shares."""

    def __init__(self, folders: Sequence[Path], poll: bool) -> None:
        self._folders, self._poll = folders, poll
        self._something = threading.Event()
        self._hints: dict[str, bool] = {}
        self._guard = threading.Lock()
        self._observer: BaseObserver | None = None
        self._there: list[int | None] = []

    def __enter__(self) -> "Wake":
        return self

    def __exit__(self, *_: object) -> None:
        if self._observer is not None:
            self._observer.stop()
            self._observer.join(1)
            self._observer = None

    def refresh(self) -> None:
        """Listen to the folders as they are now: one that was removed and made again is another one to the system."""
        there = [_inode(folder) for folder in self._folders]
        if self._poll or there == self._there:
            return
        self.__exit__()
        self._there, self._observer = there, Observer()
        try:
            for folder, inode in zip(self._folders, there, strict=True):
                if inode is not None:
                    self._observer.schedule(self, str(folder), recursive=True, event_filter=_KINDS)
            self._observer.start()
        except OSError:  # no more inotify watches to be had: looking must do
            self._observer.stop()  # some of it may listen already, to nobody
            self._observer = None

    def on_any_event(self, event: FileSystemEvent) -> None:
        moved = isinstance(event, FileMovedEvent)
        path = os.fsdecode(event.dest_path if moved else event.src_path)
        with self._guard:
            if len(self._hints) < MAX_HINTS:
                self._hints[path] = self._hints.get(path, False) or moved or isinstance(event, FileClosedEvent)
        self._something.set()

    def hints(self) -> Iterator[tuple[Path, bool]]:
        """Files that something has happened to, and whether they were closed or moved here."""
        with self._guard:
            hints, self._hints = self._hints, {}
        return ((Path(path), closed) for path, closed in hints.items())

    def wait(self, seconds: float) -> None:
        self._something.wait(seconds)
        self._something.clear()


def _inode(folder: Path) -> int | None:
    try:
        return folder.stat().st_ino
    except OSError:
        return None
