"""Another engine judges what passes; what may be a reject is judged and explained by onnxruntime's own kernels."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from edge_runtime.model import FORWARD_OUTPUTS, Model
from edge_runtime.onnx_forward import forward_only
from edge_runtime.preprocess import prepare
from edge_runtime.results import Image
from tests import bundled, tiny


@pytest.fixture(scope="module")
def images() -> Image:
    return bundled.images()


def session(data: bytes) -> ort.InferenceSession:
    return ort.InferenceSession(data, providers=["CPUExecutionProvider"])


def test_what_is_left_gives_the_same_answers_and_nothing_else(images: Image) -> None:
    data = forward_only(bundled.FILE.read_bytes(), FORWARD_OUTPUTS)
    proto = onnx.load_from_string(data)
    onnx.checker.check_model(proto, full_check=True)
    assert "If" not in {node.op_type for node in proto.graph.node}
    assert [value.name for value in proto.graph.input] == ["image"]
    found = session(data).run(FORWARD_OUTPUTS, {"image": images})
    expected = bundled.model("none").predict(images)
    assert np.array_equal(found[0], [one.logits for one in expected])
    assert np.array_equal(found[1], [one.activations for one in expected])


def test_only_what_passes_is_left_to_the_other_engine(images: Image) -> None:
    """The other engine here is a network that says of every frame what it should say, but one logit too much."""
    own = bundled.model("none")
    expected = own.predict(images, -math.inf)
    margins = [float(one.logits[1] - one.logits[0]) for one in expected]
    other = onnx.load_from_string(forward_only(bundled.FILE.read_bytes(), FORWARD_OUTPUTS))
    bias = next(one for one in other.graph.initializer if one.dims == [2])
    bias.raw_data = (np.frombuffer(bias.raw_data, np.float32) + np.array([0, 1], np.float32)).tobytes()
    both = replace(own, forward=session(other.SerializeToString()))
    limit = 0.5 + sorted(margins)[len(margins) // 2]
    for image, margin, right in zip(images, margins, expected, strict=True):
        (found,) = both.predict(image[np.newaxis], limit)
        passes = margin + 1 < limit
        assert float(found.logits[1] - found.logits[0]) == pytest.approx(margin + passes, abs=1e-4)
        assert np.allclose(found.activations, right.activations, rtol=1e-4, atol=1e-4)
        assert (found.fine is None) == (margin < limit), "explained where it may be a reject"


def test_a_network_that_gives_no_numbers_does_not_pass(tiny_model: Path) -> None:
    own = Model.load(tiny_model)
    other = onnx.load_from_string(forward_only(tiny_model.read_bytes(), FORWARD_OUTPUTS))
    for tensor in other.graph.initializer:
        if tensor.name == "bias":
            tensor.raw_data = np.full(len(tensor.raw_data) // 4, np.nan, np.float32).tobytes()
    both = replace(own, forward=session(other.SerializeToString()))
    image = prepare(tiny.frame(), own.input_hw)[np.newaxis]
    assert np.isfinite(both.predict(image, 0.0)[0].logits).all()


def test_mirror_images_of_what_passes_are_left_to_the_other_engine_too(images: Image) -> None:
    own = bundled.model("both")
    other = onnx.load_from_string(forward_only(bundled.FILE.read_bytes(), FORWARD_OUTPUTS))
    bias = next(one for one in other.graph.initializer if one.dims == [2])
    bias.raw_data = (np.frombuffer(bias.raw_data, np.float32) + np.array([0, 1], np.float32)).tobytes()
    both = replace(own, forward=session(other.SerializeToString()))
    for limit, more in ((math.inf, 1), (-math.inf, 0)):
        for found, right in zip(both.predict(images, limit), own.predict(images, limit), strict=True):
            assert found.logits[1] - right.logits[1] == pytest.approx(more, abs=1e-4)
            assert np.allclose(found.activations, right.activations, rtol=1e-4, atol=1e-4)
