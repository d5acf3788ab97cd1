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


def test_a_class_that_would_be_left_without_frames_is_refused() -> None:
    labels = np.repeat([0, 1], 30)
    margins = np.full(60, -3, np.float32)  # all called good
    with pytest.raises(UsageError, match="leaves 3 good frames to learn from; 5 are the fewest"):
        hardest(margins, labels, [str(row) for row in range(60)], 0.5, seed=0)
