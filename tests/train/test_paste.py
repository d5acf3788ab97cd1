import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from train.augment import Augmentation
from train.paste import paste_defect

SMOOTH = np.repeat(np.linspace(60, 180, 96, dtype=np.uint8)[np.newaxis, :, np.newaxis], 64, axis=0).repeat(3, axis=2)


@given(seed=st.integers(0, 2**32 - 1))
def test_only_what_the_mask_covers_is_changed(seed: int) -> None:
    pasted, mask = paste_defect(SMOOTH, np.random.default_rng(seed))
    assert pasted.shape == SMOOTH.shape and pasted.dtype == np.uint8 and mask.shape == (64, 96)
    assert 0 < mask.max() <= 1 and mask.mean() < 0.2
    assert np.array_equal(pasted[mask == 0], SMOOTH[mask == 0])


def test_the_same_random_numbers_make_the_same_defect() -> None:
    first, second = (paste_defect(SMOOTH, np.random.default_rng(7)) for _ in range(2))
    assert np.array_equal(first[0], second[0]) and np.array_equal(first[1], second[1])


def test_augmentation_can_be_switched_off_completely() -> None:
    still = Augmentation(False, False, rotate=0, shift=0, zoom=0, gain=0, offset=0, noise=0, blur=0)
    rng = np.random.default_rng(0)
    assert np.array_equal(still.light(still.move(SMOOTH, rng), rng), SMOOTH)


def test_directional_parts_are_never_mirrored() -> None:
    fixed = Augmentation(False, False, rotate=3)
    for seed in range(20):
        moved = fixed.move(SMOOTH, np.random.default_rng(seed))
        assert moved[:, :20].mean() < moved[:, -20:].mean()
