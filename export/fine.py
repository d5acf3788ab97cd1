"""The margin, handed further down: an exact map four times finer than the CAM, as plain ONNX operators.

A network of convolutions, ReLUs and max pooling is piecewise linear, so with A the activations of a layer, g the gradient
of the margin there, and b the biases above it (gradient x input; Shrikumar et al. 2016, Srinivas & Fleuret 2019):

    margin = sum(g * A) + sum(g_above * b) + offset        on every frame, with no approximation

The nodes added here walk that chain backwards, from what the pooling reads down to the layer. They stand in a branch
that is taken only where a margin reaches `explain_from`, an input with a default: a good frame pays nothing, a reject
the way back but no second forward pass. (onnxruntime's `only_execute_path_to_fetches` does not prune: measured with
1.32 by its own profile.)
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge_runtime.head import Head
from export.backward import Backward, Node
from train.vgg import BLOCKS

LAYERS = [f"block{block}_conv{index}" for block, (count, _) in enumerate(BLOCKS, 1) for index in range(1, count + 1)]


def add_fine_map(proto: onnx.ModelProto, head: Head, input_hw: tuple[int, int], layer: str) -> None:
    """Add the outputs `fine_cam` (N, h, w), `fine_bias` (N, 1) and `fine_activations` (N, h, w, C), float32, in place, and the optional
    input `explain_from` (1,) float32: all three are empty, (0, ...), unless a margin of the batch reaches it.

    layer: `block<b>_conv<c>`. Scaled like the CAM: mean(fine_cam) + fine_bias + offset is the margin.
    """
    graph = proto.graph
    back, (height, width, channels) = _way_back(graph, head, input_hw, layer)
    shapes: dict[str, list[str | int]] = {
        "fine_cam": ["N", height, width],
        "fine_bias": ["N", 1],
        "fine_activations": ["N", height, width, channels],
    }
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    then = helper.make_graph(back.nodes, "explained", [], outputs, back.constants)
    nothing = [np.zeros((0, *map(int, shape[1:])), np.float32) for shape in shapes.values()]
    otherwise = helper.make_graph(
        [
            helper.make_node("Constant", [], [f"no_{name}"], value=numpy_helper.from_array(value, f"no_{name}"))
            for name, value in zip(shapes, nothing, strict=True)
        ],
        "not_explained",
        [],
        [
            helper.make_tensor_value_info(f"no_{name}", TensorProto.FLOAT, [0, *shape[1:]])
            for name, shape in shapes.items()
        ],
    )
    graph.initializer.append(numpy_helper.from_array(np.array([np.inf], np.float32), "explain_from"))
    graph.input.append(helper.make_tensor_value_info("explain_from", TensorProto.FLOAT, [1]))
    graph.initializer.append(numpy_helper.from_array(np.array([[-1], [1]], np.float32), "fine/difference"))
    graph.node.extend(
        [
            helper.make_node("MatMul", ["logits", "fine/difference"], ["fine/margins"]),
            helper.make_node("ReduceMax", ["fine/margins"], ["fine/margin"], keepdims=0),
            helper.make_node("GreaterOrEqual", ["fine/margin", "explain_from"], ["fine/reached"]),
            *back.outside,
            helper.make_node("If", ["fine/reached"], list(shapes), then_branch=then, else_branch=otherwise),
        ]
    )
    graph.output.extend(outputs)


def _way_back(
    graph: onnx.GraphProto, head: Head, input_hw: tuple[int, int], layer: str
) -> tuple[Backward, tuple[int, int, int]]:
    """The nodes that make the three outputs from the network's own tensors, and the layer's (height, width, channels)."""
    producers = {output: node for node in graph.node for output in node.output}
    (pooling,) = [node for node in graph.node if node.op_type == "GlobalAveragePool"]
    back = Backward(producers)
    gradient = back.constant(head.direction[np.newaxis, :, np.newaxis, np.newaxis])
    below = len([step for step in _chain(producers, pooling.input[0]) if step.operator == "Conv"])
    activations, channels = "", 0
    steps = _chain(producers, pooling.input[0])
    for step in steps:
        if step.operator == "Relu":
            if LAYERS[below - 1] == layer:
                activations, channels = back.values(step.after), _filters(graph, producers, next(steps).node)
                break
            gradient = back.relu(gradient, step.after)
        elif step.operator == "Conv":
            kernel, *bias = step.node.input[1:]
            gradient = back.convolution(gradient, kernel, _size(producers, step.after, input_hw), *bias)
            below -= 1
        else:
            name = step.node.input[0]
            before = back.stored(name)
            # in float what follows may be rounded, and would equal none of its inputs
            after = step.node.output[0] if before == name else back.stored(step.after)
            height, width = _size(producers, name, input_hw)
            gradient = back.max_pool(gradient, before, after, (height % 2, width % 2))
    height, width = _size(producers, step.after, input_hw)
    rows, columns = _size(producers, pooling.input[0], input_hw)
    product = back.node("ReduceSum", back.node("Mul", gradient, activations), back.constant([1], np.int64), keepdims=0)
    back.node("Mul", product, back.constant(height * width / (rows * columns)), output="fine_cam")
    if not back.biases:  # a network without a single bias; its sum is 0, in the shape of the batch
        sums = back.node("ReduceSum", product, back.constant([1, 2], np.int64), keepdims=0)
        column = back.node("Unsqueeze", sums, back.constant([1], np.int64))
        back.biases.append(back.node("Mul", column, back.constant(0)))
    back.node("Mul", back.node("Sum", *back.biases), back.constant(1 / (rows * columns)), output="fine_bias")
    back.node("Transpose", activations, output="fine_activations", perm=[0, 2, 3, 1])
    return back, (height, width, channels)


@dataclass(frozen=True, slots=True)
class _Step:
    """One function of the network: Conv, Relu or MaxPool. after: its output, as what follows reads it."""

    operator: str
    node: Node
    after: str


def _chain(producers: dict[str, Node], tensor: str) -> Iterator[_Step]:
    """The one line of convolutions, ReLUs and max poolings that ends in a tensor, from its end to the input.

    Where block5_conv3 is both an output (NHWC) and read on, a pair of transpositions stands that cancel out. In a
    quantised graph the rounding after a convolution cuts off what is negative, and is its ReLU.
    """
    after = tensor
    while tensor in producers:
        node = producers[tensor]
        source = producers.get(node.input[0])
        rounded = node.op_type == "QuantizeLinear" and source is not None and source.op_type == "Conv"
        tensor = node.input[0]
        if rounded or node.op_type in ("Conv", "Relu", "MaxPool"):
            yield _Step("Relu" if rounded else node.op_type, node, after)
            after = tensor
        elif node.op_type not in ("QuantizeLinear", "DequantizeLinear", "Transpose"):
            return


def _filters(graph: onnx.GraphProto, producers: dict[str, Node], convolution: Node) -> int:
    kernel = convolution.input[1]
    source = producers.get(kernel)
    stored = kernel if source is None else source.input[0]
    return next(int(one.dims[0]) for one in graph.initializer if one.name == stored)


def _size(producers: dict[str, Node], tensor: str, input_hw: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of a tensor: the input's, halved by every pooling before it."""
    pools = sum(step.operator == "MaxPool" for step in _chain(producers, tensor))
    return input_hw[0] >> pools, input_hw[1] >> pools
