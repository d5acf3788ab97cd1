"""What must be known of an ONNX file before it is run: that its bytes are those that were exported, that it is complete in
itself, and that it uses no operator but those a VGG19 and its explanation are made of.

A few fields of the protobuf are walked by number (onnx.proto3); the line does not need the onnx package for that.
"""

import hashlib
from collections.abc import Iterator

from edge_runtime.errors import ModelError

EXPORTED = "expected a model file, which python -m export RUN -o part.onnx makes"
STANDARD_DOMAINS = frozenset({"", "ai.onnx"})

# Message fields by number, from onnx.proto3.
_MODEL_GRAPH, _MODEL_OPSET, _MODEL_METADATA, _MODEL_FUNCTION = 7, 8, 14, 25
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_SPARSE_INITIALIZER = 1, 5, 15
_NODE_ATTRIBUTE, _NODE_DOMAIN = 5, 7
_ATTRIBUTE_TENSOR, _ATTRIBUTE_GRAPH, _ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS = 5, 6, 10, 11
_ATTRIBUTE_SPARSE_TENSOR, _ATTRIBUTE_SPARSE_TENSORS = 22, 23
_TENSOR_EXTERNAL_DATA, _TENSOR_DATA_LOCATION = 13, 14
_OPSET_DOMAIN = 1
_ENTRY_KEY, _ENTRY_VALUE = 1, 2
_NODE_OPERATOR = 4
_MAX_DEPTH = 16

OPERATORS = frozenset(
    [
        "Abs",
        "Add",
        "And",
        "AveragePool",
        "Cast",
        "Compress",
        "Constant",
        "Conv",
        "ConvTranspose",
        "DequantizeLinear",
        "Div",
        "Equal",
        "Flatten",
        "Gather",
        "Gemm",
        "GlobalAveragePool",
        "GreaterOrEqual",
        "Identity",
        "If",
        "MatMul",
        "MatMulInteger",
        "Max",
        "MaxPool",
        "Mul",
        "Pad",
        "QuantizeLinear",
        "ReduceMax",
        "ReduceSum",
        "Relu",
        "Reshape",
        "Resize",
        "Sign",
        "Squeeze",
        "Sub",
        "Sum",
        "Transpose",
        "Unsqueeze",
    ]
)
"""What a VGG19, its quantisation, its explanation and the model of the tests need. None of them can run for ever, or read
or make anything but tensors."""

SEAL_KEY = b"edge_detect_seal"
_SEAL = b"\x72\x54\x0a\x10" + SEAL_KEY + b"\x12\x40"
"""The head of a metadata entry (ModelProto field 14, 84 bytes) with this key and a value of 64 characters."""


def seal(data: bytes) -> bytes:
    """The file with the sha256 of all its bytes as one more metadata entry at its end. Protobuf fields may stand in any order."""
    return data + _SEAL + hashlib.sha256(data).hexdigest().encode()


def fingerprint(data: bytes, required: str = "") -> tuple[str, bool]:
    """(sha256 of the file in hex, whether it ends with a seal), in one pass. required: what the first must be; empty for any.
    Raises ModelError where it is not, or the seal is not that of the bytes before it."""
    body, end = memoryview(data)[: -len(_SEAL) - 64], data[-len(_SEAL) - 64 :]
    hashed = hashlib.sha256(body)
    expected = hashed.hexdigest().encode()
    hashed.update(end)
    found, is_sealed = hashed.hexdigest(), end.startswith(_SEAL)
    if required and required.lower() != found:
        raise ModelError(f"has the sha256 {found}; {required} is required")
    if is_sealed and end[len(_SEAL) :] != expected:
        raise ModelError("is damaged: its bytes are not those that were exported; copy it again")
    return found, is_sealed


def check(data: bytes) -> set[str]:
    """The operators it uses. Raises ModelError for a file that is no ONNX, reads weights from elsewhere, or brings operators of its own."""
    if data[4:8] == b"ORTM":
        raise ModelError("is in onnxruntime's own format; only ONNX can be checked")
    used: set[str] = set()
    try:
        for number, value in fields(memoryview(data)):
            if number == _MODEL_FUNCTION:
                raise ModelError("it defines operators of its own; only standard ones are run")
            if number == _MODEL_OPSET:
                for inner, domain in fields(value):
                    if inner == _OPSET_DOMAIN:
                        _check_domain(domain)
            if number == _MODEL_GRAPH:
                _check_graph(value, 0, used)
    except (IndexError, ValueError):
        raise ModelError(f"is no ONNX model: it can't be parsed to its end; {EXPORTED}") from None
    if not used:
        raise ModelError(f"is no ONNX model: it {'holds no network' if data else 'is empty'}; {EXPORTED}")
    return used


def metadata(data: bytes, key: str, most: int) -> str | None:
    """What a file says under a key; the last where it says several things. most: bytes. Raises ModelError."""
    found = None
    try:
        for number, entry in fields(memoryview(data)):
            if number == _MODEL_METADATA:
                name, value = _entry(entry)
                found = value if name == key.encode() else found
        if found is not None and len(found) > most:
            raise ModelError(f"its manifest has {len(found):,} bytes; {most:,} are the most")
        return None if found is None else bytes(found).decode()
    except (IndexError, ValueError):
        raise ModelError("is no ONNX model: what it says of itself can't be parsed") from None


def _entry(entry: memoryview) -> tuple[memoryview, memoryview]:
    """Key and value of a metadata entry; whatever else stands in it is not kept."""
    name = value = memoryview(b"")
    for number, part in fields(entry):
        if number == _ENTRY_KEY:
            name = part
        elif number == _ENTRY_VALUE:
            value = part
    return name, value


def _check_graph(graph: memoryview, depth: int, used: set[str]) -> None:
    if depth > _MAX_DEPTH:
        raise ModelError("its graphs are nested too deeply")
    for number, value in fields(graph):
        if number == _GRAPH_INITIALIZER:
            _check_tensor(value)
        elif number == _GRAPH_SPARSE_INITIALIZER:
            raise ModelError("it has sparse weights, which no model of ours has")
        elif number == _GRAPH_NODE:
            for inner, part in fields(value):
                if inner == _NODE_DOMAIN:
                    _check_domain(part)
                elif inner == _NODE_OPERATOR:
                    used.add(_operator(part))
                elif inner == _NODE_ATTRIBUTE:
                    _check_attribute(part, depth, used)


def _check_attribute(attribute: memoryview, depth: int, used: set[str]) -> None:
    for number, value in fields(attribute):
        if number in (_ATTRIBUTE_TENSOR, _ATTRIBUTE_TENSORS):
            _check_tensor(value)
        elif number in (_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS):
            _check_graph(value, depth + 1, used)
        elif number in (_ATTRIBUTE_SPARSE_TENSOR, _ATTRIBUTE_SPARSE_TENSORS):
            raise ModelError("it has sparse weights, which no model of ours has")


def _check_tensor(tensor: memoryview) -> None:
    for number, value in fields(tensor):
        if number == _TENSOR_EXTERNAL_DATA or (number == _TENSOR_DATA_LOCATION and bytes(value) != b"\0"):
            raise ModelError("it reads weights from another file; a model must be one file")


def _operator(operator: memoryview) -> str:
    name = bytes(operator).decode("utf-8", "replace")
    if name not in OPERATORS:
        raise ModelError(f"it uses the operator {name[:40]!r}, which no model of ours has")
    return name


def _check_domain(domain: memoryview) -> None:
    name = bytes(domain).decode("utf-8", "replace")
    if name not in STANDARD_DOMAINS:
        raise ModelError(f"it uses operators of the domain {name[:40]!r}; only standard ones are run")


def fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """(field number, value) of a protobuf message; a varint's value is its bytes. Raises ValueError or IndexError."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        if key >= 2**32:  # other readers cut it to 32 bits, and see another field
            raise ValueError(f"tag {key}")
        start, kind = at, key & 7
        if kind == 0:
            _, at = _varint(message, at)
        elif kind == 1:
            at += 8
        elif kind == 2:
            size, start = _varint(message, at)
            at = start + size
        elif kind == 5:
            at += 4
        else:
            raise ValueError(f"wire type {kind}")
        if at > len(message):
            raise ValueError("cut off")
        yield key >> 3, message[start:at]


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """(value, position behind it)."""
    value = 0
    for shift in range(0, 70, 7):
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("varint too long")
