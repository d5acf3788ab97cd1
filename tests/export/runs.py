"""What a training would have been asked for, without one; and the graph of its network, not yet quickened."""

from typing import Any

import onnx

from export.convert import explained, forward
from train.recipe import Recipe
from train.run import Settings
from train.vgg import Wiring


def described(input_hw: tuple[int, int], width: float, wiring: Wiring) -> Settings:
    return Settings(
        product="test",
        backbone="vgg19-slim",
        width=width,
        wiring=wiring,
        weights="none",
        batch_norm=True,
        input_hw=input_hw,
        recipe=Recipe(),
        group=None,
        validation=0.2,
        data_sha256="0" * 64,
        roi_sha256=None,
        split_sha256=None,
    )


def graph(folded: Any, fine_layer: str) -> onnx.ModelProto:
    return explained(forward(folded), folded, fine_layer)
