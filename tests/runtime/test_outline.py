import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime import outline as outlines
from edge_runtime.outline import Surface, between
from edge_runtime.results import Array, Box

INPUT_HW, CELLS_HW, CELL = (192, 256), (48, 64), 4
seeds = st.integers(0, 2**32 - 1)


def outline(activations: Array, evidence: Array, box: Box) -> Box | None:
    return outlines.outline(Surface.of(activations), evidence, box, INPUT_HW)


def cells(box: Box) -> tuple[slice, slice]:
    return slice(box.y0 // CELL, box.y1 // CELL), slice(box.x0 // CELL, box.x1 // CELL)


def surface(rng: np.random.Generator, *places: Box) -> Array:
    """Sixteen channels of noise; inside the places, four of them are stronger."""
    found = rng.normal(0, 1, (*CELLS_HW, 16)).astype(np.float32)
    for place in places:
        found[(*cells(place), slice(0, 4))] += 6
    return found


def evidence_on(*edges: Box) -> Array:
    found = np.zeros(CELLS_HW, np.float32)
    for edge in edges:
        found[cells(edge)] = 10
    return found


@st.composite
def pits(draw: st.DrawFn) -> Box:
    width, height = draw(st.integers(8, 24)), draw(st.integers(8, 24))
    x, y = draw(st.integers(0, 64 - width)), draw(st.integers(0, 48 - height))
    return Box(x * CELL, y * CELL, (x + width) * CELL, (y + height) * CELL)


@given(seed=seeds, pit=pits())
def test_a_pit_that_the_network_sees_by_its_left_half_is_outlined_whole(seed: int, pit: Box) -> None:
    """The box around the evidence covers all but a quarter of its width."""
    left = Box(pit.x0, pit.y0, pit.x0 + CELL * ((pit.x1 - pit.x0) // CELL // 2), pit.y1)
    narrow = Box(pit.x0, pit.y0, pit.x1 - CELL * ((pit.x1 - pit.x0) // CELL // 4), pit.y1)
    found = outline(surface(np.random.default_rng(seed), pit), evidence_on(left), narrow)
    assert found is not None and found.iou(pit) > 0.75


def test_what_looks_alike_far_away_or_apart_does_not_belong() -> None:
    rng, pit = np.random.default_rng(0), Box(40, 40, 80, 80)
    near, far = Box(40, 88, 80, 96), Box(160, 40, 220, 120)
    found = outline(surface(rng, pit, far, near), evidence_on(pit), pit)
    assert found is not None and found.iou(pit) > 0.75


def test_of_two_pieces_the_one_with_the_evidence_is_outlined() -> None:
    rng, small, large = np.random.default_rng(1), Box(40, 40, 60, 80), Box(84, 40, 132, 80)
    found = outline(surface(rng, small, large), evidence_on(small), Box(40, 40, 120, 80))
    assert found is not None and found.iou(small) > 0.6 and found.iou(large) == 0


def test_a_quiet_channel_tells_more_than_a_loud_one_and_a_dead_one_nothing() -> None:
    """The pit shows in a channel that is bright everywhere but hardly varies, beside fifteen that vary, and one that never does."""
    rng, pit = np.random.default_rng(4), Box(80, 60, 140, 120)
    activations = rng.normal(0, 3, (*CELLS_HW, 17)).astype(np.float32)
    activations[..., 0] = 50 + rng.normal(0, 0.5, CELLS_HW)
    activations[(*cells(pit), 0)] += 3
    activations[..., 16] = 0
    found = outline(activations, evidence_on(pit), pit)
    assert found is not None and found.iou(pit) > 0.75


def test_around_a_speck_of_evidence_a_small_pit_is_outlined_whole() -> None:
    pit, speck = Box(96, 76, 124, 104), Box(108, 88, 112, 92)
    found = outline(surface(np.random.default_rng(5), pit), evidence_on(speck), speck)
    assert found is not None and found.iou(pit) > 0.5


def test_a_streak_that_runs_on_is_cut_off_near_the_box() -> None:
    streak, box = Box(0, 80, 256, 104), Box(100, 80, 140, 104)
    found = outline(surface(np.random.default_rng(2), streak), evidence_on(box), box)
    assert found is not None and 80 <= found.x0 < found.x1 <= 160


def test_where_nothing_differs_or_is_no_number_there_is_no_outline() -> None:
    pit = Box(40, 40, 80, 80)
    for activations in (np.zeros((*CELLS_HW, 3)), np.full((*CELLS_HW, 3), np.nan), np.full((*CELLS_HW, 3), np.inf)):
        assert outline(activations.astype(np.float32), evidence_on(pit), pit) is None
    assert outline(surface(np.random.default_rng(3), pit), evidence_on(), pit) is None


@given(seed=seeds, box=pits(), share=st.floats(0, 1))
def test_whatever_the_frame_a_box_stays_in_it_and_has_an_inside(seed: int, box: Box, share: float) -> None:
    rng = np.random.default_rng(seed)
    activations = np.maximum(rng.normal(0, 100, (*CELLS_HW, 5)), 0).astype(np.float32)
    found = outline(activations, np.abs(rng.normal(0, 1, CELLS_HW)).astype(np.float32), box) or box
    assert found.x1 <= 256 and found.y1 <= 192
    moved = between(box, found, share)  # Box refuses to be empty
    for low, high, at in zip(
        (box.x0, box.y0, box.x1, box.y1),
        (found.x0, found.y0, found.x1, found.y1),
        (moved.x0, moved.y0, moved.x1, moved.y1),
        strict=True,
    ):
        assert min(low, high) <= at <= max(low, high)
    assert between(box, found, 0) == box and between(box, found, 1) == found
