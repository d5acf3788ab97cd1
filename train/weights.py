"""Where a network's first weights come from."""

from pathlib import Path
from typing import Any

import keras
import numpy as np

from edge_runtime.errors import UsageError, first_line
from edge_runtime.results import Array, Image
from train.exported import Exported

MEASURED = 128
"""Training frames that means and variances are taken from, about."""
BATCH = 8


def load_earlier(model: keras.Model, path: Path) -> None:
    """Go on from an earlier training of the same network. Raises UsageError."""
    try:
        model.set_weights(keras.models.load_model(path, compile=False).get_weights())
    except Exception as err:  # Keras raises whatever zip, JSON and HDF5 readers raise
        raise UsageError(
            f"--weights {path}: expected the model of an earlier training with the same backbone, width and wiring ({first_line(err)})"
        ) from None


def load_backbone_weights(model: keras.Model, weights: str) -> None:
    """Copy VGG19's convolutions into a model built without BatchNorm at width 1.

    weights: `imagenet` (Keras downloads its file), or the path of a file in the layout of the one that
    Keras publishes (vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5). Raises UsageError.
    """
    try:
        source = keras.applications.VGG19(include_top=False, weights=weights)
        for layer in source.layers:
            if layer.weights and layer.name in {own.name for own in model.layers}:
                model.get_layer(layer.name).set_weights(layer.get_weights())
    except Exception as err:  # Keras raises whatever its HDF5 reader and its downloader raise.
        hint = (
            "Keras could not download them; on a PC without internet pass the file with --weights FILE"
            if weights == "imagenet"
            else "expected the layout of vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5 as Keras publishes it"
        )
        raise UsageError(f"--weights {weights}: {hint} ({first_line(err)})") from err


def load_exported(model: keras.Model, exported: Exported, images: Image) -> None:
    """Give a network the weights of an exported one of the same width and wiring.

    Where it has BatchNorm: export folds every BatchNorm into its convolution. Training needs them back, or it would hardly learn: each is set to the
    mean and variance that its convolution has on the frames at hand, and to undo just that; the network answers as the file
    does. images: (n, h, w, 3) uint8 BGR at the network's input size.
    """
    model.get_layer("dense").set_weights(list(exported.dense))
    model.get_layer("logits").set_weights(list(exported.logits))
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    if not norms:
        plain = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
        for layer, weights in zip(plain, exported.convolutions, strict=True):
            layer.set_weights(list(weights))
        return
    biases = [bias for _, bias in exported.convolutions]
    for norm, (kernel, bias) in zip(norms, exported.convolutions, strict=True):
        model.get_layer(norm.name.removesuffix("_bn")).set_weights([kernel])
        _set(norm, bias, np.zeros_like(bias), np.ones_like(bias))
    for norm, bias, (mean, variance) in zip(norms, biases, _measured(model, norms, images), strict=True):
        _set(norm, bias, mean, variance)


def _set(norm: Any, bias: Array, mean: Array, variance: Array) -> None:
    """mean, variance: of the convolution with its bias, which is what the BatchNorm gives back."""
    norm.set_weights([np.sqrt(variance + norm.epsilon), mean, mean - bias, variance])


def _measured(model: keras.Model, norms: list[Any], images: Image) -> list[tuple[Array, Array]]:
    """Per BatchNorm the mean and variance (channels,) of what it gives."""
    inner = keras.Model(model.input, [norm.output for norm in norms])
    sums = [np.zeros((2, norm.output.shape[-1])) for norm in norms]
    for start in range(0, len(images), BATCH):
        answers = inner(images[start : start + BATCH].astype(np.float32), training=False)
        for total, answer in zip(sums, answers, strict=True):
            values = keras.ops.convert_to_numpy(answer).astype(np.float64)
            total += [(values**power).mean(axis=(1, 2)).sum(axis=0) for power in (1, 2)]
    moments = [total / len(images) for total in sums]
    return [(first, np.maximum(second - first**2, 0)) for first, second in moments]
