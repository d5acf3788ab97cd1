"""What training takes from an exported file: the one that comes with edge-detect, or any that is at work on a line."""

from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import numpy_helper

import edge_runtime
from edge_runtime import manifest, onnx_file
from edge_runtime.errors import ModelError, UsageError
from edge_runtime.manifest import Manifest
from edge_runtime.results import Array

BUNDLED = "bundled"
BUNDLED_FILE = Path(edge_runtime.__file__).parent / "demo" / "model.onnx"


CONVOLUTIONS = {"exact": 15, "full": 16}
HEAD = {"dense_weights", "dense_bias", "output_weights", "output_bias"}


@dataclass(frozen=True, slots=True)
class Exported:
    """convolutions: (kernel (3, 3, in, out), bias (out,)) in the order they are used. dense, logits: (kernel, bias)."""

    manifest: Manifest
    convolutions: list[tuple[Array, Array]]
    dense: tuple[Array, Array]
    logits: tuple[Array, Array]


def read(path: Path) -> Exported:
    """Raises UsageError for a file that edge-detect would not run, or that holds integers."""
    try:
        data = path.read_bytes()
        if not onnx_file.fingerprint(data)[1]:
            raise ModelError("was not exported by edge-detect")
        onnx_file.check(data)
        proto = onnx.load_from_string(data)
        known = {one.key: one.value for one in proto.metadata_props}
        found = manifest.parse(known.get(manifest.METADATA_KEY, ""))
        if found.precision != "fp32":
            raise ModelError(
                "is an INT8 file, whose weights are rounded; go on from its float twin: export that training again with --precision fp32"
            )
        return _weights(found, proto)
    except OSError as err:
        raise UsageError(f"--weights {path}: {err.strerror}; expected a file that export has written") from None
    except ModelError as err:
        raise UsageError(f"--weights {path}: {err}") from None


def _weights(found: Manifest, proto: onnx.ModelProto) -> Exported:
    """Raises ModelError where the graph is not what export makes of a VGG19."""
    stored = {one.name: numpy_helper.to_array(one) for one in proto.graph.initializer}
    for node in proto.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            stored[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    used = [node.input for node in proto.graph.node if node.op_type == "Conv"]
    if (
        len(used) != CONVOLUTIONS[found.wiring]
        or not {name for inputs in used for name in inputs[1:3]} | HEAD <= stored.keys()
    ):
        raise ModelError("holds other layers than export writes")
    return Exported(
        found,
        [(stored[inputs[1]].transpose(2, 3, 1, 0), stored[inputs[2]]) for inputs in used],
        (stored["dense_weights"], stored["dense_bias"]),
        (stored["output_weights"], stored["output_bias"]),
    )
