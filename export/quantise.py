"""The forward graph in INT8: weights S8 per channel, activations U8, the head in float.

QDQ: every convolution and pooling stands between QuantizeLinear and DequantizeLinear, which onnxruntime turns into
integer kernels. The rounding behind a convolution cuts off what is negative and so is its ReLU.
"""

import contextlib
import io
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.qdq_loss_debug import (
    collect_activations,
    compute_activation_error,
    create_activation_matching,
    modify_model_output_intermediate_tensors,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from edge_runtime.manifest import REDUCED_RANGE
from edge_runtime.results import Image

QUANTISED = ("Conv", "Relu", "MaxPool")
METHODS: dict[str, tuple[CalibrationMethod, dict[str, float]]] = {
    "minmax": (CalibrationMethod.MinMax, {}),
    "percentile 99.999": (CalibrationMethod.Percentile, {"CalibPercentile": 99.999}),
    "percentile 99.99": (CalibrationMethod.Percentile, {"CalibPercentile": 99.99}),
}
"""How ranges of activations are chosen. Entropy is not among them: with onnxruntime's bins it gives those of minmax."""

ONE_BY_ONE = {"CalibStridedMinMax": 1}
"""For every method, whatever its name says: else the activations of all layers on all frames are held in memory at once."""


@dataclass(frozen=True, slots=True)
class Scheme:
    """method: of METHODS. floating: convolutions kept in float. reduce_range: 7-bit weights, which processors without VNNI
    (AVX2, AVX-512) can sum in 16 bits; 8-bit ones are summed in a slower way there."""

    method: str = "minmax"
    floating: tuple[str, ...] = ()
    reduce_range: bool = False

    def __str__(self) -> str:
        kept = f", {len(self.floating)} of its convolutions in float" if self.floating else ""
        return f"{self.method}{kept}{f', {REDUCED_RANGE}' if self.reduce_range else ''}"


class _Frames(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, images: Image) -> None:
        self._images = images
        self.set_range(0, len(images))

    def __len__(self) -> int:
        return len(self._images)

    def set_range(self, start_index: int, end_index: int) -> None:
        self._left: Iterator[Image] = iter(self._images[start_index:end_index])

    def get_next(self) -> dict[str, Image] | None:
        image = next(self._left, None)
        return None if image is None else {"image": image[np.newaxis]}


def quantise(forward: onnx.ModelProto, images: Image, scheme: Scheme) -> onnx.ModelProto:
    """forward: convert.forward(), left as it is. images: (n, h, w, 3) uint8 BGR, what ranges are measured on."""
    method, extra = METHODS[scheme.method]
    with _quietly(), tempfile.TemporaryDirectory() as folder:
        plain, prepared, done = (Path(folder) / f"{name}.onnx" for name in ("plain", "prepared", "done"))
        onnx.save(forward, plain)
        quant_pre_process(plain, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            done,
            _Frames(images),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(QUANTISED),
            per_channel=True,
            reduce_range=scheme.reduce_range,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=list(_with_relus(onnx.load(prepared), scheme.floating)),
            calibrate_method=method,
            extra_options=extra | ONE_BY_ONE,
        )
        proto = onnx.load(done)
    for opset in [opset for opset in proto.opset_import if opset.domain]:
        proto.opset_import.remove(opset)  # the quantiser declares a dozen it has no use for
    proto.ir_version = forward.ir_version
    return proto


def _quietly() -> contextlib.redirect_stdout[io.StringIO]:
    """The quantiser chats on stdout, which is for what scripts read."""
    return contextlib.redirect_stdout(io.StringIO())


def _with_relus(proto: onnx.ModelProto, names: Sequence[str]) -> Iterator[str]:
    """Nodes by these names, and the ReLUs that follow them."""
    outputs = {output for node in proto.graph.node if node.name in names for output in node.output}
    for node in proto.graph.node:
        if node.name in names or (node.op_type == "Relu" and node.input[0] in outputs):
            yield node.name


def most_sensitive(forward: onnx.ModelProto, images: Image, scheme: Scheme) -> list[str]:
    """Convolutions, the one first whose output suffers most from being quantised (signal to noise, by onnxruntime's own
    debugging)."""
    sample = images[:: max(1, len(images) // 8)]
    with _quietly(), tempfile.TemporaryDirectory() as folder:
        plain, small, plain_all, small_all = (
            Path(folder) / f"{name}.onnx" for name in ("plain", "small", "plain_all", "small_all")
        )
        onnx.save(forward, plain)
        onnx.save(quantise(forward, images, scheme), small)
        modify_model_output_intermediate_tensors(plain, plain_all)
        modify_model_output_intermediate_tensors(small, small_all)
        matched = create_activation_matching(
            collect_activations(str(small_all), _Frames(sample)), collect_activations(str(plain_all), _Frames(sample))
        )
        signal_to_noise = {name: found["xmodel_err"] for name, found in compute_activation_error(matched).items()}
    outputs = {node.output[0]: node.name for node in forward.graph.node if node.op_type == "Conv"}
    relus = {node.output[0]: outputs[node.input[0]] for node in forward.graph.node if node.op_type == "Relu"}
    known = {relus.get(name, outputs.get(name, "")): value for name, value in signal_to_noise.items()}
    return sorted((name for name in known if name), key=lambda name: known[name])
