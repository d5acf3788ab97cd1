from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.inspector import Inspector
from edge_runtime.model import Model
from edge_runtime.proof import RING, _elsewhere, mended, prove
from edge_runtime.results import Array, Box, Frame, Image
from tests import tiny

RIM = 150
SCRATCH = Box(88, 20, 104, 30)


def ring(scratched: bool = True) -> Image:
    """A grey ring on a dark table: no straight copy of its rim fits elsewhere, but its mirror images do."""
    rows, columns = np.mgrid[:128, :192]
    away = np.hypot(rows - 63.5, columns - 95.5)
    image = np.repeat(np.where(abs(away - 40) < 8, RIM, 30).astype(np.uint8)[..., np.newaxis], 3, axis=2)
    if scratched:
        image[SCRATCH.y0 : SCRATCH.y1, SCRATCH.x0 : SCRATCH.x1] = 255
    return image


def white(images: Image) -> Array:
    """A network that takes white for a defect: margin above 0 from twenty white pixels on."""
    return np.asarray((images == 255).all(axis=3).sum((1, 2)) - 20.0, np.float32)


def harmless(margin: float) -> bool:
    return margin < 0


def test_a_frame_passes_without_its_defect_and_not_without_an_equal_box_elsewhere() -> None:
    proof = prove(ring(), [SCRATCH], np.ones((128, 192), np.float32), 4, harmless, white)
    assert proof.each[0].flips and proof.each[0].margin == -20 and proof.together == proof.each[0]
    assert proof.control is not None and not proof.control.flips and proof.control.margin == 16 * 10 - 20


def test_with_two_defects_it_takes_both_boxes() -> None:
    image = ring()
    second = Box(40, 60, 60, 70)
    image[second.y0 : second.y1, second.x0 : second.x1] = 255
    proof = prove(image, [SCRATCH, second], np.ones((128, 192), np.float32), 4, harmless, white)
    assert [one.flips for one in proof.each] == [False, False] and proof.together.flips


def test_a_rim_is_mended_with_the_same_rim_from_the_other_side() -> None:
    best = next(mended(ring(), SCRATCH, [SCRATCH])).image
    assert abs(best.astype(int) - ring(scratched=False)).mean() < 0.5


def test_a_rim_is_mended_with_one_that_stands_aslant() -> None:
    """Two arcs 30 degrees apart, bright: no quarter turn or mirror image of one lies where the other is."""
    rows, columns = np.mgrid[:128, :192]
    away = np.hypot(rows - 63.5, columns - 95.5)
    angle = np.degrees(np.arctan2(rows - 63.5, columns - 95.5))
    arcs = (abs(away - 50) < 6) & ((abs(angle) < 12) | (abs(angle - 30) < 12))
    sound = np.repeat(np.where(arcs, RIM, 30).astype(np.uint8)[..., np.newaxis], 3, axis=2)
    scratch = Box(138, 60, 152, 68)
    image = sound.copy()
    image[scratch.y0 : scratch.y1, scratch.x0 : scratch.x1] = 255
    best = next(mended(image, scratch, [scratch])).image
    inside = abs(best.astype(int) - sound)[scratch.y0 : scratch.y1, scratch.x0 : scratch.x1]
    assert inside.mean() < 10 < abs(image.astype(int) - sound)[scratch.y0 : scratch.y1, scratch.x0 : scratch.x1].mean()


@given(x=st.integers(0, 180), y=st.integers(0, 116), width=st.integers(1, 80), height=st.integers(1, 60))
def test_only_the_box_and_its_ring_are_touched(x: int, y: int, width: int, height: int) -> None:
    hole = Box(x, y, min(192, x + width), min(128, y + height))
    for copy in mended(ring(), hole, [hole]):
        changed = np.argwhere((copy.image != ring()).any(axis=2))
        if len(changed):
            (top, left), (bottom, right) = changed.min(axis=0), changed.max(axis=0)
            assert top >= hole.y0 - RING and left >= hole.x0 - RING
            assert bottom < hole.y1 + RING and right < hole.x1 + RING


def test_a_box_too_large_for_another_place_is_painted_over_and_that_is_said() -> None:
    most = Box(10, 10, 180, 120)
    (painted,) = mended(ring(), most, [most])
    assert painted.painted and not (painted.image == 255).all(axis=2).any()
    whole = prove(ring(), [Box(0, 0, 192, 128)], np.ones((128, 192), np.float32), 4, harmless, white)
    assert (
        whole.together.painted and not whole.together.flips and whole.control is None
    )  # nothing is left to fill it from


def test_the_control_is_the_hottest_equal_place_outside_the_boxes() -> None:
    evidence = np.zeros((128, 192), np.float32)
    evidence[20:30, 88:104] = 9
    evidence[100:110, 150:166] = 5
    evidence[60:70, 10:26] = 3
    assert list(_elsewhere([SCRATCH], evidence)) == [Box(150, 100, 166, 110)]
    second = Box(0, 0, 16, 10)
    assert list(_elsewhere([SCRATCH, second], evidence)) == [Box(150, 100, 166, 110), Box(10, 60, 26, 70)]
    assert list(_elsewhere([Box(0, 0, 192, 100)], evidence)) == []


def test_a_proof_shows_signs_of_life_before_each_question(tiny_model: Path) -> None:
    inspector, told = Inspector(Model.load(tiny_model), prove=True), []
    frame = Frame("a.png", "0" * 64, tiny.frame(), (96, 64))
    inspection, _ = inspector.inspect(frame, lambda: told.append(1))
    assert inspection.proof is not None and len(told) >= 2, "each box, and all together"
