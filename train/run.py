"""The folder a training leaves behind, and what is read from it later."""

import importlib.metadata
import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from edge_runtime.errors import UsageError
from train.data import Split

MODEL, RUN, SPLIT, HISTORY, METRICS = "model.keras", "run.json", "split.json", "history.json", "metrics.json"


class Run(BaseModel):
    """How a model was made; RUN/run.json. input_hw: (height, width) in pixels."""

    model_config = ConfigDict(frozen=True)
    product: str
    backbone: Literal["vgg19", "vgg19-slim"]
    width: float
    wiring: Literal["exact", "full"]
    weights: str
    batch_norm: bool
    input_hw: tuple[int, int]
    seed: int
    epochs: int
    best_epoch: int
    validation_auroc: float
    augmentation: dict[str, bool | float]
    train_counts: tuple[int, int]
    validation_counts: tuple[int, int]
    data_sha256: str
    versions: dict[str, str]


def versions() -> dict[str, str]:
    return {
        name: importlib.metadata.version(name)
        for name in ("keras", "tensorflow", "numpy", "opencv-python")
        if _installed(name)
    }


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def write(
    folder: Path, run: Run, split: Split, history: dict[str, list[float]], metrics: dict[str, float | int]
) -> None:
    (folder / RUN).write_text(run.model_dump_json(indent=1), encoding="utf-8")
    (folder / SPLIT).write_text(split.model_dump_json(indent=1), encoding="utf-8")
    (folder / HISTORY).write_text(json.dumps(history, indent=1), encoding="utf-8")
    (folder / METRICS).write_text(json.dumps(metrics, indent=1), encoding="utf-8")


def read(folder: Path) -> tuple[Run, Split]:
    """Raises UsageError where the folder was not left by a training of this version."""
    try:
        return Run.model_validate_json((folder / RUN).read_bytes()), Split.model_validate_json(
            (folder / SPLIT).read_bytes()
        )
    except OSError as err:
        raise UsageError(f"{err.filename}: {err.strerror}; expected a folder written by python -m train") from None
    except ValidationError as err:
        raise UsageError(f"{folder}: {RUN} or {SPLIT} does not fit this version: {err.errors()[0]['msg']}") from None
