"""What flows through the runtime: frozen values, checked when they are made."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
"""(H, W, 3) uint8, BGR, as OpenCV decodes it."""
Array = npt.NDArray[np.float32]


class Verdict(StrEnum):
    GOOD = "good"
    ANOMALY = "anomaly"
    ERROR = "error"
    SKIPPED = "skipped"


def probability(margin: float, temperature: float) -> float:
    """Margin in logits -> probability of `anomaly` in [0, 1]: the sigmoid of margin / temperature (Guo et al. 2017)."""
    return 1 / (1 + math.exp(-max(-700.0, min(700.0, margin / temperature))))


@dataclass(frozen=True, slots=True)
class Box:
    """Axis-aligned box in pixels, half-open: width is x1 - x0, slicing needs no +1."""

    x0: int
    y0: int
    x1: int
    y1: int

    def __post_init__(self) -> None:
        if not (0 <= self.x0 < self.x1 and 0 <= self.y0 < self.y1):
            raise ValueError(f"empty or negative box: {self}")

    @property
    def area(self) -> int:
        return (self.x1 - self.x0) * (self.y1 - self.y0)

    def iou(self, other: "Box") -> float:
        """Intersection over union, in [0, 1]."""
        width = min(self.x1, other.x1) - max(self.x0, other.x0)
        height = min(self.y1, other.y1) - max(self.y0, other.y0)
        shared = max(width, 0) * max(height, 0)
        return shared / (self.area + other.area - shared)


def agreement(a: Sequence[Box], b: Sequence[Box]) -> float:
    """Smallest IoU over boxes, each of a paired with the best of b that is left; 0 where their numbers differ,
    1 where neither has any."""
    if len(a) != len(b):
        return 0.0
    left, smallest = list(b), 1.0
    for box in a:
        best = max(left, key=box.iou)
        left.remove(best)
        smallest = min(smallest, box.iou(best))
    return smallest


@dataclass(frozen=True, slots=True)
class Account:
    """What the margin is made of, in logits; the four add up to it. fine_map: its mean. biases: of the convolutions above
    its layer. offset: of the dense layers. rounding: what is left: float sums, and in INT8 what lies between the integers."""

    fine_map: float
    biases: float
    offset: float
    rounding: float


@dataclass(frozen=True, slots=True)
class Without:
    """What the network says of the frame when something in it is replaced. margin: in logits. flips: whether it passes then.
    painted: no other place of the frame fits, so the hole was filled from its rim."""

    margin: float
    flips: bool
    painted: bool


@dataclass(frozen=True, slots=True)
class Proof:
    """A reject judged again: without each of its boxes, without all of them, and without equal boxes elsewhere (None where
    there is no room)."""

    each: tuple[Without, ...]
    together: Without
    control: Without | None


@dataclass(frozen=True, slots=True)
class Defect:
    """One region that speaks for `anomaly`.

    box: in frame pixels. contribution: share of the positive evidence of the whole frame that lies inside, in [0, 1].
    logits: what the inside adds to the margin, evidence against a defect included. peak: hottest value inside, in
    logits. map: which map this is counted on, `fine`, or `coarse` where the fine map had nothing to say.
    """

    box: Box
    contribution: float
    logits: float
    peak: float
    map: Literal["fine", "coarse"]


@dataclass(frozen=True, slots=True)
class Frame:
    """A decoded frame. source: its name in the results; sha256: of the file's bytes, hex. image: all of its pixels, or a
    reduced copy. size_wh: of the whole frame, (width, height) after its rotation."""

    source: str
    sha256: str
    image: Image
    size_wh: tuple[int, int]

    def __post_init__(self) -> None:
        shape = self.image.shape
        if self.image.dtype != np.uint8 or len(shape) != 3 or shape[2] != 3 or not self.image.size:
            raise ValueError(
                f"{self.source}: expected pixels as (height, width, 3) uint8, blue first; came {shape} {self.image.dtype}"
            )


@dataclass(frozen=True, slots=True)
class Fine:
    """The margin at a layer below. cam: (h', w') float32 in logits, not smoothed; mean(cam) + bias + the head's offset = margin.
    activations: (h', w', C) float32, of that layer; None in files whose boxes don't need them."""

    cam: Array
    bias: float
    activations: Array | None = None


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the network says of one frame.

    logits: (2,) float32, (good, anomaly). activations: (h/16, w/16, C) float32, `block5_conv3`. fine: made where the
    margin reaches what was asked for.
    """

    logits: Array
    activations: Array
    fine: Fine | None = None


@dataclass(frozen=True, slots=True)
class Maps:
    """Where the evidence lies, in logits.

    coarse: (h/16, w/16) float32, the CAM. fine: float32, the same margin handed down to a layer below; made for rejects
    only. activations: (h', w', C) float32, of the fine map's layer, where boxes are drawn by them.
    """

    coarse: Array
    fine: Array | None = None
    activations: Array | None = None


@dataclass(frozen=True, slots=True)
class Inspection:
    """The result for one frame: judged (verdict, score, margin, ...), or `error` or `skipped` with the reason.

    score: probability of `anomaly` in [0, 1]. margin: logit(anomaly) - logit(good).
    threshold: the score from which on a frame is an anomaly. residual: |mean(CAM) + offset - margin|
    in logits, None where the wiring makes the CAM an approximation. account: where there is a fine map. proof: of a reject, where it was asked for;
    proof.each in the order of defects. elapsed_ms: time per stage.
    """

    source: str
    sha256: str | None
    size_wh: tuple[int, int] | None
    verdict: Verdict
    score: float | None = None
    margin: float | None = None
    threshold: float | None = None
    defects: tuple[Defect, ...] = ()
    residual: float | None = None
    account: Account | None = None
    proof: Proof | None = None
    elapsed_ms: dict[str, float] = field(default_factory=dict)
    error: str | None = None

    def __post_init__(self) -> None:
        judged = self.verdict in (Verdict.GOOD, Verdict.ANOMALY)
        if judged != (self.error is None):
            raise ValueError(f"{self.source}: verdict {self.verdict} with error {self.error!r}")
        if judged and not (self.score is not None and math.isfinite(self.score)):
            raise ValueError(f"{self.source}: verdict {self.verdict} without a finite score")
