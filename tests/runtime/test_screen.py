"""The pictures that only the operator screen shows never slow the line."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest

from benchmarks.reliability.line import until
from edge_runtime.frames import FrameFile
from edge_runtime.inspector import Inspector
from edge_runtime.line.ledger import Ledger
from edge_runtime.line.pictures import Pictures
from edge_runtime.line.pipeline import Pipeline, Work
from edge_runtime.line.screen import KINDS, LATEST_S, MOST_S, PREVIEWS_S, SHARE, Screen
from edge_runtime.model import Model
from tests import tiny

JOBS, PICTURES_S, FRAME_S = 2, 0.013, 0.005


class Line:
    """A line whose every frame is a reject: a frame takes FRAME_S, and its pictures PICTURES_S more."""

    def __init__(self, busy: bool, cameras: int = 1) -> None:
        self.now = self.spent = 0.0
        self.screen = Screen(JOBS, lambda: self.now)
        self.screen.idle = not busy
        self.cameras = cameras

    def frame(self, number: int = 0) -> bool:
        """Whether its pictures were made."""
        self.now += FRAME_S
        made = self.screen.has_time()
        with self.screen.spending():
            takes = PICTURES_S * made + PICTURES_S * self.screen.preview_is_due(str(number % self.cameras))
            self.now += takes
            self.spent += takes
        return made


def test_all_pictures_are_made_while_no_frame_waits() -> None:
    line = Line(busy=False)
    assert all(line.frame() for _ in range(1000))


@pytest.mark.parametrize("cameras", [1, 8])
def test_a_busy_line_spends_no_more_than_its_share(cameras: int) -> None:
    """But for the live picture that each camera has every two seconds, come what may."""
    line = Line(busy=True, cameras=cameras)
    made = sum(line.frame(number) for number in range(100_000))
    assert 0 < made < 100_000
    latest_s = PICTURES_S * cameras * (line.now / LATEST_S + 1)
    assert line.spent <= 2 * MOST_S + SHARE * JOBS * line.now + latest_s


def test_the_first_rejects_of_a_busy_line_get_their_pictures() -> None:
    line = Line(busy=True)
    assert all(line.frame() for _ in range(12))


def test_what_a_line_with_time_spends_is_not_held_against_it_later() -> None:
    line = Line(busy=False)
    for _ in range(1000):
        line.frame()
    line.screen.idle = False
    assert line.frame()


def test_what_a_line_owes_is_soon_paid_back() -> None:
    line = Line(busy=True, cameras=8)
    for number in range(100_000):
        line.frame(number)
    line.now += 2.5 * MOST_S / (SHARE * JOBS)
    assert line.frame()


def test_each_camera_has_its_own_live_picture() -> None:
    line = Line(busy=True)
    assert [line.screen.preview_is_due(camera) for camera in ("a", "b", "a", "b")] == [True, True, False, False]
    line.now += PREVIEWS_S
    assert [line.screen.preview_is_due(camera) for camera in ("a", "a")] == [True, False]


@pytest.mark.parametrize("busy", [False, True])
def test_rejects_get_what_the_screen_shows_as_far_as_there_is_time(
    busy: bool, tiny_model: Path, tmp_path: Path
) -> None:
    """What a screen owes while its clock stands still, it never pays back."""
    now = [0.0]
    screen = Screen(1, lambda: now[0])
    screen.idle = False
    with screen.spending():
        now[0] += 10 * MOST_S
    paths = [tmp_path / f"{number}.png" for number in range(3 if busy else 1)]
    for path in paths:
        cv2.imwrite(str(path), tiny.frame())

    def source() -> Iterator[Work | None]:
        for path in paths:
            yield Work(FrameFile(path, path.name))
            if not busy:
                yield None

    def began(_: FrameFile) -> None:
        if not busy:
            until(lambda: screen.idle)

    with Ledger(tmp_path / "out", {"model": "m"}) as ledger:
        inspector = Inspector(Model.load(tiny_model))
        pipeline = Pipeline(inspector, ledger, Pictures(("overlay",)), began=began, screen=screen)
        rows = [outcome.row for outcome in pipeline.run(source())]
    kinds = [set(row["pictures"]) for row in rows if row is not None]
    assert kinds == [{"overlay"} if busy else set(KINDS)] * len(paths), "what was asked for is always made"
