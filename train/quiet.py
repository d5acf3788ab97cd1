"""TensorFlow tells the terminal about drivers and instruction sets before it can be told not to."""

import importlib
import os
import sys
import tempfile


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
