"""The way from the picture into the first convolution, made quicker; what it computes stays the same to the last bit (with 8-bit
weights where sums are exact, as Model has them computed everywhere).

onnxruntime adds a number per channel three values at a time, and its integer kernels want channels by fours: with the three of a
picture they first copy out every neighbourhood. So the numbers are repeated along a row, and in an INT8 graph the picture gets a
fourth channel, of zeros, which the kernel weighs with zeros.
"""

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

Node = onnx.NodeProto
CHANNELS, BY_FOURS = 3, 4
BETWEEN = {"Add", "Conv", "DequantizeLinear", "Mul", "QuantizeLinear", "Transpose"}


def quicken(proto: onnx.ModelProto) -> None:
    """proto: a graph from `image` (N, h, w, 3) uint8 on, in float or quantised; changed in place."""
    graph = proto.graph
    constants = {one.name: one for one in graph.initializer}
    (image,) = [value for value in graph.input if value.name == "image"]
    width = image.type.tensor_type.shape.dim[2].dim_value
    cast, *others, convolution = _first(graph)
    kernel = _integers(graph, convolution)
    if kernel:
        weights = numpy_helper.to_array(constants[kernel])  # (filters, 3, 3, 3)
        _set(constants[kernel], np.pad(weights, ((0, 0), (0, BY_FOURS - CHANNELS), (0, 0), (0, 0))))
        graph.initializer.append(numpy_helper.from_array(np.eye(CHANNELS, BY_FOURS, dtype=np.float32), "stem/copy"))
        four = helper.make_node("MatMul", [cast.output[0], "stem/copy"], ["stem/four"], name="stem/four")
        others[0].input[0] = four.output[0]
        graph.node.insert(list(graph.node).index(cast) + 1, four)
        del graph.value_info[:]
    for name in [name for node in others for name in node.input if name in constants]:
        offset = numpy_helper.to_array(constants[name])
        if offset.shape == (CHANNELS,):
            _set(constants[name], np.tile(np.pad(offset, (0, (BY_FOURS - CHANNELS) * bool(kernel))), (width, 1)))


def _first(graph: onnx.GraphProto) -> list[Node]:
    """From the picture to the first convolution; between them each value stays by itself. Raises ValueError for another graph."""
    nodes: list[Node] = []
    tensor = "image"
    while not nodes or nodes[-1].op_type != "Conv":
        (node,) = [node for node in graph.node if tensor in node.input]
        if node.op_type not in (BETWEEN if nodes else {"Cast"}):
            raise ValueError(f"{node.op_type} between the picture and the first convolution")
        nodes.append(node)
        tensor = node.output[0]
    return nodes


def _integers(graph: onnx.GraphProto, convolution: Node) -> str:
    """The name of its kernel in integers; empty where it is kept in float."""
    producers = {output: node for node in graph.node for output in node.output}
    source = producers.get(convolution.input[1])
    return source.input[0] if source is not None and source.op_type == "DequantizeLinear" else ""


def _set(constant: onnx.TensorProto, values: Any) -> None:
    constant.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values), constant.name))
