"""Image -> input tensor, and back to frame coordinates. Training and runtime share this one function."""

import cv2
import numpy as np

from edge_runtime.results import Box, Image

REDUCED_SIDES = 2.0


def prepare(image: Image, input_hw: tuple[int, int]) -> Image:
    """Stretch a frame to the network's input.

    image: (H, W, 3) uint8 BGR, any size. Returns (h, w, 3) uint8 BGR, contiguous.
    A side that shrinks averages areas, so that a thin defect dims but never falls between two samples; a side that
    grows is interpolated.
    """
    height, width = input_hw
    if image.shape[0] > height or image.shape[1] > width:
        size = min(width, image.shape[1]), min(height, image.shape[0])
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    if image.shape[:2] != (height, width):
        image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    return np.ascontiguousarray(image)


def reduction(size_wh: tuple[int, int], input_hw: tuple[int, int]) -> int:
    """Into how many pixels' widths a JPEG may be decoded for one: 1, 2, 4 or 8.

    As many as leave both sides at least REDUCED_SIDES times the network's input; `python -m benchmarks.decoding` shows what
    each costs.
    """
    spare = min(size_wh[0] / input_hw[1], size_wh[1] / input_hw[0]) / REDUCED_SIDES
    return max((step for step in (2, 4, 8) if step <= spare), default=1)


def to_frame(box: Box, input_hw: tuple[int, int], size_wh: tuple[int, int]) -> Box:
    """A box in input pixels -> the smallest box of whole frame pixels that covers it."""
    (width, height), (rows, columns) = size_wh, input_hw
    return Box(
        box.x0 * width // columns,
        box.y0 * height // rows,
        -(-box.x1 * width // columns),
        -(-box.y1 * height // rows),
    )
