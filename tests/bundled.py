"""The bundled network, with as many mirror images as a test wants, and the frames that come with it."""

from dataclasses import replace
from pathlib import Path

import msgspec.structs
import numpy as np

from edge_runtime import demo
from edge_runtime.benchmark.material import bundled
from edge_runtime.mirrors import Mirrors
from edge_runtime.model import Model
from edge_runtime.preprocess import prepare
from edge_runtime.results import Image

FILE = Path(demo.__file__).parent / "model.onnx"


def model(mirrors: Mirrors) -> Model:
    """Its boxes follow outlines, so that all outputs are asked for."""
    loaded = Model.load(FILE)
    boxes = msgspec.structs.replace(loaded.manifest.calibration.boxes, outline=0.5)
    levels = msgspec.structs.replace(loaded.manifest.calibration, boxes=boxes)
    return replace(loaded, manifest=msgspec.structs.replace(loaded.manifest, mirrors=mirrors, calibration=levels))


def images() -> Image:
    """(N, h, w, 3) uint8 BGR at input size."""
    input_hw = Model.load(FILE).input_hw
    return np.stack([prepare(frame, input_hw) for frame in bundled()])
