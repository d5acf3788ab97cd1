"""A file that might ship: the graph, its answers to the validation frames, and the levels fitted on these."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from edge_runtime.errors import EdgeDetectError
from edge_runtime.manifest import Calibration, Manifest
from edge_runtime.model import Model
from edge_runtime.results import Box, Image
from export import convert, parity
from train.calibrate import Terms, Validated, calibrate

BATCHES = (1, 8)
LOOKED_AT = 100
"""Marked frames whose activations are kept for outlines; those of the full VGG19 take 3 MB each at 224x224."""


@dataclass(frozen=True, slots=True)
class Questions:
    """What every candidate is asked. images: (n, h, w, 3) uint8 BGR at input size, the validation frames; labels: 0 good,
    1 anomaly. marked: true boxes by row. groups: of every frame, as in the training."""

    images: Image
    labels: Sequence[int]
    marked: dict[int, list[Box]]
    terms: Terms
    groups: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Candidate:
    """file: answers by batch size. fine_residual: the farthest a fine map was from its margin, per logit of evidence."""

    graph: onnx.ModelProto
    runtime: Model
    file: dict[int, parity.Answers]
    seen: Validated
    calibration: Calibration
    fine_residual: float

    @property
    def answers(self) -> parity.Answers:
        return self.file[BATCHES[0]]


def ask(graph: onnx.ModelProto, draft: Manifest, asked: Questions) -> Candidate:
    """Raises EdgeDetectError where an answer is not finite."""
    runtime = Model.from_bytes(convert.with_manifest(graph, draft), spinning=False)  # two files are timed in turns
    file = {batch: parity.ask_file(runtime, asked.images, batch) for batch in BATCHES}
    answers = file[BATCHES[0]]
    rows = list(asked.marked)
    looked_at = {rows[int(at)] for at in np.linspace(0, len(rows) - 1, min(LOOKED_AT, len(rows)))}
    fine, activations, residual = parity.fine_maps(runtime, asked.images, answers, looked_at)
    if not all(np.isfinite(found).all() for found in (answers.logits, answers.cams, fine)):
        raise EdgeDetectError("its answers are not finite")
    seen = Validated(
        answers.margins, answers.cams, fine, np.array(asked.labels), asked.marked, activations, asked.groups
    )
    calibration = calibrate(seen, draft.input_hw, asked.terms, guided=draft.wiring == "exact")
    return Candidate(graph, runtime, file, seen, calibration, residual)
