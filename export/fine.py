"""The margin, handed further down: an exact map four times finer than the CAM, as plain ONNX operators.

A network of convolutions, ReLUs and max pooling is piecewise linear, so with A the activations of a layer, g the gradient
of the margin there, and b the biases above it (gradient x input; Shrikumar et al. 2016, Srinivas & Fleuret 2019):

    margin = sum(g * A) + sum(g_above * b) + offset        on every frame, with no approximation

The nodes added here walk that chain backwards, from what the pooling reads down to the layer. They stand in a branch
that is taken only where a margin reaches `explain_from`, an input with a default: a good frame pays nothing, a reject
the way back but no second forward pass. (onnxruntime's `only_execute_path_to_fetches` does not prune: measured with
1.32 by its own profile.)
"""

import math
from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge_runtime.head import Head
from train.vgg import BLOCKS

Node = onnx.NodeProto
MOST_TURNED = 2**20
"""Values of an INT8 kernel that is turned into floats once, for good. The full VGG19's are larger: with them its file would take
620 instead of 330 MiB of memory, for rejects that take 235 instead of 310 ms of one core."""
LAYERS = [f"block{block}_conv{index}" for block, (count, _) in enumerate(BLOCKS, 1) for index in range(1, count + 1)]


class _Backward:
    """Collects nodes and constants; every method takes and returns names of tensors (N, C, h, w)."""

    def __init__(self, large: Container[str]) -> None:
        """large: kernels that stay integers in memory. outside: nodes that belong before the branch."""
        self._large = large
        self.nodes: list[Node] = []
        self.outside: list[Node] = []
        self.constants: list[TensorProto] = []
        self.biases: list[str] = []
        self._dequantised: dict[str, str] = {}

    def node(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        name = output or f"fine/{operator}_{len(self.nodes)}"
        node = helper.make_node(operator, inputs, [name], name=name)
        node.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
        self.nodes.append(node)
        return name

    def constant(self, value: object, dtype: type = np.float32) -> str:
        name = f"fine/constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def dequantised(self, tensor: str, producers: dict[str, Node]) -> str:
        """The tensor itself, or in a quantised graph its value made anew here: what the fast path holds between two of its
        kernels are integers, and asking for anything else would slow down every frame."""
        source = producers.get(tensor)
        if source is None or source.op_type != "DequantizeLinear":
            return tensor
        if tensor not in self._dequantised:
            attributes = {one.name: helper.get_attribute_value(one) for one in source.attribute}
            integers, *levels = source.input
            if integers in producers:
                integers = self._handed_in(integers)
            self._dequantised[tensor] = self.node("DequantizeLinear", integers, *levels, **attributes)
        return self._dequantised[tensor]

    def _handed_in(self, integers: str) -> str:
        """Activations, into the branch with the channels last, as integer kernels leave them: onnxruntime would put them in order for
        the branch on every frame, whether it is taken or not."""
        rows = helper.make_node("Transpose", [integers], [f"{integers}/rows"], perm=[0, 2, 3, 1])
        self.outside.append(rows)
        return self.node("Transpose", rows.output[0], perm=[0, 3, 1, 2])

    def relu(self, gradient: str, after: str) -> str:
        """after: the ReLU's output; it is never negative, so its sign is the mask."""
        return self.node("Mul", self.node("Sign", after), gradient)

    def convolution(self, gradient: str, kernel: str, producers: dict[str, Node], bias: str = "") -> str:
        """kernel, bias: as the forward graph reads them."""
        if bias:
            places = self.node("ReduceSum", gradient, self.constant([2, 3], np.int64), keepdims=0)
            column = self.node("Unsqueeze", self.dequantised(bias, producers), self.constant([1], np.int64))
            self.biases.append(self.node("MatMul", places, column))
        source = producers.get(kernel)
        if source is not None and source.input[0] in self._large:
            return self.node("ConvTranspose", gradient, self.dequantised(kernel, producers), pads=[1, 1, 1, 1])
        return self.node("Conv", gradient, self._turned(kernel, source), pads=[1, 1, 1, 1])

    def _turned(self, kernel: str, source: Node | None) -> str:
        """The kernel of a convolution, (out, in, 3, 3), for the way back: (in, out, 3, 3), turned by 180 degrees.

        A convolution with that is the transposed one, and onnxruntime is quicker with it. It works these nodes out once, as it
        loads the file; DequantizeLinear, which means the same as the Cast and the Mul, it would leave to every run.
        """
        if source is not None and source.op_type == "DequantizeLinear":
            integers, scale, _ = source.input  # symmetric: the zero point is 0
            scales = self._once("Reshape", scale, self.constant([-1, 1, 1, 1], np.int64))
            kernel = self._once("Mul", self._once("Cast", integers, to=TensorProto.FLOAT), scales)
        flat = self._once("Reshape", kernel, self.constant([0, 0, 9], np.int64))
        turned = self._once("MatMul", flat, self.constant(np.eye(9)[::-1]))  # exact, and much quicker than Gather
        return self._once(
            "Reshape", self._once("Transpose", turned, perm=[1, 0, 2]), self.constant([0, 0, 3, 3], np.int64)
        )

    def _once(self, operator: str, *inputs: str, **attributes: Any) -> str:
        return self.node(operator, *inputs, output=f"fine/once_{len(self.nodes)}", **attributes)

    def max_pool(self, gradient: str, before: str, after: str, odd_hw: tuple[int, int]) -> str:
        """To the greatest of each four; where several are the greatest, each gets its share, so the sum stays exact.

        odd_hw: 1 for a side whose last row or column the pooling left out; nothing is handed to it.
        """
        greatest = self.node("Equal", before, self._grown(after, odd_hw))
        mask = self.node("Cast", greatest, to=TensorProto.FLOAT)
        share = self.node("AveragePool", mask, kernel_shape=[2, 2], strides=[2, 2])
        each = self.node("Div", gradient, self.node("Mul", share, self.constant(4)))
        return self.node("Mul", mask, self._grown(each, odd_hw))

    def _grown(self, tensor: str, odd_hw: tuple[int, int]) -> str:
        """Every value four times, twice as high and wide."""
        large = self.node(
            "Resize", tensor, "", self.constant([1, 1, 2, 2]),
            mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor",
        )  # fmt: skip
        if not any(odd_hw):
            return large
        return self.node("Pad", large, self.constant([0, 0, 0, 0, 0, 0, *odd_hw], np.int64))


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
) -> tuple[_Backward, tuple[int, int, int]]:
    """The nodes that make the three outputs from the network's own tensors, and the layer's (height, width, channels)."""
    producers = {output: node for node in graph.node for output in node.output}
    (pooling,) = [node for node in graph.node if node.op_type == "GlobalAveragePool"]
    integers = [one for one in graph.initializer if one.data_type == TensorProto.INT8]
    back = _Backward({one.name for one in integers if math.prod(one.dims) > MOST_TURNED})
    gradient = back.constant(head.direction[np.newaxis, :, np.newaxis, np.newaxis])
    below = len([step for step in _chain(producers, pooling.input[0]) if step.operator == "Conv"])
    activations, channels = "", 0
    steps = _chain(producers, pooling.input[0])
    for step in steps:
        after = back.dequantised(step.after, producers)
        if step.operator == "Relu":
            if LAYERS[below - 1] == layer:
                activations, channels = after, _filters(graph, producers, next(steps).node)
                break
            gradient = back.relu(gradient, after)
        elif step.operator == "Conv":
            kernel, *bias = step.node.input[1:]
            gradient = back.convolution(gradient, kernel, producers, *bias)
            below -= 1
        else:
            name = step.node.input[0]
            before = back.dequantised(name, producers)
            if before == name:  # in float; what follows may be rounded, and would equal none of its inputs
                after = step.node.output[0]
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
