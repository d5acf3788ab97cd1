import keras
import numpy as np
import pytest

from edge_runtime.errors import EdgeDetectError
from edge_runtime.results import Array
from train import fit, vgg
from train.augment import Augmentation
from train.batches import Batches, Recipe, WarmUp
from train.data import LabelledFrame, Samples

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


def train(seed: int, recipe: Recipe) -> tuple[keras.Model, fit.Scores, dict[str, list[float]]]:
    keras.utils.set_random_seed(seed)
    model = vgg.build(HW, 0.06, "exact", batch_norm=True)
    history, best, _ = fit.fit(model, samples(48, 0), samples(24, 1), recipe)
    return model, best, history


def weights(model: keras.Model) -> np.typing.NDArray[np.float32]:
    return np.concatenate([weight.ravel() for weight in model.get_weights()])


def test_the_same_seed_gives_the_same_model_and_another_seed_another() -> None:
    runs = [train(seed, Recipe(epochs=2, batch_size=8, seed=seed))[0] for seed in (1, 1, 2)]
    first, same, other = map(weights, runs)
    assert np.array_equal(first, same) and not np.array_equal(first, other)


def test_a_plain_defect_is_learned_and_the_best_epoch_is_what_remains() -> None:
    model, best, history = train(0, Recipe(epochs=12, batch_size=8, learning_rate=3e-3, paste=0))
    assert best.auroc > 0.95
    assert best.auroc == max(history["val_auroc"])
    assert fit.score(model, samples(24, 1)) == best


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
    batches.on_epoch_end()
    assert not np.array_equal(batches[0][0], images)


@pytest.mark.parametrize("paste", [0.0, 0.5])
def test_both_classes_weigh_the_same_whatever_is_pasted(paste: float) -> None:
    """48 frames, 16 of them anomalies, over ten epochs."""
    batches = Batches(samples(48, 0), Recipe(batch_size=48, paste=paste, augmentation=STILL), cells_hw=(2, 3))
    total = np.zeros(2)
    for _ in range(10):
        _, wanted, weights = batches[0]
        total += np.bincount(wanted["logits"], weights["logits"], minlength=2)
        batches.on_epoch_end()
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
        return float(np.asarray(fit.where_loss(touched, keras.ops.convert_to_tensor(cells)))[0])

    assert loss(here, hot) < 1e-4 and loss(cold, cold) < 0.2
    assert loss(elsewhere, hot) > 10 and loss(cold, hot) > 10 and loss(here, cold) > 3


def test_a_training_that_diverges_says_so_instead_of_failing() -> None:
    with pytest.raises(EdgeDetectError, match="smaller --learning-rate"):
        train(0, Recipe(epochs=2, batch_size=8, learning_rate=float("nan")))
