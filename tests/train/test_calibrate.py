import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime import cam
from train.calibrate import Validated, calibrate, decision_threshold, heat_scale

INPUT_HW = (64, 96)


def score(margin: float) -> float:
    return float(1 / (1 + np.exp(-margin)))


def test_the_threshold_lies_in_the_middle_of_the_gap() -> None:
    margins, labels = np.array([-3, -1, 2, 5], np.float32), np.array([0, 0, 1, 1])
    assert decision_threshold(margins, labels) == pytest.approx(score(0.5))


def test_margins_far_from_zero_are_told_apart() -> None:
    margins, labels = np.array([18, 19, 20, 30, 31, 32], np.float32), np.array([0, 0, 0, 1, 1, 1])
    assert score(20) < decision_threshold(margins, labels) < score(30)


def test_the_threshold_weighs_both_classes_the_same() -> None:
    """Nine good frames and one anomaly: passing everything would be 90 % right."""
    margins = np.array([-4, -4, -3, -3, -2, -2, -1, -1, 3, 2], np.float32)
    assert score(-1) < decision_threshold(margins, np.array([0] * 9 + [1])) < score(2)


def cams(rng: np.random.Generator, count: int, hot: float) -> np.typing.NDArray[np.float32]:
    maps = rng.normal(0, 1, (count, 4, 6)).astype(np.float32)
    maps[:, 1, 2] += hot
    return maps


@given(seed=st.integers(0, 1000), hot=st.floats(0, 50), budget=st.sampled_from([0.0, 0.02, 0.1]))
def test_the_box_budget_is_kept_on_the_good_frames_it_was_fitted_on(seed: int, hot: float, budget: float) -> None:
    rng = np.random.default_rng(seed)
    good, anomaly = cams(rng, 50, 0), cams(rng, 20, hot)
    scale = heat_scale(good, anomaly, INPUT_HW, budget, min_box_area=64)
    boxes = [[cam.defects(cam.upsample(one, INPUT_HW), scale) for one in maps] for maps in (good, anomaly)]
    assert sum(map(len, boxes[0])) / 50 <= budget
    assert scale.false_boxes == pytest.approx(sum(map(len, boxes[0])) / 50)
    if hot > 20:
        assert sum(map(bool, boxes[1])) >= 15


def test_each_map_gets_its_own_scale_and_the_counts_are_told() -> None:
    rng = np.random.default_rng(0)
    labels = np.array([0] * 50 + [1] * 20)
    coarse = np.concatenate([cams(rng, 50, 0), cams(rng, 20, 30)])
    fitted = calibrate(Validated(coarse.mean((1, 2)), coarse, coarse * 10, labels), INPUT_HW, 0.02, min_box_area=64)
    assert (fitted.good, fitted.anomaly) == (50, 20)
    assert fitted.fine.cold == pytest.approx(10 * fitted.coarse.cold, rel=1e-3)
    assert fitted.fine.hot == pytest.approx(10 * fitted.coarse.hot, rel=1e-3)
