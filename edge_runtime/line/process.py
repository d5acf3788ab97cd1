"""Starts worker processes, the first one ahead: its libraries load on another core while the command line is being read."""

import atexit
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_ahead: list["subprocess.Popen[bytes]"] = []


def start_ahead() -> None:
    """Start a worker that the next `worker` takes. One that nobody takes ends with this process."""
    with suppress(OSError):  # whoever takes it will be told
        with _deaf():  # no signal comes between the two
            _ahead.append(_started())
        atexit.register(_dismiss)


def worker() -> "subprocess.Popen[bytes]":
    """One that waits for its job. Raises OSError."""
    return _ahead.pop() if _ahead else _started()


def _dismiss() -> None:
    while _ahead:
        with _ahead.pop() as left:
            left.kill()


def _started() -> "subprocess.Popen[bytes]":
    with _deaf():
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "edge_runtime.line.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),  # Ctrl-C is for us
        )


@contextmanager
def _deaf() -> Iterator[None]:
    """Who is started in here does not hear Ctrl-C, which is for us. Windows has process groups for that."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
