"""The pictures that only the operator screen shows never slow the line."""

from edge_runtime.line.screen import MOST_S, PREVIEWS_S, SHARE, Screen

JOBS, PICTURES_S, FRAME_S = 2, 0.013, 0.005


class Line:
    """A line whose every frame is a reject: a frame comes each FRAME_S, and its pictures take PICTURES_S more."""

    def __init__(self, busy: bool) -> None:
        self.now = self.worked = 0.0
        self.screen = Screen(JOBS, lambda: self.now, lambda: self.worked)
        if busy:
            self.screen.queued()  # and never begun: there is always one that waits

    def frame(self) -> bool:
        """Whether its pictures were made."""
        self.screen.queued()
        self.screen.started()
        self.now += FRAME_S
        made = self.screen.has_time()
        with self.screen.spending():
            self.worked += PICTURES_S * made
            self.now += PICTURES_S * made
        return made


def test_all_pictures_are_made_while_no_frame_waits() -> None:
    line = Line(busy=False)
    assert all(line.frame() for _ in range(1000))


def test_a_busy_line_spends_no_more_than_its_share() -> None:
    line = Line(busy=True)
    made = sum(line.frame() for _ in range(20_000))
    assert 0 < made < 20_000
    assert line.worked <= MOST_S + SHARE * JOBS * line.now + PICTURES_S


def test_the_first_rejects_of_a_busy_line_get_their_pictures() -> None:
    line = Line(busy=True)
    assert all(line.frame() for _ in range(12))


def test_what_a_line_with_time_spends_is_not_held_against_it_later() -> None:
    line = Line(busy=False)
    for _ in range(1000):
        line.frame()
    line.screen.queued()
    assert line.frame()


def test_each_camera_has_its_own_live_picture() -> None:
    line = Line(busy=True)
    assert [line.screen.preview_is_due(camera) for camera in ("a", "b", "a", "b")] == [True, True, False, False]
    line.now += PREVIEWS_S
    assert [line.screen.preview_is_due(camera) for camera in ("a", "a")] == [True, False]
