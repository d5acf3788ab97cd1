"""python -m train DATA -o RUN"""

import hashlib
import json
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from edge_runtime.errors import EdgeDetectError, OutputError, UsageError, require, run_command

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
run_command(lambda: require("keras", "sklearn"))

from train.augment import Augmentation
from train.data import LabelledFrame, load, split


class Backbone(StrEnum):
    VGG19 = "vgg19"
    SLIM = "vgg19-slim"


class Wiring(StrEnum):
    EXACT = "exact"
    FULL = "full"


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
        Backbone, typer.Option(help="vgg19 is full width; vgg19-slim scales every layer by --width.")
    ] = Backbone.VGG19,
    width: Annotated[float, typer.Option(min=0.02, max=1.0, help="Width of vgg19-slim.")] = 0.25,
    wiring: Annotated[
        Wiring,
        typer.Option(
            help="exact: the heatmap is the logit, spread over the picture. full: VGG19 to its end, the heatmap is approximate."
        ),
    ] = Wiring.EXACT,
    weights: Annotated[
        str,
        typer.Option(
            help="imagenet, none (from scratch), a notop weights file of Keras, or the RUN/model.keras of an earlier training to go on from. Default: imagenet for vgg19, none for slim."
        ),
    ] = "",
    input_size: Annotated[
        str, typer.Option(help="HxW in pixels, multiples of 16; frames are stretched to it.")
    ] = "224x224",
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the frames, at most.")] = 30,
    batch_size: Annotated[int, typer.Option(min=1, help="Frames per step.")] = 16,
    learning_rate: Annotated[
        float, typer.Option(help="Peak rate. Default: 1e-3 from scratch, 1e-4 from weights.")
    ] = 0.0,
    patience: Annotated[int, typer.Option(min=1, help="Epochs without a better validation before stopping.")] = 10,
    validation: Annotated[float, typer.Option(min=0.05, max=0.5, help="Share of the frames to validate on.")] = 0.2,
    group: Annotated[
        str | None,
        typer.Option(
            help="Regular expression on a frame's path; frames with the same match stay on one side of the split."
        ),
    ] = None,
    flip: Annotated[bool, typer.Option(help="Mirror frames while training; switch off for directional parts.")] = True,
    product: Annotated[
        str, typer.Option(help="Name of the part, kept in the model file. Default: the data folder's name.")
    ] = "",
    paste: Annotated[
        float,
        typer.Option(
            min=0,
            max=0.9,
            help="Share of the good frames that get a made-up defect, to teach the heatmap where to look.",
        ),
    ] = 0.3,
    warm_up: Annotated[
        int,
        typer.Option(
            min=0,
            help="Epochs on crops with made-up defects before the first whole frame; pays when training from scratch.",
        ),
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help="The same seed and data give the same model.")] = 0,
) -> None:
    """Learn to tell good frames from anomalies."""
    source = weights or ("none" if backbone is Backbone.SLIM else "imagenet")
    earlier = Path(source) if source.endswith(".keras") else None
    if backbone is Backbone.SLIM and source != "none" and earlier is None:
        raise UsageError(
            "vgg19-slim has no published weights: train it with --weights none or from an earlier RUN/model.keras, "
            "or use --backbone vgg19"
        )
    input_hw = parse_size(input_size)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out}: exists and is not an empty folder; choose another --out")

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise OutputError(f"{out}: can't be made: {err.strerror}") from None

    slim_width = width if backbone is Backbone.SLIM else 1.0
    batch_norm = source == "none" or backbone is Backbone.SLIM
    try:
        samples = load(data, input_hw, progress=lambda done, total: report("reading frames", done, total))
        parts = split(samples.frames, data, validation, group, seed)

        import keras  # takes seconds to import: only when the frames are known to be usable

        from train import batches, fit, run, vgg

        keras.utils.set_random_seed(seed)
        model = vgg.build(input_hw, slim_width, wiring.value, batch_norm)
        if earlier:
            vgg.load_earlier(model, earlier)
        elif source != "none":
            vgg.load_backbone_weights(model, source)
    except EdgeDetectError:
        out.rmdir()
        raise
    train, held_out = samples.pick(parts.train), samples.pick(parts.validation)
    recipe = batches.Recipe(
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate or (1e-3 if batch_norm else 1e-4),
        patience=patience,
        seed=seed,
        paste=paste,
        warm_up=warm_up,
        augmentation=Augmentation() if flip else Augmentation(flip_horizontal=False, flip_vertical=False),
    )
    print(
        f"training {backbone} ({model.count_params():,} parameters) on {describe(parts.train)}, validating on {describe(parts.validation)}",
        file=sys.stderr,
    )
    if warm_up:
        crop_hw = (max(32, input_hw[0] // 32 * 16), max(32, input_hw[1] // 32 * 16))
        small = vgg.build(crop_hw, slim_width, wiring.value, batch_norm)
        small.set_weights(model.get_weights())
        fit.warm_up(small, train, recipe)
        model.set_weights(small.get_weights())
    history, best, best_epoch = fit.fit(model, train, held_out, recipe)

    model.save(out / run.MODEL)
    record = run.Run(
        product=product or data.absolute().name,
        backbone=backbone.value,
        width=slim_width,
        wiring=wiring.value,
        weights=f"an earlier training, sha256 {file_sha256(earlier)}" if earlier else Path(source).name,
        batch_norm=batch_norm,
        input_hw=input_hw,
        seed=seed,
        epochs=len(history["loss"]),
        best_epoch=best_epoch,
        validation_auroc=best.auroc,
        augmentation=asdict(recipe.augmentation),
        train_counts=counts(parts.train),
        validation_counts=counts(parts.validation),
        data_sha256=fingerprint(samples.frames),
        versions=run.versions(),
    )
    metrics = {"validation_auroc": best.auroc, "validation_loss": best.loss, "best_epoch": best_epoch}
    run.write(out, record, parts, history, metrics)
    print(f"kept epoch {best_epoch}; next: python -m export {out / run.MODEL} -o part.onnx", file=sys.stderr)
    print(json.dumps({"model": str(out / run.MODEL), **metrics}))


def counts(frames: Sequence[LabelledFrame]) -> tuple[int, int]:
    anomalies = sum(frame.label for frame in frames)
    return len(frames) - anomalies, anomalies


def describe(frames: Sequence[LabelledFrame]) -> str:
    good, anomaly = counts(frames)
    return f"{good} good + {anomaly} anomaly frames"


def fingerprint(frames: Sequence[LabelledFrame]) -> str:
    """One hash for the whole data set: every label with its frame's content, in any order."""
    lines = sorted(f"{frame.label} {frame.sha256}" for frame in frames)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def file_sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def report(what: str, done: int, total: int) -> None:
    if sys.stderr.isatty() and (done % 50 == 0 or done == total):
        print(f"\r{what}: {done}/{total}", end="\n" if done == total else "", file=sys.stderr, flush=True)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    run_command(app)
