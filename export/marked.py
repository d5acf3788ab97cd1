"""The handful of frames in which somebody has marked the defects: they fit how large boxes are drawn."""

from collections.abc import Sequence
from pathlib import Path

from edge_runtime import frames
from edge_runtime.errors import FrameError, UsageError
from edge_runtime.evaluation.truth import Rectangle, read_truth, refuse_shared
from edge_runtime.results import Box, Frame
from train.data import LabelledFrame


def marked(
    held_out: Sequence[LabelledFrame], root: Path, truth: Path, input_hw: tuple[int, int]
) -> dict[int, list[Box]]:
    """True boxes in input pixels of the held-out defective frames that have any, by row.

    truth: truth.json or a folder of masks, which need not know all frames. Raises UsageError where it knows none.
    """
    known = read_truth(truth)
    refuse_shared(known, (root / one.path for one in held_out if one.label))
    found: dict[int, list[Box]] = {}
    for row, labelled in enumerate(held_out):
        path = root / labelled.path
        if labelled.label and known.knows(path):
            size_wh = readable(frames.FrameFile(path, labelled.path), input_hw).size_wh
            found[row] = [to_input(box, size_wh, input_hw) for box in known.of(path, size_wh).boxes]
    if not found:
        raise UsageError(
            f"--truth {truth}: knows none of the {sum(one.label for one in held_out)} defective frames that were held out "
            f"for validation; RUN/split.json lists them"
        )
    return found


def readable(file: frames.FrameFile, input_hw: tuple[int, int]) -> Frame:
    """Raises UsageError with the file's name where it can't be read."""
    try:
        return frames.read(file, input_hw)
    except FrameError as err:
        raise UsageError(f"{file.path} {err}") from None


def to_input(box: Rectangle, size_wh: tuple[int, int], input_hw: tuple[int, int]) -> Box:
    x, y = input_hw[1] / size_wh[0], input_hw[0] / size_wh[1]
    x0, y0 = max(0, round(box[0] * x)), max(0, round(box[1] * y))
    return Box(x0, y0, max(x0 + 1, round(box[2] * x)), max(y0 + 1, round(box[3] * y)))
