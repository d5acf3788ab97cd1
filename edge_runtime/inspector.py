"""Frame -> Inspection: prepare, predict, explain, judge. The only place where these meet."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from edge_runtime import boxes, cam
from edge_runtime.errors import FrameError
from edge_runtime.model import Model
from edge_runtime.preprocess import prepare, to_frame
from edge_runtime.proof import prove
from edge_runtime.results import (
    Account,
    Array,
    Defect,
    Frame,
    Image,
    Inspection,
    Maps,
    Prediction,
    Proof,
    Verdict,
    probability,
)
from edge_runtime.usual import refuse_unusual

RESIDUAL_TOLERANCE = 1e-3
"""Logits per logit of evidence for the CAM: what float32 sums may differ by. The pooling
reads the very activations it is made of, rounded or not."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A prediction, explained. defects: boxes in input pixels."""

    verdict: Verdict
    score: float
    margin: float
    residual: float | None
    maps: Maps
    defects: tuple[Defect, ...]
    account: Account | None = None


@dataclass(frozen=True, slots=True)
class Inspector:
    """threshold: score from which on a frame is an anomaly; None takes the file's own.
    single_box: one enclosing box instead of a box per defect. prove: judge rejects again without their boxes. explain_all: make the
    fine map of good frames, too."""

    model: Model
    threshold: float | None = None
    single_box: bool = False
    prove: bool = False
    explain_all: bool = False

    def inspect(self, frame: Frame, alive: Callable[[], None] = lambda: None) -> tuple[Inspection, Judgement]:
        """Judge one frame. alive: called now and then. Raises FrameError where the network's answer can't be trusted, or the frame looks
        like none that it was made with."""
        started = time.perf_counter()
        image = prepare(frame.image, self.model.input_hw)
        if self.model.manifest.usual is not None:
            refuse_unusual(image, self.model.manifest.usual)
        prepared = time.perf_counter()
        (prediction,) = self.model.predict(image[np.newaxis], self.explain_from, alive)
        inferred = time.perf_counter()
        judgement = self.judge(prediction)
        explained = time.perf_counter()
        proof = self._proof(image, judgement, alive) if self.prove and judgement.defects else None
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
            account=judgement.account,
            proof=proof,
            elapsed_ms={
                "prepare": (prepared - started) * 1e3,
                "infer": (inferred - prepared) * 1e3,
                "explain": (explained - inferred) * 1e3,
            }
            | ({} if proof is None else {"prove": (time.perf_counter() - explained) * 1e3}),
        )
        return inspection, judgement

    @property
    def identity(self) -> dict[str, str]:
        """What two runs must have in common for their results to stand side by side."""
        return {
            "model": self.model.sha256,
            "threshold": repr(self._threshold),
            "--single-box": str(self.single_box),
            "--prove": str(self.prove),
            "--explain all": str(self.explain_all),
        }

    @property
    def _threshold(self) -> float:
        return self.model.manifest.calibration.threshold if self.threshold is None else self.threshold

    @property
    def _temperature(self) -> float:
        return self.model.manifest.calibration.temperature

    @property
    def explain_from(self) -> float:
        """The margin from which on the fine map is made: the threshold, a hair lower. What rounding makes a reject must not lack its fine map. A score is 1 from
        some 37 temperatures on."""
        if self.explain_all or self._threshold <= 0:
            return -math.inf
        odds = self._threshold / (1 - self._threshold) if self._threshold < 1 else math.inf
        return self._temperature * min(30.0, math.log(odds)) - 1e-3

    def judge(self, prediction: Prediction) -> Judgement:
        """Verdict and explanation.

        Only a reject has boxes, and it has at least one unless its maps are flat. Raises FrameError where the answer
        can't be trusted.
        """
        margin = float(prediction.logits[1]) - float(prediction.logits[0])
        coarse = cam.class_activation_map(prediction.activations, self.model.head)
        exact = self.model.manifest.explanation == "exact"
        if not (math.isfinite(margin) and np.isfinite(coarse).all()):
            raise FrameError("gets no finite answer from the model; export the model again")
        residual = self._residual(coarse, 0.0, margin, RESIDUAL_TOLERANCE) if exact else None
        score = self._score(margin)
        fine, account = prediction.fine, None
        if fine is not None:
            self._residual(fine.cam, fine.bias, margin, self.model.manifest.fine_tolerance)
            mean, offset = float(fine.cam.mean(dtype=np.float64)), self.model.head.offset
            account = Account(mean, fine.bias, offset, margin - mean - fine.bias - offset)
        maps = Maps(coarse) if fine is None else Maps(coarse, fine.cam, fine.activations)
        if self._passes(margin):
            return Judgement(Verdict.GOOD, score, margin, residual, maps, (), account)
        found = boxes.locate(maps, self.model.manifest.calibration, self.model.input_hw, self.single_box)
        return Judgement(Verdict.ANOMALY, score, margin, residual, maps, found, account)

    def _residual(self, map_: Array, bias: float, margin: float, tolerance: float) -> float:
        """How far a map is from adding up to the margin, in logits. tolerance: per logit of evidence. Raises
        FrameError beyond it."""
        rest = cam.residual(map_, self.model.head, margin - bias)
        if not (math.isfinite(rest) and rest <= tolerance * cam.evidence(map_, margin)):
            raise FrameError(
                f"gets an explanation that misses its margin {margin:.4f} by {rest:.4f} logits; export the model again"
            )
        return rest

    def _score(self, margin: float) -> float:
        return probability(margin, self._temperature)

    def _passes(self, margin: float) -> bool:
        return self._score(margin) < self._threshold

    def _proof(self, image: Image, judgement: Judgement, alive: Callable[[], None]) -> Proof:
        maps, fine = judgement.maps, judgement.defects[0].map == "fine"
        evidence = boxes.located(maps, self.model.manifest.calibration) if fine else maps.coarse

        def judge(images: Image) -> Array:
            alive()
            answers = self.model.predict(images, alive=alive)
            return np.array([one.logits[1] - one.logits[0] for one in answers], np.float32)

        return prove(
            image,
            [defect.box for defect in judgement.defects],
            np.maximum(cam.upsample(evidence, self.model.input_hw), 0),
            self.model.input_hw[0] // evidence.shape[0],
            self._passes,
            judge,
        )
