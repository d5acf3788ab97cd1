"""Faults of the disk and of native code, put into the real command by strace; what it writes, in which order."""

import itertools
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.reliability.line import Line, audit, committed, until, watching
from edge_runtime.line.events import Began
from edge_runtime.line.job import Job
from edge_runtime.line.supervisor import STALL_S, Awake, Supervisor
from tests import tiny

WHOLE = {"rows": 6, "frames": 6, "twice": 0, "torn": 0, "missing": 0, "lines": 0}
traced = pytest.mark.skipif(
    not shutil.which("strace") or subprocess.run(["strace", "-qq", "true"], capture_output=True).returncode != 0,
    reason="NOT RUN: faults of disk and decoder need strace and the right to trace (apt install strace)",
)


@pytest.fixture
def line(tmp_path: Path) -> Path:
    tiny.write_frames(tmp_path / "frames", {f"{number}.png": tiny.frame() for number in range(6)})
    return tmp_path


def arguments(line: Path, model: Path) -> tuple[object, ...]:
    """With absolute paths: strace compares them letter by letter."""
    return (line / "frames", "-m", model, "-o", line / "out", "--no-check", "--jobs", 1)


def strace(*options: str) -> list[str]:
    return ["strace", "-f", "-qq", "-o", "trace.txt", *options]


@traced
@pytest.mark.parametrize("error", ["ENOSPC", "EIO", "EROFS"])
@pytest.mark.parametrize(
    ("where", "call"),
    [
        ("out/overlay/.3.*.jpg.part", "openat"),
        ("out/overlay/.3.*.jpg.part", "write"),
        ("out/overlay/.3.*.jpg.part", "fsync"),
        ("out/overlay/.3.*.jpg.part", "rename"),
        ("out/overlay", "fsync"),
        ("out/ledger.sqlite-wal", "pwrite64"),
        ("out/ledger.sqlite-wal", "fdatasync"),
        ("out/results.jsonl", "write"),
    ],
)
def test_a_disk_that_fails_at_any_step_marks_nothing_done_and_the_next_run_goes_on(
    where: str, call: str, error: str, line: Path, tiny_model: Path
) -> None:
    Line(line, *arguments(line, tiny_model)).end()
    (name,) = [path.name for path in (line / "out" / "overlay").glob("3.*")]
    shutil.rmtree(line / "out")
    (line / "stderr.txt").unlink()
    path = line / where.replace(".3.*.jpg", f".{name}")
    # The first calls make the ledger; the fault comes in the midst of the frames.
    nth = {"pwrite64": "40", "fdatasync": "8"}.get(call, "1" if ".part" in where else "3")
    broken = Line(
        line,
        *arguments(line, tiny_model),
        under=strace("-P", str(path), "-e", f"inject={call}:error={error}:when={nth}"),
    )
    assert broken.end() == 2
    said = broken.said()
    assert said.startswith("error: ") and said.count("\n") == 1 and "Traceback" not in said
    left = audit(line / "out")
    assert left["rows"] < 6 and left["twice"] == left["torn"] == left["missing"] == 0
    assert Line(line, *arguments(line, tiny_model)).end() == 1
    assert audit(line / "out") == WHOLE


@traced
def test_pictures_are_durable_before_their_row_is(line: Path, tiny_model: Path) -> None:
    """Whatever else goes on: the next frame is being drawn while a row is written."""
    watched = strace("-y", "-s", "5000", "-e", "trace=write,pwrite64,fsync,rename")
    assert Line(line, *arguments(line, tiny_model), under=watched).end() == 1
    steps = (line / "trace.txt").read_text().splitlines()
    pictures = [path.name for path in (line / "out" / "overlay").iterdir()]
    assert len(pictures) == 6
    for name in map(re.escape, pictures):
        part = rf"<[^>]*/overlay/\.{name}\.part>"
        order = [
            rf"write\(\d+{part}",
            rf"fsync\(\d+{part}",
            rf"rename\(.*/overlay/{name}\"",
            r"fsync\(\d+<[^>]*/overlay>",
            rf"pwrite64\(\d+<[^>]*/ledger.sqlite-wal>.*{name}",
        ]
        found = [[number for number, step in enumerate(steps) if re.search(pattern, step)] for pattern in order]
        written, synced, renamed, folder, row = found
        assert max(written) < min(synced) < min(renamed) < min(row)
        assert any(min(renamed) < number < min(row) for number in folder)


@traced
def test_a_frame_that_crashes_the_decoder_costs_that_frame(line: Path, tiny_model: Path) -> None:
    crashing = Line(
        line,
        *arguments(line, tiny_model),
        under=strace("-P", str(line / "frames" / "2.png"), "-e", "inject=openat:signal=SEGV:when=1+"),
    )
    assert crashing.end() == 2
    assert "the worker died with" in crashing.said()
    rows = (line / "out" / "results.jsonl").read_text().splitlines()
    assert sorted(json.loads(row)["verdict"] for row in rows) == ["anomaly"] * 5 + ["error"]
    assert audit(line / "out") == WHOLE
    assert [row.count('"verdict": "error"') for row in rows] == [row.count('"frame": "2.png"') for row in rows]


def test_a_full_disk_stops_a_watch_until_there_is_room(tiny_model: Path, tmp_path: Path) -> None:
    small = tmp_path / "out"
    small.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", small], capture_output=True, text=True, check=False
    )
    if mount.returncode:
        pytest.skip(f"NOT RUN: a small disk needs the right to mount one ({mount.stderr.strip()})")
    try:
        with watching(tmp_path, tiny_model, "--save", "overlay,panel,input,coarse,heatmap,cutout") as running:
            tiny.write_frames(tmp_path / "cam", {f"{number:03}.png": tiny.frame() for number in range(60)})
            until(lambda: "No space left on device; trying again" in running.said() or "full; trying" in running.said())
            left = audit(small)
            assert left["rows"] < 60 and left["torn"] == left["missing"] == left["twice"] == 0
            subprocess.run(["mount", "-o", "remount,size=50m", small], check=True)
            until(lambda: (small / "results.jsonl").read_text().count("\n") == 60)
            assert running.stop() == 0
        assert audit(small) == WHOLE | {"rows": 60, "frames": 60}
        assert running.said().count("error:") == running.said().count("note: it works again") == 1
    finally:
        subprocess.run(["umount", "-l", small], check=True)


HANGS_ONCE = """
import os, time
opened = os.open
def open(path, *rest, **options):
    if str(path).endswith("0.png") and not os.path.exists(MARK):
        opened(MARK, os.O_CREAT)
        time.sleep(1e6)
    return opened(path, *rest, **options)
os.open = open
"""


def test_a_frame_that_hangs_is_noticed_though_others_come(
    tiny_model: Path, tmp_path: Path, tampered: Callable[[str], Path]
) -> None:
    tampered(HANGS_ONCE)  # as a dead network share does
    with watching(tmp_path, tiny_model) as running:
        tiny.write_frames(tmp_path / "cam", {f"{number}.png": tiny.frame() for number in range(6)})
        until(lambda: "the worker hangs with 0.png" in running.said())
        until(lambda: committed(tmp_path / "out") == 6)
        assert running.stop() == 0
    assert audit(tmp_path / "out") == WHOLE
    assert '"verdict": "error"' not in (tmp_path / "out" / "results.jsonl").read_text()


@traced
def test_a_frame_that_could_not_be_read_once_is_read_by_the_next_run(line: Path, tiny_model: Path) -> None:
    sick = strace("-P", str(line / "frames" / "2.png"), "-e", "inject=read:error=EIO:when=1")
    assert Line(line, *arguments(line, tiny_model), under=sick).end() == 2
    assert Line(line, *arguments(line, tiny_model)).end() == 1
    rows = [json.loads(text) for text in (line / "out" / "results.jsonl").read_text().splitlines()]
    assert [(row["frame"], row["verdict"]) for row in rows if row["frame"] == "2.png"] == [
        ("2.png", "error"),
        ("2.png", "anomaly"),
    ]


def test_a_worker_that_is_told_to_end_goes_on(line: Path, tiny_model: Path) -> None:
    tiny.write_frames(line / "frames", {f"{number:03}.png": tiny.frame() for number in range(300)})
    running = Line(line, *arguments(line, tiny_model))
    next(running.rows())
    worker = running.worker()
    assert worker is not None
    os.kill(worker, signal.SIGTERM)
    assert running.end() == 1 and audit(line / "out")["rows"] == 306


def test_a_reader_who_stands_still_does_not_keep_a_watch_from_ending(tiny_model: Path, tmp_path: Path) -> None:
    with watching(tmp_path, tiny_model, "--json", "--save", "none") as running:
        tiny.write_frames(tmp_path / "cam", {f"{number:03}.png": tiny.frame() for number in range(300)})
        until(lambda: committed(tmp_path / "out") > 70)  # its pipe is full, and nobody reads it
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(30) == 0
        running.end()


def narrow(running: Line) -> None:
    """Its stdout holds a few dozen rows, and no more."""
    import fcntl

    assert running.process.stdout is not None
    fcntl.fcntl(running.process.stdout, fcntl.F_SETPIPE_SZ, 4096)


def test_a_reader_who_stands_still_does_not_hold_up_a_watch(tiny_model: Path, tmp_path: Path) -> None:
    with watching(tmp_path, tiny_model, "--json", "--save", "none") as running:
        narrow(running)
        tiny.write_frames(tmp_path / "cam", {f"{number:03}.png": tiny.frame() for number in range(200)})
        until(lambda: committed(tmp_path / "out") == 200)  # more than its pipe and what it keeps for a reader hold
        until(lambda: "warning: nobody has read stdout for 30 s; going on without" in running.said())
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(30) == 0
        assert len(list(running.rows())) < 200
        running.end()


def test_a_slow_reader_gets_every_row(tiny_model: Path, tmp_path: Path) -> None:
    with watching(tmp_path, tiny_model, "--json", "--save", "none") as running:
        narrow(running)
        tiny.write_frames(tmp_path / "cam", {f"{number:03}.png": tiny.frame() for number in range(200)})
        until(lambda: committed(tmp_path / "out") == 200)
        found = [json.loads(row)["frame"] for row in itertools.islice(running.rows(), 200)]
        assert sorted(found) == [f"{number:03}.png" for number in range(200)]
        assert running.stop() == 0


def test_a_camera_that_goes_away_stops_nothing(tiny_model: Path, tmp_path: Path) -> None:
    with watching(tmp_path, tiny_model, "--rescan", 0.2, cameras=("left", "right")) as running:
        (tmp_path / "right").rmdir()
        running.kill_worker()
        tiny.write_frames(tmp_path / "left", {"a.png": tiny.frame()})
        until(lambda: committed(tmp_path / "out") == 1)
        running.kill_worker()
        tiny.write_frames(tmp_path / "right", {"b.png": tiny.frame()})
        until(lambda: committed(tmp_path / "out") == 2)
        assert running.stop() == 0


def test_a_frame_whose_name_the_results_can_not_have_keeps_its_pictures(tiny_model: Path, tmp_path: Path) -> None:
    deep = (
        tmp_path / "frames" / "/".join(["d" * 200] * 18)
    )  # readable from inside, but too long with OUT's path before it
    here = tmp_path
    for part in deep.relative_to(tmp_path).parts:
        here = here / part
        os.makedirs(here) if len(str(here)) < 3800 else None
    folder = max((path for path in (tmp_path / "frames").rglob("*") if path.is_dir()), key=lambda path: len(str(path)))
    tiny.write_frames(folder, {"deep.png": tiny.frame()})
    tiny.write_frames(tmp_path / "frames", {"a.png": tiny.frame()})
    out = tmp_path / ("o" * 200) / ("o" * 200)
    assert Line(tmp_path, "frames", "-m", tiny_model, "-o", out).end() == 1
    assert {**audit(out), "lines": 0} == WHOLE | {"rows": 2, "frames": 2}


def test_a_worker_that_hangs_is_replaced(tiny_model: Path, tmp_path: Path) -> None:
    with watching(tmp_path, tiny_model) as running:
        hung = running.worker()
        assert hung is not None
        os.kill(hung, signal.SIGSTOP)
        tiny.write_frames(tmp_path / "cam", {f"{number}.png": tiny.frame() for number in range(6)})
        until(lambda: (tmp_path / "out" / "results.jsonl").read_text().count("\n") == 6)
        assert running.worker() != hung and "the worker hangs" in running.said()
        assert running.stop() == 0
    assert audit(tmp_path / "out") == WHOLE


def test_a_model_that_is_away_for_a_while_is_waited_for(tiny_model: Path, tmp_path: Path) -> None:
    model = tmp_path / "part.onnx"
    shutil.copy(tiny_model, model)
    with watching(tmp_path, model) as running:
        model.rename(tmp_path / "away.onnx")  # as on a share
        running.kill_worker()
        until(lambda: "part.onnx: can't be read: No such file or directory; trying again" in running.said())
        (tmp_path / "away.onnx").rename(model)
        tiny.write_frames(tmp_path / "cam", {f"{number}.png": tiny.frame() for number in range(6)})
        until(lambda: committed(tmp_path / "out") == 6)
        assert running.stop() == 0
    assert audit(tmp_path / "out") == WHOLE


def test_while_nobody_could_listen_no_time_passes() -> None:
    moments = iter((0.0, 0.25, 600.0, 600.25))
    awake = Awake(lambda: next(moments))
    assert [awake(), awake(), awake()] == [0.25, 1.25, 1.5]


def test_a_name_that_is_all_suffix_costs_no_other_frame(tiny_model: Path, tmp_path: Path) -> None:
    name = f"a.{'x' * 240}"
    (tmp_path / name).write_bytes(b"no picture")
    tiny.write_frames(tmp_path, {"b.png": tiny.frame(None)})
    done = Line(tmp_path, name, "b.png", "-m", tiny_model, "-o", "out", "--save-for", "error", "--json")
    rows = [json.loads(row) for row in done.rows()]
    assert done.end() == 2 and {row["frame"]: row["verdict"] for row in rows} == {name: "error", "b.png": "good"}
    kept = next(row["pictures"]["error"] for row in rows if row["frame"] == name)
    assert (tmp_path / "out" / kept).read_bytes() == b"no picture"


def test_a_frame_that_waits_for_another_is_not_taken_for_hung() -> None:
    """Which of two was begun first is told in either order; one that shows signs of life holds up the other."""
    watched, now = Supervisor(Job(inputs=("x",), model="m", out="o"), print), [0.0]
    watched._awake = lambda: now[0]  # type: ignore[assignment]
    for event in (Began("waits.png"), Began("slow.png")):
        watched._note(event)
    for second in range(1, 60):
        now[0] = float(second)
        watched._note(Began("slow.png"))
        assert not watched._given_up(heard=now[0])
    now[0] += STALL_S + 1
    assert watched._given_up(heard=now[0])
