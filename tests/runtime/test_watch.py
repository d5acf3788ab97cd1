"""`edge-detect watch` as somebody beside the camera has it: a process, folders that files arrive in, and what it leaves."""

import json
import os
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pytest

from benchmarks.reliability.line import committed, heartbeat, put, until, watching
from tests import tiny
from tests.conftest import UNPRIVILEGED, Run, obeying

BRIGHT, DARK = tiny.frame(), tiny.frame(None)
WHOLE = cv2.imencode(".jpg", BRIGHT)[1].tobytes()


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "out" / "results.jsonl").read_text().splitlines()]


def verdicts(folder: Path) -> list[tuple[str, str]]:
    return [(row["frame"], row["verdict"]) for row in rows(folder)]


def arrived(folder: Path, count: int) -> None:
    until(lambda: committed(folder / "out") >= count)


def pending(folder: Path, count: int) -> None:
    until(lambda: heartbeat(folder / "out")["pending"] == count)


def test_frames_are_judged_as_they_arrive_and_once(tiny_model: Path, tmp_path: Path) -> None:
    with watching(tmp_path, tiny_model) as line:
        put(tmp_path / "cam" / "shift1", "a.jpg", BRIGHT)
        arrived(tmp_path, 1)
        put(tmp_path / "cam", "b.jpg", DARK)
        for ignored in (".hidden.jpg", "c.jpg.tmp", "c.jpg.part", "notes.txt"):
            (tmp_path / "cam" / ignored).write_bytes(WHOLE)
        arrived(tmp_path, 2)
        os.utime(tmp_path / "cam" / "b.jpg")  # looks new, but is not
        put(tmp_path / "cam", "d.jpg", BRIGHT)
        arrived(tmp_path, 3)
        assert line.stop() == 0
    with watching(tmp_path, tiny_model) as line:
        put(tmp_path / "cam", "e.jpg", DARK)
        arrived(tmp_path, 4)
        assert line.stop() == 0
    judged = [("shift1/a.jpg", "anomaly"), ("b.jpg", "good"), ("d.jpg", "anomaly"), ("e.jpg", "good")]
    assert verdicts(tmp_path) == judged
    assert "since the start 1 frame in " in line.said().splitlines()[-1]


def test_a_folder_that_is_gone_is_told_and_its_frames_are_found_once_it_is_back(
    tiny_model: Path, tmp_path: Path
) -> None:
    with watching(tmp_path, tiny_model, "--rescan", 0.2) as line:
        (tmp_path / "cam").rename(tmp_path / "unplugged")
        until(lambda: heartbeat(tmp_path / "out")["unsearched"] == [f"{tmp_path / 'cam'}: is not there"])
        assert f"warning: frames can't be looked for in {tmp_path / 'cam'}: is not there; trying again" in line.said()
        put(tmp_path / "unplugged", "a.jpg", BRIGHT)
        (tmp_path / "unplugged").rename(tmp_path / "cam")
        arrived(tmp_path, 1)
        until(lambda: heartbeat(tmp_path / "out")["unsearched"] == [])
        assert line.stop() == 0


SLOW_TO_LIST = """
import os, time
scandir = os.scandir
def slowly(path="."):
    while str(path).endswith("slow") and not os.path.exists(MARK):
        time.sleep(0.05)
    return scandir(path)
os.scandir = slowly
"""


def test_a_folder_that_takes_long_to_list_holds_up_no_frame_and_is_told(
    tiny_model: Path, tmp_path: Path, tampered: Callable[[str], Path]
) -> None:
    listed = tampered(SLOW_TO_LIST)  # as a large folder on a share does
    put(tmp_path / "cam" / "slow", "b.jpg", DARK)
    put(tmp_path / "cam", "a.jpg", BRIGHT)
    with watching(tmp_path, tiny_model, "--poll") as line:
        worker = line.worker()
        arrived(tmp_path, 1)
        until(lambda: heartbeat(tmp_path / "out")["unsearched"] == [f"{tmp_path / 'cam'}: takes long to list"])
        listed.touch()
        arrived(tmp_path, 2)
        until(lambda: heartbeat(tmp_path / "out")["unsearched"] == [])
        assert line.worker() == worker and line.stop() == 0
    assert verdicts(tmp_path) == [("a.jpg", "anomaly"), ("slow/b.jpg", "good")]


@obeying
def test_a_folder_that_may_not_be_read_is_told(tiny_model: Path, tmp_path: Path) -> None:
    with watching(tmp_path, tiny_model, "--rescan", 0.2, under=UNPRIVILEGED) as line:
        (tmp_path / "cam" / "private").mkdir(mode=0)
        until(
            lambda: heartbeat(tmp_path / "out")["unsearched"] == [f"{tmp_path / 'cam' / 'private'}: Permission denied"]
        )
        assert line.stop() == 0


@pytest.mark.parametrize("options", [(), ("--poll", "--rescan", 0.2)])
def test_a_half_written_frame_waits_until_it_is_whole(
    options: tuple[object, ...], tiny_model: Path, tmp_path: Path
) -> None:
    with watching(tmp_path, tiny_model, "--settle-ms", 0, *options) as line:
        with open(tmp_path / "cam" / "slow.jpg", "wb") as slow:
            slow.write(WHOLE[:300])
            slow.flush()
            pending(tmp_path, 1)
            assert committed(tmp_path / "out") == 0
            slow.write(WHOLE[300:])
        arrived(tmp_path, 1)
        assert line.stop() == 0
    assert verdicts(tmp_path) == [("slow.jpg", "anomaly")]


def test_a_frame_that_stays_incomplete_is_an_error_and_judged_when_it_is_whole_after_all(
    tiny_model: Path, tmp_path: Path
) -> None:
    with watching(tmp_path, tiny_model, "--incomplete-after", 0.3, "--rescan", 0.2) as line:
        (tmp_path / "cam" / "a.jpg").write_bytes(WHOLE[:300])
        arrived(tmp_path, 1)
        (tmp_path / "cam" / "a.jpg").write_bytes(WHOLE)
        arrived(tmp_path, 2)
        assert line.stop() == 0
    assert verdicts(tmp_path) == [("a.jpg", "error"), ("a.jpg", "anomaly")]
    assert "JPEG end marker" in rows(tmp_path)[0]["error"]


def test_a_name_with_new_content_is_a_new_frame(tiny_model: Path, tmp_path: Path) -> None:
    with watching(tmp_path, tiny_model) as line:
        for number, image in enumerate((BRIGHT, DARK, BRIGHT), 1):
            put(tmp_path / "cam", "latest.jpg", image)
            arrived(tmp_path, min(number, 2))
        put(tmp_path / "cam", "other.jpg", DARK)  # after which the third, known, content has been looked at
        arrived(tmp_path, 3)
        assert line.stop() == 0
    assert verdicts(tmp_path) == [("latest.jpg", "anomaly"), ("latest.jpg", "good"), ("other.jpg", "good")]


def test_a_frame_that_was_skipped_gets_no_second_row_when_it_is_touched(tiny_model: Path, tmp_path: Path) -> None:
    for name in "abc":
        put(tmp_path / "cam", f"{name}.jpg", BRIGHT)
    with watching(tmp_path, tiny_model, "--newest-first", "--skip-after", 0) as line:
        arrived(tmp_path, 3)
        (skipped, *_) = [name for name, verdict in verdicts(tmp_path) if verdict == "skipped"]
        os.utime(tmp_path / "cam" / skipped)
        until(lambda: heartbeat(tmp_path / "out")["seen"] == 4)
        pending(tmp_path, 0)
        assert line.stop() == 0
    assert len(rows(tmp_path)) == 3


def test_the_file_of_a_frame_that_could_not_be_judged_is_kept_where_asked_for(tiny_model: Path, tmp_path: Path) -> None:
    torn = WHOLE[: len(WHOLE) // 2]
    (tmp_path / "cam").mkdir()
    (tmp_path / "cam" / "torn.jpg").write_bytes(torn)
    with watching(tmp_path, tiny_model, "--incomplete-after", 0.2, "--save-for", "error") as line:
        arrived(tmp_path, 1)
        put(tmp_path / "cam", "torn.jpg", BRIGHT)
        arrived(tmp_path, 2)
        assert line.stop() == 0
    failed, judged = rows(tmp_path)
    assert (tmp_path / "out" / failed["pictures"]["error"]).read_bytes() == torn
    assert failed["pictures"]["error"].endswith(".jpg") and judged["verdict"] == "anomaly"


def test_several_cameras_share_one_run_and_may_use_the_same_names(tiny_model: Path, tmp_path: Path) -> None:
    with watching(tmp_path, tiny_model, cameras=("left", "right")) as line:
        put(tmp_path / "left", "1.jpg", BRIGHT)
        put(tmp_path / "right", "1.jpg", BRIGHT)
        arrived(tmp_path, 2)
        assert line.stop() == 0
    found = {(row["frame"], row["camera"]) for row in rows(tmp_path)}
    assert found == {("left/1.jpg", "left"), ("right/1.jpg", "right")}
    assert all((tmp_path / "out" / row["pictures"]["overlay"]).is_file() for row in rows(tmp_path))


def test_results_among_the_frames_are_no_frames(tiny_model: Path, tmp_path: Path) -> None:
    with watching(tmp_path, tiny_model, cameras=(".",)) as line:
        for number in range(3):
            put(tmp_path, f"{number}.jpg", BRIGHT)
            arrived(tmp_path, number + 1)
        pending(tmp_path, 0)
        assert line.stop() == 0
    assert [frame for frame, _ in verdicts(tmp_path)] == ["0.jpg", "1.jpg", "2.jpg"]


def test_a_second_watch_on_the_same_results_is_refused(edge_detect: Run, tiny_model: Path, tmp_path: Path) -> None:
    with watching(tmp_path, tiny_model) as line:
        second = edge_detect("watch", "cam", "-m", tiny_model, "-o", "out")
        assert second.returncode == 2 and "another edge-detect is writing there" in second.stderr
        assert second.stderr.count("\n") == 1
        assert line.stop() == 0


def test_results_can_be_read_while_they_are_made(edge_detect: Run, tiny_model: Path, tmp_path: Path) -> None:
    with watching(tmp_path, tiny_model) as line:
        put(tmp_path / "cam", "a.jpg", BRIGHT)
        arrived(tmp_path, 1)
        read = edge_detect("results", "out")
        assert read.returncode == 0 and json.loads(read.stdout)["frame"] == "a.jpg"
        assert line.stop() == 0


def test_old_pictures_make_room_but_rows_and_frames_stay(tiny_model: Path, tmp_path: Path) -> None:
    with watching(tmp_path, tiny_model) as line:
        for number in range(8):
            put(tmp_path / "cam", f"{number}.jpg", BRIGHT)
            arrived(tmp_path, number + 1)
        assert line.stop() == 0
    pictures = sorted((tmp_path / "out" / "overlay").iterdir())
    stranger = tmp_path / "out" / "overlay" / "mine.txt"
    stranger.write_text("somebody's notes")
    room = sum(picture.stat().st_size for picture in pictures[4:]) + stranger.stat().st_size
    with watching(tmp_path, tiny_model, "--max-gb", (room + 1) / 1e9) as line:
        until(lambda: not pictures[3].exists())
        assert line.stop() == 0
    assert sorted((tmp_path / "out" / "overlay").iterdir()) == [*pictures[4:], stranger]
    assert len(rows(tmp_path)) == len(list((tmp_path / "cam").iterdir())) == 8
    with watching(tmp_path, tiny_model, "--keep-days", 1e-9) as line:
        until(lambda: not pictures[7].exists())
        assert line.stop() == 0
    assert list((tmp_path / "out" / "overlay").iterdir()) == [stranger] and len(rows(tmp_path)) == 8


def test_systemd_hears_when_it_is_ready_alive_and_stopping(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"/tmp/edge-detect-{os.getpid()}.sock"  # sun_path is short
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(address)
        systemd.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        try:
            with watching(tmp_path, tiny_model) as line:
                assert systemd.recv(999) == b"READY=1"
                assert systemd.recv(999).startswith(b"WATCHDOG=1\nSTATUS=0 judged")
                assert line.stop() == 0
            last = systemd.recv(999)
            while last.startswith(b"WATCHDOG=1"):
                last = systemd.recv(999)
            assert last == b"STOPPING=1"
        finally:
            os.unlink(address)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nothere"], "nothere: no such folder; watch needs the folders"),
        (["cam", "cam/sub"], "lies in"),
        (["cam", "linked"], "lies in"),
        (["cam/sub", "linked"], "lies in"),
        (["full", "-o", "full/day1"], "full/day1: frames lie there"),
        (["results"], "results: holds results, and pictures there are no frames"),
        (["cam", "--serve", "8080"], "--serve 8080: expected HOST:PORT"),
        (["cam", "--save", "rainbow"], "no such picture"),
    ],
)
def test_a_mistake_gets_one_clear_line(
    arguments: list[str], says: str, edge_detect: Run, tiny_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "cam" / "sub").mkdir(parents=True)
    (tmp_path / "linked").symlink_to("cam/sub")
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "ledger.sqlite").touch()
    tiny.write_frames(tmp_path / "full" / "day1", {"a.png": DARK})
    done = edge_detect("watch", "-m", tiny_model, "-o", "out", *arguments)
    assert done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: ") and says in done.stderr


def test_results_of_the_version_before_are_taken_over(edge_detect: Run, tiny_model: Path, tmp_path: Path) -> None:
    tiny.write_frames(tmp_path / "frames", {"a.png": BRIGHT})
    assert edge_detect("frames", "-m", tiny_model, "-o", "out").returncode == 1
    with sqlite3.connect(tmp_path / "out" / "ledger.sqlite") as db:
        db.execute(
            "CREATE TABLE old (id INTEGER PRIMARY KEY, source TEXT NOT NULL, sha256 TEXT NOT NULL, row TEXT NOT NULL, UNIQUE (source, sha256))"
        )
        db.execute("INSERT INTO old SELECT id, source, sha256, row FROM inspections")
        for table in ("inspections", "files", "marks"):
            db.execute(f"DROP TABLE {table}")
        db.execute("ALTER TABLE old RENAME TO inspections")
        db.execute("UPDATE meta SET value = '1' WHERE key = 'schema'")
    db.close()
    before = (tmp_path / "out" / "results.jsonl").read_bytes()
    assert "run inspect or watch on it once" in edge_detect("results", "out").stderr
    again = edge_detect("frames", "-m", tiny_model, "-o", "out")
    assert again.returncode == 1 and "1 of them by an earlier run" in again.stderr
    assert (tmp_path / "out" / "results.jsonl").read_bytes() == before
    assert json.loads(edge_detect("results", "out").stdout)["verdict"] == "anomaly"


@obeying
def test_a_folder_that_is_closed_to_us_stops_nothing(tiny_model: Path, tmp_path: Path, edge_detect: Run) -> None:
    """Its files can be listed, and nothing be asked of them."""
    tiny.write_frames(tmp_path / "cam", {"ok/good.png": DARK, "locked/x.png": DARK, "locked/sub/y.png": DARK})
    (tmp_path / "cam" / "locked").chmod(0o600)
    with watching(tmp_path, tiny_model, "--incomplete-after", 0.1, under=UNPRIVILEGED) as line:
        arrived(tmp_path, 2)
        until(lambda: heartbeat(tmp_path / "out")["unsearched"])
        assert line.stop() == 0
    assert sorted(verdicts(tmp_path)) == [("locked/x.png", "error"), ("ok/good.png", "good")]
    assert heartbeat(tmp_path / "out")["unsearched"] == [f"{tmp_path / 'cam/locked/sub'}: Permission denied"]
    one = edge_detect("cam/locked/x.png", "cam/ok/good.png", "-m", tiny_model, "-o", "one", under=UNPRIVILEGED)
    assert one.returncode == 2 and "Traceback" not in one.stderr and "cam/locked/x.png: Permission denied" in one.stderr
    model = edge_detect("cam/ok", "-m", "cam/locked/m.onnx", "-o", "two", under=UNPRIVILEGED)
    (tmp_path / "cam" / "locked").chmod(0o700)
    assert model.returncode == 2 and "Traceback" not in model.stderr and "Permission denied" in model.stderr


def test_options_that_mean_nothing_together_are_told(tiny_model: Path, tmp_path: Path, edge_detect: Run) -> None:
    (tmp_path / "cam").mkdir()
    (tmp_path / "file").touch()
    for options, said in (
        (("cam", "--skip-after", "2"), "--skip-after 2: needs --newest-first"),
        (("file",), "file: is no folder; watch needs the folders"),
        (("cam", "--serve", "127.0.0.1:0", "--serve-token", "nö"), "--serve-token: expected ASCII"),
        (("cam", "--threshold", "0,5"), "got '0,5'; see edge-detect watch --help"),
    ):
        done = edge_detect("watch", *options, "-m", tiny_model, "-o", "out")
        assert done.returncode == 2 and said in done.stderr, done.stderr
