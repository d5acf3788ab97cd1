"""Heat as colour. `plasma` is perceptually uniform, and from blue to yellow for colour-blind eyes, too; cold has no colour.

Colour is laid on as a dye, a factor and a term per channel, so that all of it is integer arithmetic at the frame's size:

    picture = frame * factor(heat) + term(heat)         factor 1 and term 0 where it is cold
"""

from dataclasses import dataclass

import cv2
import numpy as np

from edge_runtime.results import Array, Image

COLDEST, HOTTEST = 10, 245
RAMP = np.asarray(
    cv2.applyColorMap(np.linspace(COLDEST, HOTTEST, 256).round().astype(np.uint8), cv2.COLORMAP_PLASMA), np.uint8
).reshape(256, 3)
"""Colour of heat 0..255, BGR; of the whole map but for its darkest and its palest end."""
OPACITY = np.minimum(1, 2 * np.arange(256) / 255)[:, np.newaxis]
"""Of heat 0..255: what is hardly warm is hardly seen, and from half of the scale on only the colour changes."""


@dataclass(frozen=True, slots=True)
class Dye:
    """factor, term: (256, 1, 3) uint8 per step of heat, BGR; a factor of 255 leaves the frame as it is."""

    factor: Image
    term: Image


def _dye(opacity: float, multiplied: float, added: float) -> Dye:
    alpha, colour = opacity * OPACITY, RAMP / 255
    factor, term = 1 - alpha + alpha * multiplied * colour, alpha * added * colour
    return Dye(*(np.rint(255 * part).astype(np.uint8).reshape(-1, 1, 3) for part in (factor, term)))


GLAZE = _dye(opacity=0.62, multiplied=1.0, added=0.26)
"""For a frame in which the defect must stay visible. Most of the colour multiplies: a dark pit stays darker than what is
around it, where paint as bright as its heat would fill it up."""
PAINT = _dye(opacity=0.7, multiplied=0.0, added=1.0)
"""For a map, which stands beside the frame."""


def glaze(image: Image, heat: Array) -> Image:
    """A copy of the frame with the heat on it, the frame's own contrast kept.

    image: (H, W, 3) uint8 BGR. heat: (h, w) float32 in [0, 1], at any size.
    """
    return _dyed(image, heat, GLAZE, cv2.INTER_LINEAR)


def tint(image: Image, heat: Array, interpolation: int) -> Image:
    """A copy of the frame under its map, at most 70 % opaque. interpolation: cv2's, INTER_NEAREST shows the map's cells."""
    return _dyed(image, heat, PAINT, interpolation)


def layer(heat: Array) -> Image:
    """The heat alone, to lay over any picture of the frame: (h, w, 4) uint8 BGRA, alpha 0 where cold."""
    steps = _steps(heat)
    return np.dstack([RAMP[steps], (255 * OPACITY).round().astype(np.uint8)[steps]])


def _steps(heat: Array) -> Image:
    return np.asarray(cv2.convertScaleAbs(heat, alpha=255), np.uint8)


def _dyed(image: Image, heat: Array, dye: Dye, interpolation: int) -> Image:
    steps, size = _steps(heat), (image.shape[1], image.shape[0])
    if not steps.any():
        return image.copy()
    if size[0] < heat.shape[1] and size[1] < heat.shape[0]:
        interpolation = cv2.INTER_AREA
    thrice = cv2.cvtColor(steps, cv2.COLOR_GRAY2BGR)
    factor = cv2.resize(cv2.LUT(thrice, dye.factor), size, interpolation=interpolation)
    picture = cv2.multiply(image, factor, dst=factor, scale=1 / 255)
    term = cv2.resize(cv2.LUT(thrice, dye.term), size, interpolation=interpolation)
    return np.asarray(cv2.add(picture, term, dst=picture), np.uint8)
