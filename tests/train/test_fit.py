import keras
import numpy as np

from train import fit, vgg
from train.augment import Augmentation
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


def train(seed: int, recipe: fit.Recipe) -> tuple[keras.Model, fit.Scores, dict[str, list[float]]]:
    keras.utils.set_random_seed(seed)
    model = vgg.build(HW, 0.06, "exact", batch_norm=True)
    history, best, _ = fit.fit(model, samples(48, 0), samples(24, 1), recipe)
    return model, best, history


def weights(model: keras.Model) -> np.typing.NDArray[np.float32]:
    return np.concatenate([weight.ravel() for weight in model.get_weights()])


def test_the_same_seed_gives_the_same_model_and_another_seed_another() -> None:
    runs = [train(seed, fit.Recipe(epochs=2, batch_size=8, seed=seed))[0] for seed in (1, 1, 2)]
    first, same, other = map(weights, runs)
    assert np.array_equal(first, same) and not np.array_equal(first, other)


def test_a_plain_defect_is_learned_and_the_best_epoch_is_what_remains() -> None:
    model, best, history = train(0, fit.Recipe(epochs=12, batch_size=8, learning_rate=3e-3, paste=0))
    assert best.auroc > 0.95
    assert best.auroc == max(history["val_auroc"])
    assert fit.score(model, samples(24, 1)) == best


def test_batches_weigh_both_classes_the_same_and_know_where_they_pasted() -> None:
    still = Augmentation(False, False, rotate=0, shift=0, zoom=0, gain=0, offset=0, noise=0, blur=0)
    data = samples(48, 0)
    batches = fit.Batches(data, fit.Recipe(batch_size=48, paste=0.5, augmentation=still), cells_hw=(2, 3))
    images, wanted, weights = batches[0]
    pasted = weights["cells"] == 1
    assert images.shape == (48, *HW, 3) and images.dtype == np.float32
    assert 5 < pasted.sum() < 27
    assert (wanted["cells"].any(axis=(1, 2)) == pasted).all() and (wanted["logits"][pasted] == 1).all()
    for index, row in enumerate(batches.order):
        assert np.array_equal(images[index], data.images[row]) != pasted[index]
    counts = np.bincount(data.labels)
    assert batches.class_weights[0] * counts[0] == batches.class_weights[1] * counts[1]
    assert np.array_equal(batches[0][0], images)
    batches.on_epoch_end()
    assert not np.array_equal(batches[0][0], images)


def test_evidence_on_the_pasted_defect_costs_nothing_and_elsewhere_it_costs() -> None:
    cells = np.zeros((2, 4, 4, 2), np.float32)
    cells[:, 1, 2, 1] = 100
    touched = np.zeros((2, 4, 4), np.float32)
    touched[0, 1, 2] = touched[1, 3, 3] = 1
    on, off = np.asarray(fit.evidence_outside(touched, keras.ops.convert_to_tensor(cells)))
    assert 0 <= on < 1e-6 < 10 < off
