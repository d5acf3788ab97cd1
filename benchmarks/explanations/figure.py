"""python -m benchmarks.explanations.figure MODEL FRAME -o PICTURE: the sum behind one reject, drawn."""

import math
from pathlib import Path
from typing import Annotated

import cv2
import matplotlib
import numpy as np
import typer
from matplotlib.figure import Figure

from edge_runtime import boxes, cam, frames
from edge_runtime.errors import UsageError, run_command
from edge_runtime.inspector import Inspector
from edge_runtime.model import Model
from edge_runtime.preprocess import prepare
from edge_runtime.results import Verdict
from edge_runtime.views.heat import tint
from edge_runtime.views.ink import draw_boxes

FOR, AGAINST, TOTAL = "#d55e00", "#007a7d", "#444444"


def main(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Model file written by python -m export.")],
    frame: Annotated[Path, typer.Argument(metavar="FRAME", help="A frame that it rejects.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The picture, .jpg or .svg.")],
) -> None:
    """Both maps of a reject, where they agree, its boxes, and how the parts add up to the margin."""
    matplotlib.use("Agg")
    inspector = Inspector(Model.load(model))
    read = frames.read(frames.FrameFile(frame, frame.name))
    image = prepare(read.image, inspector.model.input_hw)
    (prediction,) = inspector.model.predict(image[np.newaxis], -math.inf)
    judged, calibration = inspector.judge(prediction), inspector.model.manifest.calibration
    fine = prediction.fine
    if judged.verdict is not Verdict.ANOMALY or fine is None:
        raise UsageError(f"{frame}: passes (score {judged.score:.3f}); there is nothing to explain")
    even, both = cam.smooth(fine.cam), boxes.located(judged.maps, calibration)
    coarse_heat = cam.heat(judged.maps.coarse, calibration.coarse)
    pictures = {
        "frame": image,
        f"coarse map, {judged.maps.coarse.shape[1]} × {judged.maps.coarse.shape[0]}": tint(
            image, coarse_heat, cv2.INTER_NEAREST
        ),
        f"fine map, {even.shape[1]} × {even.shape[0]}": tint(
            image, cam.heat(even, calibration.fine), cv2.INTER_NEAREST
        ),
        "where both agree": tint(image, np.asarray(both / both.max(), np.float32), cv2.INTER_LINEAR),
        "boxes": draw_boxes(image, judged.defects, labels=False),
    }
    inside = [defect.logits for defect in judged.defects]
    parts = {
        **{f"box {number}": logits for number, logits in enumerate(inside, 1)},
        "rest of the fine map": float(fine.cam.mean(dtype=np.float64)) - sum(inside),
        "biases above it": fine.bias,
        "offset of the head": inspector.model.head.offset,
        **(
            {"between the integers": judged.account.rounding}
            if judged.account and inspector.model.manifest.precision == "int8"
            else {}
        ),
    }
    figure = Figure(figsize=(13, 4.3), layout="constrained", dpi=110)
    grid = figure.add_gridspec(2, len(pictures), height_ratios=(2.1, 1))
    for column, (title, picture) in enumerate(pictures.items()):
        axes = figure.add_subplot(grid[0, column])
        axes.imshow(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), interpolation="nearest")
        axes.set_title(title, fontsize=11)
        axes.set_axis_off()
    axes = figure.add_subplot(grid[1, :])
    at = 0.0
    names = [*parts, "margin"]
    for row, (name, value) in enumerate([*parts.items(), ("margin", judged.margin)]):
        start = 0.0 if name == "margin" else at
        colour = TOTAL if name == "margin" else FOR if value > 0 else AGAINST
        axes.barh(row, value, left=start, color=colour, height=0.62)
        axes.annotate(
            f"{value:+.2f}", (max(start, start + value), row), (4, 0), textcoords="offset points", va="center"
        )
        at += value
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_xlabel("logits")
    axes.margins(x=0.08)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(out)
    print(f"{out}: the parts add up to {sum(parts.values()):.4f}, the margin is {judged.margin:.4f}")


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    run_command(lambda: app(standalone_mode=False))
