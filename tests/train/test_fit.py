import errno
import os
from dataclasses import astuple
from pathlib import Path

import keras
import numpy as np
import pytest

from edge_runtime.errors import EdgeDetectError, OutputError, UsageError
from edge_runtime.results import Array, Image
from train import checkpoint, fit, run, vgg, weights
from train.augment import Augmentation, adjusted
from train.batches import Batches, WarmUp
from train.callbacks import Scores, auroc_error, predict, score
from train.checkpoint import State
from train.data import LabelledFrame, Samples
from train.place import where_loss
from train.recipe import Precision, Recipe, epochs_for, phases, settled

HW = (32, 48)


def samples(count: int, seed: int) -> Samples:
    """Textured frames; every third is an anomaly with a bright spot somewhere."""
    rng = np.random.default_rng(seed)
    images = rng.integers(90, 130, (count, *HW, 3), np.uint8)
    labels = [int(index % 3 == 0) for index in range(count)]
    for image, label in zip(images, labels, strict=True):
        if label:
            y, x = rng.integers(4, HW[0] - 8), rng.integers(4, HW[1] - 8)
            image[y : y + 8, x : x + 8] = 250
    return Samples(tuple(LabelledFrame(path=str(i), label=label, sha256="0") for i, label in enumerate(labels)), images)


def build(input_hw: tuple[int, int], precision: Precision = "float32") -> keras.Model:
    return vgg.build(input_hw, 0.06, "exact", batch_norm=True, precision=precision)


def build_plain(input_hw: tuple[int, int], precision: Precision = "float32") -> keras.Model:
    return vgg.build(input_hw, 0.06, "exact", batch_norm=False, precision=precision)


def train(seed: int, recipe: Recipe, folder: Path, made: fit.Build = build) -> tuple[keras.Model, State]:
    keras.utils.set_random_seed(seed)
    model = made(HW, "float32")
    folder.mkdir(exist_ok=True)
    return model, fit.fit(made, model, samples(48, 0), samples(24, 1), recipe, folder)


def margins_of(model: keras.Model, images: Image) -> Array:
    logits = predict(model, images)
    return np.asarray(logits[:, 1] - logits[:, 0], np.float64)


def flat(model: keras.Model) -> np.typing.NDArray[np.float32]:
    return np.concatenate([weight.ravel() for weight in model.get_weights()])


def test_the_same_seed_gives_the_same_model_and_another_seed_another(tmp_path: Path) -> None:
    first, same, other = (
        flat(train(seed, Recipe(epochs=2, batch_size=8, seed=seed), tmp_path / name)[0])
        for name, seed in (("first", 1), ("same", 1), ("other", 2))
    )
    assert np.array_equal(first, same) and not np.array_equal(first, other)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_plain_defect_is_learned_and_the_kept_epoch_is_what_remains(precision: Precision, tmp_path: Path) -> None:
    recipe = Recipe(epochs=12, batch_size=8, learning_rate=3e-3, paste=0, precision=precision)
    model, state = train(0, recipe, tmp_path)
    assert state.kept is not None and state.kept[0] > 0.95
    assert state.kept[0] == state.history["val_auroc"][state.kept_epoch - 1]
    assert astuple(score(model, samples(24, 1))) == state.kept


def test_a_training_is_not_over_while_the_loss_still_falls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = [1.0, 0.9, 0.8, 0.7, 0.75, 0.76, 0.6, 0.5]
    told = (Scores(0.9 if loss == 1.0 else 0.6, 0.5, loss, 1.0) for loss in losses)
    monkeypatch.setattr("train.callbacks.score", lambda *_: next(told))
    _, state = train(0, Recipe(epochs=len(losses), batch_size=8, patience=2), tmp_path / "run")
    assert state.history["val_loss"] == losses[:6], "two epochs after the smallest loss, not after the best AUROC"
    assert state.kept_epoch == 1


@pytest.mark.parametrize(
    ("aurocs", "spread", "kept"),
    [
        ([0.80, 0.95, 0.90, 0.85], 1.0, 4),  # as far as 24 frames can tell
        ([0.80, 1.00, 0.90, 0.85], 1.0, 4),  # by the error of 0.85, for that of 1 is 0
        ([0.80, 0.95, 0.90, 0.70], 1.0, 3),
        ([0.70, 0.60, 0.50, 0.50], 1.0, 2),
        ([0.40, 0.30, 0.45, 0.44], 1.0, 3),
        ([0.80, 0.95, 0.90, 0.85], 0.01, 2),  # answers all frames nearly alike
    ],
)
def test_the_latest_epoch_that_is_as_good_as_the_best_is_kept(
    aurocs: list[float], spread: float, kept: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = (Scores(auroc, auroc, 1.0, spread) for auroc in aurocs)
    monkeypatch.setattr("train.callbacks.score", lambda *_: next(told))
    _, state = train(0, Recipe(epochs=len(aurocs), batch_size=8), tmp_path / "run")
    assert (state.kept_epoch, state.kept and state.kept[0]) == (kept, aurocs[kept - 1])


@pytest.mark.parametrize(
    ("made", "few", "averaged"), [(build_plain, 73, True), (build_plain, 72, False), (build, 73, False)]
)
def test_what_is_kept_is_the_average_of_all_epochs_where_frames_are_few_and_there_is_no_batchnorm(
    made: fit.Build, few: int, averaged: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here are 72. Weighed by the number of the epoch; the dense layers' own epochs don't count."""
    saved: list[list[Array]] = []
    save = checkpoint.save

    def note(folder: Path, state: State) -> None:
        saved.append(state.weights)
        save(folder, state)

    monkeypatch.setattr(fit, "FEW", few)
    monkeypatch.setattr(checkpoint, "save", note)
    monkeypatch.setattr("train.callbacks.score", lambda *_: Scores(0.8, 0.8, 1.0, 1.0))
    model, state = train(0, Recipe(epochs=3, batch_size=8, head_epochs=2), tmp_path / "run", made)
    assert (len(saved), state.kept_epoch) == (5, 5)
    for found, *learned in zip(model.get_weights(), *saved[2:], strict=True):
        expected = np.average(learned, axis=0, weights=[1, 2, 3]) if averaged else learned[-1]
        assert np.allclose(found, expected, atol=1e-6)


def test_the_error_of_an_auroc_is_that_of_its_paper() -> None:
    """Hanley & McNeil 1982: 51 abnormal and 58 normal images, area 0.893, standard error 0.032."""
    assert auroc_error(0.893, 51, 58) == pytest.approx(0.032, abs=6e-4)
    assert auroc_error(0.9, 5, 100) == pytest.approx(0.0932, abs=1e-4), "few anomalies"
    assert auroc_error(0.9, 100, 5) == pytest.approx(0.0463, abs=1e-4), "few good frames"
    assert auroc_error(1.0, 5, 20) == 0


class Killed(BaseException):
    """As final as a SIGKILL: nothing in the training catches it."""


@pytest.mark.parametrize(("made", "precision"), [(build, "float32"), (build_plain, "bfloat16")])
def test_a_killed_training_ends_as_if_it_had_never_been_interrupted(
    made: fit.Build, precision: Precision, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed twice: between two epochs on crops, and between two epochs of the rest."""
    recipe = Recipe(epochs=3, batch_size=8, paste=0.3, warm_up=2, head_epochs=1, frozen_blocks=2, precision=precision)
    whole, expected = train(0, recipe, tmp_path / "whole", made)
    save, kills = checkpoint.save, [(0, 1), (2, 2)]

    def save_and_die(folder: Path, state: State) -> None:
        save(folder, state)
        if (state.phase, state.epoch) in kills:
            kills.remove((state.phase, state.epoch))
            raise Killed

    monkeypatch.setattr(checkpoint, "save", save_and_die)
    for seed in (0, 7):  # a new process knows nothing of the first one's random state
        with pytest.raises(Killed):
            train(seed, recipe, tmp_path / "killed", made)
    resumed, state = train(8, recipe, tmp_path / "killed", made)
    assert np.array_equal(flat(resumed), flat(whole))
    assert (state.history, state.kept, state.kept_epoch) == (expected.history, expected.kept, expected.kept_epoch)


def test_a_checkpoint_that_is_torn_is_refused(tmp_path: Path) -> None:
    train(0, Recipe(epochs=1, batch_size=8), tmp_path)
    file = tmp_path / checkpoint.NAME
    file.write_bytes(file.read_bytes()[:-500])
    with pytest.raises(UsageError, match="is damaged"):
        checkpoint.load(tmp_path)


@pytest.mark.parametrize(("spread", "scale"), [(0.2, 1.0), (4.0, None), (0.0, 0.1)])
def test_an_earlier_network_is_suited_to_new_frames_and_ranks_them_as_before(
    spread: float, scale: float | None
) -> None:
    """spread: of the classes around margins 2 apart, all of them far on the defective side. None: what the frames say."""
    model = build_plain(HW)
    images, labels = samples(48, 0).images, samples(48, 0).labels
    before = margins_of(model, images)
    asked = (30 + 2 * labels * (spread > 0) + np.random.default_rng(0).normal(0, spread, 48)).astype(np.float32)
    weights.fit_margins(model, asked, labels)
    after = margins_of(model, images)
    found = float(np.polyfit(before, after, 1)[0])
    assert found == pytest.approx(scale, rel=1e-3) if scale else 0.1 < found < 1
    middle = np.mean([np.median(asked[labels == label]) for label in (0, 1)])
    assert np.allclose(after, found * (before - middle), atol=0.01)


def test_an_earlier_network_that_has_diverged_is_refused() -> None:
    with pytest.raises(UsageError, match="not finite"):
        weights.fit_margins(build_plain(HW), np.full(6, np.nan, np.float32), np.array([0, 1] * 3))


def test_frozen_blocks_keep_their_weights_and_the_head_learns(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    model = build_plain(HW)
    before = {layer.name: layer.get_weights() for layer in model.layers if layer.weights}
    recipe = Recipe(epochs=1, batch_size=8, frozen_blocks=3, paste=0, warm_up=1)
    fit.fit(build_plain, model, samples(48, 0), samples(24, 1), recipe, tmp_path)
    changed = {
        name for name, kept in before.items() if not np.array_equal(kept[0], model.get_layer(name).get_weights()[0])
    }
    assert {name for name in changed if name.startswith("block")} <= {
        name for name in before if name.startswith(("block4", "block5"))
    }
    assert "dense" in changed


STILL = Augmentation(False, False, rotate=0, shift=0, zoom=0, gain=0, offset=0, noise=0, blur=0)


def test_batches_know_where_they_pasted_and_change_with_every_epoch() -> None:
    data = samples(48, 0)
    batches = Batches(data, Recipe(batch_size=48, paste=0.5, augmentation=STILL), cells_hw=(2, 3))
    images, wanted, weights = batches[0]
    pasted = wanted["cells"].any(axis=(1, 2))
    assert images.shape == (48, *HW, 3) and images.dtype == np.float32
    assert 5 < pasted.sum() < 27
    for index, row in enumerate(batches.order):
        real = data.labels[row] == 1
        assert wanted["logits"][index] == (real or pasted[index])
        assert weights["cells"][index] == (not real)  # of a real anomaly nobody knows the place
        assert np.array_equal(images[index], data.images[row]) != pasted[index]
    assert np.array_equal(batches[0][0], images)
    batches.start_at(1)
    assert not np.array_equal(batches[0][0], images)


@pytest.mark.parametrize("paste", [0.0, 0.5])
def test_both_classes_weigh_the_same_whatever_is_pasted(paste: float) -> None:
    """48 frames, 16 of them anomalies, over ten epochs."""
    batches = Batches(samples(48, 0), Recipe(batch_size=48, paste=paste, augmentation=STILL), cells_hw=(2, 3))
    total = np.zeros(2)
    for epoch in range(10):
        batches.start_at(epoch)
        _, wanted, weights = batches[0]
        total += np.bincount(wanted["logits"], weights["logits"], minlength=2)
        batches.start_at(1)
    assert total[0] == pytest.approx(total[1], rel=0.15)


def test_warm_up_crops_hold_the_defect_they_are_labelled_with() -> None:
    batches = WarmUp(samples(48, 0), Recipe(batch_size=32, augmentation=STILL), crop_hw=(16, 32), cells_hw=(1, 2))
    images, wanted, _ = batches[0]
    assert images.shape == (32, 16, 32, 3) and 8 < wanted["logits"].sum() < 24
    assert (wanted["cells"].any(axis=(1, 2)) == wanted["logits"]).all()


def test_the_place_loss_asks_for_the_right_cell_or_for_none() -> None:
    hot, cold = np.zeros((1, 4, 4), np.float32), np.zeros((1, 4, 4), np.float32)
    hot[0, 1, 2] = 100
    here, elsewhere = np.zeros((1, 4, 4), np.float32), np.zeros((1, 4, 4), np.float32)
    here[0, 1, 2] = elsewhere[0, 3, 3] = 1

    def loss(touched: Array, cells: Array) -> float:
        return float(np.asarray(where_loss(touched, keras.ops.convert_to_tensor(cells)))[0])

    assert loss(here, hot) < 1e-4 and loss(cold, cold) < 0.2
    assert loss(elsewhere, hot) > 10 and loss(cold, hot) > 10 and loss(here, cold) > 3


def test_a_training_that_diverges_says_so_instead_of_failing(tmp_path: Path) -> None:
    with pytest.raises(EdgeDetectError, match="smaller --learning-rate"):
        train(0, Recipe(epochs=2, batch_size=8, learning_rate=float("nan")), tmp_path)


def test_each_change_of_a_frame_can_be_switched_off_by_name() -> None:
    assert adjusted("") == Augmentation()
    assert adjusted("", flip=False) == Augmentation(flip_horizontal=False, flip_vertical=False)
    off = "flip_horizontal=no,flip-vertical=no,rotate=0,shift=0,zoom=0,gain=0,offset=0,noise=0,blur=0"
    image, rng = samples(1, 0).images[0], np.random.default_rng(0)
    assert np.array_equal(adjusted(off).light(adjusted(off).move(image, rng), rng), image)


@pytest.mark.parametrize(
    "wrong", ["rotat=3", "rotate", "rotate=far", "rotate=-1", "flip_vertical=2", "move=1", "rotate=nan", "shift=6"]
)
def test_a_change_that_does_not_exist_is_refused_with_those_that_do(wrong: str) -> None:
    with pytest.raises(UsageError, match=r"expected NAME=VALUE, of flip_horizontal=yes, .*rotate=10"):
        adjusted(wrong)


def test_a_model_that_does_not_fit_on_the_disk_leaves_no_half_of_it(tmp_path: Path) -> None:
    class Full:
        def save(self, path: Path) -> None:
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(
        OutputError, match=r"model\.keras: can't be written: No space left.* goes on from the last epoch"
    ):
        run.save_model(tmp_path, Full())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("asked", "head"), [(1e-3, 1e-3), (1e-4, 1e-3), (1e-6, 1e-5)])
def test_who_asks_for_a_small_rate_gets_one_for_the_dense_layers_too(asked: float, head: float) -> None:
    first, second = phases(Recipe(learning_rate=asked, head_epochs=3))
    assert first.learning_rate == pytest.approx(head) and second.learning_rate == asked


def test_few_frames_are_shown_more_often() -> None:
    assert [epochs_for(frames) for frames in (10_000, 534, 533, 100)] == [30, 30, 31, 160]


@pytest.mark.parametrize(
    ("asked", "frames", "found"),
    [((0, 0), 10_000, (30, 10)), ((0, 0), 100, (160, 54)), ((8, 0), 100, (8, 10)), ((0, 5), 100, (160, 5))],
)
def test_patience_grows_with_the_epochs(asked: tuple[int, int], frames: int, found: tuple[int, int]) -> None:
    recipe = settled(Recipe(epochs=asked[0], patience=asked[1]), frames)
    assert (recipe.epochs, recipe.patience) == found
