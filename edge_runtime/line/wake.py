"""Events of the file system, as hints where to look. None of them is needed, and none is trusted to come."""

import os
import threading
from collections.abc import Iterator
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

    def __init__(self, poll: bool) -> None:
        self._poll = poll
        self._something = threading.Event()
        self._hints: dict[str, bool] = {}
        self._guard = threading.Lock()
        self._ended = False
        self._heard: dict[Path, tuple[int | None, BaseObserver | None]] = {}

    def __enter__(self) -> "Wake":
        return self

    def __exit__(self, *_: object) -> None:
        with self._guard:
            self._ended = True
            heard = [observer for _, observer in self._heard.values() if observer is not None]
        for observer in heard:
            observer.stop()
            observer.join(1)

    def refresh(self, folder: Path) -> None:
        """Listen to a folder as it is now: one that was removed and made again is another one to the system. May take as long as listing
        it; for one folder, one thread at a time."""
        there = _inode(folder)
        before, observer = self._heard.get(folder, (None, None))
        if self._poll or there == before:
            return
        if observer is not None:
            observer.stop()
        heard = self._listening(folder) if there is not None else None
        with self._guard:
            self._heard[folder] = there, heard
            ended = self._ended
        if ended and heard is not None:
            heard.stop()

    def _listening(self, folder: Path) -> BaseObserver | None:
        """None where there are no more inotify watches to be had: looking must do."""
        observer = Observer()
        try:
            observer.schedule(self, str(folder), recursive=True, event_filter=_KINDS)
            observer.start()
        except OSError:
            observer.stop()  # some of it may listen already, to nobody
            return None
        return observer

    def on_any_event(self, event: FileSystemEvent) -> None:
        moved = isinstance(event, FileMovedEvent)
        path = os.fsdecode(event.dest_path if moved else event.src_path)
        with self._guard:
            if len(self._hints) < MAX_HINTS:
                self._hints[path] = self._hints.get(path, False) or moved or isinstance(event, FileClosedEvent)
        self._something.set()

    def hints(self) -> Iterator[tuple[Path, bool]]:
        """Files that something has happened to, and whether they were closed, or moved within the folders: from elsewhere looks like new."""
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
