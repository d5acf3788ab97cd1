"""A model file without its explanation, for engines that compile a graph as a whole.

OpenVINO computes a branch that is hardly ever taken as it computes the rest: with every intermediate result kept, and so many
times slower. Fields are those of onnx.proto3, as in onnx_file.py.
"""

from collections.abc import Collection, Iterable

from edge_runtime.onnx_file import fields

_MODEL_IR_VERSION, _MODEL_GRAPH, _MODEL_OPSET = 1, 7, 8
_GRAPH_NODE, _GRAPH_NAME, _GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_OUTPUT = 1, 2, 5, 11, 12
_NODE_INPUT, _NODE_OUTPUT = 1, 2
_TENSOR_NAME, _VALUE_NAME = 8, 1


def forward_only(data: bytes, outputs: Collection[str]) -> bytes:
    """The ONNX model that gives just these outputs, with what they need and nothing else. data: a file that was checked."""
    model = list(fields(memoryview(data)))
    graph = list(fields(next(value for number, value in model if number == _MODEL_GRAPH)))
    needed, nodes = set(outputs), []
    for node in reversed([value for number, value in graph if number == _GRAPH_NODE]):  # each comes after what it reads
        if needed.intersection(_names(node, _NODE_OUTPUT)):
            needed.update(_names(node, _NODE_INPUT))
            nodes.append(node)
    kept = [(_GRAPH_NODE, node) for node in reversed(nodes)]
    for number, value in graph:
        name_at = {_GRAPH_INITIALIZER: _TENSOR_NAME, _GRAPH_INPUT: _VALUE_NAME, _GRAPH_OUTPUT: _VALUE_NAME}.get(number)
        if number == _GRAPH_NAME or (name_at and needed.intersection(_names(value, name_at))):
            kept.append((number, value))
    whole = [(number, value) for number, value in model if number == _MODEL_OPSET]
    ir_version = next(bytes(value) for number, value in model if number == _MODEL_IR_VERSION)
    return bytes([_MODEL_IR_VERSION << 3]) + ir_version + _message([*whole, (_MODEL_GRAPH, _message(kept))])


def _names(message: memoryview, field: int) -> list[str]:
    return [bytes(value).decode() for number, value in fields(message) if number == field]


def _message(parts: Iterable[tuple[int, memoryview | bytes]]) -> bytes:
    """A protobuf message of length-delimited fields."""
    return b"".join(_varint(number << 3 | 2) + _varint(len(value)) + bytes(value) for number, value in parts)


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])
