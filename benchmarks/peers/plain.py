"""What a script around a network does with a frame: read, resize, map, box, picture. OpenCV and NumPy, nothing clever."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.peers.protocol import Images

SIDE = 224
HOT = 0.5
"""Of the map's own greatest value, from which on a cell is in the box."""


@dataclass(frozen=True, slots=True)
class Answer:
    """heat: (h, w) float32. box: in frame pixels."""

    anomaly: bool
    heat: Any
    box: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Head:
    """The dense weights, (C, 1) and (1, 2)."""

    dense: Any
    output: Any

    @classmethod
    def load(cls, stem: Path) -> "Head":
        with np.load(f"{stem}.npz") as arrays:
            return cls(arrays["dense/kernel"], arrays["logits/kernel"])

    def answer(self, frame: Images, logits: Any, activations: Any) -> Answer:
        """logits (2,), activations (h, w, C): class activation map, and the box around what is hot in it."""
        heat = activations @ (self.dense[:, 0] * (self.output[0, 1] - self.output[0, 0]))
        rows, columns = np.nonzero(heat >= HOT * heat.max())
        tall, wide = frame.shape[0] / heat.shape[0], frame.shape[1] / heat.shape[1]
        box = (
            int(columns.min() * wide),
            int(rows.min() * tall),
            int((columns.max() + 1) * wide),
            int((rows.max() + 1) * tall),
        )
        return Answer(bool(logits[1] > logits[0]), heat, box)


def margin(logits: Any) -> float:
    """(2,) -> logit(anomaly) - logit(good)."""
    return float(logits[1]) - float(logits[0])


def read(path: Path) -> Images:
    return np.asarray(cv2.imread(str(path)), np.uint8)


def shrunk(frame: Images) -> Images:
    """To the network's input as it was trained: averages over areas."""
    return np.asarray(cv2.resize(frame, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def picture(frame: Images, answer: Answer, path: Path) -> None:
    """The heat laid over the frame, and the box."""
    low, high = answer.heat.min(), answer.heat.max()
    grey = ((answer.heat - low) / max(high - low, 1e-9) * 255).astype(np.uint8)
    heat = cv2.resize(grey, (frame.shape[1], frame.shape[0]))
    drawn = cv2.addWeighted(frame, 0.6, cv2.applyColorMap(heat, cv2.COLORMAP_JET), 0.4, 0)
    cv2.rectangle(drawn, answer.box[:2], answer.box[2:], (0, 0, 255), 3)
    cv2.imwrite(str(path), drawn, [cv2.IMWRITE_JPEG_QUALITY, 90])


@dataclass(frozen=True, slots=True)
class Script:
    """One frame after the other. ask: image (h, w, 3) uint8 BGR at input size -> logits (2,), activations (h/16, w/16, C)."""

    packages: tuple[str, ...]
    head: Head
    ask: Callable[[Images], tuple[Any, Any]]

    def end_to_end(self, frames: Sequence[Path], pictures: Path | None) -> None:
        for path in frames:
            frame = read(path)
            answer = self.head.answer(frame, *self.ask(shrunk(frame)))
            if pictures:
                picture(frame, answer, pictures / path.name)

    def network(self, images: Images) -> list[float]:
        return [margin(self.ask(image)[0]) for image in images]
