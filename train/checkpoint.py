"""What a killed training goes on from: written after every epoch, whole or not at all."""

import io
import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.errors import UsageError
from edge_runtime.line.durable import write_bytes
from edge_runtime.results import Array

NAME = "checkpoint.npz"


@dataclass(slots=True)
class State:
    """Where a training stands. phase, epoch: index of the phase, and its finished epochs. history: a figure per epoch
    that was validated. kept: the Scores of the one that is kept, and kept_epoch its number. weights, optimizer,
    average, kept_weights: variables in the model's own order; average: of the weights of this phase's epochs, where they are averaged."""

    phase: int = 0
    epoch: int = 0
    history: dict[str, list[float]] = field(default_factory=dict)
    kept: tuple[float, float, float, float] | None = None
    kept_epoch: int = 0
    weights: list[Array] = field(default_factory=list)
    optimizer: list[Array] = field(default_factory=list)
    average: list[Array] = field(default_factory=list)
    kept_weights: list[Array] = field(default_factory=list)


LISTS = ("weights", "optimizer", "average", "kept_weights")


def save(folder: Path, state: State) -> None:
    about = {name: getattr(state, name) for name in ("phase", "epoch", "history", "kept", "kept_epoch")}
    arrays = {f"{name}_{index}": array for name in LISTS for index, array in enumerate(getattr(state, name))}
    buffer = io.BytesIO()
    np.savez(buffer, about=np.array(json.dumps(about)), **arrays)
    write_bytes(folder / NAME, buffer.getvalue())


def load(folder: Path) -> State:
    """The state a killed training has left, or a fresh one. Raises UsageError for a file that is damaged."""
    if not (folder / NAME).exists():
        return State()
    try:
        with (folder / NAME).open("rb") as file, np.load(file, allow_pickle=False) as stored:
            about: dict[str, Any] = json.loads(str(stored["about"]))
            about["kept"] = about["kept"] and tuple(about["kept"])
            lists: dict[str, Any] = {
                name: [stored[f"{name}_{index}"] for index in range(sum(key.startswith(f"{name}_") for key in stored))]
                for name in LISTS
            }
            return State(**about, **lists)
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as err:
        raise UsageError(
            f"{folder / NAME}: is damaged, or of another version ({err}); remove {folder} and train again"
        ) from None
