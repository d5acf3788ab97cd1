"""python -m benchmarks.explanations RUN PART.onnx FRAMES --truth truth.json -o OUT: ours against the usual explanations.

All explain the same network on the same frames, in turns: the two CAMs in onnxruntime, as on the line, the others on
TensorFlow, which is where people run them; milliseconds compare both. Peers get the box level that suits them best on these very
frames; ours are drawn with what was calibrated on others.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import msgspec.structs
import numpy as np
import typer

from benchmarks.common import command, table
from benchmarks.explanations import gallery, methods
from benchmarks.explanations.measure import (
    LEVELS,
    Tally,
    best_iou,
    boxes_at,
    enclosing,
    found_of,
    points_at,
    probabilities,
    summary,
)
from edge_runtime import frames
from edge_runtime.errors import UsageError
from edge_runtime.evaluation.truth import labelled, read_truth
from edge_runtime.inspector import Inspector
from edge_runtime.model import Model
from edge_runtime.preprocess import prepare
from edge_runtime.results import Array, Box, Image, Verdict
from export import convert
from export.marked import to_input
from train import run as runs

SHARES = np.linspace(0, 1, 17, dtype=np.float32)
"""Of the pixels, taken out or shown; mean score over them is the area under the curve (Petsiuk et al. 2018)."""
ONE_BOX = 0.8
"""Of the frame's own range: the one-box rule of the study that inspired the method."""
SHOWN = 6


def main(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="What python -m train left: the Keras model.")],
    part: Annotated[Path, typer.Argument(metavar="MODEL", help="The file exported from it.")],
    root: Annotated[Path, typer.Argument(metavar="FRAMES", help="Frames with good/ and anomaly/, not trained on.")],
    truth: Annotated[Path, typer.Option(help="truth.json or a folder of masks.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for results.json, results.md and gallery.jpg.")],
    limit: Annotated[int, typer.Option(min=1, help="Frames of each class at most, evenly picked.")] = 100,
) -> None:
    """Compare and print a Markdown table."""
    loaded = Model.load(part)
    alone = msgspec.structs.replace(loaded.manifest, mirrors="none")  # as all others are asked
    inspector = Inspector(replace(loaded, manifest=alone))
    model = convert.fold(convert.load(run / runs.MODEL, runs.read(run)[0].settings), runs.read(run)[0].settings)
    if inspector.model.manifest.precision != "fp32":
        raise UsageError(f"{part}: is {inspector.model.manifest.precision}; the comparison needs the network in float")
    if inspector.model.manifest.training.data_sha256 != runs.read(run)[0].settings.data_sha256:
        raise UsageError(f"{part}: was not exported from {run}")
    keras_side = methods.OnKeras(model)
    known = read_truth(truth)
    ways: dict[str, methods.Method] = {
        "ours": methods.ours(inspector),
        "coarse CAM": methods.coarse(inspector),
        "Grad-CAM": keras_side.grad_cam,
        "LayerCAM": keras_side.layer_cam,
        f"LayerCAM, {methods.LAYERCAM_BELOW}": keras_side.layer_cam_below,
        "Score-CAM": keras_side.score_cam,
        "occlusion": keras_side.occlusion,
    }
    todo = labelled(root)
    chosen = [one for label in (0, 1) for one in _evenly([each for each in todo if each.label == label], limit)]
    tallies = {name: Tally() for name in (*ways, "CAM, one box above 0.8")}
    defects = 0
    shown: list[list[Image]] = []
    for number, one in enumerate(chosen):
        if sys.stderr.isatty():
            print(f"\r{number + 1} of {len(chosen)}", end="", file=sys.stderr)
        frame = frames.read(one.file, inspector.model.manifest.needed_hw)
        image = prepare(frame.image, inspector.model.input_hw)
        inspection, judgement = inspector.inspect(frame)
        rejected = inspection.verdict is Verdict.ANOMALY
        if not one.label and not rejected:
            continue
        true = (
            [
                to_input(box, frame.size_wh, inspector.model.input_hw)
                for box in known.of(one.file.path, frame.size_wh).boxes
            ]
            if one.label
            else []
        )
        defects += len(true)
        maps = {name: methods.timed(way, image) for name, way in ways.items()}
        drawn = {
            name: [boxes_at(explained.map, float(level)) if rejected else [] for level in LEVELS]
            for name, explained in maps.items()
        }
        drawn["ours"] = [[defect.box for defect in judgement.defects]]
        drawn["CAM, one box above 0.8"] = [enclosing(maps["coarse CAM"].map, ONE_BOX) if rejected else []]
        for name, tally in tallies.items():
            if one.label:
                tally.best.append([best_iou(boxes, true) for boxes in drawn[name]])
                tally.found.append([found_of(boxes, true) for boxes in drawn[name]])
            else:
                tally.false.append([len(boxes) for boxes in drawn[name]])
        if one.label:
            _explain(inspector, image, true, maps, tallies)
        if one.label and rejected and len(shown) < SHOWN and number % max(1, len(chosen) // (4 * SHOWN)) == 0:
            heat = {name: explained.map for name, explained in maps.items()}
            shown.append(gallery.row(image, true, heat, drawn["ours"][0]))
    good = sum(one.label == 0 for one in chosen)
    results = {name: summary(tally, defects, good) for name, tally in tallies.items()}
    out.mkdir(parents=True, exist_ok=True)
    text = compared(results)
    (out / "results.json").write_text(json.dumps({"frames": len(chosen), "results": _without_nan(results)}, indent=1))
    (out / "results.md").write_text(text + "\n")
    gallery.write(out / "gallery.jpg", list(ways), shown)
    print(text)


def _without_nan(results: dict[str, dict[str, float]]) -> dict[str, dict[str, float | None]]:
    return {
        name: {key: None if np.isnan(value) else value for key, value in figures.items()}
        for name, figures in results.items()
    }


def _evenly(items: list[Any], limit: int) -> list[Any]:
    if not items:
        raise UsageError("FRAMES needs frames of both classes")
    return [items[int(at)] for at in np.linspace(0, len(items) - 1, min(limit, len(items)))]


def _explain(
    inspector: Inspector,
    image: Image,
    true: list[Box],
    maps: dict[str, methods.Explained],
    tallies: dict[str, Tally],
) -> None:
    fill = methods.blurred(image)
    for name, explained in maps.items():
        tally = tallies[name]
        tally.pointed.append(points_at(explained.map, true))
        tally.ms.append(explained.ms)
        deleted, inserted = methods.masks_of(image, explained.map, SHARES, fill)
        tally.deletion.append(float(_scores(inspector, deleted).mean()))
        tally.insertion.append(float(_scores(inspector, inserted).mean()))


def _scores(inspector: Inspector, images: Image) -> Array:
    margins = [one.logits[1] - one.logits[0] for one in inspector.model.predict(images)]
    return probabilities(np.array(margins, np.float32), inspector.model.manifest.calibration.temperature)


def compared(results: dict[str, dict[str, float]]) -> str:
    """Markdown: a row per method, times also as a multiple of ours."""
    base, rows = results["ours"]["ms"], []
    for name, figures in results.items():
        cells = ["" if np.isnan(value) else f"{value:.3f}" for value in figures.values()]
        if not np.isnan(figures["ms"]):
            cells[-1] = f"{figures['ms']:.1f} ({figures['ms'] / base:.1f} ×)"
        rows.append((name, *cells))
    return table(("", *results["ours"]), rows)


if __name__ == "__main__":
    command(main)
