"""python -m benchmarks.models -o FOLDER: VGG19 at several widths with random weights, through our own conversion.

Speed does not depend on what a network has learned, so that nothing need be trained or downloaded. Per width: the file for
the line in float and in INT8, and for the other contenders the same network without its explanation (`-forward.onnx`), as a Keras model, and its
weights as arrays.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import numpy as np
import typer
from msgspec.structs import replace

from edge_runtime.errors import EdgeDetectError, require, run_command

if TYPE_CHECKING:
    import onnx

    from edge_runtime.manifest import Manifest
    from edge_runtime.results import Image
    from export.quantise import Scheme

FULL, SLIM = 1.0, 0.25
MARGIN = -4.0
"""Logits of the frame nearest to a reject: all pass, as nearly every frame on a line does. What a reject costs on top is asked for
with a threshold of 0."""
LOUD = 2.0
"""Logits of a frame of noise, for a golden frame that is rejected, as real files have one: it is replayed at every start."""


@dataclass(frozen=True, slots=True)
class Made:
    """Files of one network. side: of its square input, in pixels."""

    folder: Path
    width: float
    side: int = 224

    @property
    def stem(self) -> Path:
        """What the names of its files begin with."""
        return self.folder / f"vgg19-{self.width:g}-{self.side}"

    def file(self, end: str) -> Path:
        """end: -fp32.onnx, -int8.onnx, -fp32-forward.onnx, -int8-forward.onnx, .keras or .npz."""
        return Path(f"{self.stem}{end}")

    @property
    def complete(self) -> bool:
        return self.file("-int8.onnx").exists()


def make(folder: Path, *networks: tuple[float, int]) -> list[Made]:
    """The networks (width, side), made in a process of its own where they are missing: TensorFlow stays out of ours."""
    made = [Made(folder, width, side) for width, side in networks]
    for one in made:
        if not one.complete:
            print(f"making a VGG19 of width {one.width:g}, {one.side}x{one.side} ...", file=sys.stderr, flush=True)
            command = [sys.executable, "-m", "benchmarks.models", "-o", str(folder)]
            done = subprocess.run(
                [*command, "--width", str(one.width), "--side", str(one.side)], stdout=subprocess.DEVNULL
            )
            if done.returncode:
                raise EdgeDetectError("the models can't be made; see above")
    return made


def main(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the models.")] = Path("runs/benchmarks/models"),
    width: Annotated[float, typer.Option(help="Share of VGG19's filters per layer.")] = FULL,
    side: Annotated[int, typer.Option(help="Of the square input, in pixels.")] = 224,
) -> None:
    """Make one network."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    require("keras", "tensorflow", "tf2onnx", "onnx")
    import onnx

    from edge_runtime.benchmark.material import bundled
    from edge_runtime.line.durable import write_bytes
    from edge_runtime.preprocess import prepare
    from export import convert
    from export.quantise import quantise

    made = Made(out, width, side)
    out.mkdir(parents=True, exist_ok=True)
    images = np.stack([prepare(frame, (side, side)) for frame in bundled()])
    loud = np.random.default_rng(0).choice(np.array([0, 255], np.uint8), (1, side, side, 3))
    model = _random(width, side, images, loud)
    model.save(made.file(".keras"))
    _save_arrays(model, images, made.file(".npz"))
    forward = convert.forward(model)
    measured = np.concatenate([images, loud])
    for precision, graph in (("fp32", forward), ("int8", quantise(forward, measured, _scheme()))):
        onnx.save(graph, made.file(f"-{precision}-forward.onnx"))
        explained = convert.explained(graph, model, "block3_conv4")
        write_bytes(made.file(f"-{precision}.onnx"), _file(explained, width, side, precision, images, loud[0]))


def _scheme() -> "Scheme":
    """With as many bits as suit this processor, as an export on it has."""
    from edge_runtime.saturation import saturates
    from export.quantise import Scheme

    return Scheme(reduce_range=saturates())


def _random(width: float, side: int, images: "Image", loud: "Image") -> Any:
    """He's initialisation keeps activations in the range they have in a trained network; the head gives MARGIN and LOUD."""
    from train import vgg

    model = vgg.build((side, side), width, "exact", batch_norm=False)
    generator = np.random.default_rng(0)
    for layer in model.layers:
        if layer.weights:
            kernel, bias = layer.get_weights()
            spread = np.sqrt(2 / np.prod(kernel.shape[:-1]))
            layer.set_weights([generator.normal(0, spread, kernel.shape).astype(np.float32), np.zeros_like(bias)])
    model.get_layer("logits").set_weights([np.array([[-1, 1]], np.float32), np.zeros(2, np.float32)])
    asked = model.predict(np.concatenate([images, loud]), verbose=0)
    *quiet, apart = (asked[:, 1] - asked[:, 0]).tolist()
    if min(quiet) <= apart <= max(quiet):
        raise EdgeDetectError("noise looks like the other frames; no golden frame would be a reject")
    nearest = max(quiet) if apart > max(quiet) else min(quiet)
    scale = (LOUD - MARGIN) / (apart - nearest)
    shift = MARGIN / 2 - scale * nearest / 2
    kernel = np.array([[-scale, scale]], np.float32)
    model.get_layer("logits").set_weights([kernel, np.array([-shift, shift], np.float32)])
    return model


def _save_arrays(model: Any, images: "Image", path: Path) -> None:
    """`<layer>/kernel` and `<layer>/bias`, as Keras lays them out: (h, w, in, out); `images`, that INT8 ranges are measured on."""
    arrays: dict[str, Any] = {"images": images}
    for layer in model.layers:
        if layer.weights:
            arrays[f"{layer.name}/kernel"], arrays[f"{layer.name}/bias"] = layer.get_weights()
    np.savez(path, **arrays)


def _file(graph: "onnx.ModelProto", width: float, side: int, precision: str, images: "Image", loud: "Image") -> bytes:
    """A file for the line, with what the bundled one says of itself where that is no matter of speed. loud: (side, side, 3)."""
    from edge_runtime.cam import class_activation_map
    from edge_runtime.manifest import HeatScale
    from edge_runtime.model import Model
    from export import convert, golden

    draft = _manifest(width, side, precision)
    model = Model.from_bytes(convert.with_manifest(graph, draft))
    maps = [class_activation_map(one.activations, model.head) for one in model.predict(images)]
    low, high = float(np.median(maps)), float(np.max(maps))
    scale = HeatScale(cold=low, hot=high)
    levels = replace(draft.calibration, coarse=scale, fine=scale)
    nearly = Model.from_bytes(convert.with_manifest(graph, replace(draft, calibration=levels)))
    recorded = [golden.record(nearly, golden.prepared(image), 0) for image in images[:2]]
    recorded.append(golden.record(nearly, golden.prepared(loud), 1))
    if not recorded[-1].boxes_xyxy:
        raise EdgeDetectError("noise passes; no golden frame is a reject")
    return convert.with_manifest(graph, replace(nearly.manifest, golden=tuple(recorded)))


def _manifest(width: float, side: int, precision: str) -> "Manifest":
    from edge_runtime.manifest import Quantisation
    from edge_runtime.model import Model

    with as_file(files("edge_runtime.demo") / "model.onnx") as path:
        bundled = Model.load(path).manifest
    zeros = dict.fromkeys(Quantisation.__struct_fields__, 0)
    nothing = msgspec.convert(zeros | {"scheme": str(_scheme())}, Quantisation)
    return replace(
        bundled,
        product="random weights",
        input_hw=(side, side),
        resize="stretch-area-reduced",
        backbone="vgg19" if width == FULL else "vgg19-slim",
        width=width,
        fine_layer="block3_conv4",
        precision=precision,
        quantisation=nothing if precision == "int8" else None,
        fine_tolerance=1.0,
        golden_tolerance=0.2,
        calibration=replace(bundled.calibration, temperature=1.0, threshold=0.5),
        golden=(),
        mirrors="none",
    )


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command()(main)
    run_command(lambda: app(standalone_mode=False))
