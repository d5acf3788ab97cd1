"""The folder a training leaves behind, and what is read from it later."""

import importlib.metadata
import json
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from edge_runtime.errors import OutputError, UsageError
from edge_runtime.line.durable import write_bytes
from edge_runtime.stored import from_json, to_json
from train.audit import Audit
from train.data import Split
from train.recipe import Recipe

MODEL, SETTINGS, RUN, SPLIT, HISTORY, METRICS = (
    "model.keras",
    "settings.json",
    "run.json",
    "split.json",
    "history.json",
    "metrics.json",
)

POOR_AUROC = 0.9
FEW_HELD_OUT = 5
"""Frames of a class with which nothing can be told apart from luck."""


class Settings(Struct, frozen=True, kw_only=True):
    """What a training was asked for; RUN/settings.json, written before it starts. input_hw: (height, width) in pixels.
    data_sha256: of all labels and frames. roi_sha256, split_sha256: of the mask of the region of interest,
    and of the split that was to be used again."""

    product: str
    backbone: Literal["vgg19", "vgg19-slim"]
    width: float
    wiring: Literal["exact", "full"]
    weights: str
    batch_norm: bool
    input_hw: tuple[int, int]
    recipe: Recipe
    group: str | None
    validation: float
    data_sha256: str
    roi_sha256: str | None
    split_sha256: str | None


class Run(Struct, frozen=True, kw_only=True):
    """How a model was made; RUN/run.json. best_epoch: the one that was kept, whose AUROC validation_auroc is. train_counts,
    validation_counts: (good, anomaly) frames. finished: local date and time, ISO 8601."""

    settings: Settings
    epochs: int
    best_epoch: int
    validation_auroc: float
    train_counts: tuple[int, int]
    validation_counts: tuple[int, int]
    audit: Audit
    versions: dict[str, str]
    finished: str = ""

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why not to trust the model, in plain words; empty where nothing speaks against it."""
        own = []
        if self.validation_auroc < POOR_AUROC:
            own.append(
                f"validation AUROC {self.validation_auroc:.2f}: this model will miss many defects; train longer, on more frames, or, where the "
                "loss did not fall, with a smaller --learning-rate"
            )
        good, anomalies = self.validation_counts
        if min(good, anomalies) < FEW_HELD_OUT:
            own.append(f"only {good} good and {anomalies} defective frames were held out: no figure here means much")
        return (*self.audit.doubts, *own)


def versions(backend: str) -> dict[str, str]:
    """backend: of Keras."""
    return {name: importlib.metadata.version(name) for name in ("keras", backend, "numpy", "opencv-python")}


def begin(folder: Path, settings: Settings, split: Split) -> None:
    """Before the first epoch: what a killed training is recognised by."""
    _write(folder / SPLIT, to_json(split, indent=1))
    _write(folder / SETTINGS, to_json(settings, indent=1))


def save_model(folder: Path, model: Any) -> None:
    """RUN/model.keras, as a whole or not at all. Raises OutputError; the checkpoint is still there then."""
    whole, part = folder / MODEL, folder / f"part.{MODEL}"  # Keras chooses its format by the suffix
    try:
        model.save(part)
        write_bytes(whole, part.read_bytes())
    except (OSError, OutputError) as err:
        reason = str(err) if isinstance(err, OutputError) else f"{whole}: can't be written: {err.strerror}"
        raise OutputError(f"{reason}; nothing is lost, the same command goes on from the last epoch") from None
    finally:
        part.unlink(missing_ok=True)


def finish(folder: Path, run: Run, history: dict[str, list[float]], metrics: dict[str, float | int]) -> None:
    """run.json comes last: where it stands, the training is finished."""
    _write(folder / HISTORY, json.dumps(history, indent=1))
    _write(folder / METRICS, json.dumps(metrics, indent=1))
    _write(folder / RUN, to_json(run, indent=1))


def _write(path: Path, text: str) -> None:
    write_bytes(path, text.encode())


def unfinished(folder: Path) -> Settings | None:
    """What a killed training in this folder was asked for; None where there was none. Raises UsageError."""
    if not (folder / SETTINGS).exists() or (folder / RUN).exists():
        return None
    try:
        return from_json((folder / SETTINGS).read_bytes(), Settings)
    except ValueError as err:
        raise UsageError(f"{folder / SETTINGS} does not fit this version: {err}") from None


def read(folder: Path) -> tuple[Run, Split, dict[str, list[float]]]:
    """The record, the split and the history. Raises UsageError where the folder was not left by a training of this version."""
    if unfinished(folder) is not None:
        raise UsageError(f"{folder}: its training is not finished; the command that began it goes on with it")
    try:
        run = from_json((folder / RUN).read_bytes(), Run)
        split = from_json((folder / SPLIT).read_bytes(), Split)
        history = json.loads((folder / HISTORY).read_bytes())
        if len(history.get("val_loss", ())) < run.epochs:
            raise ValueError(f"{HISTORY} has fewer epochs than {RUN}")
        return run, split, history
    except OSError as err:
        raise UsageError(f"{err.filename}: {err.strerror}; expected a folder written by python -m train") from None
    except ValueError as err:
        raise UsageError(f"{folder}: {RUN}, {SPLIT} or {HISTORY} does not fit this version: {err}") from None
