"""python -m train DATA -o RUN"""

import json
import math
import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from edge_runtime.benchmark.hardware import hardware
from edge_runtime.errors import UsageError, require, run_command
from edge_runtime.frames import printable

run_command(lambda: require("keras", "onnx", "sklearn", "matplotlib", "jinja2", "PIL"))

from train import augment, run, start
from train.job import Order, execute
from train.quiet import leave_at_ctrl_c
from train.recipe import EPOCHS, FEWEST_SHOWN, PATIENCE, UNSAID, Precision, Recipe
from train.run import Settings
from train.start import Backbone, Wiring

WARM_UP = 12


def parse_size(text: str) -> tuple[int, int]:
    """`HxW` or `N` -> (height, width); both multiples of 16, so that every pooling divides evenly."""
    match = re.fullmatch(r"(\d+)(?:x(\d+))?", text.lower())
    size = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if min(size) < 32 or any(side % 16 for side in size):
        raise UsageError(
            f"--input-size {text}: expected HxW (or N for NxN), each a multiple of 16 and at least 32, for example 192x256"
        )
    return size


def main(
    data: Annotated[Path, typer.Argument(help="Folder holding good/ and anomaly/ (or the MVTec layout).")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the model and the record of its training.")],
    backbone: Annotated[
        Backbone | None,
        typer.Option(
            help="vgg19 is full width; vgg19-slim scales every layer by --width. Default: that of a file in --weights, else vgg19."
        ),
    ] = None,
    width: Annotated[
        float | None,
        typer.Option(min=0.02, max=1.0, help="Width of vgg19-slim. Default: that of the weights; 0.25 from scratch."),
    ] = None,
    wiring: Annotated[
        Wiring | None,
        typer.Option(
            help="exact: the heatmap is the logit, spread over the picture. full: VGG19 to its end, the heatmap is approximate. Default: that of a file in --weights, else exact."
        ),
    ] = None,
    weights: Annotated[
        str,
        typer.Option(
            help="imagenet, none (from scratch), a notop weights file of Keras, or what to go on from: the RUN of an earlier training, an exported float file, or bundled, the slim network that comes with edge-detect. Default: imagenet for vgg19; bundled for vgg19-slim, none where its --width or --wiring full is given."
        ),
    ] = "",
    input_size: Annotated[
        str, typer.Option(help="HxW in pixels, multiples of 16; frames are stretched to it.")
    ] = "224x224",
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1,
            help=f"Passes over the frames, at most. Default: {EPOCHS}, and with few frames as many as show {FEWEST_SHOWN:,}.",
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Frames per step.")] = 16,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            help="Peak rate. Default: 1e-3 from scratch, 1e-4 for a network without BatchNorm (published weights, exported files).",
        ),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            min=1,
            help=f"Epochs without progress in validation before stopping. Default: {PATIENCE}, or a third of the epochs if that is more.",
        ),
    ] = None,
    validation: Annotated[float, typer.Option(min=0.05, max=0.5, help="Share of the frames to validate on.")] = 0.2,
    group: Annotated[
        str | None,
        typer.Option(
            help="Regular expression on a frame's path; frames with the same match stay on one side of the split."
        ),
    ] = None,
    split: Annotated[
        Path | None,
        typer.Option(
            help="RUN of an earlier training, or its split.json, to validate on the same frames again; those that have come since are divided."
        ),
    ] = None,
    flip: Annotated[bool, typer.Option(help="Mirror frames while training; switch off for directional parts.")] = True,
    augmentation: Annotated[
        str,
        typer.Option(
            "--augment",
            metavar="NAME=VALUE,...",
            help="How far frames are changed at random while training; 0 or no switches a change off. "
            f"Defaults: {augment.listed()}.",
        ),
    ] = "",
    roi: Annotated[
        Path | None,
        typer.Option(help="Picture that is white where the part is: the audit tells how much evidence lies outside."),
    ] = None,
    product: Annotated[
        str, typer.Option(help="Name of the part, kept in the model file. Default: the data folder's name.")
    ] = "",
    paste: Annotated[
        float,
        typer.Option(
            min=0, max=0.9, help="Share of the good frames that get a made-up defect in every epoch; docs/accuracy.md."
        ),
    ] = 0.0,
    warm_up: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Epochs on crops with made-up defects before the first whole frame, to teach the heatmap where to look. "
            "Default: 12 from scratch, 0 from weights.",
        ),
    ] = None,
    head_epochs: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Epochs for the dense layers alone, first. Default: 3 on published weights and an earlier network without BatchNorm "
            "(every exported file), else 0.",
        ),
    ] = None,
    frozen_blocks: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=5,
            help="Of VGG19's five blocks, how many keep the weights they start from. "
            "Default: 3 of published weights, 1 of an earlier network without BatchNorm (every exported file), else 0.",
        ),
    ] = None,
    precision: Annotated[
        Precision | None,
        typer.Option(
            help="What convolutions compute in while they learn; the model is float32 in either. Default: bfloat16 for a network "
            "without BatchNorm, on TensorFlow and Linux, where the processor has AVX-512 BF16; else float32."
        ),
    ] = None,
    hardest: Annotated[
        float,
        typer.Option(
            min=0.01,
            max=1.0,
            help="Learn from this share of the groups of frames, those that the network in --weights (or the bundled one) finds hardest, and from a "
            "tenth of the others: for ten thousand frames and more that it knows well, none of which is labelled wrongly.",
        ),
    ] = 1.0,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="The same seed and data give the same model.")] = 0,
) -> None:
    """Learn to tell good frames from anomalies.

    A training that was killed goes on after its last epoch when the same command is run again. Ctrl-C ends it early and
    keeps what it has learned so far. RUN/report.html tells what came of it.
    """
    begun = start.choose(weights, backbone, width, wiring)
    network = begun.network
    if frozen_blocks and begun.weights == "none":
        raise UsageError(f"--frozen-blocks {frozen_blocks}: from scratch every block has to learn; leave it out")
    if learning_rate is not None and not 0 < learning_rate < math.inf:
        raise UsageError(f"--learning-rate {learning_rate:g}: expected a number above 0, such as 1e-4")
    if hardest < 1 and begun.file is None:
        raise UsageError(
            f"--hardest {hardest:g}: needs a network that knows such frames already; say which in --weights"
        )
    unfinished = run.unfinished(out)
    if precision is None:
        precision = unfinished.recipe.precision if unfinished else begun.precision(hardware())
    recipe = Recipe(
        epochs=epochs or UNSAID,
        batch_size=batch_size,
        learning_rate=begun.learning_rate if learning_rate is None else learning_rate,
        patience=patience or UNSAID,
        seed=seed,
        paste=paste,
        warm_up=(WARM_UP if begun.weights == "none" else 0) if warm_up is None else warm_up,
        head_epochs=begun.head_epochs if head_epochs is None else head_epochs,
        frozen_blocks=begun.frozen_blocks if frozen_blocks is None else frozen_blocks,
        precision=precision,
        hardest=hardest,
        augmentation=augment.adjusted(augmentation, flip),
    )
    settings = Settings(
        product=printable(product or data.absolute().name),
        backbone=network.backbone,
        width=network.width,
        wiring=network.wiring,
        weights=begun.weights,
        batch_norm=network.batch_norm,
        input_hw=parse_size(input_size),
        recipe=recipe,
        group=group,
        validation=validation,
        data_sha256="",
        roi_sha256=None,
        split_sha256=None,
    )
    told = execute(Order(data, out, settings, begun.file, split, roi))
    if not sys.stdout.isatty():  # for scripts; people have been told
        print(json.dumps(told))


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command()(main)
    leave_at_ctrl_c("stopped; the same command goes on")
    run_command(lambda: app(standalone_mode=False))
