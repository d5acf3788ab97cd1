import numpy as np
import pytest

from edge_runtime.errors import UsageError
from train.hard import OTHERS, hardest


def test_what_the_network_gets_wrong_is_learned_from_and_what_belongs_to_it() -> None:
    labels = np.tile([0, 1], 100)
    groups = [str(row // 2) for row in range(200)]  # pairs
    margins = np.where(labels == 1, 8.0, -8.0).astype(np.float32)
    missed, false_alarms = [2 * pair + 1 for pair in range(10)], [2 * pair for pair in range(40, 50)]
    margins[missed], margins[false_alarms] = -5, 5
    rows = hardest(margins, labels, groups, 0.2, seed=3)
    hard = {row for wrong in (*missed, *false_alarms) for row in (wrong // 2 * 2, wrong // 2 * 2 + 1)}
    assert hard <= set(rows.tolist()) and len(rows) == len(hard) + 2 * round(OTHERS * 80)
    assert np.array_equal(rows, hardest(margins, labels, groups, 0.2, seed=3))
    assert not np.array_equal(rows, hardest(margins, labels, groups, 0.2, seed=4))


def test_a_network_that_calls_everything_defective_still_tells_what_is_hard() -> None:
    """Frames of another part: a known offset, and beyond it one frame of each class on the wrong side."""
    labels = np.repeat([0, 1], 20)
    margins = np.where(labels == 1, 24.0, 16.0).astype(np.float32)
    margins[7], margins[31] = 30, 10
    rows = hardest(margins, labels, [str(row % 20) for row in range(40)], 0.2, seed=0)
    assert {7, 27, 11, 31} <= set(rows.tolist())


def test_a_class_that_would_be_left_without_frames_is_refused() -> None:
    labels = np.repeat([0, 1], 30)
    margins = np.concatenate([np.full(30, -3), np.linspace(-9, 3, 30)]).astype(np.float32)
    with pytest.raises(UsageError, match=r"leaves [0-4] good frames to learn from; 5 are the fewest"):
        hardest(margins, labels, [str(row) for row in range(60)], 0.25, seed=0)
