"""The one door for frames: find them, read their bytes safely, decode them completely or not at all."""

import glob
import hashlib
import os
import re
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import cv2
import numpy as np

from edge_runtime.errors import FrameError, UsageError
from edge_runtime.headers import Header, probe
from edge_runtime.line.record import LEDGER, NOT_SEARCHED
from edge_runtime.preprocess import reduction
from edge_runtime.results import Frame, Image

# What is wrong with a frame is said in a FrameError; cv2 would say it on stderr, too.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

NO_FRAMES_IN = frozenset({"$recycle.bin", "system volume information", "lost+found"})
"""Folders that systems keep at the top of a disk."""
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})
MAX_BYTES = 512 * 1024 * 1024
PART = 1024 * 1024
"""Bytes that are read at once: a slow share is not taken for a dead one."""


@dataclass(frozen=True, slots=True)
class FrameFile:
    """Where a frame lies, and its name in the results: `/`-separated, relative to what was asked for.

    camera: the folder it was found in, relative like `source`, where several folders were asked for.
    """

    path: Path
    source: str
    camera: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """base: the folder that holds all inputs, which the frames' names are relative to. folders: those that were searched, as
    real paths. passed_over: those that were asked for and not searched, as they hold results."""

    base: Path
    files: tuple[FrameFile, ...]
    folders: tuple[str, ...] = ()
    passed_over: tuple[str, ...] = ()


def find(inputs: Sequence[str]) -> Found:
    """Frames named by folders, files, globs, list files (`.txt`, a path per line) or `-` (a list on stdin).

    Folders are searched with their sub-folders, in name order; hidden files and output folders of earlier runs are
    passed over. Raises UsageError where an input does not exist or can't be read, or for no frames.
    """
    roots = [absolute(item) for item in _expand(inputs)]
    if not roots:
        raise UsageError("no frames to inspect: give a folder, image files, a glob, a list file or -")
    try:
        base = Path(os.path.commonpath([root if os.path.isdir(root) else root.parent for root in roots]))
    except ValueError as err:
        raise UsageError(f"the inputs lie on different drives ({err}); inspect them one by one") from None
    folders = {os.path.realpath(root): root for root in reversed(roots) if os.path.isdir(root)}
    cameras: dict[Path, str | None] = {}
    for root in roots:
        if os.path.isdir(root) and folders[os.path.realpath(root)] != root:
            continue  # the same folder under a second name
        camera = _name(root, base) if len(folders) > 1 and root != base and os.path.isdir(root) else None
        for path in walk(root, _unreadable, folders.values()):
            cameras.setdefault(path, camera)
    passed_over = tuple(str(root) for root in folders.values() if holds_results(root))
    if not cameras:
        kinds = " ".join(sorted(SUFFIXES))
        outs = "".join(f"; {folder} {NOT_SEARCHED}" for folder in passed_over)
        raise UsageError(f"no frames found in {', '.join(map(str, inputs))} (looked for {kinds}){outs}")
    files = tuple(FrameFile(path, _name(path, base), camera) for path, camera in cameras.items())
    return Found(base, files, tuple(folders), passed_over)


def absolute(item: str | Path) -> Path:
    """A path from the root, its links kept where that leads to the same place: `..` leads up from where a link leads to."""
    plain = os.path.abspath(item)
    real = os.path.realpath(item)
    return Path(plain if os.path.realpath(plain) == real else real)


def holds_results(folder: Path) -> bool:
    """Whether some run keeps its results there: pictures below it are no frames."""
    return os.path.exists(folder / LEDGER)  # also where nothing may be asked of the folder


def refuse_among(out: Path, folders: Iterable[str | Path]) -> None:
    """A folder that holds results is passed over when folders are searched, and so would be the frames in it. folders: that are
    searched, as real paths. Raises UsageError for an OUT in them that already holds frames, and no results yet."""
    real = Path(os.path.realpath(out))
    searched = os.path.isdir(real) and any(real.is_relative_to(folder) for folder in folders)
    if searched and not holds_results(real) and next(walk(real, lambda _: None), None) is not None:
        raise UsageError(f"{out}: frames lie there; results need another folder")


def _name(path: Path, base: Path) -> str:
    return printable(path.relative_to(base).as_posix())


def _expand(inputs: Sequence[str]) -> Iterator[str]:
    for item in inputs:
        if item == "-":
            yield from _lines(sys.stdin.buffer.read(), "the list on stdin")
        elif os.path.isdir(item):
            yield item
        elif os.path.lexists(item):
            yield from _list_file(item) if item.lower().endswith(".txt") else (item,)
        elif any(sign in item for sign in "*?["):
            matches = sorted(glob.glob(item, recursive=True))
            if not matches:
                raise UsageError(f"{item}: matches no file and no folder")
            yield from matches
        else:
            raise UsageError(f"{item}: {_missing(item)}")


def _missing(item: str) -> str:
    try:
        os.lstat(item)
    except OSError as err:
        if not isinstance(err, FileNotFoundError | NotADirectoryError):
            return str(err.strerror)
    return "no such file or folder"


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
    # Split at line feeds only: a name may hold whatever else Unicode takes for the end of a line.
    whole = [line.removesuffix("\r") for line in text.split("\n")]
    stripped = [line if os.path.lexists(line) else line.strip() for line in whole]
    lines = [line for line in stripped if line and not line.startswith("#")]
    if lines and not any(os.path.lexists(line) for line in lines):
        raise UsageError(
            f"{what}: is read as a list of frames, one path per line, but none of these exists (first: {lines[0][:80]})"
        )
    return lines


def is_frame(relative: PurePath) -> bool:
    """Whether a file of this name, below a folder of frames, is one: neither hidden nor in a hidden folder."""
    return relative.suffix.lower() in SUFFIXES and not any(map(_hidden, relative.parts))


def _hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in NO_FRAMES_IN


def walk(root: Path, onerror: Callable[[OSError], None], others: Iterable[Path] = ()) -> Iterator[Path]:
    """The frames below a folder, in name order. A file is passed on as it is.

    Each folder is searched once, under its own name: links are followed only to folders outside the root. onerror: told of
    each folder that can't be searched. others: folders that are searched on their own, and not from here.
    """
    if not os.path.isdir(root):
        yield root
        return
    own = os.path.realpath(root)
    seen = {os.path.realpath(other) for other in others} - {own}
    tops = [own, *seen]
    for folder, subfolders, names in os.walk(root, onerror=onerror, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen or LEDGER in names:  # somebody's output: the pictures in it are no frames
            subfolders.clear()
            continue
        seen.add(real)
        wanted = sorted(name for name in subfolders if not _hidden(name))
        subfolders[:] = [name for name in wanted if _leads_on(Path(folder, name), tops)]
        for name in sorted(names):
            if is_frame(PurePath(name)):
                yield Path(folder, name)


def _leads_on(folder: Path, tops: list[str]) -> bool:
    """Whether to search a folder that was found: not a link to where the search comes, or has come, anyway. Notes where links
    lead in tops."""
    if not os.path.islink(folder):
        return True
    real = os.path.realpath(folder)
    if any(PurePath(real).is_relative_to(top) for top in tops):
        return False
    tops.append(real)
    return True


def _unreadable(err: OSError) -> None:
    raise UsageError(f"{err.filename}: can't be searched for frames: {err.strerror}") from None


def printable(name: str) -> str:
    """A file name as text that survives JSON: bytes that are no UTF-8 become `\\xNN`.

    No two names look alike: where a name itself holds `\\x`, that becomes `\\x5cx`.
    """
    return os.fsencode(name.replace("\\x", "\\x5cx")).decode("utf-8", "backslashreplace")


def named(printed: str) -> str:
    """The file name that printable() has made into this text."""
    return os.fsdecode(re.sub(rb"\\x([0-9a-f]{2})", lambda found: bytes([int(found[1], 16)]), printed.encode()))


def read_bytes(path: Path) -> bytes:
    """The bytes of a regular file, at most MAX_BYTES of them. Raises FrameError."""
    return read_file(path)[0]


def read_file(path: Path, alive: Callable[[], None] = lambda: None) -> tuple[bytes, os.stat_result]:
    """The bytes of a regular file, at most MAX_BYTES of them, and what the opened file said of itself. Raises FrameError.

    cv2 never sees a path: it crashes on names that are no UTF-8 and hangs on a FIFO. A link to a regular file is
    followed wherever it leads: a line may well link its frames. A file that is renamed, replaced or removed
    meanwhile is read as it was when it was opened. alive: called now and then.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        handle = os.open(path, flags)
    except OSError as err:
        raise FrameError(f"can't be opened: {err.strerror}") from None
    try:
        before = os.fstat(handle)
        if not stat.S_ISREG(before.st_mode):
            raise FrameError("is no regular file")
        if before.st_size > MAX_BYTES:
            raise FrameError(f"has {before.st_size:,} bytes; more than {MAX_BYTES:,} are not read")
        with os.fdopen(handle, "rb", closefd=False) as file:
            parts = [file.read(min(before.st_size + 1, PART))]
            while len(parts[-1]) == PART and len(parts) * PART <= before.st_size:  # it may grow, and without end
                alive()
                parts.append(file.read(PART))
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        after = os.fstat(handle)
    except OSError as err:
        raise FrameError(f"can't be read: {err.strerror}") from None
    finally:
        os.close(handle)
    if (len(data), before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or len(data) != before.st_size:
        raise FrameError("was changed while it was read; whatever writes it has not finished")
    return data, before


_REDUCED = {
    1: cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


def decode(data: bytes, reduce: int = 1) -> Image:
    """Image bytes -> (H, W, 3) uint8 BGR. Raises FrameError for anything that is not a whole 8-bit image.

    Grey becomes three equal channels, alpha is dropped, the EXIF rotation is applied, and of a file with
    several pages the first is taken. reduce: 2, 4 or 8 decodes a JPEG to 1/2, 1/4 or 1/8 of its width and height,
    rounded up. Raises ValueError for reducing anything else.
    """
    return _decode(data, probe(data), reduce)


def _decode(data: bytes, header: Header, reduce: int) -> Image:
    if reduce not in _REDUCED or (reduce != 1 and header.kind != "JPEG"):
        raise ValueError(f"a {header.kind} can't be decoded at 1/{reduce}; a JPEG can, at 1/2, 1/4 and 1/8")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), _REDUCED[reduce])
    except cv2.error as err:
        raise FrameError(f"can't be decoded: {str(err.err).strip()}") from None
    if image is None:
        raise FrameError(f"is a damaged {header.kind}, or of a kind that is not read")
    if image.dtype != np.uint8:
        raise FrameError(f"has {image.dtype} pixels; frames must have 8 bits per channel")
    _check_size(image, header, reduce)
    return np.asarray(image, np.uint8)


def _check_size(image: np.typing.NDArray[np.generic], header: Header, reduce: int) -> None:
    """Two readers that understand a file differently: one of them is being fooled. The EXIF rotation may swap the sides."""
    expected = (-(-header.height // reduce), -(-header.width // reduce))
    if image.shape[:2] not in (expected, expected[::-1]):
        raise FrameError(
            f"is damaged: its {header.kind} header says {header.width} x {header.height} pixels, it holds "
            f"{image.shape[1] * reduce} x {image.shape[0] * reduce}"
        )


def decode_for(data: bytes, needed_hw: tuple[int, int] | None) -> tuple[Image, tuple[int, int]]:
    """Decode as many pixels of a frame as are needed, and say how large (width, height) all of it is.

    needed_hw: what the network takes; None for all pixels. Raises FrameError.
    """
    header = probe(data)
    reduce = 1 if needed_hw is None or header.kind != "JPEG" else reduction((header.width, header.height), needed_hw)
    small = (-(-header.width // reduce), -(-header.height // reduce))
    if small[0] == small[1] and header.width != header.height:
        reduce = 1  # nothing would tell whether the EXIF rotation has swapped the sides
    image = _decode(data, header, reduce)
    height, width = image.shape[:2]
    if needed_hw is None or reduce == 1:
        return image, (width, height)
    if (width, height) == small:
        return image, (header.width, header.height)
    turned = header.height, header.width
    if reduction(turned, needed_hw) < reduce:  # its long side is the other one
        image = _decode(data, header, reduction(turned, needed_hw))
    return image, turned


def read(file: FrameFile, needed_hw: tuple[int, int] | None = None) -> Frame:
    """Read and decode one frame. Raises FrameError; its message completes the sentence "<frame> ..."."""
    data = read_bytes(file.path)
    return Frame(file.source, hashlib.sha256(data).hexdigest(), *decode_for(data, needed_hw))
