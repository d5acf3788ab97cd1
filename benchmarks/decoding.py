"""What decoding JPEGs at 1/2, 1/4 and 1/8 does to verdicts and boxes, and what it saves: `python -m benchmarks.decoding MODEL FRAMES`.

The rule in edge_runtime/preprocess.py (`reduction`) comes from this table. Frames from a data set are often small; --enlarge
makes them as large as a camera's, with its noise, before they are compressed.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from edge_runtime import frames
from edge_runtime.inspector import Inspector, Judgement
from edge_runtime.model import Model
from edge_runtime.preprocess import prepare
from edge_runtime.results import Image, Verdict, agreement

NOISE = 3.0
"""Grey levels, standard deviation per channel: what a camera's sensor adds."""


@dataclass
class Effect:
    """Of one reduction against none. ratio: reduced side over the network's input, the smaller of both sides."""

    ratio: float = 0.0
    margins: list[float] = field(default_factory=list)
    levels: list[float] = field(default_factory=list)
    boxes: list[float] = field(default_factory=list)
    flips: int = 0
    ms: list[float] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("frames", nargs="+")
    parser.add_argument("--enlarge", type=float, default=8.0)
    parser.add_argument("--count", type=int, default=100)
    asked = parser.parse_args()
    inspector = Inspector(Model.load(asked.model))
    files = frames.find(asked.frames).files
    effects = {reduce: Effect() for reduce in (1, 2, 4, 8)}
    for jpeg in _jpegs([file.path for file in files[:: max(1, len(files) // asked.count)]], asked.enlarge):
        _compare(jpeg, inspector, effects)
    print(
        "| reduced to | side / input | mean, max difference of grey levels | mean, p99, max difference of margins | flips | boxes IoU, mean | decode + prepare, ms |"
    )
    print("|---|---|---|---|---|---|---|")
    for reduce, effect in effects.items():
        margins = np.array(effect.margins)
        print(
            f"| 1/{reduce} | {effect.ratio:.2f} | {np.mean(effect.levels):.2f}, {max(effect.levels):.1f} | {margins.mean():.3f}, "
            f"{np.quantile(margins, 0.99):.3f}, {margins.max():.3f} | {effect.flips} of {len(margins)} | "
            f"{np.mean(effect.boxes) if effect.boxes else float('nan'):.3f} | {np.median(effect.ms):.1f} |"
        )


def _jpegs(paths: list[Path], enlarge: float) -> Iterator[bytes]:
    noise = np.random.default_rng(0)
    for path in paths:
        image = frames.decode(frames.read_bytes(path))
        large = cv2.resize(image, None, fx=enlarge, fy=enlarge, interpolation=cv2.INTER_CUBIC)
        noisy = np.clip(large + noise.normal(0, NOISE, large.shape), 0, 255).astype(np.uint8)
        yield cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()


def _compare(jpeg: bytes, inspector: Inspector, effects: dict[int, Effect]) -> None:
    whole: tuple[Image, Judgement] | None = None
    for reduce, effect in effects.items():
        started = time.perf_counter()
        image = frames.decode(jpeg, reduce)
        prepared = prepare(image, inspector.model.input_hw)
        effect.ms.append((time.perf_counter() - started) * 1e3)
        effect.ratio = min(side / wanted for side, wanted in zip(image.shape, inspector.model.input_hw, strict=False))
        (prediction,) = inspector.model.predict(prepared[np.newaxis], inspector.explain_from)
        judged = inspector.judge(prediction)
        whole = whole or (prepared, judged)
        effect.levels.append(float(np.abs(prepared.astype(int) - whole[0]).mean()))
        effect.margins.append(abs(judged.margin - whole[1].margin))
        effect.flips += judged.verdict is not whole[1].verdict
        if judged.verdict is whole[1].verdict is Verdict.ANOMALY:
            effect.boxes.append(agreement([d.box for d in judged.defects], [d.box for d in whole[1].defects]))


if __name__ == "__main__":
    main()
