"""Does this processor cut off sums of 8-bit products at 16 bits? x86 without VNNI does, under onnxruntime's fastest kernels.

Asked of the kernels themselves: Windows does not tell what a processor has, and a sum does.
"""

from functools import cache

import numpy as np
import onnxruntime as ort

A_SUM = bytes.fromhex(
    "08083a5a0a1a0a01610a0162120373756d220d4d61744d756c496e74656765721201672a0d0802080110034201624a027f7f5a130a01"
    "61120e0a0c080212080a0208010a02080262150a0373756d120e0a0c080612080a0208010a02080142040a001011"
)
"""An ONNX model of one node: sum = MatMulInteger(a, b), a (1, 2) uint8, b (2, 1) int8, both 127. A test makes it anew."""


@cache
def saturates() -> bool:
    """Whether 255 * 127 + 255 * 127 comes out as 32,767. Takes a millisecond or two, once per process."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(A_SUM, options, providers=["CPUExecutionProvider"])
    (found,) = session.run(["sum"], {"a": np.full((1, 2), 255, np.uint8)})
    return int(found[0, 0]) != 2 * 255 * 127
