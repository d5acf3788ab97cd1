"""Teaching the map where to look: the CAM as an output of the network, and the loss that asks it for a place."""

import math
from typing import Any

import keras

CELL_LOGITS = 5.0
"""What a cell that adds one logit to the margin weighs against the others, in nats."""
COLD = 2.0
"""Nats by which "nowhere" wins in a frame whose cells add nothing."""


def where_loss(touched: Any, cells: Any) -> Any:
    """Cross-entropy of "in which cell is the made-up defect, or is there none?", per frame.

    touched: (N, rows, columns) in {0, 1}, all 0 for a frame without one. cells: (N, rows, columns), the CAM in logits.
    """
    count = cells.shape[1] * cells.shape[2]
    inside = keras.ops.reshape(touched, (-1, count))
    nowhere = 1 - keras.ops.max(inside, axis=1, keepdims=True)
    choices = keras.ops.reshape(cells, (-1, count)) * (CELL_LOGITS / count)
    choices = keras.ops.concatenate([choices, keras.ops.zeros_like(nowhere) + COLD + math.log(count)], axis=1)
    right = keras.ops.concatenate([inside, nowhere], axis=1)
    return keras.ops.logsumexp(choices, axis=1) - keras.ops.logsumexp(choices + (right - 1) * 1e9, axis=1)


def with_cells(model: keras.Model) -> keras.Model:
    """The classifier with a second output, `cells` (N, rows, columns): the CAM in logits, at the layer the pooling reads.

    The dense layers are linear: applied at every place they give the logits there, and applied to nothing, the offset.
    """
    places = model.get_layer("pool").input

    def logits_of(tensor: Any) -> Any:
        return model.get_layer("logits")(model.get_layer("dense")(tensor))

    spread = keras.layers.Subtract()([logits_of(places), logits_of(keras.layers.Rescaling(0.0)(places))])
    cells = keras.layers.Lambda(lambda pair: pair[..., 1] - pair[..., 0], name="cells")(spread)
    return keras.Model(model.input, {"logits": model.output, "cells": cells})
