"""Loads Keras and what is behind it, which takes seconds, without TensorFlow's remarks on GPUs that are not there.

No variable of the environment silences these: they are written before its log is set up.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

REMARKS = ("WARNING: All log messages before absl::InitializeLog()", "I0000 ")


def load() -> None:
    with _without_remarks():
        import keras  # noqa: F401


@contextmanager
def _without_remarks() -> Iterator[None]:
    """Holds back what libraries write to standard error, and lets all but REMARKS out at the end."""
    sys.stderr.flush()
    before = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(before, 2)
            os.close(before)
            held.seek(0)
            for line in held.read().decode(errors="replace").splitlines():
                if not line.startswith(REMARKS):
                    print(line, file=sys.stderr)
