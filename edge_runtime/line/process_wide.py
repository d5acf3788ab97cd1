"""What holds for a whole process that works on several frames at once."""

import ctypes
import sys
from contextlib import suppress

import cv2

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
KEPT, FROM_THE_SYSTEM = 64 << 20, 32 << 20
"""Bytes: what may lie free, for each thread, before the allocator gives it back; and from which size on each piece is the system's
own (the greatest there is)."""


def set_up() -> None:
    """Call it before the first frame; again does no harm."""
    cv2.setNumThreads(1)  # the jobs share the cores; more threads within each would only fight over them
    keep_memory()


def keep_memory() -> bool:
    """A frame's pixels take as much memory as the last one's. glibc gives it back in between, and gets it page by page, which takes a
    tenth of the time of a small network. Returns whether it took the advice; elsewhere nothing is changed."""
    if sys.platform == "linux":
        with suppress(AttributeError, OSError):  # another C library
            mallopt = ctypes.CDLL(None).mallopt
            return bool(mallopt(_M_MMAP_THRESHOLD, FROM_THE_SYSTEM) and mallopt(_M_TRIM_THRESHOLD, KEPT))
    return False
