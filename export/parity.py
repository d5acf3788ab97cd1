"""Does the file say what the trained model said? On real frames, before anything is written.

In three steps, so that nothing between a frame's bytes and its boxes goes uncompared: the trained model on the frames as they
reach it here against what the training noted (`check_frames`), the graph against the trained model (`compare`), and the file
on the bytes of the frames, as the line reads them, against the graph (`check_line`).
"""

import math
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import keras
import numpy as np

from edge_runtime import boxes, cam, frames
from edge_runtime.errors import EdgeDetectError, FrameError
from edge_runtime.frames import FrameFile
from edge_runtime.head import Head
from edge_runtime.inspector import Inspector
from edge_runtime.manifest import Calibration, Parity
from edge_runtime.mirrors import AXES, Mirrors, mean, mirrored
from edge_runtime.model import Model
from edge_runtime.results import Array, Box, Defect, Image, Maps, Prediction, agreement, probability
from export.convert import head_weights
from train import vgg
from train.callbacks import balanced_loss

if TYPE_CHECKING:
    from export.candidate import Candidate

LOGITS_TOLERANCE = CAM_TOLERANCE = 1e-3
CAM_ROUNDING = 1e-5
"""Of the highest value on any map, which a map may be wrong by where that is more: of a small defect in a large frame a single cell holds
hundreds of logits, and float32 rounds each to six digits after a dozen convolutions."""
LOSS_TOLERANCE = 2e-4
"""Interpolating frames, where they were averaged, changes the loss by 5e-4 (ball-screw, 320 -> 224 pixels) or more; rounding by 1e-6."""
BOX_IOU = 0.99


class ParityError(EdgeDetectError):
    """The converted graph disagrees with the trained model. Nothing is written."""


@dataclass(frozen=True, slots=True)
class Answers:
    """logits: (n, 2); cams: (n, h/16, w/16), both float32."""

    logits: Array
    cams: Array

    @property
    def margins(self) -> Array:
        return self.logits[:, 1] - self.logits[:, 0]


def ask_keras(model: keras.Model, images: Image, batch: int, mirrors: Mirrors = "none") -> Answers:
    """The trained model itself, BatchNorm and all."""
    both = keras.Model(model.input, [model.output, vgg.tap(model)])

    def ask(some: Image) -> list[Prediction]:
        logits, maps = both.predict_on_batch(some.astype(np.float32))
        return [Prediction(np.asarray(one), np.asarray(map_)) for one, map_ in zip(logits, maps, strict=True)]

    answers = []
    for at in range(0, len(images), batch):
        each = [ask(mirrored(images[at : at + batch], axes)) for axes in AXES[mirrors]]
        answers += [mean(found, AXES[mirrors], with_fine=False) for found in zip(*each, strict=True)]
    return _answers(answers, Head.fold(**head_weights(model)))


def ask_file(model: Model, images: Image, batch: int) -> Answers:
    """The exported file, as the line runs it."""
    return _answers(
        [one for at in range(0, len(images), batch) for one in model.predict(images[at : at + batch])], model.head
    )


def fine_maps(
    model: Model, images: Image, answers: Answers, looked_at: Container[int]
) -> tuple[Array, dict[int, Array], float]:
    """The fine maps of all images (n, h, w), the activations (h, w, C) of the rows that are to be looked at, and the farthest that a map
    is from adding up to its margin, in logits per logit of evidence."""
    maps, activations, farthest = [], {}, 0.0
    for row, margin in enumerate(answers.margins.tolist()):
        fine = model.predict(images[row : row + 1], -math.inf)[0].fine
        assert fine is not None
        rest = cam.residual(fine.cam, model.head, margin - fine.bias) / cam.evidence(fine.cam, margin)
        farthest = max(farthest, rest if math.isfinite(rest) else math.inf)
        maps.append(fine.cam)
        if row in looked_at and fine.activations is not None:
            activations[row] = fine.activations
    return np.stack(maps), activations, farthest


def _answers(predictions: list[Prediction], head: Head) -> Answers:
    return Answers(
        np.stack([one.logits for one in predictions]),
        np.stack([cam.class_activation_map(one.activations, head) for one in predictions]),
    )


def check_frames(trained: Answers, labels: Sequence[int], noted: float) -> None:
    """Do frames reach the trained model here as they did in its training? noted: its validation loss there. Raises
    ParityError."""
    found = balanced_loss(trained.margins, np.array(labels))
    if not abs(found - noted) <= LOSS_TOLERANCE:
        raise ParityError(
            f"the trained model has a validation loss of {found:.4f} here and had {noted:.4f} in its training (they may differ by "
            f"{LOSS_TOLERANCE:g}): its frames are decoded or resized in another way here. Train and export with the same OpenCV. "
            "Nothing was written"
        )


def check_line(model: Model, files: Sequence[FrameFile], expected: Answers) -> list[tuple[Defect, ...]]:
    """Does the file, as the line runs it from the bytes of each frame, give the answers that were compared? Returns the defects it
    shows, in input pixels. Raises ParityError."""
    inspector = Inspector(model)
    margins, cams, defects = [], [], []
    for file in files:
        try:
            _, judged = inspector.inspect(frames.read(file, model.manifest.needed_hw))
        except FrameError as err:
            raise ParityError(f"the exported file fails on the line: {file.path} {err}. Nothing was written") from None
        margins.append(judged.margin)
        cams.append(judged.maps.coarse)
        defects.append(judged.defects)
    logits, map_ = _distance(np.array(margins), expected.margins), _distance(np.stack(cams), expected.cams)
    tolerance = cam_tolerance(expected.cams)
    if not (logits <= LOGITS_TOLERANCE and map_ <= tolerance):
        raise ParityError(
            f"the exported file disagrees with itself on {len(files)} frames as the line reads them: margins differ by {logits:.2g} "
            f"(at most {LOGITS_TOLERANCE:g}), the CAM by {map_:.2g} logits (at most {tolerance:.2g}); frames are decoded or resized in another way there. "
            "Nothing was written"
        )
    return defects


def compare(trained: Answers, exported: "Candidate", input_hw: tuple[int, int], versions: dict[str, str]) -> Parity:
    """Raises ParityError with every figure that is out of bounds. Boxes are compared with the file's own fine maps, which
    Keras has none of, and before they follow outlines, which are not the CAM's doing."""
    file, calibration, fine = exported.file, exported.calibration, exported.seen.fine
    parity = Parity(
        frames=len(trained.logits),
        logits=max(_distance(answers.logits, trained.logits) for answers in file.values()),
        cam=max(_distance(answers.cams, trained.cams) for answers in file.values()),
        box_iou=min(_box_iou(answers, trained, fine, calibration, input_hw) for answers in file.values()),
        flips=max(_flips(answers.margins, trained.margins, calibration) for answers in file.values()),
        versions=versions,
    )
    tolerance = cam_tolerance(trained.cams)
    breaches = [
        text
        for broken, text in (
            (
                not parity.logits <= LOGITS_TOLERANCE,
                f"logits differ by {parity.logits:.2g} (at most {LOGITS_TOLERANCE:g})",
            ),
            (
                not parity.cam <= tolerance,
                f"the CAM differs by {parity.cam:.2g} logits (at most {tolerance:.2g})",
            ),
            (not parity.box_iou >= BOX_IOU, f"boxes agree to IoU {parity.box_iou:.3f} (at least {BOX_IOU})"),
            (
                not exported.fine_residual <= LOGITS_TOLERANCE,
                f"a fine map misses its margin by {exported.fine_residual:.2g} of its evidence (at most {LOGITS_TOLERANCE:g})",
            ),
            (parity.flips > 0, f"{parity.flips} verdicts flip (none may)"),
        )
        if broken
    ]
    if breaches:
        raise ParityError(
            f"the exported graph disagrees with the trained model on {parity.frames} frames: {'; '.join(breaches)}. Nothing was written"
        )
    return parity


def cam_tolerance(cams: Array) -> float:
    """How far maps (n, h, w) may be from these, in logits."""
    return max(CAM_TOLERANCE, CAM_ROUNDING * float(np.abs(cams).max()))


def _box_iou(a: Answers, b: Answers, fine: Array, calibration: Calibration, input_hw: tuple[int, int]) -> float:
    """Mean agreement of the boxes of all rejects."""
    rejects = [row for row, margin in enumerate(b.margins.tolist()) if _rejects(margin, calibration)]

    def drawn(answers: Answers, row: int) -> list[Box]:
        maps = Maps(answers.cams[row], fine[row])
        return [defect.box for defect in boxes.locate(maps, calibration, input_hw)]

    return float(np.mean([agreement(drawn(a, row), drawn(b, row)) for row in rejects])) if rejects else 1.0


def _distance(a: Array, b: Array) -> float:
    return float(np.abs(a.astype(np.float64) - b).max())


def _flips(a: Array, b: Array, calibration: Calibration) -> int:
    pairs = zip(a.tolist(), b.tolist(), strict=True)
    return sum(_rejects(ours, calibration) != _rejects(theirs, calibration) for ours, theirs in pairs)


def _rejects(margin: float, calibration: Calibration) -> bool:
    return probability(margin, calibration.temperature) >= calibration.threshold
