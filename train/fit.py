"""The training loop: phase after phase, the latest epoch kept that is as good as the best. Backend-agnostic Keras 3."""

import sys
from collections.abc import Callable
from pathlib import Path

import keras
from keras.layers import BatchNormalization

from edge_runtime.errors import EdgeDetectError
from train import checkpoint
from train.batches import Batches, WarmUp
from train.callbacks import Keep, Progress, SaveState, Stop
from train.data import Samples
from train.place import where_loss, with_cells
from train.quiet import interruptible
from train.recipe import FEW, WHOLE, Phase, Precision, Recipe, phases
from train.vgg import freeze

Build = Callable[[tuple[int, int], Precision], keras.Model]


def learner(model: keras.Model, phase: Phase, steps: int) -> keras.Model:
    """The classifier, compiled to learn labels and places for so many steps: a short rise of the rate, then a cosine."""
    freeze(model, phase.frozen_blocks)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, steps, warmup_target=phase.learning_rate, warmup_steps=min(100, steps // 10 + 1)
    )
    both = with_cells(model)
    both.compile(
        optimizer=keras.optimizers.AdamW(rate, weight_decay=1e-4),
        loss={"logits": keras.losses.SparseCategoricalCrossentropy(from_logits=True), "cells": where_loss},
        # XLA's convolutions are slower on a CPU.
        jit_compile=False if keras.backend.backend() == "tensorflow" else "auto",
    )
    both.optimizer.build(both.trainable_variables)
    return both


def fit(
    build: Build, model: keras.Model, train: Samples, validation: Samples, recipe: Recipe, folder: Path
) -> checkpoint.State:
    """Train in place and leave the kept epoch's weights in the model.

    build: makes the same network for an input (height, width) and a precision: what learns is a copy. folder: where the state is saved
    after every epoch, and gone on from where an earlier process was killed.
    Ctrl-C ends the training early and keeps what it would have kept by then; before the first validation there is none, and
    KeyboardInterrupt is raised.
    """
    state = checkpoint.load(folder)
    try:
        with interruptible() as came:
            for index, phase in enumerate(phases(recipe)):
                if index >= state.phase:
                    _run(phase, build, model, train, validation, recipe, folder, state, Stop(came))
                    state.phase, state.epoch, state.optimizer = index + 1, 0, []
    except KeyboardInterrupt:
        if state.kept is None:
            raise
        print(f"\nstopped; keeping epoch {state.kept_epoch}", file=sys.stderr)
    if state.kept is None:
        raise EdgeDetectError("the training diverged in its first epoch; try a smaller --learning-rate")
    model.set_weights(state.kept_weights)
    return state


def _run(
    phase: Phase,
    build: Build,
    model: keras.Model,
    train: Samples,
    validation: Samples,
    recipe: Recipe,
    folder: Path,
    state: checkpoint.State,
    stop: Stop,
) -> None:
    input_hw = model.input_shape[1:3]
    net = build(_crop(input_hw) if phase.crops else input_hw, recipe.precision)
    cells_hw = tuple(net.get_layer("pool").input.shape[1:3])
    batches = WarmUp(train, recipe, net.input_shape[1:3], cells_hw) if phase.crops else Batches(train, recipe, cells_hw)
    net.set_weights(state.weights or model.get_weights())
    both = learner(net, phase, len(batches) * phase.epochs)
    for variable, value in zip(both.optimizer.variables, state.optimizer, strict=False):
        variable.assign(value)
    shuffle = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: batches.start_at(epoch))
    before = 0 if phase.crops else len(state.history.get("val_auroc", ())) - state.epoch
    is_last = phase == phases(recipe)[-1]
    told = [Progress(phase.name, state.epoch, before, is_last), SaveState(net, folder, state)]
    few = len(train.frames) + len(validation.frames) < FEW
    has_batch_norm = any(isinstance(one, BatchNormalization) for one in net.layers)
    averaged = few and phase.name == WHOLE and not has_batch_norm
    validated = [] if phase.crops else [Keep(net, model, validation, recipe.patience, state, averaged)]
    if state.epoch < phase.epochs:
        both.fit(
            batches,
            epochs=phase.epochs,
            initial_epoch=state.epoch,
            shuffle=False,  # the batches are; Keras would shuffle by a random state that a killed process takes with it
            verbose=0,
            callbacks=[stop, shuffle, *validated, *told],
        )
    model.set_weights(net.get_weights())


def _crop(input_hw: tuple[int, int]) -> tuple[int, int]:
    """Half of each side, in multiples of 16."""
    return max(32, input_hw[0] // 32 * 16), max(32, input_hw[1] // 32 * 16)
