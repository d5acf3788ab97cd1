"""python -m export RUN/model.keras -o part.onnx"""

import importlib.metadata
import json
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from edge_runtime.errors import FrameError, UsageError, require, run_command

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
run_command(lambda: require("keras", "sklearn", "tensorflow", "tf2onnx", "onnx"))

from edge_runtime import frames
from edge_runtime.durable import write_bytes
from edge_runtime.manifest import Calibration, HeatScale, Manifest, Parity, Training
from edge_runtime.model import Model
from edge_runtime.preprocess import prepare
from edge_runtime.results import Image
from train import run as runs
from train.calibrate import Validated, calibrate
from train.data import LabelledFrame, Split

BATCHES = (1, 8)
POOR_AUROC = 0.9


class FineLayer(StrEnum):
    """Layers fine enough to point, deep enough to know; docs/architecture.md."""

    BLOCK4_CONV4 = "block4_conv4"
    BLOCK4_CONV2 = "block4_conv2"
    BLOCK3_CONV4 = "block3_conv4"
    BLOCK2_CONV2 = "block2_conv2"


def main(
    model: Annotated[Path, typer.Argument(help="RUN/model.keras, beside the other files python -m train left there.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The model file for the line, for example part.onnx.")],
    data: Annotated[Path | None, typer.Option(help="Where the training frames lie now, if they were moved.")] = None,
    false_boxes: Annotated[
        float, typer.Option(min=0, help="Boxes per good frame that may be drawn, whatever the verdict.")
    ] = 0.02,
    fine_layer: Annotated[
        FineLayer, typer.Option(help="Layer of the fine map that draws the boxes.")
    ] = FineLayer.BLOCK3_CONV4,
    min_box_area: Annotated[int, typer.Option(min=1, help="Smallest region that becomes a box, in input pixels.")] = 64,
) -> None:
    """Convert, calibrate on the validation frames, compare with the trained model, and only then write."""
    if out.suffix != ".onnx":
        raise UsageError(f"{out}: expected a file name that ends in .onnx")
    model = model / runs.MODEL if model.is_dir() else model
    run, split = runs.read(model.parent)
    images = load_frames(split, data, run.input_hw)
    labels = [frame.label for frame in split.validation]

    from export import convert, golden, parity  # TensorFlow takes seconds to import

    print(f"comparing the exported graph with the trained model on {len(labels)} frames ...", file=sys.stderr)
    trained_model = convert.load(model, run)
    graph = convert.to_onnx(convert.fold(trained_model, run), fine_layer.value)
    draft = draft_manifest(run, fine_layer.value)
    runtime = Model.from_bytes(convert.with_manifest(graph, draft))
    file = {batch: parity.ask_file(runtime, images, batch) for batch in BATCHES}
    answers = file[BATCHES[0]]
    seen = Validated(answers.margins, answers.cams, parity.fine_maps(runtime, images, answers), np.array(labels))
    calibration = calibrate(seen, run.input_hw, false_boxes, min_box_area)
    trained = parity.ask_keras(trained_model, images, max(BATCHES))
    versions = {
        name: importlib.metadata.version(name) for name in ("tensorflow", "keras", "tf2onnx", "onnx", "onnxruntime")
    }
    agreed = parity.compare(trained, file, calibration, run.input_hw, versions)
    shown = golden.choose(answers.margins.tolist(), labels)
    manifest = draft.model_copy(
        update={
            "calibration": calibration,
            "parity": agreed,
            "golden": tuple(
                golden.record(images[index], labels[index], answers, index, calibration) for index in shown
            ),
        }
    )
    data_out = convert.with_manifest(graph, manifest)
    Model.from_bytes(data_out)
    write_bytes(out, data_out)
    for doubt in doubts(run, calibration, false_boxes):
        print(f"warning: {doubt}", file=sys.stderr)
    print(
        json.dumps(
            {
                "model": str(out),
                "bytes": len(data_out),
                "calibration": calibration.model_dump(),
                "parity": agreed.model_dump(exclude={"versions"}),
            }
        )
    )


def doubts(run: runs.Run, calibration: Calibration, false_boxes: float) -> list[str]:
    """What the file can't promise, in plain words."""
    found = []
    if run.validation_auroc < POOR_AUROC:
        found.append(
            f"validation AUROC {run.validation_auroc:.2f}: this model will miss many defects; train longer or on more frames"
        )
    if false_boxes and calibration.good < 1 / false_boxes:
        found.append(
            f"calibrated on {calibration.good} good frames; --false-boxes {false_boxes:g} needs {1 / false_boxes:.0f} to mean anything"
        )
    return found


def load_frames(split: Split, moved_to: Path | None, input_hw: tuple[int, int]) -> Image:
    """The validation frames, prepared: (n, h, w, 3) uint8 BGR. Raises UsageError where they are not what was trained with."""
    root = moved_to or Path(split.root)
    return np.stack([_load(root, frame, input_hw) for frame in split.validation])


def _load(root: Path, labelled: LabelledFrame, input_hw: tuple[int, int]) -> Image:
    path = root / labelled.path
    try:
        frame = frames.read(frames.FrameFile(path, labelled.path))
    except FrameError as err:
        raise UsageError(
            f"{path} {err}; the training frames are needed to calibrate: say where they are with --data"
        ) from None
    if frame.sha256 != labelled.sha256:
        raise UsageError(f"{path} has changed since the training; train again, or restore it")
    return prepare(frame.image, input_hw)


def draft_manifest(run: runs.Run, fine_layer: str) -> Manifest:
    """What is known before the file has answered anything. It only ever reaches the calibration."""
    unknown = HeatScale(cold=0, hot=1, box_heat=1, min_box_area=1, false_boxes=0)
    return Manifest(
        schema_version=1,
        product=run.product,
        classes=("good", "anomaly"),
        input_hw=run.input_hw,
        resize="stretch-area",
        backbone=run.backbone,
        width=run.width,
        wiring=run.wiring,
        explanation="exact" if run.wiring == "exact" else "approximate",
        fine_layer=fine_layer,
        calibration=Calibration(threshold=0.5, coarse=unknown, fine=unknown, good=0, anomaly=0),
        training=Training(
            weights=run.weights,
            data_sha256=run.data_sha256,
            train_counts=run.train_counts,
            validation_counts=run.validation_counts,
            seed=run.seed,
            epochs=run.epochs,
            best_epoch=run.best_epoch,
            validation_auroc=run.validation_auroc,
            versions=run.versions,
        ),
        parity=Parity(frames=0, logits=0, cam=0, box_iou=1, flips=0, versions={}),
        golden=(),
    )


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    run_command(app)
