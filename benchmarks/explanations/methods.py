"""The ways to explain that are compared: a frame -> a map. Ours on the exported file, the others on the Keras model it was
made of, as they are run there; a few lines each, after their papers."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import keras
import numpy as np
import tensorflow as tf

from edge_runtime import boxes, cam
from edge_runtime.inspector import Inspector
from edge_runtime.results import Array, Image, Maps
from train import vgg

LAYERCAM_BELOW = "block3_conv4"
BATCH = 32
OCCLUDED, STRIDE = 1 / 7, 1 / 14
"""Side of the occluded square and its step, as shares of the frame's sides."""


@dataclass(frozen=True, slots=True)
class Explained:
    """map: (h, w) float32 at input size, any scale, hot where the defect is said to be. ms: to make it from pixels."""

    map: Array
    ms: float


Method = Callable[[Image], Array]


def timed(method: Method, image: Image) -> Explained:
    started = time.perf_counter()
    map_ = method(image)
    return Explained(map_, (time.perf_counter() - started) * 1e3)


def ours(inspector: Inspector) -> Method:
    """Where both maps agree: what the boxes are drawn from."""

    def explain(image: Image) -> Array:
        (prediction,) = inspector.model.predict(image[np.newaxis], -math.inf)
        assert prediction.fine is not None
        maps = Maps(cam.class_activation_map(prediction.activations, inspector.model.head), prediction.fine.cam)
        return cam.upsample(boxes.located(maps, inspector.model.manifest.calibration), inspector.model.input_hw)

    return explain


def coarse(inspector: Inspector) -> Method:
    """The CAM (Zhou et al. 2016), upsampled."""

    def explain(image: Image) -> Array:
        (prediction,) = inspector.model.predict(image[np.newaxis])
        return cam.upsample(
            cam.class_activation_map(prediction.activations, inspector.model.head), inspector.model.input_hw
        )

    return explain


class OnKeras:
    """Methods that need gradients or many forward passes, on the trained model."""

    def __init__(self, model: keras.Model) -> None:
        self.input_hw: tuple[int, int] = model.input_shape[1:3]
        self._forward = tf.function(lambda images: _margin(model(images, training=False)), reduce_retracing=True)
        self._gradient = {layer: _with_gradient(model, layer) for layer in (vgg.TAP, LAYERCAM_BELOW)}

    def margins(self, images: Array) -> Array:
        """(n, h, w, 3) float32 BGR -> (n,) logits."""
        parts = [self._forward(tf.constant(images[at : at + BATCH])).numpy() for at in range(0, len(images), BATCH)]
        return np.concatenate(parts)

    def grad_cam(self, image: Image) -> Array:
        """Selvaraju et al. 2017: channels weighed by their mean gradient. With global average pooling, the CAM again."""
        activations, gradient = self._at(image, vgg.TAP)
        return self._upsampled(np.maximum((activations * gradient.mean((0, 1))).sum(-1), 0))

    def layer_cam(self, image: Image) -> Array:
        """Jiang et al. 2021: every place weighed by its own positive gradient, at block5_conv3."""
        activations, gradient = self._at(image, vgg.TAP)
        return self._upsampled((activations * np.maximum(gradient, 0)).sum(-1))

    def layer_cam_below(self, image: Image) -> Array:
        """The same at the layer of our fine map."""
        activations, gradient = self._at(image, LAYERCAM_BELOW)
        return self._upsampled((activations * np.maximum(gradient, 0)).sum(-1))

    def score_cam(self, image: Image) -> Array:
        """Wang et al. 2020: channels weighed by what the frame, masked with them, says; softmax over the channels."""
        activations, _ = self._at(image, vgg.TAP)
        channels = [channel for channel in np.moveaxis(activations, -1, 0) if channel.max() > channel.min()]
        if not channels:
            return np.zeros(self.input_hw, np.float32)
        masks = [self._upsampled((channel - channel.min()) / np.ptp(channel)) for channel in channels]
        base = np.asarray(vgg.MEAN_BGR, np.float32)  # what the network takes for nothing
        margins = self.margins(np.stack([base + (image - base) * mask[..., np.newaxis] for mask in masks]))
        weights = np.exp(margins - margins.max())
        return self._upsampled(np.maximum(np.tensordot(weights / weights.sum(), np.stack(channels), 1), 0))

    def occlusion(self, image: Image) -> Array:
        """Zeiler & Fergus 2014: how much the margin falls when a grey square hides the place."""
        height, width = self.input_hw
        hidden: list[Array] = []
        places: list[tuple[slice, slice]] = []
        for y, x in self._places():
            rows = slice(max(0, int(y - OCCLUDED / 2 * height)), int(y + OCCLUDED / 2 * height))
            columns = slice(max(0, int(x - OCCLUDED / 2 * width)), int(x + OCCLUDED / 2 * width))
            copy = image.astype(np.float32)
            copy[rows, columns] = vgg.MEAN_BGR
            hidden.append(copy)
            places.append((rows, columns))
        falls = self.margins(image[np.newaxis].astype(np.float32))[0] - self.margins(np.stack(hidden))
        total, counted = np.zeros(self.input_hw), np.zeros(self.input_hw)
        for (rows, columns), fall in zip(places, falls, strict=True):
            total[rows, columns] += fall
            counted[rows, columns] += 1
        return np.asarray(total / np.maximum(counted, 1), np.float32)

    def _places(self) -> Iterator[tuple[float, float]]:
        height, width = self.input_hw
        steps = round(1 / STRIDE)
        return (
            ((row + 0.5) * height / steps, (column + 0.5) * width / steps)
            for row in range(steps)
            for column in range(steps)
        )

    def _at(self, image: Image, layer: str) -> tuple[Array, Array]:
        activations, gradient = self._gradient[layer](tf.constant(image[np.newaxis].astype(np.float32)))
        return activations.numpy()[0], gradient.numpy()[0]

    def _upsampled(self, map_: Array) -> Array:
        return cam.upsample(np.asarray(map_, np.float32), self.input_hw)


def _margin(logits: Any) -> Any:
    return logits[:, 1] - logits[:, 0]


def _with_gradient(model: keras.Model, layer: str) -> Any:
    """(n, h, w, 3) -> (activations of a layer after its ReLU, gradient of the margin there)."""
    names = {one.name for one in model.layers}
    tensor = model.get_layer(f"{layer}_relu" if f"{layer}_relu" in names else layer).output
    below = keras.Model(model.input, tensor)
    above = keras.Model(tensor, model.output)

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def both(images: Any) -> Any:
        activations = below(images, training=False)
        with tf.GradientTape() as tape:
            tape.watch(activations)
            margin = _margin(above(activations, training=False))
        return activations, tape.gradient(margin, activations)

    return both


def masks_of(image: Image, order: Array, shares: Array, fill: Image) -> tuple[Image, Image]:
    """Frames with the hottest shares of the pixels taken out (deletion), and with only these shown (insertion).

    order: (h, w) heat. shares: (s,) in [0, 1]. fill: what stands where nothing is shown. Returns two (s, h, w, 3).
    """
    ranks = np.argsort(np.argsort(-order.ravel(), kind="stable"), kind="stable").reshape(order.shape)
    taken = ranks[np.newaxis] < (shares * order.size)[:, np.newaxis, np.newaxis]
    return np.where(taken[..., np.newaxis], fill, image), np.where(taken[..., np.newaxis], image, fill)


def blurred(image: Image) -> Image:
    """What a frame says when nothing is to be seen in it."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), image.shape[0] / 10), np.uint8)
