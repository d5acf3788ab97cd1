"""What training takes from an exported file: the one that comes with edge-detect, or any that is at work on a line."""

from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

import onnx
from onnx import numpy_helper

from edge_runtime import manifest, onnx_file
from edge_runtime.errors import ModelError, UsageError
from edge_runtime.manifest import Manifest
from edge_runtime.results import Array

BUNDLED = "bundled"


@dataclass(frozen=True, slots=True)
class Exported:
    """convolutions: (kernel (3, 3, in, out), bias (out,)) in the order they are used. dense, logits: (kernel, bias)."""

    manifest: Manifest
    convolutions: list[tuple[Array, Array]]
    dense: tuple[Array, Array]
    logits: tuple[Array, Array]


def path_of(source: str) -> Path | None:
    """The exported file that --weights names; None where it names something else."""
    if source == BUNDLED:
        with as_file(files("edge_runtime.demo") / "model.onnx") as path:
            return path
    return Path(source) if source.endswith(".onnx") else None


def read(path: Path) -> Exported:
    """Raises UsageError for a file that edge-detect would not run, or that holds integers."""
    try:
        data = path.read_bytes()
        if not onnx_file.sealed(data):
            raise ModelError("was not exported by edge-detect")
        onnx_file.check(data)
        proto = onnx.load_from_string(data)
        found = manifest.parse(next(one.value for one in proto.metadata_props if one.key == manifest.METADATA_KEY))
        if found.precision != "fp32":
            raise ModelError("is an INT8 file, whose weights are rounded; go on from its float twin")
    except OSError as err:
        raise UsageError(f"--weights {path}: {err.strerror}; expected a file that export has written") from None
    except ModelError as err:
        raise UsageError(f"--weights {path}: {err}") from None
    stored = {one.name: numpy_helper.to_array(one) for one in proto.graph.initializer}
    stored |= {
        node.output[0]: numpy_helper.to_array(node.attribute[0].t)
        for node in proto.graph.node
        if node.op_type == "Constant"
    }
    try:
        return Exported(
            found,
            [
                (stored[node.input[1]].transpose(2, 3, 1, 0), stored[node.input[2]])
                for node in proto.graph.node
                if node.op_type == "Conv"
            ],
            (stored["dense_weights"], stored["dense_bias"]),
            (stored["output_weights"], stored["output_bias"]),
        )
    except (KeyError, IndexError):
        raise UsageError(f"--weights {path}: holds other layers than export writes") from None
