"""A frame and its mirror images, each asked by itself, and the mean of the answers: pure functions of arrays.

Test-time augmentation, and what is particular about it here: maps add up to margins, and so do means of maps, turned back, to means of
margins. The explanation of the mean is as exact as that of each.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from edge_runtime.results import Array, Fine, Image, Prediction

Mirrors = Literal["none", "horizontal", "vertical", "both"]
Axes = tuple[int, ...]
AXES: dict[Mirrors, tuple[Axes, ...]] = {
    "none": ((),),
    "horizontal": ((), (1,)),
    "vertical": ((), (0,)),
    "both": ((), (1,), (0,), (0, 1)),
}
"""Of an (h, w, ...) array, what is reversed in each image; the frame itself comes first."""


def mirrored(images: Image, axes: Axes) -> Image:
    """images: (N, h, w, 3)."""
    return np.ascontiguousarray(np.flip(images, tuple(axis + 1 for axis in axes))) if axes else images


def mean(answers: Sequence[Prediction], all_axes: Sequence[Axes], with_fine: bool) -> Prediction:
    """answers: of one frame's images, in the order of all_axes; all of them explained where with_fine."""

    def turned_back(maps: Sequence[Array]) -> Array:
        turned = [np.flip(map_, axes) for map_, axes in zip(maps, all_axes, strict=True)]
        return np.asarray(np.mean(turned, axis=0, dtype=np.float32), np.float32)

    fine = [one.fine for one in answers if one.fine is not None]
    below = [one.activations for one in fine if one.activations is not None]
    return Prediction(
        np.mean([one.logits for one in answers], axis=0, dtype=np.float32),
        turned_back([one.activations for one in answers]),
        Fine(
            turned_back([one.cam for one in fine]),
            float(np.mean([one.bias for one in fine])),
            turned_back(below) if below else None,
        )
        if with_fine
        else None,
    )
