"""What the command line offers, and how it is read."""

import math
from enum import StrEnum

from edge_runtime.errors import UsageError


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


def share(option: str, text: str) -> float | None:
    """`0.5%` or `0.005` -> 0.005; None for no text. Raises UsageError."""
    if not text:
        return None
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise UsageError(f"{option} {text}: expected a share such as 0.5% or 0.005")
    return value
