"""Frames to measure with, where there are none of one's own: the bundled ones at any size."""

from importlib.resources import as_file, files
from pathlib import Path

import cv2
import numpy as np

from edge_runtime.errors import UsageError
from edge_runtime.line.durable import write_bytes
from edge_runtime.results import Image

QUALITY = 90
NOISE = 5.0
"""Grey levels, standard deviation. A picture that was scaled up is smooth, and a smooth JPEG is decoded faster than a
camera's; with this much noise a pixel takes about a quarter of a byte, as a camera's does."""


def parse_size(text: str) -> tuple[int, int]:
    """`1920x1080` -> (1920, 1080), width first. Raises UsageError."""
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and 1 <= int(width) <= 65_000 and 1 <= int(height) <= 65_000):
        raise UsageError(f"--size {text}: expected WIDTHxHEIGHT in pixels, such as 1920x1080")
    return int(width), int(height)


def make_frames(folder: Path, size_wh: tuple[int, int], count: int) -> list[Path]:
    """Write so many JPEGs, no two alike, the same ones every time. What is there already is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:05}.jpg" for number in range(count)]
    missing = [number for number, path in enumerate(paths) if not path.exists()]
    originals = [cv2.resize(image, size_wh, interpolation=cv2.INTER_CUBIC) for image in bundled()] if missing else []
    for number in missing:
        noise = np.random.default_rng(number).normal(0, NOISE, (size_wh[1], size_wh[0], 1)).astype(np.float32)
        image = np.clip(originals[number % len(originals)] + noise, 0, 255).astype(np.uint8)
        _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        write_bytes(paths[number], data.tobytes())
    return paths


def bundled() -> list[Image]:
    """The frames that come with the package, (H, W, 3) uint8 BGR."""
    with as_file(files("edge_runtime.demo") / "frames") as folder:
        read = [np.frombuffer(path.read_bytes(), np.uint8) for path in sorted(folder.glob("*.jpg"))]
    return [np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8) for data in read]
