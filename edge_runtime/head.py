"""The dense layers of a model file, as the explanation needs them (cam.py)."""

from dataclasses import dataclass

import numpy as np

from edge_runtime.results import Array


@dataclass(frozen=True, slots=True)
class Head:
    """The two dense layers, folded into one direction.

    direction: (C,) float32, (v1 - v0) * w. offset: logits, the part of the margin that lies nowhere in the picture.
    """

    direction: Array
    offset: float

    @classmethod
    def fold(cls, dense_weights: Array, dense_bias: Array, output_weights: Array, output_bias: Array) -> "Head":
        """dense_weights (C, 1), dense_bias (1,), output_weights (1, 2), output_bias (2,), all float32."""
        turn = float(output_weights[0, 1]) - float(output_weights[0, 0])
        offset = turn * float(dense_bias[0]) + float(output_bias[1]) - float(output_bias[0])
        return cls((turn * dense_weights[:, 0].astype(np.float64)).astype(np.float32), offset)
