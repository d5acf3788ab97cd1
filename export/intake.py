"""Frames for the export: the very files the training saw, prepared as it prepared them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edge_runtime import frames
from edge_runtime.errors import FrameError, UsageError
from edge_runtime.frames import FrameFile
from edge_runtime.preprocess import prepare
from edge_runtime.results import Image
from export.marked import readable
from train.data import LabelledFrame, Split

CALIBRATION = 128
"""Frames, at most, that INT8 ranges are measured on."""


def files(labelled: Sequence[LabelledFrame], root: Path) -> list[FrameFile]:
    return [FrameFile(root / frame.path, frame.path) for frame in labelled]


def load(labelled: Sequence[LabelledFrame], root: Path, input_hw: tuple[int, int]) -> Image:
    """(n, h, w, 3) uint8 BGR at input size. Raises UsageError where the frames are not what was trained with."""
    return np.stack([_load(frame, root, input_hw) for frame in labelled])


def calibration_frames(split: Split, root: Path, folder: Path | None, input_hw: tuple[int, int]) -> Image:
    """(n, h, w, 3) uint8 BGR: a folder's, or training frames, evenly picked. Raises UsageError where the folder holds
    validation frames: the gate judges on these."""
    if folder is None:
        return load([split.train[at] for at in _evenly(len(split.train))], root, input_hw)
    held_out = {frame.sha256: frame.path for frame in split.validation}
    found = frames.find([str(folder)]).files
    read = [readable(found[at], input_hw) for at in _evenly(len(found))]
    for frame in read:
        if frame.sha256 in held_out:
            raise UsageError(
                f"--calibration {folder}: {frame.source} is the validation frame {held_out[frame.sha256]}; "
                "the gate must judge on frames that the quantiser has not seen"
            )
    return np.stack([prepare(frame.image, input_hw) for frame in read])


def _evenly(count: int) -> list[int]:
    return [int(at) for at in np.linspace(0, count - 1, min(CALIBRATION, count))]


def _load(labelled: LabelledFrame, root: Path, input_hw: tuple[int, int]) -> Image:
    (file,) = files([labelled], root)
    try:
        frame = frames.read(file, input_hw)
    except FrameError as err:
        raise UsageError(
            f"{file.path} {err}; the training frames are needed to calibrate: say where they are with --data"
        ) from None
    if frame.sha256 != labelled.sha256:
        raise UsageError(f"{file.path} has changed since the training; train again, or restore it")
    return prepare(frame.image, input_hw)
