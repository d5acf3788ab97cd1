"""What TensorFlow and JAX do to a terminal: words about drivers before they can be told not to, and a Ctrl-C that gets lost."""

import importlib
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from edge_runtime.errors import INTERRUPTED


def load_keras() -> None:
    """Import Keras and what computes for it. What its libraries write to standard error meanwhile is shown only where it fails."""
    sys.stderr.flush()
    shown = os.dup(2)
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            importlib.import_module("keras")
        except Exception:
            kept.seek(0)
            os.write(shown, kept.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(shown, 2)
            os.close(shown)


_last_words = [""]


def leave_with(words: str) -> None:
    """What Ctrl-C says from now on, where leave_at_ctrl_c() has been called."""
    _last_words[0] = words


def leave_at_ctrl_c(words: str) -> None:
    """From now on Ctrl-C ends the process at once, with these words: in a callback of JAX or TensorFlow, KeyboardInterrupt gets lost."""
    leave_with(words)
    shown = os.dup(2)  # also while load_keras() keeps what comes there

    def leave(number: int, frame: FrameType | None) -> None:
        os.write(shown, f"\n{_last_words[0]}\n".encode())
        os._exit(INTERRUPTED)

    signal.signal(signal.SIGINT, leave)


@contextmanager
def interruptible() -> Iterator[list[int]]:
    """Ctrl-C is KeyboardInterrupt here. Yields the signals that came, for whoever wants to look whether one got lost."""
    came: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        came.append(number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield came
    finally:
        signal.signal(signal.SIGINT, before)
