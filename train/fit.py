"""The training loop: batches, the best epoch kept, progress told. Backend-agnostic Keras 3."""

import math
import sys
import time
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from sklearn.metrics import log_loss, roc_auc_score

from edge_runtime.errors import EdgeDetectError
from train.batches import Batches, Recipe, WarmUp
from train.data import Samples

CELL_LOGITS = 5.0
"""What a cell that adds one logit to the margin weighs against the others, in nats."""
COLD = 2.0
"""Nats by which "nowhere" wins in a frame whose cells add nothing."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Validation results. auroc in [0, 1]; loss: cross-entropy in nats, both classes weighing the same."""

    auroc: float
    loss: float

    @property
    def rank(self) -> tuple[float, float]:
        """Greater is better: AUROC to three digits, then the smaller loss, which still moves at AUROC 1."""
        return round(self.auroc, 3), -self.loss


def predict(model: keras.Model, images: Any, batch_size: int = 16) -> Any:
    """uint8 images (n, h, w, 3) -> logits (n, 2), without holding all of them as floats at once."""
    starts = range(0, len(images), batch_size)
    return np.concatenate(
        [np.asarray(model.predict_on_batch(images[at : at + batch_size].astype(np.float32))) for at in starts]
    )


def score(model: keras.Model, samples: Samples) -> Scores:
    logits = predict(model, samples.images).astype(np.float64)
    margins = logits[:, 1] - logits[:, 0]
    if not np.isfinite(margins).all():
        return Scores(0.0, math.inf)
    anomaly = 1 / (1 + np.exp(-np.clip(margins, -500, 500)))
    counts = np.bincount(samples.labels, minlength=2)
    loss = log_loss(samples.labels, anomaly, sample_weight=1 / counts[samples.labels], labels=[0, 1])
    return Scores(float(roc_auc_score(samples.labels, margins)), float(loss))


def where_loss(touched: Any, cells: Any) -> Any:
    """Cross-entropy of "in which cell is the made-up defect, or is there none?", per frame.

    touched: (N, rows, columns) in {0, 1}, all 0 for a frame without one. cells: (N, rows, columns), the CAM in logits.
    """
    count = cells.shape[1] * cells.shape[2]
    inside = keras.ops.reshape(touched, (-1, count))
    nowhere = 1 - keras.ops.max(inside, axis=1, keepdims=True)
    choices = keras.ops.reshape(cells, (-1, count)) * (CELL_LOGITS / count)
    choices = keras.ops.concatenate([choices, keras.ops.zeros_like(nowhere) + COLD + math.log(count)], axis=1)
    right = keras.ops.concatenate([inside, nowhere], axis=1)
    return keras.ops.logsumexp(choices, axis=1) - keras.ops.logsumexp(choices + (right - 1) * 1e9, axis=1)


def with_cells(model: keras.Model) -> keras.Model:
    """The classifier with a second output, `cells` (N, rows, columns): the CAM in logits, at the layer the pooling reads.

    The dense layers are linear: applied at every place they give the logits there, and applied to nothing, the offset.
    """
    places = model.get_layer("pool").input

    def logits_of(tensor: Any) -> Any:
        return model.get_layer("logits")(model.get_layer("dense")(tensor))

    spread = keras.layers.Subtract()([logits_of(places), logits_of(keras.layers.Rescaling(0.0)(places))])
    cells = keras.layers.Lambda(lambda pair: pair[..., 1] - pair[..., 0], name="cells")(spread)
    return keras.Model(model.input, {"logits": model.output, "cells": cells})


class KeepBest(keras.callbacks.Callback):  # type: ignore[misc]
    """Scores every epoch on the validation frames, keeps the best weights, stops when patience is over."""

    def __init__(self, classifier: keras.Model, validation: Samples, patience: int) -> None:
        super().__init__()
        self.classifier, self.validation, self.patience = classifier, validation, patience
        self.best: Scores | None = None
        self.best_epoch = 0
        self.weights: list[Any] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        scores = score(self.classifier, self.validation)
        if logs is not None:
            logs.update(val_auroc=scores.auroc, val_loss=scores.loss)
        if math.isinf(scores.loss):
            print("the training has diverged; a smaller --learning-rate may help", file=sys.stderr)
            self.model.stop_training = True
        elif self.best is None or scores.rank > self.best.rank:
            self.best, self.best_epoch, self.weights = scores, epoch + 1, self.classifier.get_weights()
        if epoch + 1 - self.best_epoch >= self.patience:
            self.model.stop_training = True

    def restore(self) -> None:
        if self.weights:
            self.classifier.set_weights(self.weights)


class Progress(keras.callbacks.Callback):  # type: ignore[misc]
    """One line per epoch on stderr; on a terminal, also a running count within the epoch."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name, self.epoch, self.started = name, 0, time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        if sys.stderr.isatty():
            loss = (logs or {}).get("loss", float("nan"))
            line = f"\r{self.name} {self.epoch + 1}: batch {batch + 1}/{self.params['steps']}  loss {loss:.3f}"
            print(line, end="", file=sys.stderr, flush=True)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.epoch, total = epoch + 1, self.params["epochs"]
        seconds = (time.monotonic() - self.started) / self.epoch
        names = {"logits_loss": "loss", "cells_loss": "place", "val_loss": "validation loss", "val_auroc": "AUROC"}
        figures = "  ".join(f"{names[key]} {value:.4f}" for key, value in (logs or {}).items() if key in names)
        start = "\r" if sys.stderr.isatty() else ""
        print(
            f"{start}{self.name} {self.epoch}/{total}  {figures}"
            f"  {seconds:.0f} s each, at most {seconds * (total - self.epoch) / 60:.0f} min left",
            file=sys.stderr,
            flush=True,
        )


def learner(model: keras.Model, recipe: Recipe, steps: int) -> keras.Model:
    """The classifier, compiled to learn labels and places for so many steps: a short rise of the rate, then a cosine."""
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, steps, warmup_target=recipe.learning_rate, warmup_steps=min(100, steps // 10 + 1)
    )
    both = with_cells(model)
    both.compile(
        optimizer=keras.optimizers.AdamW(rate, weight_decay=1e-4),
        loss={"logits": keras.losses.SparseCategoricalCrossentropy(from_logits=True), "cells": where_loss},
        # XLA's convolutions are slower on a CPU.
        jit_compile=False if keras.backend.backend() == "tensorflow" else "auto",
    )
    return both


def warm_up(small: keras.Model, train: Samples, recipe: Recipe) -> None:
    """Learn what a defect looks like, close by, from crops of good frames. small: the same network at the crops' size."""
    batches = WarmUp(train, recipe, small.input_shape[1:3], tuple(small.get_layer("pool").input.shape[1:3]))
    learner(small, recipe, len(batches) * recipe.warm_up).fit(
        batches, epochs=recipe.warm_up, verbose=0, callbacks=[Progress("warm-up")]
    )


def fit(
    model: keras.Model, train: Samples, validation: Samples, recipe: Recipe
) -> tuple[dict[str, list[float]], Scores, int]:
    """Train in place and leave the best epoch's weights in the model.

    Returns the history per epoch, the best epoch's validation scores, and its number. Ctrl-C ends the training early
    and keeps the best so far; before the first epoch is over there is none, and KeyboardInterrupt is raised.
    """
    batches = Batches(train, recipe, tuple(model.get_layer("pool").input.shape[1:3]))
    best = KeepBest(model, validation, recipe.patience)
    history: dict[str, list[float]] = {}

    def record(_: int, logs: dict[str, float]) -> None:
        for key, value in logs.items():
            history.setdefault(key, []).append(float(value))

    try:
        learner(model, recipe, len(batches) * recipe.epochs).fit(
            batches,
            epochs=recipe.epochs,
            verbose=0,
            callbacks=[best, keras.callbacks.LambdaCallback(on_epoch_end=record), Progress("epoch")],
        )
    except KeyboardInterrupt:
        if best.best is None:
            raise
        print(f"\nstopped; keeping epoch {best.best_epoch}", file=sys.stderr)
    if best.best is None:
        raise EdgeDetectError("the training diverged in its first epoch; try a smaller --learning-rate")
    best.restore()
    return history, best.best, best.best_epoch
