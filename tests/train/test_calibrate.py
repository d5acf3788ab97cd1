import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime import boxes
from edge_runtime.errors import UsageError
from edge_runtime.results import Array, Box, probability
from train.calibrate import OUTLINE, STRETCH, Terms, Validated, calibrate, decision_margin, fit_temperature

INPUT_HW = (64, 96)
EVEN = Terms()


def margins_of(good: list[float], anomaly: list[float]) -> tuple[Array, np.typing.NDArray[np.int64]]:
    return np.array(good + anomaly, np.float32), np.array([0] * len(good) + [1] * len(anomaly))


def test_the_threshold_lies_in_the_middle_of_the_gap() -> None:
    assert decision_margin(*margins_of([-3, -1], [2, 5]), EVEN) == pytest.approx(0.5)


def test_the_threshold_weighs_both_classes_the_same() -> None:
    """Nine good frames and one anomaly: passing everything would be 90 % right."""
    assert -1 < decision_margin(*margins_of([-4, -4, -3, -3, -2, -2, -1, -1, 3], [2]), EVEN) < 2


def test_margins_far_from_zero_are_told_apart() -> None:
    rng = np.random.default_rng(0)
    margins, labels = margins_of([18, 19, 20] * 10, [30, 31, 32] * 10)
    maps = cams(rng, 60, 0)
    fitted = calibrate(Validated(margins, maps, maps, labels), INPUT_HW, EVEN, guided=True)
    assert (fitted.false_rejects, fitted.escapes) == (0, 0)
    assert probability(20, fitted.temperature) < fitted.threshold < probability(30, fitted.temperature)


@given(seed=st.integers(0, 1000), budget=st.sampled_from([0.0, 0.005, 0.05, 0.5]))
def test_no_more_good_frames_are_rejected_than_allowed_and_no_fewer_defects_caught_than_possible(
    seed: int, budget: float
) -> None:
    rng = np.random.default_rng(seed)
    good, anomaly = rng.normal(0, 1, 60), rng.normal(1.5, 1, 40)
    margin = decision_margin(*margins_of(good.tolist(), anomaly.tolist()), Terms(max_false_rejects=budget))
    assert (good >= margin).mean() <= budget
    allowed = int(budget * 60 + 1e-9)
    least = np.sort(good.astype(np.float32))[::-1][allowed]  # the first good frame that must pass
    assert (anomaly >= margin).sum() == (anomaly.astype(np.float32) > least).sum()


def test_what_is_allowed_is_kept_in_every_place_that_is_large_enough_to_tell() -> None:
    """Two places of 100 good frames; all that are near the limit are of one of them. Pairs can't tell."""
    good = [-5.0] * 100 + [-5.0] * 94 + [1.0, 2, 3, 4, 5, 6]
    frames, terms = margins_of(good, [2.5, 4.5, 10]), Terms(max_false_rejects=0.02)
    places, pairs = ["left"] * 100 + ["right"] * 100 + ["left", "right", "right"], [str(row // 2) for row in range(203)]
    assert 2 < decision_margin(*frames, terms) < 2.5  # 4 of 200
    assert 4 < decision_margin(*frames, terms, places) < 4.5  # 2 of 100 on the right
    assert decision_margin(*frames, terms, pairs) == decision_margin(*frames, terms)
    assert decision_margin(*frames, Terms(), places) == decision_margin(*frames, Terms())


def test_the_dearer_an_escape_the_lower_the_threshold() -> None:
    rng = np.random.default_rng(0)
    frames = margins_of(rng.normal(0, 1, 300).tolist(), rng.normal(1, 1, 300).tolist())
    found = [decision_margin(*frames, Terms(cost_escape=cost)) for cost in (0.1, 1, 20, 1000)]
    assert found == sorted(found, reverse=True) and found[0] > found[-1]
    rare = decision_margin(*frames, Terms(cost_escape=20, defect_rate=0.01))
    assert rare > decision_margin(*frames, Terms(cost_escape=20))


def test_terms_that_contradict_are_refused() -> None:
    with pytest.raises(UsageError, match="give one of them"):
        Terms(max_false_rejects=0.01, cost_escape=20)
    with pytest.raises(UsageError, match="belongs to --cost-escape"):
        Terms(defect_rate=0.01)


@pytest.mark.parametrize("true", [0.7, 1.0, 4.0])
def test_the_temperature_makes_scores_true(true: float) -> None:
    """Labels drawn with the probability that the margin at some temperature stands for."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, 20_000)
    labels = (rng.random(20_000) < 1 / (1 + np.exp(-logits))).astype(np.int64)
    assert fit_temperature((logits * true).astype(np.float32), labels) == pytest.approx(true, rel=0.1)


def test_a_few_frames_without_a_mistake_are_no_certainty() -> None:
    few, many = (fit_temperature(*margins_of([-5] * count, [5] * count)) for count in (5, 500))
    assert few > many


def cams(rng: np.random.Generator, count: int, hot: float) -> np.typing.NDArray[np.float32]:
    maps = rng.normal(0, 1, (count, 4, 6)).astype(np.float32)
    maps[:, 1, 2] += hot
    return maps


@given(seed=st.integers(0, 1000), hot=st.floats(0, 50), budget=st.sampled_from([0.0, 0.02, 0.1]))
def test_the_box_budget_is_kept_on_the_good_frames_it_was_fitted_on(seed: int, hot: float, budget: float) -> None:
    rng = np.random.default_rng(seed)
    maps = np.concatenate([cams(rng, 50, 0), cams(rng, 20, hot)])
    seen = Validated(np.array([-9] * 50 + [9] * 20, np.float32), maps, maps, np.array([0] * 50 + [1] * 20))
    fitted = calibrate(seen, INPUT_HW, Terms(false_boxes=budget), guided=True)

    def strong(row: int) -> int:
        evidence = boxes.located(seen.maps(row), fitted)
        return len(boxes.further(boxes.regions(evidence), fitted.boxes, evidence.shape, INPUT_HW))

    counted = [strong(row) for row in range(50)]
    assert sum(counted) / 50 <= budget
    assert fitted.boxes.false_boxes == pytest.approx(sum(counted) / 50)
    if hot > 20:
        assert sum(strong(row) > 0 for row in range(50, 70)) >= 15


@pytest.mark.parametrize(("side", "larger"), [(4, False), (10, True)])
def test_a_handful_of_marked_frames_fits_how_large_boxes_are_drawn(side: int, larger: bool) -> None:
    """The same evidence, marked tightly or generously."""
    fine = np.zeros((30, 24, 32), np.float32)
    fine[20:, 9:15, 9:15] = 9
    coarse = np.where(np.arange(30)[:, np.newaxis, np.newaxis] < 20, -1, 9) * np.ones((30, 6, 8), np.float32)
    middle, half = 12 * 4, side * 2
    marked = {row: [Box(middle - half, middle - half, middle + half, middle + half)] for row in range(20, 24)}
    labels = np.array([0] * 20 + [1] * 10)
    seen = Validated(coarse.mean((1, 2)), coarse.astype(np.float32), fine, labels, marked)
    fitted = calibrate(seen, (96, 128), EVEN, guided=True)
    assert fitted.boxes.marked == 4 and (fitted.boxes.stretch > STRETCH) == larger
    (found,) = boxes.locate(seen.maps(29), fitted, (96, 128))
    assert found.box.iou(marked[20][0]) > 0.7


@pytest.mark.parametrize(("whole", "outline"), [(True, 1.0), (False, 0.0)])
def test_marked_frames_fit_how_far_boxes_follow_what_looks_alike(whole: bool, outline: float) -> None:
    """The network sees the left part of a bright stripe; marked is all of the stripe, or that part."""
    rng = np.random.default_rng(5)
    coarse, fine = np.full((8, 6, 8), 9, np.float32), np.zeros((8, 24, 32), np.float32)
    coarse[:4] = -1
    fine[4:, 8:16, 4:14] = 9
    activations = rng.normal(0, 0.1, (8, 24, 32, 3)).astype(np.float32)
    activations[4:, 8:16, 4:18] += 1
    marked = {row: [Box(16, 32, 72 if whole else 56, 64)] for row in range(4, 8)}
    labels = np.repeat([0, 1], 4)
    seen = Validated(coarse.mean((1, 2)), coarse, fine, labels, marked, {row: activations[row] for row in marked})
    fitted = calibrate(seen, (96, 128), EVEN, guided=True).boxes
    assert fitted.outline == outline


def test_each_map_gets_its_own_scale_and_the_counts_are_told() -> None:
    rng = np.random.default_rng(0)
    labels = np.array([0] * 50 + [1] * 20)
    coarse = np.concatenate([cams(rng, 50, 0), cams(rng, 20, 30)])
    fitted = calibrate(Validated(coarse.mean((1, 2)), coarse, coarse * 10, labels), INPUT_HW, EVEN, guided=True)
    assert (fitted.good, fitted.anomaly, fitted.false_rejects, fitted.escapes) == (50, 20, 0, 0)
    assert fitted.coarse.hot < fitted.fine.hot  # ten times as hot, evened out over nine cells and more
    assert (fitted.boxes.stretch, fitted.boxes.outline, fitted.boxes.marked) == (STRETCH, OUTLINE, 0)
    alone = calibrate(Validated(coarse.mean((1, 2)), coarse, coarse * 10, labels), INPUT_HW, EVEN, guided=False)
    assert alone.boxes.outline == 0
