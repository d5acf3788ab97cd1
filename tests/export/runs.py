"""What a training would have been asked for, without one."""

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
