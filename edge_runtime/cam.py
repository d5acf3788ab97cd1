"""The explanation: activations and dense weights -> CAM in logits -> heat. Pure functions of arrays.

With A the activations that feed the pooling, (w, b) the Dense(1) and (v, beta) the two-unit output:

    margin = logit_anomaly - logit_good = (v1 - v0) * (w . mean(A) + b) + beta1 - beta0
    CAM(x, y) = (v1 - v0) * w . A(x, y)         =>         mean(CAM) + offset = margin

The sign of v1 - v0 matters: without it, half of all trainings would show the good parts.
"""

import cv2
import numpy as np

from edge_runtime.head import Head
from edge_runtime.manifest import HeatScale
from edge_runtime.results import Array


def class_activation_map(activations: Array, head: Head) -> Array:
    """Spread the logit margin over the picture (Zhou et al. 2016, eq. 2).

    activations: (h, w, C) float32, the layer that feeds the global average pooling.
    Returns (h, w) float32 in logits; its mean plus `head.offset` is the margin.
    """
    with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is for the inspector to refuse
        return np.asarray(np.vecdot(activations, head.direction), np.float32)


def residual(cam: Array, head: Head, margin: float) -> float:
    """How far the map is from adding up to the margin: |mean(CAM) + offset - margin|, in logits."""
    return abs(float(cam.mean(dtype=np.float64)) + head.offset - margin)


def evidence(cam: Array, margin: float) -> float:
    """What a residual is measured by, in logits: the margin, or where more lies for and against it on the map, that; 1 at
    least. Sums are as exact as what is summed."""
    return max(1.0, abs(margin), float(np.abs(cam).mean(dtype=np.float64)))


def smooth(fine: Array) -> Array:
    """Even out a fine map over its neighbouring cells (Gaussian, sigma one cell). The sum stays, so it still adds up."""
    return np.asarray(cv2.GaussianBlur(fine, (0, 0), 1.0, borderType=cv2.BORDER_REFLECT), np.float32)


def upsample(cam: Array, size_hw: tuple[int, int]) -> Array:
    """(h, w) float32 -> size_hw, bilinear between cell centres. Keeps the mean where size_hw is a multiple of (h, w)."""
    return np.asarray(cv2.resize(cam, (size_hw[1], size_hw[0]), interpolation=cv2.INTER_LINEAR), np.float32)


def heat(cam: Array, scale: HeatScale) -> Array:
    """CAM in logits -> heat in [0, 1] on the absolute scale fixed at calibration; the same for every frame."""
    span = scale.hot - scale.cold
    return np.asarray(np.clip((cam - scale.cold) / span, 0, 1), np.float32)
