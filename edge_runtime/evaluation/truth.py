"""What is known of the frames: their class from their folder, and where the defects are from truth.json or masks."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from edge_runtime import frames
from edge_runtime.errors import FrameError, UsageError
from edge_runtime.results import Array

Rectangle = tuple[float, float, float, float]
"""x0, y0, x1, y1 in frame pixels, half-open."""
MASK_NAMES = ("{stem}.png", "{stem}_mask.png")


class Entry(BaseModel):
    """One frame in truth.json: boxes in frame pixels, and outlines where somebody drew them."""

    size_wh: tuple[int, int] | None = None
    boxes_xyxy: Annotated[list[Rectangle], Field(min_length=1)]
    polygons: list[list[tuple[float, float]]] | None = None


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


@dataclass(frozen=True, slots=True)
class TruthFile:
    """truth.json: its keys are frames' names from some folder on; the longest name that fits wins."""

    path: Path
    entries: dict[str, Entry] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "TruthFile":
        """Raises UsageError."""
        try:
            return cls(path, TypeAdapter(dict[str, Entry]).validate_json(path.read_bytes()))
        except OSError as err:
            raise UsageError(f"--truth {path}: {err.strerror}") from None
        except ValidationError as err:
            first = err.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the file"
            raise UsageError(
                f'--truth {path}: {where}: {first["msg"]}; expected {{"anomaly/a.jpg": {{"boxes_xyxy": [[x0, y0, x1, y1], ...]}}, ...}}'
            ) from None

    def of(self, path: Path, size_wh: tuple[int, int]) -> Truth:
        """Raises UsageError for a frame that is not in the file."""
        parts = path.parts
        for start in range(len(parts)):
            entry = self.entries.get("/".join(parts[start:]))
            if entry is not None:
                return Truth(tuple(entry.boxes_xyxy), _drawn(entry, size_wh))
        raise UsageError(f"--truth {self.path}: has no entry for {'/'.join(parts[-2:])}")


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
    the frame's (MVTec's ground_truth/) or directly in this one."""

    path: Path

    def of(self, path: Path, size_wh: tuple[int, int]) -> Truth:
        """Raises UsageError for a frame without a mask, and for a mask of another size."""
        tried = [
            folder / name.format(stem=path.stem)
            for folder in (self.path / path.parent.name, self.path)
            for name in MASK_NAMES
        ]
        file = next((one for one in tried if one.is_file()), None)
        if file is None:
            raise UsageError(
                f"--truth {self.path}: has no mask for {path.parent.name}/{path.name} (looked for {tried[0]})"
            )
        try:
            image = frames.decode(frames.read_bytes(file))
        except FrameError as err:
            raise UsageError(f"--truth {file} {err}") from None
        mask = image[..., 0] > 127
        if mask.shape != size_wh[::-1]:
            raise UsageError(
                f"--truth {file}: is {mask.shape[1]} x {mask.shape[0]} pixels, its frame {size_wh[0]} x {size_wh[1]}"
            )
        return Truth(tuple(_pieces(mask)), mask)


def _pieces(mask: np.typing.NDArray[np.bool_]) -> Iterator[Rectangle]:
    """A box around every connected piece."""
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    for x, y, width, height, _ in stats[1:count]:
        yield float(x), float(y), float(x + width), float(y + height)


def read_truth(path: Path) -> TruthFile | MaskFolder:
    return MaskFolder(path) if path.is_dir() else TruthFile.read(path)


def class_folders(root: Path) -> tuple[list[Path], list[Path]]:
    """(good folders, anomaly folders) to evaluate on: good/ + anomaly/, or those under test/, or the MVTec layout, where
    test/good is good and every other test/<defect> an anomaly. Raises UsageError."""
    if not root.is_dir():
        raise UsageError(f"{root}: no such folder")
    for base in (root, root / "test"):
        if (base / "good").is_dir() and (base / "anomaly").is_dir():
            return [base / "good"], [base / "anomaly"]
    if (root / "test" / "good").is_dir():
        folders = sorted(folder for folder in (root / "test").iterdir() if folder.is_dir())
        return [root / "test" / "good"], [folder for folder in folders if folder.name != "good"]
    found = ", ".join(sorted(entry.name for entry in root.iterdir())[:6]) or "nothing"
    raise UsageError(f"{root}: expected the folders good/ and anomaly/ (or test/good and test/<defect>), found {found}")


def labelled(root: Path) -> list[Labelled]:
    """Every frame under the class folders, by name. Raises UsageError."""
    root = Path(os.path.abspath(root))
    return [
        Labelled(frames.FrameFile(file.path, frames.printable(file.path.relative_to(root).as_posix())), label)
        for label, folders in enumerate(class_folders(root))
        for folder in folders
        for file in frames.find([str(folder)]).files
    ]


def shrink(mask: np.typing.NDArray[np.bool_], size_hw: tuple[int, int]) -> np.typing.NDArray[np.bool_]:
    """A mask (H, W) at input size: True where it covers half of a pixel, or half as much as anywhere, so that nothing
    thin is lost."""
    covered: Array = np.asarray(cv2.resize(mask.astype(np.float32), size_hw[::-1], interpolation=cv2.INTER_AREA))
    return (covered > 0) & (covered >= min(0.5, float(covered.max()) / 2))
