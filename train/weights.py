"""Where a network's first weights come from."""

from pathlib import Path

import keras
import numpy as np
from sklearn.linear_model import LogisticRegression

from edge_runtime.errors import UsageError, first_line
from edge_runtime.results import Array
from train.calibrate import Labels
from train.exported import Exported
from train.hard import between_classes

SCALE = (0.1, 1.0)
"""What a margin may be multiplied by before a network goes on learning: on frames that it can't tell apart yet, the best would be 0."""


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
            "Keras could not download them; on a PC without internet pass the file with --weights FILE, or train the smaller --backbone vgg19-slim"
            if weights == "imagenet"
            else "expected the layout of vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5 as Keras publishes it"
        )
        raise UsageError(f"--weights {weights}: {hint} ({first_line(err)})") from err


def load_exported(model: keras.Model, exported: Exported) -> None:
    """Give a network without BatchNorm the weights of an exported one of the same wiring and at most its width: it answers as
    the file does. What is wider begins with random filters that nothing reads yet (Chen et al. 2016, Net2Net, copies filters
    instead, which then learn the same)."""
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    layers = [*convolutions, model.get_layer("dense"), model.get_layer("logits")]
    for layer, stored in zip(layers, [*exported.convolutions, exported.dense, exported.logits], strict=True):
        kernel, bias = layer.get_weights()
        read, filters = stored[0].shape[-2:]
        kernel[..., :filters] = 0
        kernel[..., :read, :filters], bias[:filters] = stored
        layer.set_weights([kernel, bias])


def fit_margins(model: keras.Model, margins: Array, labels: Labels) -> None:
    """Scale and shift a network's margins in its last layer, so that they suit other frames than it has learned from (after Platt
    1999): it ranks them as before, but no longer calls all of them defective with great certainty, which the first steps of a
    training would mend at the cost of all that it knows.

    margins: (n,) in logits, as the network answers now; labels: (n,) 0 good, 1 anomaly. Raises UsageError.
    """
    if not np.isfinite(margins).all():
        raise UsageError(
            "--weights: the network in that file answers these frames with numbers that are not finite; use another"
        )
    middle = between_classes(margins, labels)
    slope = LogisticRegression(class_weight="balanced").fit((margins - middle)[:, np.newaxis], labels).coef_[0, 0]
    scale = float(np.clip(slope, *SCALE))
    layer = model.get_layer("logits")
    kernel, bias = layer.get_weights()
    layer.set_weights([kernel * scale, (bias + np.array([middle, -middle], np.float32) / 2) * scale])
