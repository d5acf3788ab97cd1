"""Does a frame look like those that the file was calibrated on? Where the lamp is out or no part is there, a verdict means nothing.

Three plain measures at input size, in grey levels; limits lie far outside what was seen, as this is no inspection of the light.
"""

import cv2
import numpy as np

from edge_runtime.errors import FrameError
from edge_runtime.manifest import Usual
from edge_runtime.results import Image

BRIGHTER, CONTRASTS, SHARPER = 32.0, 2.0, 3.0
"""How far beyond all that was seen is still usual: grey levels, besides half of the range that was seen; and factors, besides one level."""


def measure(image: Image) -> tuple[float, float, float]:
    """image: (h, w, 3) uint8 BGR. Mean (brightness) and standard deviation (contrast) of the grey levels, and the mean difference of
    neighbours (sharpness)."""
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    (mean,), (spread,) = cv2.meanStdDev(grey)
    neighbours = (grey[1:], grey[:-1]), (grey[:, 1:], grey[:, :-1])
    sharpness = [cv2.norm(one, other, cv2.NORM_L1) / one.size for one, other in neighbours]
    return float(mean[0]), float(spread[0]), float(np.mean(sharpness))


def limits(images: Image) -> Usual:
    """Of frames (n, h, w, 3) that are as they should be."""
    seen = np.array([measure(image) for image in images])
    (dark, flat, blurred), (bright, rich, sharp) = seen.min(axis=0).tolist(), seen.max(axis=0).tolist()
    spare = (bright - dark) / 2 + BRIGHTER
    return Usual(
        brightness=(dark - spare, bright + spare),
        contrast=(flat / CONTRASTS, rich * CONTRASTS + 1),
        sharpness=(blurred / SHARPER, sharp * SHARPER + 1),
    )


def refuse_unusual(image: Image, usual: Usual) -> None:
    """Raises FrameError for a frame at input size that is far from all that the limits were taken from."""
    found = dict(zip(("brightness", "contrast", "sharpness"), measure(image), strict=True))
    odd = []
    for name, value in found.items():
        low, high = getattr(usual, name)
        if not low <= value <= high:
            odd.append(f"too {'little' if value < low else 'much'} {name}: {value:.3g}")
    if odd:
        raise FrameError(
            f"looks like no frame that the model was made with ({', '.join(odd)}); look at lamp, lens and part"
        )
