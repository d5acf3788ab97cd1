"""An INT8 file answers alike on every processor, also where sums of 8-bit products are cut off at 16 bits."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from msgspec.structs import replace
from onnx import TensorProto, helper, numpy_helper

from edge_runtime import model as runtime
from edge_runtime import saturation
from edge_runtime.benchmark.hardware import hardware
from edge_runtime.errors import ModelError
from edge_runtime.model import Model
from export.convert import explained, fold, forward, with_manifest
from export.quantise import Scheme, quantise
from tests import tiny
from tests.export.runs import described
from tests.export.test_quantise import FINE, HW, frames
from tests.train.test_vgg import randomised


def test_the_sum_that_is_asked_for_is_what_its_docstring_says() -> None:
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["a", "b"], ["sum"])],
        "g",
        [helper.make_tensor_value_info("a", TensorProto.UINT8, [1, 2])],
        [helper.make_tensor_value_info("sum", TensorProto.INT32, [1, 1])],
        [numpy_helper.from_array(np.full((2, 1), 127, np.int8), "b")],
    )
    asked = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    assert asked.SerializeToString() == saturation.A_SUM


def test_processors_without_vnni_saturate() -> None:
    """Where Linux tells what an x86 processor has, the sum agrees."""
    here = hardware()
    if here.features is None or "AVX2" not in here.features:
        pytest.skip("the system does not tell, or it is no such processor")
    assert saturation.saturates() is not bool({"VNNI", "AVX-VNNI", "AMX"} & set(here.features))


def test_weights_of_8_bits_are_summed_exactly() -> None:
    """As in arithmetic with floats, which nothing cuts off: by onnxruntime without its integer kernels."""
    if not saturation.saturates():
        pytest.skip("this processor sums exactly in any case")
    plain = fold(randomised("exact", True, hw=HW), described(HW, 0.05, "exact"))
    graph = quantise(forward(plain), frames(16), Scheme())
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    exact = ort.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    draft = tiny.manifest(input_hw=HW)  # as the export asks: that it is INT8 is written down only when it has passed
    model = Model.from_bytes(with_manifest(explained(graph, plain, "block3_conv4"), draft))
    white = np.full((1, *HW, 3), 255, np.uint8)
    for images in (frames(8, seed=1), white):
        (logits,) = exact.run(["logits"], {"image": images})
        found = np.stack([one.logits for one in model.predict(images)])
        assert np.abs(found - logits).max() < 0.02 * np.abs(logits).max()


def test_where_sums_are_cut_off_the_way_back_gets_other_kernels_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On any processor: fast kernels that cut off are those of signed weights, so none may be left."""
    plain = fold(randomised("exact", True, hw=HW), described(HW, 0.05, "exact"))
    graph = quantise(forward(plain), frames(16), Scheme())
    file = with_manifest(explained(graph, plain, "block3_conv4"), tiny.manifest(input_hw=HW))
    written = tmp_path / "optimised.onnx"
    real = ort.InferenceSession

    def session(data: bytes, options: ort.SessionOptions, **kwargs: object) -> ort.InferenceSession:
        options.optimized_model_filepath = str(written)
        return real(data, options, **kwargs)

    monkeypatch.setattr(runtime, "saturates", lambda: True)
    monkeypatch.setattr(ort, "InferenceSession", session)
    Model.from_bytes(file)
    proto = onnx.load(written)
    (branch,) = [node for node in proto.graph.node if node.op_type == "If"]
    inner = next(one.g for one in branch.attribute if one.name == "then_branch")
    types = {one.name: one.data_type for one in [*proto.graph.initializer, *inner.initializer]}
    products = [types[node.input[1]] for node in inner.node if node.op_type == "MatMulInteger"]
    assert len(products) == 7 and set(products) == {TensorProto.UINT8}


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("reduced_range", [False, True])
@pytest.mark.parametrize("saturates", [False, True])
def test_another_engine_gets_no_weights_that_it_would_sum_wrongly(
    precision: str, reduced_range: bool, saturates: bool, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Started(Exception):
        pass

    def started(*_: object) -> None:
        raise Started

    monkeypatch.setattr(runtime, "execution_provider", lambda name: runtime.PROVIDERS[name])
    monkeypatch.setattr(runtime, "saturates", lambda: saturates)
    monkeypatch.setattr(runtime, "_started", started)
    quantisation = replace(FINE, scheme=str(Scheme(reduce_range=reduced_range))) if precision == "int8" else None
    manifest = tiny.manifest(precision=precision, quantisation=quantisation)
    proto = onnx.load(tiny_model)
    if precision == "int8":  # what counts is what the network does, not what the file says of it
        proto.graph.initializer.append(numpy_helper.from_array(np.array(1, np.float32), "unit"))
        proto.graph.node.append(helper.make_node("QuantizeLinear", ["unit", "unit"], ["unread"]))
    file = with_manifest(proto, manifest)
    refused = saturates and precision == "int8" and not reduced_range
    with pytest.raises(ModelError if refused else Started, match="wrong sums" if refused else None):
        Model.from_bytes(file, provider="openvino")
