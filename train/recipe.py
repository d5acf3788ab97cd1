"""How to train: what the command line asks for, and the phases it comes to."""

import math
from dataclasses import dataclass
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from train.augment import Augmentation

BLOCKS = 5
UNSAID = 0
"""Epochs or patience, before the frames are counted."""
EPOCHS, FEWEST_SHOWN = 30, 16_000
FEW = 250
"""Frames below which the weights of all epochs are averaged: it helped with a hundred and did not with 459; docs/experiments.md."""
PATIENCE, PATIENT_SHARE = 10, 3
"""Epochs at least, and the part of all epochs: with few frames an epoch is a handful of steps."""

Precision = Literal["float32", "bfloat16"]


class Recipe(Struct, frozen=True, kw_only=True):
    """epochs: passes over the frames, at most. learning_rate: the peak. patience: epochs without a better
    validation AUROC or loss before stopping. paste: share of the good frames that get a made-up defect at a known place, which then counts as an
    anomaly; 0 switches it off. warm_up: epochs on crops of good frames, half of them with a made-up defect, before the
    first whole frame. head_epochs: epochs in which only the dense layers learn, and frozen_blocks: blocks that keep the
    weights they came with; for networks that start from weights. precision: what the convolutions compute in while they learn;
    the network is validated and saved as float32. hardest: share of the groups of frames to learn from, those that the first weights
    find hard; 1 for all."""

    epochs: int = EPOCHS
    batch_size: int = 16
    learning_rate: float = 1e-3
    patience: int = PATIENCE
    seed: int = 0
    paste: float = 0.0
    warm_up: int = 0
    head_epochs: int = 0
    frozen_blocks: int = 0
    precision: Precision = "float32"
    hardest: float = 1.0
    augmentation: Augmentation = Augmentation()


@dataclass(frozen=True, slots=True)
class Phase:
    """So many epochs at one setting. frozen_blocks: of VGG19's five, from the input on. crops: of good frames, instead of frames."""

    name: str
    epochs: int
    learning_rate: float
    frozen_blocks: int = 0
    crops: bool = False


HEAD_RATE, HEAD_FASTER = 1e-3, 10
"""The peak rate of the dense layers, alone, and how many times that of the others it may be: who asks for a lower rate means both."""
WHOLE = "epoch"
"""Name of the phase in which all blocks learn, but for those that are frozen."""


def epochs_for(frames: int) -> int:
    """How many epochs a data set of so many frames gets, where it is not said: a hundred frames are not learned in 30; docs/experiments.md."""
    return max(EPOCHS, math.ceil(FEWEST_SHOWN / frames))


def settled(recipe: Recipe, frames: int) -> Recipe:
    """With the epochs, and the patience, that were left to the number of frames."""
    epochs = recipe.epochs or epochs_for(frames)
    return replace(recipe, epochs=epochs, patience=recipe.patience or max(PATIENCE, math.ceil(epochs / PATIENT_SHARE)))


def phases(recipe: Recipe) -> list[Phase]:
    """Crops first, then the head, then the rest; what has no epochs is left out."""
    wanted = [
        Phase("warm-up", recipe.warm_up, recipe.learning_rate, recipe.frozen_blocks, crops=True),
        Phase("head", recipe.head_epochs, min(HEAD_RATE, HEAD_FASTER * recipe.learning_rate), frozen_blocks=BLOCKS),
        Phase(WHOLE, recipe.epochs, recipe.learning_rate, frozen_blocks=recipe.frozen_blocks),
    ]
    return [phase for phase in wanted if phase.epochs]
