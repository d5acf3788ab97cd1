"""The operators of the way back, one for each function of the network, as plain ONNX nodes.

In an INT8 network the gradient is rounded to 8 bits before each convolution whose kernel is integers, and multiplied in integers: float
has a quarter of their speed. The kernel is the very one of the way forward, so what this costs is a rounding, seen in the residual.
"""

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Node = onnx.NodeProto
STEPS = 127
"""Of a rounded gradient to either side of 0."""
LEAST = 1e-30
"""The smallest step; a gradient that is 0 everywhere has none."""


class Backward:
    """Collects nodes and constants; every method takes and returns names of tensors (N, C, h, w)."""

    def __init__(self, producers: dict[str, Node]) -> None:
        """producers: the network's nodes by what they make. outside: nodes that belong before the branch."""
        self._producers = producers
        self.nodes: list[Node] = []
        self.outside: list[Node] = []
        self.constants: list[TensorProto] = []
        self.biases: list[str] = []
        self._made: dict[str, str] = {}

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

    def values(self, tensor: str) -> str:
        """The tensor itself, or in a quantised graph its value made anew here: what the fast path holds between two of its
        kernels are integers, and asking for anything else would slow down every frame."""
        source = self._quantised(tensor)
        if source is None:
            return tensor
        if tensor not in self._made:
            attributes = {one.name: helper.get_attribute_value(one) for one in source.attribute}
            self._made[tensor] = self.node("DequantizeLinear", self.stored(tensor), *source.input[1:], **attributes)
        return self._made[tensor]

    def _quantised(self, tensor: str) -> Node | None:
        source = self._producers.get(tensor)
        return source if source is not None and source.op_type == "DequantizeLinear" else None

    def stored(self, tensor: str) -> str:
        """The integers behind it, or the tensor itself where there are none. Activations go into the branch with the channels last, as
        integer kernels leave them: onnxruntime would put them in order for the branch on every frame, whether it is taken or not."""
        source = self._quantised(tensor)
        if source is None:
            return tensor
        integers = str(source.input[0])
        if integers not in self._producers:
            return integers
        if integers not in self._made:
            rows = helper.make_node("Transpose", [integers], [f"{integers}/rows"], perm=[0, 2, 3, 1])
            self.outside.append(rows)
            self._made[integers] = self.node("Transpose", rows.output[0], perm=[0, 3, 1, 2])
        return self._made[integers]

    def relu(self, gradient: str, after: str) -> str:
        """after: the ReLU's output; it is never negative, so what is not 0 let the gradient through. Neither are the integers it may
        be stored as, whose zero point is 0."""
        passed = self.node("Cast", self.stored(after), to=TensorProto.BOOL)
        return self.node("Mul", self.node("Cast", passed, to=TensorProto.FLOAT), gradient)

    def convolution(self, gradient: str, kernel: str, hw: tuple[int, int], bias: str = "") -> str:
        """kernel, bias: as the forward graph reads them. hw: of the layer."""
        if bias:
            places = self.node("ReduceSum", gradient, self.constant([2, 3], np.int64), keepdims=0)
            column = self.node("Unsqueeze", self.values(bias), self.constant([1], np.int64))
            self.biases.append(self.node("MatMul", places, column))
        source = self._quantised(kernel)
        if source is not None:
            integers, scale, _ = source.input  # symmetric: the zero point is 0
            return self._in_integers(gradient, integers, scale, hw)
        return self.node("Conv", gradient, self._turned(kernel), pads=[1, 1, 1, 1])

    def _turned(self, kernel: str) -> str:
        """The kernel of a convolution, (out, in, 3, 3), for the way back: (in, out, 3, 3), turned by 180 degrees.

        A convolution with that is the transposed one, and onnxruntime is quicker with it.
        """
        flat = self._once("Reshape", kernel, self.constant([0, 0, 9], np.int64))
        turned = self._once("MatMul", flat, self.constant(np.eye(9)[::-1]))  # exact, and much quicker than Gather
        return self._once(
            "Reshape", self._once("Transpose", turned, perm=[1, 0, 2]), self.constant([0, 0, 3, 3], np.int64)
        )

    def _once(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """What depends on no frame: onnxruntime works it out once, as it loads the file."""
        return self.node(operator, *inputs, output=f"fine/once_{len(self.nodes)}", **attributes)

    def _in_integers(self, gradient: str, kernel: str, scale: str, hw: tuple[int, int]) -> str:
        """kernel: (out, in, 3, 3) int8; scale: (out,). One matrix product over the nine neighbours of every place, whose kernels are
        fast; of the operators for convolutions ConvInteger is slow, and QLinearConv wants to know the range of its answer.

        Steps are each frame's own, so that the others of a batch change nothing.
        """
        height, width = hw
        scales = self._once("Reshape", scale, self.constant([1, -1, 1, 1], np.int64))
        weighed = self.node("Mul", gradient, scales)
        greatest = self.node("ReduceMax", self.node("Abs", weighed), axes=[1, 2, 3])
        step = self.node("Max", self.node("Mul", greatest, self.constant(1 / STEPS)), self.constant(LEAST))
        zero = self.constant(STEPS + 1, np.uint8)
        rounded = self.node("QuantizeLinear", self.node("Div", weighed, step), self.constant(1), zero)
        rows = self.node("Transpose", rounded, perm=[0, 2, 3, 1])
        places = self.node("Reshape", rows, self.constant([0, height * width, -1], np.int64))
        framed = self.node("Pad", places, self.constant([0, 0, 0, 0, 1, 0], np.int64), zero)
        nine = self.node("Gather", framed, self._neighbours(hw), axis=1)
        joined = self.node("Reshape", nine, self.constant([0, height * width, -1], np.int64))
        last = self._once("Reshape", kernel, self.constant([0, 0, 9], np.int64))
        matrix = self._once("Flatten", self._once("Transpose", last, perm=[2, 0, 1]), axis=2)
        sums = self.node("Cast", self.node("MatMulInteger", joined, matrix, zero), to=TensorProto.FLOAT)
        square = self.node("Reshape", sums, self.constant([0, height, width, -1], np.int64))
        return self.node("Mul", self.node("Transpose", square, perm=[0, 3, 1, 2]), step)

    def _neighbours(self, hw: tuple[int, int]) -> str:
        """Of each place the nine that it hands a gradient to, in the order of the kernel; one past the last for those outside."""
        name = f"fine/neighbours_{hw[0]}x{hw[1]}"
        if name not in self._made:
            outside = hw[0] * hw[1]
            places = np.pad(np.arange(outside).reshape(hw), 1, constant_values=outside)
            windows = np.lib.stride_tricks.sliding_window_view(places, (3, 3))[..., ::-1, ::-1]
            self.constants.append(numpy_helper.from_array(windows.reshape(-1).astype(np.int32), name))
            self._made[name] = name
        return name

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
