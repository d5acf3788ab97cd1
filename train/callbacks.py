"""What happens after every epoch: validate, keep what is as good as the best, tell, and save where the training stands."""

import math
import sys
import time
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from edge_runtime.results import Array
from train import checkpoint
from train.calibrate import Labels
from train.data import Samples

AS_GOOD = 2.0
"""Standard errors by which an epoch may fall behind the best. With few validation frames their best epoch is mostly luck, and an early
one: docs/experiments.md."""
LATE = 1
"""How much more the weights of late epochs count in the average: those of epoch t as t ** LATE, about."""
LEAST_SPREAD = 0.1
"""Logits. Margins that lie closer together are those of a network that answers all frames alike: how it ranks them is luck."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Validation results. auroc, average_precision in [0, 1]; loss: cross-entropy in nats, both classes weighing the same;
    spread: standard deviation of the margins, in logits."""

    auroc: float
    average_precision: float
    loss: float
    spread: float


def auroc_error(auroc: float, anomalies: int, good: int) -> float:
    """Standard error of an AUROC, in [0, 0.5]; Hanley & McNeil 1982."""
    two_anomalies, two_good = auroc / (2 - auroc), 2 * auroc**2 / (1 + auroc)
    spread = (anomalies - 1) * (two_anomalies - auroc**2) + (good - 1) * (two_good - auroc**2)
    return math.sqrt(max(0.0, auroc * (1 - auroc) + spread) / (anomalies * good))


def is_as_good(scores: Scores, best: float, counts: tuple[int, int]) -> bool:
    """Whether an epoch can't be told from the best AUROC so far by the validation frames, counts of good and anomalies, and answers them
    differently at all."""
    good, anomalies = counts
    behind = AS_GOOD * auroc_error(scores.auroc, anomalies, good)
    return scores.auroc >= best or (scores.spread > LEAST_SPREAD and scores.auroc > max(0.5, best - behind))


def predict(model: keras.Model, images: Any, batch_size: int = 16) -> Any:
    """uint8 images (n, h, w, 3) -> the model's output, or its dict of outputs, without holding all images as floats."""
    starts = range(0, len(images), batch_size)
    parts = [model.predict_on_batch(images[at : at + batch_size].astype(np.float32)) for at in starts]
    if isinstance(parts[0], dict):
        return {name: np.concatenate([np.asarray(part[name]) for part in parts]) for name in parts[0]}
    return np.concatenate([np.asarray(part) for part in parts])


def balanced_loss(margins: Array, labels: Labels) -> float:
    """Cross-entropy in nats, both classes weighing the same. margins: (n,) logits; labels: (n,) 0 good, 1 anomaly."""
    each = np.logaddexp(0, np.where(labels == 1, -margins, margins).astype(np.float64))
    return float(np.mean([each[labels == label].mean() for label in (0, 1)]))


def score(model: keras.Model, samples: Samples) -> Scores:
    logits = predict(model, samples.images).astype(np.float64)
    margins = logits[:, 1] - logits[:, 0]
    if not np.isfinite(margins).all():
        return Scores(0.0, 0.0, math.inf, 0.0)
    return Scores(
        auroc=float(roc_auc_score(samples.labels, margins)),
        average_precision=float(average_precision_score(samples.labels, margins)),
        loss=balanced_loss(margins, samples.labels),
        spread=float(margins.std()),
    )


class Keep(keras.callbacks.Callback):  # type: ignore[misc]  # keras ships no types
    """Scores every epoch on the validation frames, keeps the weights of the latest that is as good as the best, stops when for as long as
    patience neither AUROC nor loss has become better."""

    def __init__(
        self,
        net: keras.Model,
        classifier: keras.Model,
        validation: Samples,
        patience: int,
        state: checkpoint.State,
        averaged: bool,
    ) -> None:
        """net: what learns. classifier: the same in float32, which gets its weights and is scored; averaged: over all epochs of the phase so
        far, which ranks new frames better than any one of them where frames are few: docs/experiments.md."""
        super().__init__()
        self.averaged = averaged
        self.net, self.classifier = net, classifier
        self.validation, self.patience, self.state = validation, patience, state
        good, anomalies = np.bincount(validation.labels, minlength=2)
        self.counts = int(good), int(anomalies)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.classifier.set_weights(self._weights(epoch))
        scores, state = score(self.classifier, self.validation), self.state
        figures = (logs or {}) | {
            "val_auroc": scores.auroc,
            "val_average_precision": scores.average_precision,
            "val_loss": scores.loss,
        }
        if logs is not None:
            logs.update(figures)
        for key, value in figures.items():
            state.history.setdefault(key, []).append(float(value))
        aurocs, losses = state.history["val_auroc"], state.history["val_loss"]
        if math.isinf(scores.loss):
            print("the training has diverged; a smaller --learning-rate may help", file=sys.stderr)
            self.model.stop_training = True
        elif state.kept is None or is_as_good(scores, max(aurocs), self.counts):
            state.kept = astuple(scores)
            state.kept_epoch, state.kept_weights = len(aurocs), self.classifier.get_weights()
        # Few frames rank by chance at first, while the loss still falls: that is progress, too.
        better = max(int(np.argmax(np.round(aurocs, 3))), int(np.argmin(losses))) + 1
        if min(epoch + 1, len(aurocs) - better) >= self.patience:
            self.model.stop_training = True

    def _weights(self, epoch: int) -> list[Array]:
        """A running average that forgets as it should when it does not know how long it will run: polynomial decay, Shamir & Zhang 2013."""
        learned = self.net.get_weights()
        if not self.averaged:
            return list(learned)
        before = (self.state.average if epoch else []) or learned
        share = np.float32((LATE + 1) / (epoch + 1 + LATE))
        self.state.average = [old + share * (new - old) for old, new in zip(before, learned, strict=True)]
        return self.state.average


class SaveState(keras.callbacks.Callback):  # type: ignore[misc]
    """Comes last, so that what it saves holds all that the epoch has brought."""

    def __init__(self, net: keras.Model, folder: Path, state: checkpoint.State) -> None:
        super().__init__()
        self.net, self.folder, self.state = net, folder, state

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        state = self.state
        state.epoch = self.params["epochs"] if self.model.stop_training else epoch + 1
        state.weights = self.net.get_weights()
        state.optimizer = [np.asarray(variable) for variable in self.model.optimizer.variables]
        checkpoint.save(self.folder, state)


class Stop(keras.callbacks.Callback):  # type: ignore[misc]
    """Ends the training after a Ctrl-C that got lost. came: signals."""

    def __init__(self, came: Sequence[int]) -> None:
        super().__init__()
        self.came = came

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        if self.came:
            raise KeyboardInterrupt


class Progress(keras.callbacks.Callback):  # type: ignore[misc]
    """One line per epoch on stderr; on a terminal, also a running count within the epoch."""

    def __init__(self, name: str, first: int, before: int, is_last: bool) -> None:
        """first: the epoch to start from, 0 but for a training that is resumed. before: epochs of other phases, which count, too.
        is_last: of the phases: only then is it known how long the training will take at most."""
        super().__init__()
        self.name, self.first, self.epoch, self.started = name, first, first, time.monotonic()
        self.before, self.is_last = before, is_last

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        if sys.stderr.isatty():
            loss = (logs or {}).get("loss", float("nan"))
            line = f"\r{self.name} {self.before + self.epoch + 1}: batch {batch + 1}/{self.params['steps']}  loss {loss:.3f}"
            print(line, end="", file=sys.stderr, flush=True)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.epoch, total = epoch + 1, self.params["epochs"]
        seconds = (time.monotonic() - self.started) / (self.epoch - self.first)
        names = {"val_auroc": "AUROC", "val_loss": "validation loss", "logits_loss": "loss", "cells_loss": "place loss"}
        found = logs or {}
        figures = "  ".join(f"{names[key]} {found[key]:.4f}" for key in names if key in found)
        left = f", at most {seconds * (total - self.epoch) / 60:.0f} min left" if self.is_last else ""
        start = "\r" if sys.stderr.isatty() else ""
        print(
            f"{start}{self.name} {self.before + self.epoch}/{self.before + total}  {figures}"
            f"  {seconds:.0f} s each{left}",
            file=sys.stderr,
            flush=True,
        )
