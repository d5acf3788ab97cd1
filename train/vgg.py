"""VGG19 -> global average pooling -> Dense(1) -> Dense(2), at any width, with or without BatchNorm."""

from typing import Any, Literal

import keras
from keras import layers

from train.recipe import Precision

Wiring = Literal["exact", "full"]

BLOCKS = ((2, 64), (2, 128), (4, 256), (4, 512), (4, 512))
"""(convolutions, filters) per block; Simonyan & Zisserman 2014, configuration E."""
TAP = "block5_conv3"
BN_MOMENTUM = 0.9
"""Keras's 0.99 lags a hundred steps behind, an epoch of a small data set; docs/experiments.md has the comparison."""
MEAN_BGR = (103.939, 116.779, 123.68)
"""What the ImageNet weights expect to be subtracted, in BGR order."""


def build(
    input_hw: tuple[int, int], width: float, wiring: Wiring, batch_norm: bool, precision: Precision = "float32"
) -> keras.Model:
    """The classifier: (N, h, w, 3) BGR in 0..255 -> logits (N, 2), ordered (good, anomaly).

    width scales every layer's filters (1.0 is VGG19). wiring `exact` ends the network at block5_conv3,
    which the pooling then reads, so that the class activation map is the logit spread over the picture;
    `full` pools after block5_pool as VGG19 does, and the map is an approximation. With batch_norm the
    convolutions have no bias and `<layer>_bn`, `<layer>_relu` follow; `export` folds them away. precision: of what flows between the layers up to the pooling;
    weights and the head are float32 in either.
    """
    dtype = "float32" if precision == "float32" else f"mixed_{precision}"
    image = keras.Input((*input_hw, 3), name="image")
    x = layers.Rescaling(1.0, offset=[-mean for mean in MEAN_BGR], name="centre")(image)
    for block, (convolutions, filters) in enumerate(BLOCKS, 1):
        for index in range(1, convolutions + 1):
            name = f"block{block}_conv{index}"
            x = _convolution(x, name, max(1, round(filters * width)), batch_norm, dtype)
            if wiring == "exact" and name == TAP:
                return _head(image, x)
        x = layers.MaxPooling2D(2, name=f"block{block}_pool", dtype=dtype)(x)
    return _head(image, x)


def _convolution(x: Any, name: str, filters: int, batch_norm: bool, dtype: str) -> Any:
    if not batch_norm:
        return layers.Conv2D(filters, 3, padding="same", activation="relu", name=name, dtype=dtype)(x)
    x = layers.Conv2D(
        filters, 3, padding="same", use_bias=False, kernel_initializer="he_normal", name=name, dtype=dtype
    )(x)
    x = layers.BatchNormalization(momentum=BN_MOMENTUM, name=f"{name}_bn", dtype=dtype)(x)
    return layers.ReLU(name=f"{name}_relu", dtype=dtype)(x)


def _head(image: Any, x: Any) -> keras.Model:
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dense(1, name="dense")(x)
    return keras.Model(image, layers.Dense(2, name="logits")(x), name="edge_detect")


def tap(model: keras.Model) -> Any:
    """The tensor (N, h/16, w/16, C) after block5_conv3's ReLU, the layer the CAM is made of."""
    names = {layer.name for layer in model.layers}
    return model.get_layer(f"{TAP}_relu" if f"{TAP}_relu" in names else TAP).output


def freeze(model: keras.Model, blocks: int) -> None:
    """Only what comes after so many blocks, counted from the input, goes on learning. 0 frees everything."""
    for layer in model.layers:
        named = layer.name.startswith("block")
        layer.trainable = not (named and int(layer.name[len("block")]) <= blocks)
