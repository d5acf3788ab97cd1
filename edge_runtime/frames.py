"""The one door for frames: find them, read their bytes safely, decode them completely or not at all."""

import glob
import hashlib
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edge_runtime.errors import FrameError, UsageError
from edge_runtime.results import Frame

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})
MAX_BYTES = 512 * 1024 * 1024


LEDGER = "ledger.sqlite"
"""A folder that holds one is somebody's output: the pictures in it are no frames."""


@dataclass(frozen=True, slots=True)
class FrameFile:
    """Where a frame lies, and its name in the results: `/`-separated, relative to what was asked for."""

    path: Path
    source: str


@dataclass(frozen=True, slots=True)
class Found:
    """base: the folder that holds all inputs, which the frames' names are relative to."""

    base: Path
    files: tuple[FrameFile, ...]


def find(inputs: Sequence[str]) -> Found:
    """Frames named by folders, files, globs, list files (`.txt`, a path per line) or `-` (a list on stdin).

    Folders are searched with their sub-folders, in name order; hidden files and output folders of earlier runs are
    passed over. Raises UsageError where an input does not exist or can't be read, or for no frames.
    """
    roots = [Path(os.path.abspath(item)) for item in _expand(inputs)]
    if not roots:
        raise UsageError("no frames to inspect: give a folder, image files, a glob, a list file or -")
    try:
        base = Path(os.path.commonpath([root if os.path.isdir(root) else root.parent for root in roots]))
    except ValueError as err:
        raise UsageError(f"the inputs lie on different drives ({err}); inspect them one by one") from None
    paths = dict.fromkeys(path for root in roots for path in _walk(root))
    if not paths:
        kinds = " ".join(sorted(SUFFIXES))
        raise UsageError(f"no frames found in {', '.join(map(str, inputs))} (looked for {kinds})")
    return Found(base, tuple(FrameFile(path, printable(path.relative_to(base).as_posix())) for path in paths))


def _expand(inputs: Sequence[str]) -> Iterator[str]:
    for item in inputs:
        if item == "-":
            yield from _lines(sys.stdin.buffer.read(), "the list on stdin")
        elif os.path.isdir(item):
            yield item
        elif os.path.lexists(item):
            yield from _list_file(item) if item.lower().endswith(".txt") else (item,)
        elif any(sign in item for sign in "*?["):
            yield from sorted(glob.glob(item, recursive=True))
        else:
            raise UsageError(f"{item}: no such file or folder")


def _list_file(path: str) -> list[str]:
    try:
        return _lines(read_bytes(Path(path)), path)
    except FrameError as err:
        raise UsageError(f"{path} {err}") from None


def _lines(data: bytes, what: str) -> list[str]:
    """The paths in a list. Raises UsageError for what is none: a README among the frames, UTF-16 from PowerShell."""
    if b"\0" in data:
        raise UsageError(f"{what}: is no list of frames in UTF-8, one path per line")
    text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    lines = [line for line in map(str.strip, text.splitlines()) if line and not line.startswith("#")]
    if lines and not any(os.path.lexists(line) for line in lines):
        raise UsageError(
            f"{what}: is read as a list of frames, one path per line, but none of these exists (first: {lines[0][:80]})"
        )
    return lines


def _walk(root: Path) -> Iterator[Path]:
    if not os.path.isdir(root):
        yield root
        return
    seen: set[str] = set()
    for folder, subfolders, names in os.walk(root, onerror=_unreadable, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen or LEDGER in names:
            subfolders.clear()
            continue
        seen.add(real)
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES:
                yield Path(folder, name)


def _unreadable(err: OSError) -> None:
    raise UsageError(f"{err.filename}: can't be searched for frames: {err.strerror}") from None


def printable(name: str) -> str:
    """A file name as text that survives JSON: bytes that are no UTF-8 become `\\xNN`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def read_bytes(path: Path) -> bytes:
    """The bytes of a regular file, at most MAX_BYTES of them. Raises FrameError.

    cv2 never sees a path: it crashes on names that are no UTF-8 and hangs on a FIFO.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        handle = os.open(path, flags)
    except OSError as err:
        raise FrameError(f"can't be opened: {err.strerror}") from None
    try:
        info = os.fstat(handle)
        if not stat.S_ISREG(info.st_mode):
            raise FrameError("is no regular file")
        if info.st_size > MAX_BYTES:
            raise FrameError(f"has {info.st_size:,} bytes; more than {MAX_BYTES:,} are not read")
        with os.fdopen(handle, "rb", closefd=False) as file:
            return file.read(MAX_BYTES)
    except OSError as err:
        raise FrameError(f"can't be read: {err.strerror}") from None
    finally:
        os.close(handle)


def decode(data: bytes) -> np.typing.NDArray[np.uint8]:
    """Image bytes -> (H, W, 3) uint8 BGR. Raises FrameError for anything that is not a whole 8-bit image.

    Grey becomes three equal channels, alpha is dropped, the EXIF rotation is applied, and of a file with
    several pictures the first is taken.
    """
    if not data:
        raise FrameError("is empty (0 bytes)")
    if data[:2] == b"\xff\xd8" and data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda"):
        # No end-of-image marker after the last start-of-scan: libjpeg would fill the rest with grey.
        raise FrameError(f"ends after {len(data):,} bytes without a JPEG end marker; it was not written completely")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    except cv2.error as err:
        raise FrameError(f"can't be decoded: {str(err.err).strip()}") from None
    if image is None:
        raise FrameError("is no image that can be decoded, or is damaged")
    if image.dtype != np.uint8:
        raise FrameError(f"has {image.dtype} pixels; frames must have 8 bits per channel")
    return np.asarray(image, np.uint8)


def read(file: FrameFile) -> Frame:
    """Read and decode one frame. Raises FrameError; its message completes the sentence "<frame> ..."."""
    data = read_bytes(file.path)
    return Frame(file.source, hashlib.sha256(data).hexdigest(), decode(data))
