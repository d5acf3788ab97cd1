"""Small trainings to export, made by the real commands."""

from train.run import Run
from train.vgg import Wiring


def described(input_hw: tuple[int, int], width: float, wiring: Wiring) -> Run:
    """What run.json would say of an untrained net."""
    return Run(
        product="test",
        backbone="vgg19-slim",
        width=width,
        wiring=wiring,
        weights="none",
        batch_norm=True,
        input_hw=input_hw,
        seed=0,
        epochs=1,
        best_epoch=1,
        validation_auroc=0.5,
        augmentation={},
        train_counts=(1, 1),
        validation_counts=(1, 1),
        data_sha256="0" * 64,
        versions={},
    )
