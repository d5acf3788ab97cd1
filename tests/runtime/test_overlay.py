import re
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.manifest import HeatScale
from edge_runtime.results import Account, Array, Box, Defect, Image, Inspection, Maps, Verdict
from edge_runtime.views import PICTURES, heat, ink, panel
from edge_runtime.views.overlay import Painter
from tests.tiny import INPUT_HW, frame, manifest

SIZES_WH = [(960, 640), (320, 320), (64, 64), (37, 401), (40, 4000), (2400, 400), (4096, 3000), (1, 1)]
DEFECT = Defect(Box(320, 160, 640, 480), contribution=0.93, logits=5.0, peak=130, map="fine")
FRAME = frame((320, 160, 640, 480), (960, 640))
REJECT = Inspection("a.png", "0", (960, 640), Verdict.ANOMALY, score=0.98, margin=4.0, threshold=0.5, defects=(DEFECT,))
GOOD = Inspection("a.png", "0", (960, 640), Verdict.GOOD, score=0.02, margin=-4.0, threshold=0.5, residual=0.0)
INSIDE = (slice(160, 480), slice(320, 640))
PAINTER = Painter(manifest().calibration, INPUT_HW)


def cam(hot: float) -> Array:
    cells = np.zeros((4, 6), np.float32)
    cells[1:3, 2:4] = hot
    return cells


def paint(kind: str, inspection: Inspection = REJECT, hot: float = 130, image: Image = FRAME) -> Image:
    return PAINTER(kind, image, inspection, Maps(cam(hot)))


def found(box: Box) -> Defect:
    return Defect(box, contribution=0.5, logits=2, peak=9, map="fine")


def grey(image: Image) -> Array:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.float32)


@pytest.mark.parametrize("kind", PICTURES)
@pytest.mark.parametrize("size_wh", SIZES_WH)
def test_every_picture_can_be_drawn_at_any_size_and_leaves_the_frame_alone(kind: str, size_wh: tuple[int, int]) -> None:
    width, height = size_wh
    image = np.full((height, width, 3), 90, np.uint8)
    box = Box(0, 0, max(1, width // 3), max(1, height // 3))
    picture = paint(kind, replace(REJECT, size_wh=size_wh, defects=(found(box),)), image=image)
    assert (image == 90).all() and not np.shares_memory(picture, image)
    assert picture.dtype == np.uint8
    match kind:
        case "heat":
            assert picture.shape == (*INPUT_HW, 4)
        case "overlay":
            assert picture.shape[0] > height and picture.shape[1] == max(width, ink.MIN_BANNER_WIDTH)
        case "panel":
            assert picture.shape[2] == 3 and picture.shape[1] <= 2000
        case _:
            assert picture.shape == image.shape


def test_what_is_cold_stays_as_the_camera_saw_it() -> None:
    for kind in ("heatmap", "coarse", "boxes"):
        assert np.array_equal(paint(kind, GOOD, hot=2), FRAME)
    noise = np.random.default_rng(1).integers(0, 256, FRAME.shape, np.uint8)
    assert np.array_equal(heat.glaze(noise, np.zeros((64, 96), np.float32)), noise)
    for picture in (paint("heatmap", image=noise), paint("overlay", image=noise)[-640:]):
        assert np.array_equal(picture[:60, :200], noise[:60, :200])
        assert not np.array_equal(picture[INSIDE], noise[INSIDE])


@pytest.mark.parametrize(("dark", "light"), [(0, 255), (20, 50), (200, 250), (110, 140)])
def test_what_lies_under_the_hottest_heat_can_still_be_seen(dark: int, light: int) -> None:
    stripes = np.indices((640, 960)).sum(axis=0) // 16 % 2
    image = np.repeat(np.where(stripes, light, dark)[..., np.newaxis], 3, axis=2).astype(np.uint8)
    seen, was = (local_contrast(picture)[INSIDE].ravel() for picture in (paint("overlay", image=image)[-640:], image))
    assert np.corrcoef(seen, was)[0, 1] > 0.85
    assert seen.std() > 0.5 * was.std()


def local_contrast(image: Image) -> Array:
    return np.asarray(grey(image) - cv2.blur(grey(image), (32, 32)), np.float32)


def test_a_dark_pit_is_not_filled_up_by_the_heat_that_it_makes() -> None:
    image, warm = np.full((64, 96, 3), 110, np.uint8), np.zeros((64, 96), np.float32)
    image[24:40, 40:56], warm[24:40, 40:56] = 35, 1
    seen = grey(heat.glaze(image, warm))
    assert seen[28:36, 44:52].max() < 0.8 * seen[0, 0]


def test_the_fine_map_is_what_the_heat_shows_where_there_is_one() -> None:
    fine = np.zeros((16, 24), np.float32)
    fine[6, 10] = 130
    shown = PAINTER("heatmap", FRAME, REJECT, Maps(cam(130), fine))
    changed = np.argwhere((shown != FRAME).any(axis=2))
    assert abs(changed.mean(axis=0) - (6.5 * 40, 10.5 * 40)).max() < 5 and np.ptp(changed, axis=0).max() < 200


def test_the_same_heat_has_the_same_colour_whatever_else_is_in_the_frame() -> None:
    with_hotter = cam(60)
    with_hotter[0, 0] = 99
    alone, beside = (PAINTER("coarse", FRAME, REJECT, Maps(map_))[240:400, 400:560] for map_ in (cam(60), with_hotter))
    assert np.array_equal(alone, beside)
    alone, beside = (PAINTER("heat", FRAME, REJECT, Maps(map_))[24:, 40:] for map_ in (cam(60), with_hotter))
    assert np.array_equal(alone, beside)


def test_the_heat_alone_is_clear_where_it_is_cold_and_dense_where_it_is_hot() -> None:
    layer = paint("heat")
    assert not layer[:8, :16, 3].any() and (layer[28:36, 44:52, 3] == 255).all()
    assert not paint("heat", GOOD, hot=2)[..., 3].any()


def test_hotter_is_lighter_so_that_no_eye_needs_the_hue() -> None:
    luma = grey(heat.RAMP[np.newaxis])[0]
    assert (np.diff(luma) >= -1).all() and luma[-1] - luma[0] > 150


def test_boxes_and_words_never_cover_the_defect() -> None:
    assert np.array_equal(paint("boxes")[INSIDE], FRAME[INSIDE])
    banner = paint("overlay").shape[0] - FRAME.shape[0]
    assert np.array_equal(paint("overlay")[banner:][INSIDE], heat_on(FRAME)[INSIDE])


def heat_on(image: Image) -> Image:
    """The heat without a box."""
    return PAINTER.preview(image, replace(REJECT, defects=()), Maps(cam(130)))


@pytest.mark.parametrize("part", [1, 2, 4, 8])
def test_boxes_lie_on_the_same_place_of_a_smaller_copy_of_the_frame(part: int) -> None:
    small = np.asarray(cv2.resize(FRAME, (960 // part, 640 // part), interpolation=cv2.INTER_AREA), np.uint8)
    picture = paint("cutout", image=small)
    kept = np.argwhere((picture == 230).all(axis=2))
    assert picture.shape == small.shape
    assert (*kept.min(axis=0), *kept.max(axis=0) + 1) == (160 // part, 320 // part, 480 // part, 640 // part)
    assert np.array_equal(paint("boxes", image=small)[picture == 230], small[picture == 230])


def test_the_cutout_keeps_the_defect_and_dims_the_rest() -> None:
    picture = paint("cutout")
    assert np.array_equal(picture[INSIDE], FRAME[INSIDE])
    assert picture[:150].max() < FRAME[:150].max()


def test_the_preview_is_small_has_the_boxes_and_shows_a_good_frame_by_its_coarse_map() -> None:
    large = np.full((3000, 4001, 3), 90, np.uint8)
    assert max(PAINTER.preview(large, GOOD, Maps(cam(0))).shape) == 960
    assert PAINTER.preview(FRAME, REJECT, Maps(cam(130)), max_side=5000).shape == FRAME.shape
    assert (PAINTER.preview(FRAME, REJECT, Maps(cam(2)), max_side=480) == 255).any()
    fine = np.full((16, 24), 130, np.float32)
    assert np.array_equal(PAINTER.preview(FRAME, GOOD, Maps(cam(0), fine)), FRAME)


CORNERS = [Box(0, 0, 90, 70), Box(230, 0, 320, 70), Box(0, 170, 90, 240), Box(230, 170, 320, 240)]


@pytest.mark.parametrize("box", [*CORNERS, Box(0, 0, 320, 200), Box(0, 40, 320, 240), Box(0, 0, 270, 240)])
def test_a_box_at_the_rim_has_its_share_of_the_evidence_beside_it(box: Box) -> None:
    image = np.full((240, 320, 3), 90, np.uint8)
    labelled, bare = (ink.draw_boxes(image, [found(box)], labels=labels) for labels in (True, False))
    written = np.argwhere((labelled != bare).any(axis=2))
    assert np.ptp(written, axis=0).min() >= 10
    assert np.array_equal(labelled[box.y0 : box.y1, box.x0 : box.x1], image[box.y0 : box.y1, box.x0 : box.x1])


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    x0, y0 = draw(st.integers(0, 299)), draw(st.integers(0, 199))
    return Box(x0, y0, draw(st.integers(x0 + 1, 300)), draw(st.integers(y0 + 1, 200)))


@given(st.lists(boxes(), min_size=1, max_size=8), st.integers(0, 9))
def test_labels_lie_in_the_picture_and_over_no_box_and_no_other_label(drawn: list[Box], away: int) -> None:
    sizes = [(30 + 5 * number, 14) for number in range(len(drawn))]
    labels = [label for label in ink.placed(drawn, sizes, (300, 200), away) if label is not None]
    for number, label in enumerate(labels):
        assert label.x1 <= 300 and label.y1 <= 200
        assert not any(label.iou(other) for other in [*drawn, *labels[:number]])
    noise = np.random.default_rng(3).integers(0, 256, (200, 300, 3), np.uint8)
    picture = ink.draw_boxes(noise, [found(box) for box in drawn])
    for box in drawn:
        assert np.array_equal(picture[box.y0 : box.y1, box.x0 : box.x1], noise[box.y0 : box.y1, box.x0 : box.x1])


@pytest.mark.parametrize("verdict", Verdict)
@pytest.mark.parametrize("width", [120, 224, 320, 640, 1920, 4096])
def test_the_verdict_and_what_goes_with_it_fit_above_every_frame(width: int, verdict: Verdict) -> None:
    why = "frame.jpg " + "is no image that can be decoded, or is damaged; " * 9
    judged = verdict in (Verdict.GOOD, Verdict.ANOMALY)
    inspection = replace(REJECT, verdict=verdict) if judged else Inspection("a.png", "0", None, verdict, error=why)
    strip = ink.banner(inspection, width, width // 26)
    written = np.argwhere((strip != strip[0, 0]).any(axis=2))
    assert written[:, 1].min() >= 2 and written[:, 1].max() < width - 2
    assert written[:, 0].min() >= 2 and written[:, 0].max() < strip.shape[0] - 2
    assert np.ptp(written[:, 0]) >= 8


@given(st.text(st.characters(codec="ascii", exclude_categories=["C"])), st.integers(30, 500))
def test_a_long_text_is_wrapped_and_never_cut(text: str, width: int) -> None:
    lines = ink.wrapped(text, 15, width)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(ink.text_width(line, 15) <= width for line in lines)


@pytest.mark.parametrize("scale", [(2.0, 100.0), (-0.3, 0.05), (520.3, 2373.8), (0.0, 1.0), (-7e5, 3e6)])
def test_the_scale_has_round_ticks_between_cold_and_hot(scale: tuple[float, float]) -> None:
    ticks = panel.ticks(HeatScale(cold=scale[0], hot=scale[1]))
    assert 2 <= len(ticks) <= 6 and scale[0] <= ticks[0] and ticks[-1] <= scale[1]
    steps = np.diff(ticks)
    assert np.allclose(steps, steps[0]) and all(float(f"{tick:.3g}") == tick for tick in ticks)


def test_the_sum_under_the_five_steps_adds_up_to_the_margin() -> None:
    explained = replace(REJECT, margin=4.2, account=Account(fine_map=5.1, biases=-1.2, offset=0.31, rounding=-0.01))
    for inspection in (explained, GOOD):
        parts, margin = panel.equation(inspection, Maps(cam(130))).split(" = margin ")
        numbers = [float(number) for number in re.findall(r"-?\d+\.\d\d", parts)]
        assert sum(numbers) == pytest.approx(inspection.margin, abs=0.011) == float(margin.removesuffix(" logits"))
    assert panel.equation(replace(GOOD, residual=None), Maps(cam(0))) == ""


def test_an_unknown_picture_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="'rainbow'; there are overlay, panel"):
        paint("rainbow")
