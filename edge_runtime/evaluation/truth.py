"""What is known of the frames: their class from their folder, and where the defects are from truth.json or masks."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
from msgspec import Meta, Raw, Struct

from edge_runtime import frames
from edge_runtime.errors import FrameError, UsageError
from edge_runtime.results import Array
from edge_runtime.stored import from_json

Rectangle = tuple[float, float, float, float]
"""x0, y0, x1, y1 in frame pixels, half-open."""
MASK_NAMES = ("{stem}.png", "{stem}_mask.png")
DEEPEST = 8
"""Folders of a frame that those of its mask are named after."""


class Entry(Struct, frozen=True, kw_only=True):
    """One frame in truth.json: boxes in frame pixels, and outlines where somebody drew them."""

    size_wh: tuple[int, int] | None = None
    boxes_xyxy: Annotated[list[Rectangle], Meta(min_length=1)]
    polygons: Annotated[list[Annotated[list[tuple[float, float]], Meta(min_length=3)]], Meta(min_length=1)] | None = (
        None
    )

    def __post_init__(self) -> None:
        for x0, y0, x1, y1 in self.boxes_xyxy:
            if not (x0 < x1 and y0 < y1):
                raise ValueError(
                    f"[{x0:g}, {y0:g}, {x1:g}, {y1:g}] is no box [x0, y0, x1, y1] with x0 < x1 and y0 < y1"
                )


@dataclass(frozen=True, slots=True)
class Truth:
    """Where the defects of one frame are. boxes: one per defect; none known for an empty tuple. mask: (H, W) bool, True
    on a defect, or None."""

    boxes: tuple[Rectangle, ...] = ()
    mask: np.typing.NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True)
class Labelled:
    """A frame file with its label: 0 good, 1 anomaly."""

    file: frames.FrameFile
    label: int


def fingerprint(labelled: Iterable[tuple[int, str]]) -> str:
    """One hash for a whole data set: every (label, sha256 of its file), in any order."""
    lines = sorted(f"{label} {sha256}" for label, sha256 in labelled)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class TruthFile:
    """truth.json: its keys are frames' names from some folder on; the longest name that fits wins."""

    path: Path
    entries: dict[str, Entry] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "TruthFile":
        """Raises UsageError."""
        entries: dict[str, Entry] = {}
        name = "the file"
        try:
            for name, entry in from_json(path.read_bytes(), dict[str, Raw]).items():
                entries[name] = from_json(entry, Entry)
        except OSError as err:
            raise UsageError(f"--truth {path}: {err.strerror}") from None
        except ValueError as err:
            raise UsageError(
                f'--truth {path}: {name}: {err}; expected {{"anomaly/a.jpg": {{"boxes_xyxy": [[x0, y0, x1, y1], ...]}}, ...}}'
            ) from None
        return cls(path, entries)

    def find(self, path: Path) -> Entry | None:
        names = ("/".join(path.parts[start:]) for start in range(len(path.parts)))
        return next((self.entries[name] for name in names if name in self.entries), None)

    def entry(self, path: Path) -> Entry:
        """Raises UsageError for a frame that is not in the file."""
        found = self.find(path)
        if found is None:
            raise UsageError(f"--truth {self.path}: has no entry for {'/'.join(path.parts[-2:])}")
        return found

    def knows(self, path: Path) -> bool:
        return self.find(path) is not None

    def of(self, path: Path, size_wh: tuple[int, int]) -> Truth:
        """Raises UsageError for a frame that is not in the file, or has another size there."""
        entry = self.entry(path)
        if entry.size_wh not in (None, size_wh):
            raise UsageError(f"--truth {self.path}: has size_wh {entry.size_wh} for {path}, which is {size_wh}")
        for x0, y0, x1, y1 in entry.boxes_xyxy:
            if min(x1, size_wh[0]) <= max(x0, 0) or min(y1, size_wh[1]) <= max(y0, 0):
                raise UsageError(
                    f"--truth {self.path}: the box {[x0, y0, x1, y1]} lies outside {path}, which has {size_wh[0]} x {size_wh[1]} pixels; "
                    "boxes are x0, y0, x1, y1 in pixels of the frame as it is stored"
                )
        return Truth(tuple(entry.boxes_xyxy), _drawn(entry, size_wh))


def _drawn(entry: Entry, size_wh: tuple[int, int]) -> np.typing.NDArray[np.bool_] | None:
    if entry.polygons is None:
        return None
    mask = np.zeros(size_wh[::-1], np.uint8)
    for polygon in entry.polygons:
        cv2.fillPoly(mask, [np.round(np.array(polygon) * 8).astype(np.int32)], 1, cv2.LINE_8, 3)
    return mask > 0


@dataclass(frozen=True, slots=True)
class MaskFolder:
    """A PNG per defective frame, above 127 on the defect, named like the frame (or <frame>_mask.png), in a folder named like
    the frame's, or like the last of its folders (MVTec's ground_truth/<defect>/), or directly in this one: the longest that fits wins."""

    path: Path

    def candidates(self, path: Path) -> list[Path]:
        parts = Path(os.path.abspath(path)).parent.parts
        folders = ["/".join(parts[start:]) for start in range(max(1, len(parts) - DEEPEST), len(parts) + 1)]
        return [self.path / folder / name.format(stem=path.stem) for folder in folders for name in MASK_NAMES]

    def find(self, path: Path) -> Path | None:
        return next(
            (file for file in self.candidates(path) if os.path.isfile(file) and file.resolve() != path.resolve()), None
        )

    def file(self, path: Path) -> Path:
        """Raises UsageError for a frame without a mask."""
        found = self.find(path)
        if found is None:
            raise UsageError(
                f"--truth {self.path}: has no mask for {path.parent.name}/{path.name} (looked for {path.stem}.png and {path.stem}_mask.png "
                f"in {self.path}, and in its folders that are named like the frame's)"
            )
        return found

    def knows(self, path: Path) -> bool:
        return self.find(path) is not None

    def of(self, path: Path, size_wh: tuple[int, int]) -> Truth:
        """Raises UsageError for a frame without a mask, and for a mask of another size or without a defect."""
        file = self.file(path)
        try:
            image = frames.decode(frames.read_bytes(file))
        except FrameError as err:
            raise UsageError(f"--truth {file} {err}") from None
        mask = image.max(axis=2) > 127
        if mask.shape != size_wh[::-1]:
            raise UsageError(
                f"--truth {file}: is {mask.shape[1]} x {mask.shape[0]} pixels, its frame {size_wh[0]} x {size_wh[1]}"
            )
        if not mask.any():
            raise UsageError(
                f"--truth {file}: is black, brightest value {image.max()}; expected white (255) on the defect"
            )
        return Truth(tuple(_pieces(mask)), mask)


def _pieces(mask: np.typing.NDArray[np.bool_]) -> Iterator[Rectangle]:
    """A box around every connected piece."""
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    for x, y, width, height, _ in stats[1:count]:
        yield float(x), float(y), float(x + width), float(y + height)


def refuse_shared(truth: TruthFile | MaskFolder, paths: Iterable[Path]) -> None:
    """Raises UsageError where two frames of one name find one mask."""
    owners: dict[Path, Path] = {}
    for path in paths:
        found = truth.find(path) if isinstance(truth, MaskFolder) else None
        if found is not None and owners.setdefault(found, path) != path:
            same = owners[found].parent == path.parent
            mend = "rename one of them" if same else "put masks in folders named like the frames'"
            raise UsageError(f"--truth {found}: is the mask of {owners[found]} and of {path}; {mend}")


def read_truth(path: Path) -> TruthFile | MaskFolder:
    return MaskFolder(path) if os.path.isdir(path) else TruthFile.read(path)


def class_folders(root: Path) -> tuple[list[Path], list[Path]]:
    """(good folders, anomaly folders) to evaluate on: good/ + anomaly/, or those under test/, or the MVTec layout, where
    test/good is good and every other test/<defect> an anomaly. Raises UsageError."""
    if not root.is_dir():
        raise UsageError(f"{root}: no such folder")
    for base in (root, root / "test"):
        if (base / "good").is_dir() and (base / "anomaly").is_dir():
            return [base / "good"], [base / "anomaly"]
    if (root / "test" / "good").is_dir():
        folders = sorted(folder for folder in (root / "test").iterdir() if folder.is_dir() and folder.name[0] != ".")
        return [root / "test" / "good"], [folder for folder in folders if folder.name != "good"]
    found = ", ".join(sorted(entry.name for entry in root.iterdir())[:6]) or "nothing"
    raise UsageError(f"{root}: expected the folders good/ and anomaly/ (or test/good and test/<defect>), found {found}")


def labelled(root: Path) -> list[Labelled]:
    """Every frame under the class folders, by name. Raises UsageError, also where one class has none."""
    root = Path(os.path.abspath(root))
    good, anomaly = class_folders(root)
    if not anomaly:
        raise UsageError(f"{root / 'test'}: has good frames only; escapes can be counted where there are defects")
    return [
        Labelled(frames.FrameFile(file.path, frames.printable(file.path.relative_to(root).as_posix())), label)
        for label, folders in enumerate((good, anomaly))
        for folder in folders
        for file in frames.find([str(folder)]).files
    ]


def shrink(mask: np.typing.NDArray[np.bool_], size_hw: tuple[int, int]) -> np.typing.NDArray[np.bool_]:
    """A mask (H, W) at input size: True where a piece of it covers half of a pixel, or half as much as anywhere, so that
    no thin piece is lost."""
    small = np.zeros(size_hw, bool)
    count, pieces = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    for piece in range(1, count):
        covered: Array = np.asarray(
            cv2.resize((pieces == piece).astype(np.float32), size_hw[::-1], interpolation=cv2.INTER_AREA)
        )
        small |= (covered > 0) & (covered >= min(0.5, float(covered.max()) / 2))
    return small
