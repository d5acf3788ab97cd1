import numpy as np
import pytest

from edge_runtime.views import overlay
from edge_runtime.results import Array, Box, Defect, Image, Inspection, Maps, Verdict
from tests.tiny import frame, manifest

DEFECT = Defect(Box(320, 160, 640, 480), contribution=0.93, logits=5.0, peak=130, map="fine")
FRAME = frame((320, 160, 640, 480), (960, 640))
REJECT = Inspection("a.png", "0", (960, 640), Verdict.ANOMALY, score=0.98, margin=4.0, threshold=0.5, defects=(DEFECT,))
GOOD = Inspection("a.png", "0", (960, 640), Verdict.GOOD, score=0.02, margin=-4.0, threshold=0.5)


def cam(hot: float) -> Array:
    cells = np.zeros((4, 6), np.float32)
    cells[1:3, 2:4] = hot
    return cells


def paint(kind: str, inspection: Inspection = REJECT, hot: float = 130, image: Image = FRAME) -> Image:
    return overlay.Painter(manifest().calibration, manifest().input_hw)(kind, image, inspection, Maps(cam(hot)))


@pytest.mark.parametrize("kind", overlay.PICTURES)
@pytest.mark.parametrize("size_wh", [(960, 640), (640, 480), (64, 48), (37, 401), (4096, 3000), (1, 1)])
def test_every_picture_can_be_drawn_at_any_size_and_leaves_the_frame_alone(kind: str, size_wh: tuple[int, int]) -> None:
    image = np.full((size_wh[1], size_wh[0], 3), 90, np.uint8)
    box = Box(0, 0, max(1, size_wh[0] // 3), max(1, size_wh[1] // 3))
    inspection = Inspection(
        "a",
        "0",
        size_wh,
        Verdict.ANOMALY,
        score=0.9,
        margin=2.0,
        threshold=0.5,
        defects=(Defect(box, 1, 2, 9, "fine"),),
    )
    picture = paint(kind, inspection, image=image)
    assert (image == 90).all()
    assert picture.dtype == np.uint8 and picture.shape[2] == 3 and picture.shape[1] >= size_wh[0] * (kind != "panel")


def test_what_is_cold_stays_as_the_camera_saw_it() -> None:
    assert np.array_equal(paint("heatmap", GOOD, hot=0), FRAME)
    assert np.array_equal(paint("heatmap", GOOD, hot=2), FRAME)
    hot = paint("heatmap")
    assert np.array_equal(hot[:60, :200], FRAME[:60, :200]) and not np.array_equal(
        hot[200:400, 350:600], FRAME[200:400, 350:600]
    )


@pytest.mark.parametrize("width", [224, 256, 320, 640, 1920, 4096])
def test_the_verdict_and_its_score_fit_above_every_frame(width: int) -> None:
    picture = paint("overlay", image=np.full((width * 3 // 4, width, 3), 90, np.uint8))
    strip = picture[: picture.shape[0] - width * 3 // 4]
    ink = np.argwhere((strip != strip[0, 0]).any(axis=2))[:, 1]
    assert ink.min() >= 4 and ink.max() < width - 4


def test_the_fine_map_is_what_the_heat_shows_where_there_is_one() -> None:
    fine = np.zeros((16, 24), np.float32)
    fine[6, 10] = 130
    painter = overlay.Painter(manifest().calibration, manifest().input_hw)
    shown = painter("heatmap", FRAME, REJECT, Maps(cam(130), fine))
    changed = np.argwhere((shown != FRAME).any(axis=2))
    assert abs(changed.mean(axis=0) - (6.5 * 40, 10.5 * 40)).max() < 5 and np.ptp(changed, axis=0).max() < 200


def test_the_same_heat_has_the_same_colour_whatever_else_is_in_the_frame() -> None:
    with_hotter = cam(60)
    with_hotter[0, 0] = 99
    painter = overlay.Painter(manifest().calibration, manifest().input_hw)
    alone, beside = (painter("coarse", FRAME, REJECT, Maps(map_))[240:400, 400:560] for map_ in (cam(60), with_hotter))
    assert np.array_equal(alone, beside)


def test_boxes_and_words_never_cover_the_defect() -> None:
    inside = (slice(160, 480), slice(320, 640))
    assert np.array_equal(paint("boxes")[inside], FRAME[inside])
    banner = paint("overlay").shape[0] - FRAME.shape[0]
    assert banner > 0
    assert np.array_equal(paint("overlay")[banner:][inside], paint("heatmap")[inside])


def test_the_cutout_keeps_the_defect_and_dims_the_rest() -> None:
    picture = paint("cutout")
    assert np.array_equal(picture[160:480, 320:640], FRAME[160:480, 320:640])
    assert picture[:150].max() < FRAME[:150].max()
