"""The training loop: batches, the best epoch kept, progress told. Backend-agnostic Keras 3."""

import sys
import time
from dataclasses import dataclass, field
from typing import Any

import cv2
import keras
import numpy as np
from sklearn.metrics import log_loss, roc_auc_score

from edge_runtime.results import Array, Image
from train.augment import Augmentation
from train.data import Samples
from train.paste import paste_defect

FOCUS = 10.0
"""Sharpness of the softmax over cells, per logit that a cell adds to the margin."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train. patience: epochs without a better validation before stopping. paste: share of the
    good frames that get a made-up defect at a known place, which then counts as an anomaly; 0 switches it off."""

    epochs: int = 30
    batch_size: int = 16
    learning_rate: float = 1e-3
    patience: int = 10
    seed: int = 0
    paste: float = 0.3
    augmentation: Augmentation = field(default_factory=Augmentation)


@dataclass(frozen=True, slots=True)
class Scores:
    """Validation results. auroc in [0, 1]; loss: cross-entropy in nats, both classes weighing the same."""

    auroc: float
    loss: float

    @property
    def rank(self) -> tuple[float, float]:
        """Greater is better: AUROC to three digits, then the smaller loss, which still moves at AUROC 1."""
        return round(self.auroc, 3), -self.loss


class Batches(keras.utils.PyDataset):  # type: ignore[misc]  # keras ships no types
    """Shuffled, augmented batches. Every random choice depends on (seed, epoch, frame) and nothing else."""

    def __init__(self, samples: Samples, recipe: Recipe, cells_hw: tuple[int, int]) -> None:
        """cells_hw: (rows, columns) of the map that the pooling reads."""
        super().__init__()
        self.samples, self.recipe, self.cells_hw, self.epoch = samples, recipe, cells_hw, 0
        counts = np.bincount(samples.labels, minlength=2)
        self.class_weights = (len(samples.labels) / (2 * counts)).astype(np.float32)
        self._shuffle()

    def _shuffle(self) -> None:
        self.order = np.random.default_rng((self.recipe.seed, self.epoch)).permutation(len(self.samples.labels))

    def __len__(self) -> int:
        return max(1, len(self.order) // self.recipe.batch_size)

    def __getitem__(self, index: int) -> tuple[Any, dict[str, Any], dict[str, Any]]:
        rows = self.order[index * self.recipe.batch_size :][: self.recipe.batch_size]
        images, labels, cells = (np.stack(column) for column in zip(*map(self._one, rows), strict=True))
        pasted = cells.any(axis=(1, 2)).astype(np.float32)
        return (
            images.astype(np.float32),
            {"logits": labels, "cells": cells},
            {"logits": self.class_weights[labels], "cells": pasted},
        )

    def _one(self, row: int) -> tuple[Image, int, Array]:
        """One changed frame, its label, and which cells (rows, columns) a pasted defect touches, if it has one."""
        rng = np.random.default_rng((self.recipe.seed, self.epoch, row))
        image, label = self.recipe.augmentation.move(self.samples.images[row], rng), int(self.samples.labels[row])
        cells = np.zeros(self.cells_hw, np.float32)
        if label == 0 and rng.random() < self.recipe.paste:
            image, mask = paste_defect(image, rng)
            coverage = cv2.resize(mask, self.cells_hw[::-1], interpolation=cv2.INTER_AREA)
            cells, label = (coverage > 0.5 * coverage.max()).astype(np.float32), 1
        return self.recipe.augmentation.light(image, rng), label, cells

    def on_epoch_end(self) -> None:
        self.epoch += 1
        self._shuffle()


def predict(model: keras.Model, images: Any, batch_size: int = 16) -> Any:
    """uint8 images (n, h, w, 3) -> logits (n, 2), without holding all of them as floats at once."""
    starts = range(0, len(images), batch_size)
    return np.concatenate(
        [np.asarray(model.predict_on_batch(images[at : at + batch_size].astype(np.float32))) for at in starts]
    )


def score(model: keras.Model, samples: Samples) -> Scores:
    logits = predict(model, samples.images).astype(np.float64)
    margins = logits[:, 1] - logits[:, 0]
    anomaly = 1 / (1 + np.exp(-np.clip(margins, -500, 500)))
    counts = np.bincount(samples.labels, minlength=2)
    loss = log_loss(samples.labels, anomaly, sample_weight=1 / counts[samples.labels], labels=[0, 1])
    return Scores(float(roc_auc_score(samples.labels, margins)), float(loss))


def evidence_outside(cells_touched: Any, cell_logits: Any) -> Any:
    """Cross-entropy of "the hottest cell is one the pasted defect touches", per frame.

    cells_touched: (N, rows, columns) in {0, 1}; cell_logits: (N, rows, columns, 2), whose mean is the logits.
    """
    count = cell_logits.shape[1] * cell_logits.shape[2]
    margins = keras.ops.reshape(cell_logits[..., 1] - cell_logits[..., 0], (-1, count)) * (FOCUS / count)
    inside = keras.ops.reshape(cells_touched, (-1, count))
    return keras.ops.logsumexp(margins, axis=1) - keras.ops.logsumexp(margins + (inside - 1) * 1e9, axis=1)


def with_cells(model: keras.Model) -> keras.Model:
    """The classifier with a second output, `cells`: the dense layers applied at every place the pooling reads.

    They are linear, so the cells' mean is the logits; the weights are shared.
    """
    places = model.get_layer("pool").input
    return keras.Model(
        model.input, {"logits": model.output, "cells": model.get_layer("logits")(model.get_layer("dense")(places))}
    )


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
        if self.best is None or scores.rank > self.best.rank:
            self.best, self.best_epoch, self.weights = scores, epoch + 1, self.classifier.get_weights()
        if epoch + 1 - self.best_epoch >= self.patience:
            self.model.stop_training = True

    def restore(self) -> None:
        if self.weights:
            self.classifier.set_weights(self.weights)


class Progress(keras.callbacks.Callback):  # type: ignore[misc]
    """One line per epoch on stderr; on a terminal, also a running count within the epoch."""

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self.started = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.epoch = epoch + 1

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        if sys.stderr.isatty():
            loss = (logs or {}).get("loss", float("nan"))
            print(
                f"\repoch {self.epoch}: batch {batch + 1}/{self.params['steps']}  loss {loss:.3f}",
                end="",
                file=sys.stderr,
                flush=True,
            )

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        logs, total = logs or {}, self.params["epochs"]
        per_epoch = (time.monotonic() - self.started) / (epoch + 1)
        left = per_epoch * (total - epoch - 1) / 60
        start = "\r" if sys.stderr.isatty() else ""
        print(
            f"{start}epoch {epoch + 1}/{total}  loss {logs.get('loss', 0):.3f}"
            f"  validation loss {logs.get('val_loss', 0):.3f}  AUROC {logs.get('val_auroc', 0):.4f}"
            f"  {per_epoch:.0f} s per epoch, at most {left:.0f} min left",
            file=sys.stderr,
            flush=True,
        )


def fit(
    model: keras.Model, train: Samples, validation: Samples, recipe: Recipe
) -> tuple[dict[str, list[float]], Scores, int]:
    """Train in place and leave the best epoch's weights in the model.

    Returns the history per epoch, the best epoch's validation scores, and its number. Ctrl-C ends the training early
    and keeps the best so far; before the first epoch is over there is none, and KeyboardInterrupt is raised.
    """
    learner = with_cells(model)
    batches = Batches(train, recipe, tuple(learner.output["cells"].shape[1:3]))
    steps = len(batches) * recipe.epochs
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, steps, warmup_target=recipe.learning_rate, warmup_steps=min(100, steps // 10 + 1)
    )
    learner.compile(
        optimizer=keras.optimizers.AdamW(rate, weight_decay=1e-4),
        loss={"logits": keras.losses.SparseCategoricalCrossentropy(from_logits=True), "cells": evidence_outside},
        jit_compile=False if keras.backend.backend() == "tensorflow" else "auto",  # XLA's CPU convolutions are slower
    )
    best = KeepBest(model, validation, recipe.patience)
    history: dict[str, list[float]] = {}

    def record(_: int, logs: dict[str, float]) -> None:
        for key, value in logs.items():
            history.setdefault(key, []).append(float(value))

    try:
        learner.fit(
            batches,
            epochs=recipe.epochs,
            verbose=0,
            callbacks=[best, keras.callbacks.LambdaCallback(on_epoch_end=record), Progress()],
        )
    except KeyboardInterrupt:
        if best.best is None:
            raise
        print(f"\nstopped; keeping epoch {best.best_epoch}", file=sys.stderr)
    best.restore()
    assert best.best is not None
    return history, best.best, best.best_epoch
