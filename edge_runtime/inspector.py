"""Frame -> Inspection: prepare, predict, explain, judge. The only place where these meet."""

import math
import time
from dataclasses import dataclass, replace

import numpy as np

from edge_runtime import cam
from edge_runtime.errors import FrameError
from edge_runtime.model import Model
from edge_runtime.preprocess import prepare, to_frame
from edge_runtime.results import Array, Defect, Frame, Inspection, Prediction, Verdict

RESIDUAL_TOLERANCE = 1e-3
"""Logits per logit of margin (at least one): what float32 sums may differ by, far below what any eye could see."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A prediction, explained. cam: (h/16, w/16) float32 in logits; defects: boxes in input pixels."""

    verdict: Verdict
    score: float
    margin: float
    residual: float | None
    cam: Array
    defects: tuple[Defect, ...]


@dataclass(frozen=True, slots=True)
class Inspector:
    """threshold: score from which on a frame is an anomaly; None takes the file's own.
    single_box: one enclosing box instead of a box per defect."""

    model: Model
    threshold: float | None = None
    single_box: bool = False

    def inspect(self, frame: Frame) -> tuple[Inspection, Judgement]:
        """Judge one frame. Raises FrameError where the network's answer can't be trusted."""
        started = time.perf_counter()
        image = prepare(frame.image, self.model.input_hw)
        prepared = time.perf_counter()
        (prediction,) = self.model.predict(image[np.newaxis])
        inferred = time.perf_counter()
        judgement = self.judge(prediction)
        inspection = Inspection(
            source=frame.source,
            sha256=frame.sha256,
            size_wh=frame.size_wh,
            verdict=judgement.verdict,
            score=judgement.score,
            margin=judgement.margin,
            threshold=self._threshold,
            defects=tuple(
                replace(defect, box=to_frame(defect.box, self.model.input_hw, frame.size_wh))
                for defect in judgement.defects
            ),
            residual=judgement.residual,
            elapsed_ms={
                "prepare": (prepared - started) * 1e3,
                "infer": (inferred - prepared) * 1e3,
                "explain": (time.perf_counter() - inferred) * 1e3,
            },
        )
        return inspection, judgement

    @property
    def identity(self) -> dict[str, str]:
        """What two runs must have in common for their results to stand side by side."""
        return {"model": self.model.sha256, "threshold": repr(self._threshold), "single box": str(self.single_box)}

    @property
    def _threshold(self) -> float:
        return self.model.manifest.calibration.threshold if self.threshold is None else self.threshold

    def judge(self, prediction: Prediction) -> Judgement:
        """Verdict and explanation. Only a reject has boxes, and it has at least one unless its map is flat.

        Raises FrameError where the answer can't be trusted.
        """
        calibration = self.model.manifest.calibration
        margin = float(prediction.logits[1]) - float(prediction.logits[0])
        coarse = cam.class_activation_map(prediction.activations, self.model.head)
        if not (math.isfinite(margin) and np.isfinite(coarse).all()):
            raise FrameError("gets no finite answer from the model; export the model again")
        rest = None
        if self.model.manifest.explanation == "exact":
            rest = cam.residual(coarse, self.model.head, margin)
            if rest > RESIDUAL_TOLERANCE * max(1.0, abs(margin)):
                raise FrameError(
                    f"gets an explanation that misses its margin {margin:.4f} by {rest:.4f} logits; export the model again"
                )
        score = 1 / (1 + math.exp(-max(-700.0, min(700.0, margin))))
        anomaly = score >= self._threshold
        found: tuple[Defect, ...] = ()
        if anomaly:
            heat = cam.upsample(coarse, self.model.input_hw)
            found = cam.defects(heat, calibration) or cam.hottest(heat, calibration)
            found = cam.enclose(found, heat, calibration) if self.single_box else found
        return Judgement(Verdict.ANOMALY if anomaly else Verdict.GOOD, score, margin, rest, coarse, found)
