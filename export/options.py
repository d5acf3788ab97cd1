"""What the command line offers, and how it is read."""

from enum import StrEnum

from edge_runtime.errors import UsageError
from edge_runtime.mirrors import AXES, Mirrors
from train.augment import Augmentation


class FineLayer(StrEnum):
    """Layers fine enough to point, deep enough to know; docs/architecture.md."""

    BLOCK4_CONV4 = "block4_conv4"
    BLOCK4_CONV2 = "block4_conv2"
    BLOCK3_CONV4 = "block3_conv4"
    BLOCK2_CONV2 = "block2_conv2"


class Precision(StrEnum):
    FP32 = "fp32"
    INT8 = "int8"
    AUTO = "auto"


class Unusual(StrEnum):
    ERROR = "error"
    JUDGE = "judge"


def refuse_unknown(mirrors: Mirrors, learned: Augmentation) -> None:
    """Raises UsageError for mirror images that the network has never learned from."""
    asked = {axis for axes in AXES[mirrors] for axis in axes}
    known = {1: learned.flip_horizontal, 0: learned.flip_vertical}
    unknown = [word for axis, word in ((1, "horizontally"), (0, "vertically")) if axis in asked and not known[axis]]
    if unknown:
        raise UsageError(
            f"--mirrors {mirrors}: the network has not learned from frames mirrored {' or '.join(unknown)}, as the training "
            "was told (--no-flip, --augment)"
        )
