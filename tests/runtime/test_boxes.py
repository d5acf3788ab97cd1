from collections.abc import Sequence

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from edge_runtime import boxes
from edge_runtime.manifest import BoxRule, Calibration, HeatScale
from edge_runtime.results import Array, Box, Defect, Maps

INPUT_HW = (192, 256)
CELLS_HW = (48, 64)
CELL = 4
seeds = st.integers(0, 2**32 - 1)


def calibrated(**changes: object) -> Calibration:
    rule = BoxRule(guided=True, level=5.0, false_boxes=0.0, stretch=1.6, marked=0, min_area=32)
    return Calibration(
        temperature=1,
        threshold=0.5,
        rule="test",
        coarse=HeatScale(cold=1.0, hot=11.0),
        fine=HeatScale(cold=1.0, hot=11.0),
        boxes=replace(rule, **changes),
        good=1,
        anomaly=1,
        false_rejects=0,
        escapes=0,
    )


def maps(*places: tuple[Box, float], coarse: float = 11.0) -> Maps:
    """A fine map with the places (input pixels, multiples of a cell) at these logits; the coarse map is the same everywhere."""
    fine = np.zeros(CELLS_HW, np.float32)
    for box, value in places:
        fine[box.y0 // CELL : box.y1 // CELL, box.x0 // CELL : box.x1 // CELL] = value
    return Maps(np.full((12, 16), coarse, np.float32), fine)


def speckled(place: Box, rng: np.random.Generator) -> Array:
    """Evidence for and against in turn inside the place, as the edges of a pit give it, seen through a network that
    spreads it over its neighbours; nothing elsewhere."""
    fine = np.zeros(CELLS_HW, np.float32)
    inside = (slice(place.y0 // CELL, place.y1 // CELL), slice(place.x0 // CELL, place.x1 // CELL))
    fine[inside] = rng.normal(1, 4, fine[inside].shape)
    return np.asarray(cv2.GaussianBlur(fine, (0, 0), 1.0), np.float32)


def test_a_weak_defect_keeps_its_box_beside_a_strong_one_that_looks_alike() -> None:
    scratch, speck = Box(40, 80, 128, 104), Box(148, 80, 168, 104)
    both = maps((scratch, 6), (speck, 100))
    activations = np.random.default_rng(0).normal(0, 1, (*CELLS_HW, 8)).astype(np.float32)
    for place in (scratch, speck):
        activations[place.y0 // CELL : place.y1 // CELL, place.x0 // CELL : place.x1 // CELL, :3] += 6
    for outline in (0.5, 1.0):
        calibration = calibrated(level=1, outline=outline)
        found = drawn(boxes.locate(Maps(both.coarse, both.fine, activations), calibration, INPUT_HW))
        assert max(box.iou(scratch) for box in found) > 0.7 and max(box.iou(speck) for box in found) > 0.3
        assert all(box.iou(other) == 0 for box in found for other in found if other is not box)


def drawn(found: Sequence[Defect]) -> list[Box]:
    return [defect.box for defect in found]


@given(
    seed=seeds,
    width=st.integers(10, 30),
    height=st.integers(10, 30),
    at=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_a_pit_whose_evidence_lies_in_many_pieces_gets_one_box_that_fits(
    seed: int, width: int, height: int, at: tuple[float, float]
) -> None:
    x, y = int(at[0] * (64 - width)), int(at[1] * (48 - height))
    true = Box(x * CELL, y * CELL, (x + width) * CELL, (y + height) * CELL)
    flat = Maps(np.full((12, 16), 11, np.float32), speckled(true, np.random.default_rng(seed)))
    (found,) = drawn(boxes.locate(flat, calibrated(level=1e9), INPUT_HW))
    assert found.iou(true) > 0.35


@given(x=st.integers(3, 60), y=st.integers(3, 44))
def test_a_speck_stays_a_speck(x: int, y: int) -> None:
    fine = np.zeros(CELLS_HW, np.float32)
    fine[y, x] = 50
    spread = np.asarray(cv2.GaussianBlur(fine, (0, 0), 1.0), np.float32)
    (found,) = drawn(boxes.locate(Maps(np.full((12, 16), 11, np.float32), spread), calibrated(), INPUT_HW))
    middle = Box(x * CELL + 1, y * CELL + 1, x * CELL + 3, y * CELL + 3)
    assert found.iou(middle) > 0 and found.area <= (2 * CELL) ** 2


@pytest.mark.parametrize("tail", [4, 12, 30])
def test_what_lies_far_out_counts_but_not_how_far(tail: int) -> None:
    evidence = np.zeros(CELLS_HW, np.float32)
    evidence[20:28, 20:28] = 1
    evidence[24, 28 : 28 + tail] = 5 / tail  # of 69 in all: less than a tenth
    (region,) = boxes.regions(evidence)
    assert region.columns == pytest.approx((20 + 6.9 / 8, 20 + 62.1 / 8))
    assert region.rows[0] == pytest.approx(20 + 6.9 / 8) and region.rows[1] < 28
    assert boxes.box_of(region, 1.25, CELLS_HW, INPUT_HW).iou(Box(80, 80, 112, 112)) > 0.6


def test_two_defects_are_kept_apart_and_the_larger_contribution_comes_first() -> None:
    small, large = Box(200, 140, 224, 164), Box(40, 40, 100, 80)
    found = boxes.locate(maps((small, 9), (large, 9)), calibrated(), INPUT_HW)
    assert [one.iou(true) > 0.6 for one, true in zip(drawn(found), (large, small), strict=True)] == [True, True]
    assert found[0].contribution == pytest.approx(0.8, abs=0.05) and sum(d.contribution for d in found) <= 1


def test_a_second_defect_must_be_stronger_and_larger_than_what_good_frames_show() -> None:
    strong, weak, speck = Box(40, 40, 100, 80), Box(200, 140, 224, 164), Box(160, 40, 164, 44)
    frame = maps((strong, 9), (weak, 4), (speck, 30))
    assert len(boxes.locate(frame, calibrated(level=5.0, min_area=100), INPUT_HW)) == 2  # the speck is strongest
    assert len(boxes.locate(frame, calibrated(level=3.0, min_area=100), INPUT_HW)) == 3
    assert len(boxes.locate(maps((strong, 9), (speck, 5.0)), calibrated(level=0.1, min_area=100), INPUT_HW)) == 1


def test_what_speaks_against_a_defect_gets_no_further_box() -> None:
    defect, against = Box(40, 40, 100, 80), Box(200, 140, 224, 164)
    for strength, count in ((9, 2), (-9, 1)):
        for single_box in (False, True):
            found = boxes.locate(maps((defect, 9), (against, strength)), calibrated(), INPUT_HW, single_box)
            assert len(found) == (1 if single_box else count)
            assert any(one.box.iou(against) > 0 for one in found) == (strength > 0)
            assert all(one.logits > 0 for one in found)


def test_where_the_coarse_map_is_cold_the_fine_one_is_not_believed_unless_it_is_an_approximation() -> None:
    left, right = Box(40, 40, 80, 80), Box(200, 40, 240, 80)
    fine = maps((left, 9), (right, 12)).fine
    coarse = np.zeros((12, 16), np.float32)
    coarse[:, :8] = 11
    assert drawn(boxes.locate(Maps(coarse, fine), calibrated(), INPUT_HW))[0].iou(left) > 0.6
    (best, *_) = boxes.locate(Maps(coarse, fine), calibrated(guided=False, level=1e9), INPUT_HW)
    assert best.box.iou(right) > 0.6


def test_a_reject_without_a_fine_word_is_boxed_where_the_coarse_map_is_warmest() -> None:
    coarse = np.full((12, 16), -3, np.float32)
    coarse[4:7, 8:12] = -1
    for frame in (Maps(coarse), Maps(coarse, np.zeros(CELLS_HW, np.float32)), Maps(coarse + 4)):
        (found,) = boxes.locate(frame, calibrated(), INPUT_HW)
        assert found.map == "coarse" and found.box.iou(Box(128, 64, 192, 112)) == found.box.area / (64 * 48)
    assert boxes.locate(Maps(np.zeros((12, 16), np.float32)), calibrated(), INPUT_HW) == ()


def test_one_enclosing_box() -> None:
    frame = maps((Box(200, 140, 224, 164), 9), (Box(40, 40, 100, 80), 9))
    several = drawn(boxes.locate(frame, calibrated(), INPUT_HW))
    (found,) = boxes.locate(frame, calibrated(), INPUT_HW, single_box=True)
    assert found.box == Box(
        *(pick(side) for pick, side in zip((min, min, max, max), zip(*map(_sides, several), strict=True), strict=True))
    )
    assert 0.9 < found.contribution <= 1


def _sides(box: Box) -> tuple[int, int, int, int]:
    return box.x0, box.y0, box.x1, box.y1


@given(seed=seeds, rows=st.integers(2, 24), columns=st.integers(2, 24))
def test_boxes_tell_exactly_what_they_add_to_the_margin(seed: int, rows: int, columns: int) -> None:
    """A frame cut in boxes: what they add makes the mean of the map, to the last logit."""
    rng = np.random.default_rng(seed)
    fine = rng.normal(0, 8, (rows, columns)).astype(np.float32)
    input_hw = rows * CELL, columns * CELL
    x, y = int(rng.integers(1, input_hw[1])), int(rng.integers(1, input_hw[0]))
    parts = [
        boxes.coverage(Box(x0, y0, x1, y1), fine.shape, input_hw)
        for x0, x1 in ((0, x), (x, input_hw[1]))
        for y0, y1 in ((0, y), (y, input_hw[0]))
    ]
    assert np.sum(parts, axis=0) == pytest.approx(np.ones(fine.shape), abs=1e-5)
    (found,) = boxes.locate(Maps(np.ones((2, 2), np.float32), fine), calibrated(level=1e9), input_hw)
    box = found.box
    assert 0 <= box.x0 < box.x1 <= input_hw[1] and 0 <= box.y0 < box.y1 <= input_hw[0]
    pixels = np.kron(fine, np.ones((CELL, CELL)))
    assert found.logits == pytest.approx(pixels[box.y0 : box.y1, box.x0 : box.x1].sum() / pixels.size, abs=1e-4)
    assert 0 <= found.contribution <= 1
