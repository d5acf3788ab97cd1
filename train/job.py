"""A training from frames to a model, a record and a report; started anew or gone on from where it was killed."""

import dataclasses
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from msgspec.structs import replace

from edge_runtime import frames
from edge_runtime.errors import FrameError, OutputError, UsageError
from edge_runtime.evaluation.truth import fingerprint
from edge_runtime.line.durable import LOCK, hold
from edge_runtime.results import Array, Image
from edge_runtime.stored import to_dict
from train import audit, checkpoint, exported, run
from train.calibrate import Terms, Validated, calibrate
from train.data import LabelledFrame, Samples, Split, extend, file_sha256, load, name_groups, reuse, split
from train.hard import hardest
from train.quiet import load_keras
from train.recipe import Precision, settled
from train.run import Settings

ASKED_AT_ONCE = 400
"""Frames between two words of how far it is."""


@dataclass(frozen=True, slots=True)
class Order:
    """What the command line asks for. settings: but for the hashes, and for epochs and patience that are not said, which the frames will tell. earlier: the model.keras
    or exported file to go on from, where the weights come from one. split: the split.json to use again. roi: mask file."""

    data: Path
    out: Path
    settings: Settings
    earlier: Path | None = None
    split: Path | None = None
    roi: Path | None = None


def execute(order: Order) -> dict[str, object]:
    """Returns what the command prints. Raises EdgeDetectError; then a folder that this call has made is gone again."""
    ready = _prepare(order)
    with _held(order.out):
        build, model = _network(ready, order.earlier)
        groups = name_groups(ready.samples.frames, ready.settings.group)
        shortcuts = replace(
            audit.before(ready.cues, ready.samples.labels, groups), known_before=_known_before(ready.split)
        )
        _warn(shortcuts.doubts)
        if shortcuts.known_before is None and order.split is None:
            print(
                "note: without --split, frames that the network in --weights was trained on may be validated on, which flatters; "
                "its RUN/split.json keeps them apart",
                file=sys.stderr,
            )
        if order.earlier and not (order.out / checkpoint.NAME).exists():
            ready = _introduced(ready, model)
        if run.unfinished(order.out) is not None:
            print(f"going on with the training in {order.out}", file=sys.stderr)
        run.begin(order.out, ready.settings, ready.split)
        return _train(order.out, ready, build, model, shortcuts)


def _with_past(parts: Split, earlier: Path | None) -> Split:
    """With the frames that the network to go on from has learned from, and those that it had gone on from."""
    if earlier is None or earlier == exported.BUNDLED_FILE:
        return replace(parts, learned_before=(), learned_before_is_all=True)
    if earlier.suffix.lower() == ".onnx":
        return replace(parts, learned_before=(), learned_before_is_all=False)
    _, before, _ = run.read(earlier.parent)
    learned = {frame.sha256 for frame in (*before.train, *before.left_out)} | {*before.learned_before}
    return replace(parts, learned_before=tuple(sorted(learned)), learned_before_is_all=before.learned_before_is_all)


def _known_before(parts: Split) -> int | None:
    """Of the frames to validate on, those that the network in --weights has learned from; None where its file does not tell."""
    learned = {*parts.learned_before}
    return sum(frame.sha256 in learned for frame in parts.validation) or (0 if parts.learned_before_is_all else None)


def _network(ready: "Ready", earlier: Path | None) -> tuple[Any, Any]:
    """(what makes the network for an input (height, width), the network with its first weights)."""
    load_keras()  # takes seconds: only when the frames are known to be usable
    import keras

    from train import vgg, weights

    settings = ready.settings
    keras.utils.set_random_seed(settings.recipe.seed)

    def build(input_hw: tuple[int, int], precision: Precision = "float32") -> keras.Model:
        return vgg.build(input_hw, settings.width, settings.wiring, settings.batch_norm, precision)

    model = build(settings.input_hw)
    if earlier and earlier.suffix.lower() == ".onnx":
        weights.load_exported(model, exported.read(earlier))
    elif earlier:
        weights.load_earlier(model, earlier)
    elif settings.weights != "none":
        weights.load_backbone_weights(model, settings.weights)
    return build, model


def _train(out: Path, ready: "Ready", build: Any, model: Any, shortcuts: audit.Audit) -> dict[str, object]:
    """Everything is written before run.json, which says that the training is finished."""
    import keras

    from train import fit, report
    from train.callbacks import Scores, predict
    from train.place import with_cells

    settings = ready.settings
    train, held_out = ready.samples.pick(ready.split.train), ready.samples.pick(ready.split.validation)
    _tell_share(ready)
    print(
        f"training {settings.backbone} ({model.count_params():,} parameters) on {describe(train.frames)}, "
        f"validating on {describe(held_out.frames)}",
        file=sys.stderr,
    )
    state = fit.fit(build, model, train, held_out, settings.recipe, out)

    run.save_model(out, model)
    answers = predict(with_cells(model), held_out.images)
    evidence = audit.after(answers["cells"], held_out.labels, ready.roi)
    found = replace(shortcuts, evidence=evidence)
    assert state.kept is not None  # fit would have raised
    scores = Scores(*state.kept)
    record = run.Run(
        settings=settings,
        epochs=len(state.history["val_auroc"]),
        best_epoch=state.kept_epoch,
        validation_auroc=scores.auroc,
        train_counts=counts(train.frames),
        validation_counts=counts(held_out.frames),
        audit=found,
        versions=run.versions(keras.config.backend()),
        finished=datetime.now().isoformat(" ", "seconds"),
    )
    _warn(doubt for doubt in record.doubts if doubt not in shortcuts.doubts)
    metrics = {
        "validation_auroc": scores.auroc,
        "validation_average_precision": scores.average_precision,
        "validation_loss": scores.loss,
        "best_epoch": state.kept_epoch,
    }
    margins = answers["logits"][:, 1] - answers["logits"][:, 0]
    seen = Validated(margins, answers["cells"], answers["cells"], held_out.labels)
    calibration = calibrate(seen, settings.input_hw, Terms(), guided=settings.wiring == "exact")
    page = report.write(out, report.Told(record, state.history, seen, calibration, held_out))
    run.finish(out, record, state.history, metrics)
    for name in (checkpoint.NAME, run.SETTINGS):  # which only an unfinished training needs
        (out / name).unlink(missing_ok=True)
    print(
        f"AUROC {scores.auroc:.3f} on the held-out frames, after epoch {state.kept_epoch}; look at {page}; "
        f"then: python -m export {out} -o part.onnx",
        file=sys.stderr,
    )
    return {"model": str(out / run.MODEL), "report": str(page), **metrics, "doubts": list(record.doubts)}


def _introduced(ready: "Ready", model: Any) -> "Ready":
    """Ask an earlier network about the frames it is to learn from, suit its last layer to them, and leave out what it finds easy where that
    is asked for."""
    from train import weights
    from train.callbacks import predict

    parts, recipe = ready.split, ready.settings.recipe
    both = sorted((*parts.train, *parts.left_out), key=lambda frame: frame.path)  # the same before and after a kill
    train = ready.samples.pick(both)
    margins = np.empty(len(both), np.float32)
    for at in range(0, len(both), ASKED_AT_ONCE):
        logits = predict(model, train.images[at : at + ASKED_AT_ONCE])
        margins[at : at + ASKED_AT_ONCE] = logits[:, 1] - logits[:, 0]
        _tell("asking the first weights", min(at + ASKED_AT_ONCE, len(both)), len(both))
    weights.fit_margins(model, margins, train.labels)
    if recipe.hardest == 1 or parts.left_out:
        return ready
    groups = name_groups(train.frames, ready.settings.group)
    rows = set(hardest(margins, train.labels, groups, recipe.hardest, recipe.seed).tolist())
    kept = tuple(frame for row, frame in enumerate(both) if row in rows)
    left_out = tuple(frame for row, frame in enumerate(both) if row not in rows)
    return dataclasses.replace(ready, split=replace(parts, train=kept, left_out=left_out))


@dataclass(frozen=True, slots=True)
class Ready:
    """Frames, folders and settings that have been found to be usable. cues: (n, len(CUES)) of all frames."""

    samples: Samples
    cues: Array
    split: Split
    settings: Settings
    roi: Image | None


@contextmanager
def _held(out: Path) -> Iterator[None]:
    """The folder, made and kept from other trainings; gone again where none has begun there."""
    is_new = not out.exists()
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = hold(out)
    except BlockingIOError:
        raise UsageError(f"{out}: another training is writing there; wait for it or choose another --out") from None
    except OSError as err:
        raise OutputError(f"{out}: can't be written: {err.strerror}") from None
    try:
        yield
    finally:
        lock.close()  # Windows removes nothing that is open
        if (out / run.RUN).exists():
            (out / LOCK).unlink(missing_ok=True)  # nobody trains there any more
        elif is_new and not (out / run.SETTINGS).exists():
            shutil.rmtree(out)


def _prepare(order: Order) -> Ready:
    """Everything that can be wrong with frames and folders, found before any network is made."""
    _refuse_finished(order.out)
    roi = None if order.roi is None else read_mask(order.roi)
    earlier_split = order.split and (order.split / run.SPLIT if order.split.is_dir() else order.split)
    samples, cues = load(
        order.data, order.settings.input_hw, progress=lambda done, total: _tell("reading frames", done, total)
    )
    settings = replace(
        order.settings,
        recipe=settled(order.settings.recipe, len(samples.frames)),
        data_sha256=fingerprint((frame.label, frame.sha256) for frame in samples.frames),
        roi_sha256=order.roi and file_sha256(order.roi),
        split_sha256=earlier_split and file_sha256(earlier_split),
    )
    earlier = run.unfinished(order.out)
    if earlier is not None:
        _refuse_other(order.out, earlier, settings)
        parts = reuse(samples.frames, order.data, order.out / run.SPLIT)
    elif earlier_split:
        parts = extend(samples.frames, order.data, earlier_split, settings.validation, settings.group)
    else:
        parts = split(samples.frames, order.data, settings.validation, settings.group, settings.recipe.seed)
    return Ready(samples, cues, _with_past(parts, order.earlier), settings, roi)


def _refuse_finished(out: Path) -> None:
    if not out.exists():
        return
    if not out.is_dir():
        raise UsageError(f"{out}: exists and is not a folder; choose another --out")
    if (out / run.RUN).exists():
        raise UsageError(f"{out}: holds a training that is finished; export it, or choose another --out")
    if any(not path.name.startswith(LOCK) for path in out.iterdir()) and run.unfinished(out) is None:
        raise UsageError(f"{out}: exists and is not an empty folder; choose another --out")


def _flat(settings: Settings) -> dict[str, Any]:
    """With the recipe's own settings beside the others."""
    return {**to_dict(settings), "recipe": None, **to_dict(settings.recipe)}


def _refuse_other(out: Path, earlier: Settings, asked: Settings) -> None:
    before, now = _flat(earlier), _flat(asked)
    differing = [f"{name} {before[name]} -> {now[name]}" for name in now if before[name] != now[name]]
    if differing:
        raise UsageError(
            f"{out}: holds an unfinished training with other settings ({'; '.join(differing)}); "
            "run that command again to go on with it, remove the folder, or choose another --out"
        )


def read_mask(path: Path) -> Image:
    """(H, W) uint8: above 127 where the part is. Raises UsageError."""
    try:
        image = frames.decode(frames.read_bytes(path))
    except FrameError as err:
        raise UsageError(f"--roi {path} {err}; expected a picture that is white where the part is") from None
    mask = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    if not (mask > 127).any():
        raise UsageError(f"--roi {path}: has no white pixels; expected a picture that is white where the part is")
    return np.asarray(mask, np.uint8)


def _warn(doubts: Iterable[str]) -> None:
    for doubt in doubts:
        print(f"WARNING: {doubt}", file=sys.stderr)


def counts(labelled: Sequence[LabelledFrame]) -> tuple[int, int]:
    anomalies = sum(frame.label for frame in labelled)
    return len(labelled) - anomalies, anomalies


def describe(labelled: Sequence[LabelledFrame]) -> str:
    good, anomaly = counts(labelled)
    return f"{good} good + {anomaly} anomaly frames"


def _tell_share(ready: Ready) -> None:
    """Frames of few groups can't be divided as was asked for. What --split says is another matter."""
    held_out, asked = len(ready.split.validation) / len(ready.samples.frames), ready.settings.validation
    if ready.settings.split_sha256 is None and not asked / 1.5 < held_out < 1.5 * asked:
        print(
            f"note: {held_out:.0%} of the frames are held out instead of the {asked:.0%} that --validation asks for, as "
            "copies of a picture, and frames of a group, stay on one side",
            file=sys.stderr,
        )


def _tell(what: str, done: int, total: int) -> None:
    if sys.stderr.isatty() and (done % 50 == 0 or done == total):
        print(f"\r{what}: {done}/{total}", end="\n" if done == total else "", file=sys.stderr, flush=True)
