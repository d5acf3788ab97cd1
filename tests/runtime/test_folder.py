"""The queue of a watch, without the processes around it."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from benchmarks.reliability.line import until
from edge_runtime import frames
from edge_runtime.line import folder as folders
from edge_runtime.line import search
from edge_runtime.line.folder import Folder
from edge_runtime.line.job import Watching
from edge_runtime.line.ledger import Ledger
from edge_runtime.line.pipeline import Outcome, Work
from tests import tiny

RULE = Watching(
    settle_s=0, incomplete_s=1000, rescan_s=0.01, poll=True, newest_first=False, skip_after_s=10, keep_days=0, max_gb=0
)
LOOPS = 2000
"""Of a queue that waits 0.05 s in each at most."""


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "out", {"model": "0" * 64}) as opened:
        yield opened


def queue(tmp_path: Path, *cameras: str) -> Folder:
    for camera in cameras:
        (tmp_path / camera).mkdir()
    return Folder([str(tmp_path / camera) for camera in cameras], tmp_path / "out", RULE, {})


def first(work: Iterator[Work | None]) -> Work:
    return next(one for one in islice(work, LOOPS) if one is not None)


def arriving(work: Iterator[Work | None]) -> Work:
    """The next one, however long its event takes."""
    came = list[Work]()

    def look() -> bool:
        came.extend(one for one in [next(work)] if one is not None)
        return bool(came)

    until(look)
    return came[0]


def wait(work: Iterator[Work | None], condition: Callable[[], bool]) -> None:
    assert any(condition() for _ in islice(work, LOOPS))


@pytest.mark.parametrize(("was_read", "put_off"), [(False, True), (True, False)])
def test_a_frame_that_is_deleted_before_it_was_read_was_never_one(
    was_read: bool, put_off: bool, ledger: Ledger, tmp_path: Path
) -> None:
    folder, stop = queue(tmp_path, "cam"), threading.Event()
    tiny.write_frames(tmp_path / "cam", {"a.png": tiny.frame()})
    with closing(folder.work(ledger, stop)) as work:
        begun = first(work)
        begun.file.path.unlink()
        assert folder.put_off(begun.file, was_read) == put_off
        if put_off:
            folder.over(Outcome(begun.file, None))
            wait(work, lambda: folder.status().pending == folder.status().seen == 0)


def test_a_frame_that_is_not_whole_yet_is_told_of_from_when_it_came(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is known of that part, however often its file is tried again."""
    folder, stop = queue(tmp_path, "cam"), threading.Event()
    now = time.monotonic
    tiny.write_frames(tmp_path / "cam", {"a.png": tiny.frame()})
    with closing(folder.work(ledger, stop)) as work:
        torn = first(work).file
        assert folder.status().not_whole == {}
        assert folder.put_off(torn, was_read=True)
        folder.over(Outcome(torn, None))
        monkeypatch.setattr(time, "monotonic", lambda: now() + 500)
        assert 500 <= folder.status().not_whole[""] < 600
        monkeypatch.setattr(time, "monotonic", lambda: now() + 1500)
        assert first(work).file == torn
        assert 1500 <= folder.status().not_whole[""] < 1600
        folder.over(Outcome(torn, {"sha256": "0" * 64, "verdict": "error"}))
        assert folder.status().not_whole == {} and folder.status().lag_s == 0


def test_a_folder_that_can_not_be_listed_holds_up_no_other_camera_and_is_told(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    walk, back = frames.walk, threading.Event()

    def hanging(root: Path, *rest: object) -> Iterator[Path]:
        if root.name == "dead":
            back.wait()
        return walk(root, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(frames, "walk", hanging)
    monkeypatch.setattr(search, "STALLED_S", 0.1)
    folder, stop = queue(tmp_path, "dead", "sound"), threading.Event()
    tiny.write_frames(tmp_path, {"dead/a.png": tiny.frame(), "sound/b.png": tiny.frame()})
    with closing(folder.work(ledger, stop)) as work:
        sound = first(work).file
        assert sound.source == "sound/b.png"
        folder.over(Outcome(sound, None))
        wait(work, lambda: folder.status().unsearched == [f"{tmp_path / 'dead'}: takes long to list"])
        assert folder.status().away == {"dead": "takes long to list"}
        back.set()
        assert first(work).file.source == "dead/a.png"
        assert folder.status().away == {}
        wait(work, lambda: folder.status().unsearched == [])


def test_a_look_that_fails_is_no_look_that_found_nothing(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> Iterator[Path]:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(frames, "walk", failing)
    with closing(queue(tmp_path, "cam").work(ledger, threading.Event())) as work, pytest.raises(RuntimeError):
        list(islice(work, LOOPS))


def test_after_an_outage_of_hours_the_next_look_comes_in_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])

    class Slow:
        took_s = 8 * 3600.0

        def __init__(self, _: object) -> None: ...

        def take(self) -> None:
            clock[0] += self.took_s

    monkeypatch.setattr(search, "_Look", Slow)
    looked = search.Search(tmp_path, [], rescan_s=5)
    assert list(looked.files(None, 2000.0)) == []  # type: ignore[arg-type]
    assert not looked.goes_on and looked.next_at - clock[0] <= search.MOST_REST_S


def test_a_frame_that_is_written_again_while_it_is_judged_is_looked_at_at_once(ledger: Ledger, tmp_path: Path) -> None:
    """Its event came, and the next look at all files may be minutes away."""
    (tmp_path / "cam").mkdir()
    rule = replace(RULE, poll=False, rescan_s=1000)
    folder, stop = Folder([str(tmp_path / "cam")], tmp_path / "out", rule, {}), threading.Event()
    tiny.write_frames(tmp_path / "cam", {"a.png": tiny.frame()})
    with closing(folder.work(ledger, stop)) as work:
        begun = arriving(work)
        assert begun.file.source == "a.png"
        tiny.write_frames(tmp_path / "cam", {"a.png": tiny.frame(None)})
        tiny.write_frames(tmp_path / "cam", {"b.png": tiny.frame()})  # once it is seen, so was what came before
        assert arriving(work).file.source == "b.png"
        folder.over(Outcome(begun.file, {"frame": "a.png", "verdict": "good", "sha256": "ab"}))
        assert arriving(work).file.source == "a.png"


def test_a_frame_that_can_not_be_read_is_tried_again_without_waiting(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "RETRY_S", 0)
    folder, stop = queue(tmp_path, "cam"), threading.Event()
    (tmp_path / "cam" / "a.png").write_bytes(b"")
    with closing(folder.work(ledger, stop)) as work:
        begun = first(work)
        assert folder.put_off(begun.file, True)  # it may still be written
        folder.over(Outcome(begun.file, {"frame": "a.png", "verdict": "error", "sha256": None}))
        again = first(work)
        assert again.file == begun.file and not folder.put_off(again.file, True)


def test_a_frame_that_is_completed_while_it_is_put_off_is_looked_at_at_once(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "cam").mkdir()
    folder, stop = (
        Folder([str(tmp_path / "cam")], tmp_path / "out", replace(RULE, poll=False, rescan_s=1000), {}),
        threading.Event(),
    )
    (tmp_path / "cam" / "a.png").write_bytes(b"")
    with closing(folder.work(ledger, stop)) as work:
        begun = arriving(work)
        assert begun.file.source == "a.png" and folder.put_off(begun.file, True)
        tiny.write_frames(tmp_path / "cam", {"a.png": tiny.frame()})
        tiny.write_frames(tmp_path / "cam", {"b.png": tiny.frame()})  # once it is seen, so was what came before
        assert arriving(work).file.source == "b.png"
        folder.over(Outcome(begun.file, None))
        assert arriving(work).file.source == "a.png"  # and not after incomplete_s
