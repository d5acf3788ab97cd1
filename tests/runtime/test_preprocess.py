import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.preprocess import prepare, reduction, to_frame
from edge_runtime.results import Box

sides = st.integers(1, 3000)


@given(data=st.data(), width=sides, height=sides)
def test_boxes_go_back_into_the_frame_and_are_the_smallest_that_cover_what_they_covered(
    data: st.DataObject, width: int, height: int
) -> None:
    x0, x1 = sorted(data.draw(st.lists(st.integers(0, 96), min_size=2, max_size=2, unique=True)))
    y0, y1 = sorted(data.draw(st.lists(st.integers(0, 64), min_size=2, max_size=2, unique=True)))
    box = to_frame(Box(x0, y0, x1, y1), (64, 96), (width, height))
    exactly = [Fraction(x * width, 96) for x in (x0, x1)], [Fraction(y * height, 64) for y in (y0, y1)]
    assert (box.x0, box.x1) == (math.floor(exactly[0][0]), math.ceil(exactly[0][1]))
    assert (box.y0, box.y1) == (math.floor(exactly[1][0]), math.ceil(exactly[1][1]))


def test_the_whole_input_is_the_whole_frame() -> None:
    assert to_frame(Box(0, 0, 96, 64), (64, 96), (1921, 1079)) == Box(0, 0, 1921, 1079)


def test_a_frame_of_input_size_is_left_as_it_is() -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    assert np.array_equal(prepare(image, (64, 96)), image)


def test_a_thin_line_dims_but_does_not_vanish_when_shrunk() -> None:
    image = np.zeros((640, 960, 3), np.uint8)
    image[:, 487] = 255
    column = prepare(image, (64, 96))[:, :, 0].max(axis=0)
    assert column.argmax() == 48 and 20 <= column.max() <= 30


@pytest.mark.parametrize("x", range(1000, 1040))
def test_nor_where_the_other_side_grows(x: int) -> None:
    strip = np.zeros((50, 4096, 3), np.uint8)
    strip[:, x] = 255
    assert prepare(strip, (64, 224)).max() >= 10


@given(height=st.integers(1, 300), width=st.integers(1, 300))
def test_any_size_becomes_the_input_size(height: int, width: int) -> None:
    image = np.full((height, width, 3), 77, np.uint8)
    prepared = prepare(image, (64, 96))
    assert prepared.shape == (64, 96, 3) and prepared.dtype == np.uint8 and (prepared == 77).all()


@given(st.integers(1, 9000), st.integers(1, 9000), st.sampled_from([(224, 224), (192, 256), (64, 96)]))
def test_a_reduced_frame_keeps_twice_the_sides_of_the_input(width: int, height: int, input_hw: tuple[int, int]) -> None:
    reduce = reduction((width, height), input_hw)
    assert reduce in (1, 2, 4, 8)
    if reduce > 1:
        assert width / reduce >= 2 * input_hw[1] and height / reduce >= 2 * input_hw[0]
    if reduce < 8:
        assert min(width / input_hw[1], height / input_hw[0]) < 4 * reduce
