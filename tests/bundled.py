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
    loaded = Model.load(FILE)
    return replace(loaded, manifest=msgspec.structs.replace(loaded.manifest, mirrors=mirrors))


def images() -> Image:
    """(N, h, w, 3) uint8 BGR at input size."""
    input_hw = Model.load(FILE).input_hw
    return np.stack([prepare(frame, input_hw) for frame in bundled()])
