"""python -m export RUN/model.keras -o part.onnx"""

import importlib.metadata
import json
import os
import sys
from pathlib import Path
from typing import Annotated

import numpy as np
import onnx
import typer
from msgspec.structs import replace

from edge_runtime import usual
from edge_runtime.errors import EdgeDetectError, OutputError, UsageError, require, run_command
from edge_runtime.stored import to_dict

os.environ["KERAS_BACKEND"] = "tensorflow"  # whatever the network was trained with
run_command(lambda: require("keras", "sklearn", "tensorflow", "tf2onnx", "onnx"))

from edge_runtime.evaluation.bounds import share
from edge_runtime.line.durable import refuse_unwritable, write_bytes
from edge_runtime.manifest import BoxRule, Calibration, HeatScale, Manifest, Parity, Training
from edge_runtime.mirrors import AXES, Mirrors, mirrored
from edge_runtime.model import Model
from edge_runtime.saturation import saturates
from export import intake
from export.marked import marked
from export.options import FineLayer, Precision, Unusual, refuse_unknown
from export.promises import promised
from train import report
from train import run as runs
from train.calibrate import Terms
from train.data import Samples, name_groups
from train.quiet import leave_at_ctrl_c, leave_with, load_keras

FAINTEST = 1.0
"""Grey levels of contrast: what a camera's noise alone may have."""


def main(
    model: Annotated[Path, typer.Argument(help="RUN, the folder of a training, or its model.keras.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The model file for the line, for example part.onnx.")],
    data: Annotated[Path | None, typer.Option(help="Where the training frames lie now, if they were moved.")] = None,
    false_boxes: Annotated[
        float,
        typer.Option(
            min=0, help="Regions in good frames that pass, per frame, that may be as strong as a second defect."
        ),
    ] = 0.02,
    truth: Annotated[
        Path | None,
        typer.Option(
            help="truth.json or a folder of masks for some of the held-out defective frames: fits how large boxes are drawn."
        ),
    ] = None,
    precision: Annotated[
        Precision,
        typer.Option(
            help="int8 is smaller and, with VNNI, faster; it must pass the gate. auto: int8 if it does, else fp32."
        ),
    ] = Precision.FP32,
    calibration_dir: Annotated[
        Path | None,
        typer.Option("--calibration", help="Frames that INT8 ranges are measured on. Default: of the training frames."),
    ] = None,
    gate_limits: Annotated[
        str, typer.Option("--gate", help="What INT8 may cost, NAME=NUMBER,...; a wrong name lists all.")
    ] = "",
    reduce_range: Annotated[
        bool | None,
        typer.Option(
            help="7-bit weights, for lines whose processor has no VNNI (edge-detect info tells): 8-bit ones are slow there. Default: as suits this PC."
        ),
    ] = None,
    fine_layer: Annotated[
        FineLayer, typer.Option(help="Layer of the fine map that draws the boxes.")
    ] = FineLayer.BLOCK3_CONV4,
    mirrors: Annotated[
        Mirrors,
        typer.Option(
            help="Mirror images of every frame that are asked, too, and averaged: fewer mistakes, tighter boxes, and twice the time (both: four times)."
        ),
    ] = "none",
    unusual: Annotated[
        Unusual,
        typer.Option(
            help="What becomes of frames that are far darker, brighter, flatter or more blurred than all validation frames: an error, or a verdict."
        ),
    ] = Unusual.ERROR,
    min_box_area: Annotated[
        int, typer.Option(min=1, help="A second defect with a smaller box than this gets none, in input pixels.")
    ] = 32,
    max_false_rejects: Annotated[
        str,
        typer.Option(
            metavar="SHARE",
            help="Share of the good frames that may be rejected, such as 0.5%; kept in each large group of the training's --group, too.",
        ),
    ] = "",
    cost_escape: Annotated[
        float | None, typer.Option(min=0, help="What a missed defect costs, counted in false rejects.")
    ] = None,
    defect_rate: Annotated[
        str,
        typer.Option(
            metavar="SHARE",
            help="With --cost-escape: share of the frames on the line that are defective, such as 1%. Default: that of the validation frames.",
        ),
    ] = "",
) -> None:
    """Convert, calibrate on the validation frames, compare with the trained model, and only then write.

    The threshold gives escapes and false rejects the same weight unless --max-false-rejects or --cost-escape says otherwise.
    """
    if precision is Precision.FP32 and (calibration_dir or gate_limits or reduce_range is not None):
        raise UsageError("--calibration, --gate and --reduce-range belong to --precision int8 or auto")
    terms = Terms(
        max_false_rejects=share("--max-false-rejects", max_false_rejects) if max_false_rejects else None,
        cost_escape=cost_escape,
        defect_rate=share("--defect-rate", defect_rate) if defect_rate else None,
        false_boxes=false_boxes,
        min_box_area=min_box_area,
    )
    if out.suffix != ".onnx":
        raise UsageError(f"{out}: expected a file name that ends in .onnx")
    if terms.defect_rate is not None and not 0 < terms.defect_rate < 1:
        raise UsageError(f"--defect-rate {defect_rate}: expected a share between 0 and 1, such as 1% or 0.01")
    refuse_unwritable(out)
    if model.suffix != ".keras":
        if not os.path.isdir(model):
            raise UsageError(f"{model}: no such folder; expected the RUN of python -m train")
        model /= runs.MODEL
    run, split, history = runs.read(model.parent)
    settings, root = run.settings, data or Path(split.root)
    refuse_unknown(mirrors, settings.recipe.augmentation)
    images = intake.load(split.validation, root, settings.input_hw)
    labels = [frame.label for frame in split.validation]
    known = {} if truth is None else marked(split.validation, root, truth, settings.input_hw)
    if truth is not None:
        print(
            f"fitting boxes to {len(known)} of {sum(labels)} held-out defective frames, those that {truth} knows",
            file=sys.stderr,
        )

    load_keras()  # takes seconds: only when the training is known to be one
    from export import convert, gate, golden, page, parity
    from export.candidate import BATCHES, Questions, ask
    from export.precision import Choice, choose

    limits = gate.adjusted(gate_limits)
    asked = Questions(images, labels, known, terms, name_groups(split.validation, settings.group))
    print(f"comparing the exported graph with the trained model on {len(labels)} frames ...", file=sys.stderr)
    trained_model = convert.load(model, settings)
    plain_model = convert.fold(trained_model, settings)
    forward, draft = convert.forward(plain_model), draft_manifest(run, fine_layer.value, mirrors)

    def complete(graph: onnx.ModelProto) -> onnx.ModelProto:
        return convert.explained(graph, plain_model, fine_layer.value)

    float_graph = onnx.ModelProto()
    float_graph.CopyFrom(forward)
    plain = ask(complete(float_graph), draft, asked)
    trained = parity.ask_keras(trained_model, images, max(BATCHES))
    parity.check_frames(trained, labels, history["val_loss"][run.best_epoch - 1])
    if mirrors != "none":
        trained = parity.ask_keras(trained_model, images, max(BATCHES), mirrors)
    versions = {
        name: importlib.metadata.version(name) for name in ("tensorflow", "keras", "tf2onnx", "onnx", "onnxruntime")
    }
    agreed = parity.compare(trained, plain, settings.input_hw, versions)
    choice = Choice(plain, draft, (), ())
    if precision is not Precision.FP32:
        ranges = intake.calibration_frames(split, root, calibration_dir, settings.input_hw)
        turns = AXES[mirrors]  # so that ranges are those of all that will be asked
        ranges = np.concatenate([mirrored(ranges[at :: len(turns)], axes) for at, axes in enumerate(turns)])
        if reduce_range is None:
            reduce_range = saturates()
        choice = choose(plain, draft, forward, complete, ranges, asked, limits, reduce_range)
    if precision is Precision.INT8 and choice.described.precision != "int8":
        raise EdgeDetectError(
            "no way to quantise passes the gate; nothing was written. --precision auto would ship fp32, and its report shows why"
        )
    chosen, calibration = choice.candidate, choice.candidate.calibration
    looks = usual.limits(images) if unusual is Unusual.ERROR else None
    if looks is not None and looks.contrast[0] < FAINTEST:
        _, flattest = min(
            (usual.measure(image)[1], frame.path) for image, frame in zip(images, split.validation, strict=True)
        )
        print(
            f"note: {flattest} shows hardly anything, so frames that show nothing will be judged, too", file=sys.stderr
        )
    described = replace(choice.described, calibration=calibration, parity=agreed, usual=looks)
    nearly = Model.from_bytes(convert.with_manifest(chosen.graph, described))
    files = intake.files(split.validation, root)
    recorded = golden.record_all(nearly, chosen.answers.margins.tolist(), labels, images, files)
    manifest = replace(described, golden=recorded)
    data_out = convert.with_manifest(chosen.graph, manifest)
    written = Model.from_bytes(data_out)
    defects = parity.check_line(written, files, chosen.answers)
    write_bytes(out, data_out)
    leave_with(f"stopped; {out} is written, its reports may be missing or old")
    promises = promised(calibration, terms)
    for note in (*run.doubts, *promises):
        print(f"note: {note}", file=sys.stderr)
    mirrors_said = "" if mirrors == "none" else f", mirror images {mirrors}"
    file = f"{out.name}, {manifest.precision}{mirrors_said}, sha256 {written.sha256}"
    told = report.Told(run, history, chosen.seen, calibration, Samples(split.validation, images), defects, file)
    pages: list[str] = []
    try:
        pages.append(str(report.write(model.parent, told)))
        pages.append(str(page.write(model.parent, out, written.sha256, manifest, precision, choice, limits, promises)))
    except OutputError as err:
        print(f"note: a report could not be written: {err}", file=sys.stderr)
    print(
        f"look at {pages[0] if pages else out}; then: edge-detect evaluate TEST -m {out} -o evaluation", file=sys.stderr
    )
    summary = {
        "model": str(out),
        "precision": manifest.precision,
        "mirrors": manifest.mirrors,
        "reports": pages,
        "bytes": len(data_out),
        "calibration": to_dict(calibration),
        "parity": {name: value for name, value in to_dict(agreed).items() if name != "versions"},
        "quantisation": manifest.quantisation and to_dict(manifest.quantisation),
    }
    if not sys.stdout.isatty():  # for scripts; people have been told
        print(json.dumps(summary))


def draft_manifest(run: runs.Run, fine_layer: str, mirrors: Mirrors) -> Manifest:
    """What is known before the file has answered anything. It only ever reaches the calibration, which may want the activations."""
    settings = run.settings
    unknown = HeatScale(cold=0, hot=1)
    return Manifest(
        schema_version=2,
        product=settings.product,
        classes=("good", "anomaly"),
        input_hw=settings.input_hw,
        resize="stretch-area-reduced",
        backbone=settings.backbone,
        width=settings.width,
        wiring=settings.wiring,
        explanation="exact" if settings.wiring == "exact" else "approximate",
        fine_layer=fine_layer,
        precision="fp32",
        quantisation=None,
        fine_tolerance=1e-3,
        golden_tolerance=1e-2,
        calibration=Calibration(
            temperature=1,
            threshold=0.5,
            rule="none yet",
            coarse=unknown,
            fine=unknown,
            boxes=BoxRule(
                guided=settings.wiring == "exact",
                level=0,
                false_boxes=0,
                stretch=1,
                marked=0,
                min_area=1,
                outline=float(settings.wiring == "exact"),
            ),
            good=0,
            anomaly=0,
            false_rejects=0,
            escapes=0,
        ),
        training=Training(
            weights=Path(settings.weights).name,
            data_sha256=settings.data_sha256,
            train_counts=run.train_counts,
            validation_counts=run.validation_counts,
            seed=settings.recipe.seed,
            epochs=run.epochs,
            best_epoch=run.best_epoch,
            validation_auroc=run.validation_auroc,
            doubts=run.doubts,
            versions=run.versions,
        ),
        parity=Parity(frames=0, logits=0, cam=0, box_iou=1, flips=0, versions={}),
        golden=(),
        mirrors=mirrors,
    )


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command()(main)
    leave_at_ctrl_c("stopped; nothing was written")
    run_command(lambda: app(standalone_mode=False))
