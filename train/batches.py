"""What the training loop is fed: shuffled, changed frames, some with a made-up defect at a known place."""

from typing import Any

import cv2
import keras
import numpy as np

from edge_runtime.results import Array, Image
from train.data import Samples
from train.paste import paste_defect
from train.recipe import Recipe


class Batches(keras.utils.PyDataset):  # type: ignore[misc]  # keras ships no types
    """Shuffled, augmented batches. Every random choice depends on (seed, epoch, frame) and nothing else."""

    def __init__(self, samples: Samples, recipe: Recipe, cells_hw: tuple[int, int]) -> None:
        """cells_hw: (rows, columns) of the map that the pooling reads."""
        super().__init__()
        self.samples, self.recipe, self.cells_hw = samples, recipe, cells_hw
        good, anomaly = np.bincount(samples.labels, minlength=2)
        expected = np.array([good * (1 - recipe.paste), anomaly + good * recipe.paste])
        self.class_weights = (len(samples.labels) / (2 * np.maximum(expected, 1))).astype(np.float32)
        self.start_at(0)

    def start_at(self, epoch: int) -> None:
        """To be called before every epoch: Keras ends epochs that it never ran."""
        self.epoch = epoch
        self.order = np.random.default_rng((self.recipe.seed, epoch)).permutation(len(self.samples.labels))

    def __len__(self) -> int:
        return max(1, len(self.order) // self.recipe.batch_size)

    def __getitem__(self, index: int) -> tuple[Any, dict[str, Any], dict[str, Any]]:
        rows = self.order[index * self.recipe.batch_size :][: self.recipe.batch_size]
        images, labels, cells, known = (np.stack(column) for column in zip(*map(self._one, rows), strict=True))
        return (
            images.astype(np.float32),
            {"logits": labels, "cells": cells},
            {"logits": self.class_weights[labels], "cells": known.astype(np.float32)},
        )

    def _one(self, row: int) -> tuple[Image, int, Array, bool]:
        """One changed frame, its label, the cells (rows, columns) a made-up defect touches, and whether these are
        all there is: of a real anomaly nobody knows the place."""
        rng = np.random.default_rng((self.recipe.seed, self.epoch, row))
        image, label = self.recipe.augmentation.move(self.samples.images[row], rng), int(self.samples.labels[row])
        cells, known = np.zeros(self.cells_hw, np.float32), label == 0
        if label == 0 and rng.random() < self.recipe.paste:
            image, mask = paste_defect(image, rng)
            cells, label = self._touched(mask), 1
        return self.recipe.augmentation.light(image, rng), label, cells, known

    def _touched(self, mask: Array) -> Array:
        """The cells that a mask (h, w) covers at least half as much as the one it covers most."""
        coverage = cv2.resize(mask, self.cells_hw[::-1], interpolation=cv2.INTER_AREA)
        return np.asarray(coverage > 0.5 * coverage.max(), np.float32)


class WarmUp(Batches):
    """Crops of good frames, every other one around a made-up defect: a large target, and four times as fast."""

    def __init__(self, samples: Samples, recipe: Recipe, crop_hw: tuple[int, int], cells_hw: tuple[int, int]) -> None:
        """crop_hw: (height, width) of the crops, no larger than the frames."""
        good = samples.pick(frame for frame in samples.frames if frame.label == 0)
        super().__init__(good, recipe, cells_hw)
        self.crop_hw = crop_hw
        self.class_weights = np.ones(2, np.float32)

    def _one(self, row: int) -> tuple[Image, int, Array, bool]:
        rng = np.random.default_rng((self.recipe.seed, self.epoch, row))
        image, cells = self.recipe.augmentation.move(self.samples.images[row], rng), np.zeros(self.cells_hw, np.float32)
        if rng.random() < 0.5:
            window = self._window(image, (rng.integers(image.shape[0]), rng.integers(image.shape[1])), rng)
            return self.recipe.augmentation.light(image[window], rng), 0, cells, True
        image, mask = paste_defect(image, rng)
        window = self._window(image, np.unravel_index(int(mask.argmax()), mask.shape), rng)
        return self.recipe.augmentation.light(image[window], rng), 1, self._touched(mask[window]), True

    def _window(self, image: Image, around: Any, rng: np.random.Generator) -> tuple[slice, slice]:
        """A crop that holds the point (y, x), anywhere in it."""
        starts = [
            int(np.clip(at - rng.integers(size), 0, whole - size))
            for at, size, whole in zip(around, self.crop_hw, image.shape[:2], strict=True)
        ]
        return slice(starts[0], starts[0] + self.crop_hw[0]), slice(starts[1], starts[1] + self.crop_hw[1])
