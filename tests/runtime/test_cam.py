import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime import cam
from edge_runtime.head import Head
from edge_runtime.manifest import HeatScale
from edge_runtime.results import Array

SCALE = HeatScale(cold=1.0, hot=11.0)
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
