"""The way into the first convolution is made quicker, and says the same to the last bit."""

import copy
from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from export.convert import fold, forward
from export.quantise import Scheme, quantise
from export.stem import quicken
from tests.export.runs import described
from tests.train.test_vgg import randomised

Images = np.typing.NDArray[np.uint8]
HW = (32, 48)
FIRST = "block1_conv1"


def pictures(count: int, seed: int) -> Images:
    return np.random.default_rng(seed).integers(0, 256, (count, *HW, 3), np.uint8)


def answers(graph: onnx.ModelProto, images: Images) -> list[np.typing.NDArray[np.float32]]:
    options = ort.SessionOptions()
    options.add_session_config_entry("session.x64quantprecision", "1")  # exact sums, whatever the processor
    session = ort.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [np.asarray(value) for value in session.run(["logits", "block5_conv3"], {"image": images})]


def convolution(graph: onnx.ModelProto) -> str:
    """The full name of the first."""
    (name,) = [str(node.name) for node in graph.graph.node if node.op_type == "Conv" and FIRST in node.name]
    return name


@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize("bits", ["float", "8", "7", "8, but the first convolution"])
def test_it_says_the_same_to_the_last_bit(bits: str, count: int) -> None:
    graph = forward(fold(randomised("exact", True, hw=HW), described(HW, 0.05, "exact")))
    if bits != "float":
        floating: Sequence[str] = (convolution(graph),) if "but" in bits else ()
        graph = quantise(graph, pictures(8, 0), Scheme(floating=tuple(floating), reduce_range=bits == "7"))
    quick = copy.deepcopy(graph)
    quicken(quick)
    onnx.checker.check_model(quick, full_check=True)
    assert quick != graph
    for found, expected in zip(answers(quick, pictures(count, 1)), answers(graph, pictures(count, 1)), strict=True):
        assert len(found) == count
        np.testing.assert_array_equal(found, expected)
