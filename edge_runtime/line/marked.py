"""From people's marks back to training: the marked frames, copied into good/ and anomaly/ by what the marks say of them."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from edge_runtime import frames
from edge_runtime.errors import FrameError, UsageError
from edge_runtime.line.durable import write_bytes
from edge_runtime.line.record import Record, Row

Label = Literal["good", "anomaly"]
TRUTH: dict[tuple[str, str], Label] = {
    ("good", "right"): "good",
    ("good", "wrong"): "anomaly",
    ("anomaly", "right"): "anomaly",
    ("anomaly", "wrong"): "good",
}
"""What a frame is, by (verdict, mark)."""


@dataclass(frozen=True, slots=True)
class Collected:
    """What became of a marked frame. path: where it lies in DATA; None where it can't, and `problem` says why. new: copied just now."""

    frame: str
    label: Label
    path: Path | None = None
    new: bool = False
    problem: str = ""


def collect(record: Record, folder: Path | None, data: Path) -> Iterator[Collected]:
    """Copy each marked frame to DATA/<label>/<its name>, byte for byte as it was judged, and tell of each.

    folder: of the frames; None for where they were judged. A frame whose bytes have changed since is not copied, and nothing in DATA is
    changed or removed: where another frame has its name, eight digits of its content follow. Raises UsageError for a DATA among
    the frames; OutputError where DATA can't be written.
    """
    base = folder or frames_folder(record)
    if not os.path.isdir(base):
        raise UsageError(f"{base}: no such folder; say with --frames where the frames of {record.out} lie now")
    rows = record.marked()
    cameras = {frames.named(row["camera"]) for row in rows if row["camera"] is not None} or {"."}
    if any(Path(os.path.realpath(data)).is_relative_to(os.path.realpath(base / camera)) for camera in cameras):
        raise UsageError(f"{data}: lies among the frames, and the copies would be judged, too; choose another --data")
    for row in rows:
        label = TRUTH[row["verdict"], row["mark"]["mark"]]
        try:
            path, new = _copied(row, base, data, label)
            yield Collected(row["frame"], label, path, new)
        except FrameError as err:
            yield Collected(row["frame"], label, problem=str(err))


def frames_folder(record: Record) -> Path:
    """Where the frames lay that the names in these results are relative to."""
    return Path(frames.named(record.meta.get("folder of frames", ".")))


def _copied(row: Row, base: Path, data: Path, label: Label) -> tuple[Path, bool]:
    """Where the frame lies in DATA now, and whether it did not before. Raises FrameError, OutputError."""
    name = PurePosixPath(row["frame"])
    if name.is_absolute() or ".." in name.parts:
        raise FrameError("has a name that leads out of the folder")
    content = frames.read_bytes(base / frames.named(row["frame"]))
    if hashlib.sha256(content).hexdigest() != row["sha256"]:
        raise FrameError("was written again since it was judged; what was marked is gone")
    distinct = name.with_name(f"{name.stem}-{row['sha256'][:8]}{name.suffix}")
    other: Label = "good" if label == "anomaly" else "anomaly"
    for opposite in (data / other / name, data / other / distinct):
        if _holds(opposite, content):
            raise FrameError(
                f"is marked {label} now, and lies in {opposite} from before; remove it there, and try again"
            )
    for path in (data / label / name, data / label / distinct):
        if _holds(path, content):
            return path, False
        if not os.path.lexists(path):
            write_bytes(path, content)
            return path, True
    raise FrameError(f"can't be copied: other files have its names, {data / label / name} and {distinct.name}")


def _holds(path: Path, content: bytes) -> bool:
    return os.path.isfile(path) and path.read_bytes() == content
