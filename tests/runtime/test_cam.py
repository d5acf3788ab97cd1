import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime import cam
from edge_runtime.cam import Head
from edge_runtime.manifest import HeatScale
from edge_runtime.results import Array, Box

SCALE = HeatScale(cold=1.0, hot=11.0, box_heat=0.5, min_box_area=16, false_boxes=0.0)
seeds = st.integers(0, 2**32 - 1)


def random_head(rng: np.random.Generator, channels: int, sign: int) -> tuple[Head, tuple[Array, ...]]:
    """A head whose v1 - v0 has the given sign, and the raw weights it was folded from."""
    v0 = np.float32(rng.normal())
    v1 = v0 + np.float32(sign * rng.uniform(0.1, 3))
    raw = (
        rng.normal(size=(channels, 1)).astype(np.float32),
        rng.normal(size=1).astype(np.float32),
        np.array([[v0, v1]], np.float32),
        rng.normal(size=2).astype(np.float32),
    )
    return Head.fold(*raw), raw


@given(seed=seeds, sign=st.sampled_from([-1, 1]), rows=st.integers(1, 20), columns=st.integers(1, 20))
def test_the_map_adds_up_to_the_margin_for_heads_of_both_signs(seed: int, sign: int, rows: int, columns: int) -> None:
    rng = np.random.default_rng(seed)
    activations = np.maximum(rng.normal(size=(rows, columns, 8)), 0).astype(np.float32)
    head, (w, b, v, beta) = random_head(rng, 8, sign)
    logits = (activations.mean((0, 1), dtype=np.float64) @ w + b) @ v + beta
    map_ = cam.class_activation_map(activations, head)
    assert map_.shape == (rows, columns)
    assert cam.residual(map_, head, float(logits[1] - logits[0])) < 1e-4


def test_the_map_turns_with_the_sign_of_the_output_weights() -> None:
    activations = np.zeros((2, 2, 1), np.float32)
    activations[0, 1] = 5
    weights = np.ones((1, 1), np.float32), np.zeros(1, np.float32)
    for v, expected in (([[0, 1]], 5), ([[1, 0]], -5)):
        head = Head.fold(*weights, np.array(v, np.float32), np.zeros(2, np.float32))
        assert cam.class_activation_map(activations, head)[0, 1] == expected


@given(seed=seeds, rows=st.integers(1, 12), columns=st.integers(1, 12))
def test_upsampling_keeps_the_mean(seed: int, rows: int, columns: int) -> None:
    map_ = np.random.default_rng(seed).normal(size=(rows, columns)).astype(np.float32)
    assert cam.upsample(map_, (rows * 16, columns * 16)).mean() == pytest.approx(map_.mean(), abs=1e-4)


@given(seed=seeds, rows=st.integers(2, 30), columns=st.integers(2, 30))
def test_smoothing_moves_evidence_but_makes_none(seed: int, rows: int, columns: int) -> None:
    map_ = np.random.default_rng(seed).normal(size=(rows, columns)).astype(np.float32)
    smoothed = cam.smooth(map_)
    assert smoothed.sum() == pytest.approx(map_.sum(), abs=1e-3) and smoothed.std() <= map_.std() + 1e-6


def test_heat_is_absolute() -> None:
    assert cam.heat(np.array([[-5, 1, 6, 11, 99]], np.float32), SCALE).tolist() == [[0, 0, 0.5, 1, 1]]


def flat(*regions: tuple[Box, float]) -> Array:
    map_ = np.zeros((100, 120), np.float32)
    for box, value in regions:
        map_[box.y0 : box.y1, box.x0 : box.x1] = value
    return map_


def test_each_hot_region_becomes_a_box_and_the_strongest_comes_first() -> None:
    small, large = Box(80, 60, 90, 70), Box(10, 20, 40, 50)
    found = cam.defects(flat((small, 9), (large, 9)), SCALE)
    assert [defect.box for defect in found] == [large, small]
    assert [defect.contribution for defect in found] == [pytest.approx(0.9), pytest.approx(0.1)]
    assert [defect.peak for defect in found] == [9, 9]


def test_regions_too_cold_or_too_small_are_no_boxes() -> None:
    assert cam.defects(flat((Box(10, 10, 40, 40), 5.9), (Box(60, 60, 63, 65), 50)), SCALE) == ()


def test_a_box_stops_where_its_defect_falls_below_half_its_peak() -> None:
    core = Box(50, 50, 60, 60)
    (found,) = cam.defects(flat((Box(40, 40, 70, 70), 8), (core, 101)), SCALE)
    assert found.box == core


def test_a_reject_without_a_hot_region_still_shows_its_hottest() -> None:
    warm = Box(30, 30, 50, 40)
    map_ = flat((warm, 4), (Box(80, 80, 85, 85), 2))
    assert cam.defects(map_, SCALE) == ()
    (found,) = cam.hottest(map_, SCALE)
    assert (found.box, found.peak) == (warm, 4)
    (found,) = cam.hottest(map_ - 10, SCALE)  # colder than every good part: still, where it is warmest
    assert (found.box, found.peak) == (warm, -6)
    assert cam.hottest(flat(), SCALE) == ()


def test_one_enclosing_box() -> None:
    map_ = flat((Box(80, 60, 90, 70), 9), (Box(10, 20, 40, 50), 9), (Box(95, 80, 105, 90), 5))
    several = cam.defects(map_, SCALE)
    (found,) = cam.enclose(several, map_, SCALE)
    assert found.box == Box(10, 20, 90, 70)
    assert found.contribution == pytest.approx(1000 * 8 / (1000 * 8 + 100 * 4))
    assert cam.enclose((), map_, SCALE) == () and cam.enclose(several[:1], map_, SCALE) == several[:1]


@given(seed=seeds)
def test_boxes_lie_inside_the_map_and_hold_their_share_of_the_evidence(seed: int) -> None:
    rng = np.random.default_rng(seed)
    map_ = cam.upsample(rng.normal(0, 8, (6, 8)).astype(np.float32), (96, 128))
    evidence = np.maximum(map_ - SCALE.cold, 0)
    for defect in cam.defects(map_, SCALE):
        box = defect.box
        inside = (slice(box.y0, box.y1), slice(box.x0, box.x1))
        assert box.x1 <= 128 and box.y1 <= 96
        assert map_[inside].max() == pytest.approx(defect.peak, abs=1e-3) or map_[inside].max() > defect.peak
        assert defect.contribution == pytest.approx(evidence[inside].sum() / evidence.sum(), abs=1e-5)
        assert defect.peak >= SCALE.box_level
