"""Files that are either there as a whole or not at all, also after a power cut."""

import contextlib
import errno
import os
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from edge_runtime.errors import OutputError

LOCK = ".lock"
AGAIN_S = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8) if os.name == "nt" else ()
"""Pauses between tries to rename. Windows refuses while a virus scanner, say, has a look at one of the two files."""
_WRITING = tuple(threading.Lock() for _ in range(64))
"""One for each target, or for a few: threads that write the same file do so one after the other."""


def write_bytes(path: Path, data: bytes | Iterable[bytes]) -> None:
    """Write to a temporary name, sync, rename, sync the folder. Raises OutputError; then nothing is left behind.

    What a process that was killed leaves behind, the next attempt overwrites: the temporary name is always the same.
    """
    with _WRITING[hash(path) % len(_WRITING)]:
        _write(path, path.with_name(f".{path.name}.part"), data)


def _write(path: Path, temporary: Path, data: bytes | Iterable[bytes]) -> None:
    try:
        make_folder(path.parent)
        with open(temporary, "wb") as file:
            file.writelines((data,) if isinstance(data, bytes) else data)
            file.flush()
            os.fsync(file.fileno())
        _replace(temporary, path)
        sync_folder(path.parent)
    except OSError as err:
        raise OutputError(f"{path}: can't be written: {err.strerror}") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _replace(temporary: Path, path: Path) -> None:
    for pause_s in AGAIN_S:
        try:
            os.replace(temporary, path)
            return
        except PermissionError:
            time.sleep(pause_s)
    os.replace(temporary, path)


def refuse_unwritable(path: Path) -> None:
    """Whether a file can be written there, before the work that it is to hold is done. Raises OutputError."""
    try:
        if os.path.isdir(path):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        make_folder(path.parent)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as err:
        raise OutputError(f"{path}: can't be written: {err.strerror}") from None


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, each of them durable in its parent."""
    if os.path.isdir(folder) or folder == folder.parent:  # a drive that is not there is nobody's to make
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make a rename in this folder durable. Windows has no such call and needs none."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def hold(folder: Path) -> sqlite3.Connection:
    """Keep other processes out of a folder until the connection is closed, or the process ends in any way.

    Raises BlockingIOError where another process holds it, OSError where it can't be written.
    """
    lock = None
    try:
        lock = sqlite3.connect(folder / LOCK, isolation_level=None, timeout=0)
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.Error as err:
        if lock is not None:
            lock.close()
        if "locked" in str(err):
            raise BlockingIOError(errno.EAGAIN, "another process holds it", str(folder)) from None
        raise OSError(errno.EIO, str(err), str(folder)) from None
    return lock
