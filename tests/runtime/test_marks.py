"""`edge-detect mark` and `collect`: what people know better goes back into the training."""

import csv
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import cv2
import pytest

from edge_runtime.frames import printable
from edge_runtime.line.ledger import Ledger
from edge_runtime.line.marked import frames_folder
from edge_runtime.line.record import LEDGER, Record
from tests import outs, tiny
from tests.conftest import UNPRIVILEGED, Run, obeying
from tests.tiny import write_frames

NAMES = ("line1/a good.png", "line1/b bad.png", "line2/c good.png", "line2/d bad.png")


@pytest.fixture
def judged(tmp_path: Path, tiny_model: Path, edge_detect: Run) -> Path:
    """FRAMES with two passes and two rejects in sub-folders, and OUT beside it; returns FRAMES."""
    for number, name in enumerate(NAMES):
        image = tiny.frame((160, 80, 320, 240) if "bad" in name else None, (480, 320))
        image[0, 0] = number, 0, 0
        path = tmp_path / "FRAMES" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), image)
    assert edge_detect("inspect", "FRAMES", "-m", tiny_model, "-o", "OUT", "--no-check").returncode == 1
    return tmp_path / "FRAMES"


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def marks(out: Path) -> dict[str, tuple[str, str]]:
    with Record(out) as record:
        return {row["frame"]: (row["mark"]["mark"], row["mark"]["who"]) for row in record.marked()}


def test_marked_frames_become_the_next_training(judged: Path, edge_detect: Run, tmp_path: Path) -> None:
    a, b, c, d = NAMES
    assert edge_detect("mark", "OUT", "right", a, b, "--who", "Petra").returncode == 0
    assert edge_detect("mark", "OUT", "right", c, d, "--who", "Petra").returncode == 0
    assert (
        edge_detect("mark", "OUT", "wrong", judged / c, f"FRAMES/{d}", "--who", " Ravi  W ").returncode == 0
    )  # the last mark counts
    assert marks(tmp_path / "OUT") == {
        a: ("right", "Petra"), b: ("right", "Petra"), c: ("wrong", "Ravi W"), d: ("wrong", "Ravi W"),
    }  # fmt: skip
    done = edge_detect("collect", "OUT", "--data", "DATA")
    assert done.returncode == 0, done.stderr
    label = {a: "good", b: "anomaly", c: "anomaly", d: "good"}
    copies = {f"{label[name]}/{name}": (judged / name).read_bytes() for name in NAMES}
    assert files(tmp_path / "DATA") == copies
    assert {Path(line) for line in done.stdout.splitlines()} == {Path("DATA", name) for name in copies}
    assert "2 new frames in DATA/good, 2 in DATA/anomaly; 0 lay there already" in done.stderr.replace("\\", "/")
    again = edge_detect("collect", "OUT", "--data", "DATA")
    assert again.returncode == 0 and "0 new frames" in again.stderr and "4 lay there already" in again.stderr
    assert files(tmp_path / "DATA") == copies
    shown = csv.DictReader(edge_detect("results", "OUT", "--format", "csv").stdout.splitlines())
    assert {row["frame"]: (row["mark"], row["marked_by"]) for row in shown} == marks(tmp_path / "OUT")


def test_only_what_was_marked_is_copied(judged: Path, edge_detect: Run, tmp_path: Path) -> None:
    """Not what is called so now; nothing in DATA is changed, and each frame that is missing there is told."""
    edge_detect("mark", "OUT", "wrong", *NAMES[:3], "--who", "Petra")
    (judged / NAMES[0]).write_bytes((judged / NAMES[3]).read_bytes())
    (judged / NAMES[1]).unlink()
    done = edge_detect("collect", "OUT", "--data", "DATA")
    assert done.returncode == 2 and list(files(tmp_path / "DATA")) == [f"anomaly/{NAMES[2]}"]
    assert f"error: {NAMES[0]} was written again since it was judged" in done.stderr
    assert f"error: {NAMES[1]} can't be opened" in done.stderr
    assert "2 could not be copied" in done.stderr


def test_frames_of_two_lines_may_share_a_name(judged: Path, edge_detect: Run, tmp_path: Path) -> None:
    edge_detect("mark", "OUT", "wrong", NAMES[0], "--who", "Petra")
    other = tmp_path / "DATA" / "anomaly" / NAMES[0]
    other.parent.mkdir(parents=True)
    other.write_bytes(b"of another line")
    for _ in range(2):
        done = edge_detect("collect", "OUT", "--data", "DATA")
        assert done.returncode == 0, done.stderr
        (copy,) = done.stdout.splitlines()
        assert (tmp_path / copy).read_bytes() == (judged / NAMES[0]).read_bytes()
        assert other.read_bytes() == b"of another line" and len(files(tmp_path / "DATA")) == 2


def test_a_frame_never_lies_in_both_classes(judged: Path, edge_detect: Run, tmp_path: Path) -> None:
    edge_detect("mark", "OUT", "right", NAMES[0], "--who", "Petra")
    edge_detect("collect", "OUT", "--data", "DATA")
    edge_detect("mark", "OUT", "wrong", NAMES[0], "--who", "Petra")
    done = edge_detect("collect", "OUT", "--data", "DATA")
    assert done.returncode == 2 and "is marked anomaly now, and lies in" in done.stderr
    assert list(files(tmp_path / "DATA")) == [f"good/{NAMES[0]}"]


def test_frames_that_have_moved_are_found(judged: Path, edge_detect: Run, tmp_path: Path) -> None:
    edge_detect("mark", "OUT", "wrong", NAMES[0], "--who", "Petra")
    shutil.move(judged, tmp_path / "archive")
    lost = edge_detect("collect", "OUT", "--data", "DATA")
    assert lost.returncode == 2 and "say with --frames where the frames of OUT lie now" in lost.stderr
    assert edge_detect("collect", "OUT", "--data", "DATA", "--frames", "archive").returncode == 0
    assert list(files(tmp_path / "DATA")) == [f"anomaly/{NAMES[0]}"]


def test_what_cannot_be_marked_is_told_before_anything_is(judged: Path, edge_detect: Run, tmp_path: Path) -> None:
    for names, options, said in (
        ([NAMES[0], "none.png"], ["--who", "P"], "none.png: no frame of this name was judged"),
        ([NAMES[0]], ["--who", "x" * 61], "expected a name of at most 60 characters"),
        ([NAMES[0]], ["--who", "a\x1bb"], "expected a name of at most 60 characters"),
    ):
        done = edge_detect("mark", "OUT", "wrong", *names, *options)
        assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr
    assert marks(tmp_path / "OUT") == {}
    assert "no results" in edge_detect("mark", "FRAMES", "wrong", "x.png").stderr
    assert "lies among the frames" in edge_detect("collect", "OUT", "--data", "FRAMES/next").stderr


def test_a_frame_without_a_verdict_was_neither_right_nor_wrong(edge_detect: Run, tmp_path: Path) -> None:
    outs.make(tmp_path / "OUT", outs.error("torn.png"))
    done = edge_detect("mark", "OUT", "wrong", "torn.png")
    assert done.returncode == 2 and "has no verdict that could be right or wrong" in done.stderr


def test_a_name_in_the_ledger_leads_nowhere_else(edge_detect: Run, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"key")
    digest = "2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683"  # of b"key"
    (tmp_path / "FRAMES").mkdir()
    outs.make(
        tmp_path / "OUT", outs.good("../secret", sha256=digest), outs.good(str(tmp_path / "secret"), sha256=digest)
    )
    with Record(tmp_path / "OUT") as record:
        record.mark(1, "right", "P")
        record.mark(2, "right", "P")
    done = edge_detect("collect", "OUT", "--data", "a/DATA", "--frames", "FRAMES")
    assert done.returncode == 2 and done.stderr.count("leads out of the folder") == 2
    assert not (tmp_path / "a").exists()


@obeying
def test_results_that_may_not_be_written_are_told(judged: Path, edge_detect: Run, tmp_path: Path) -> None:
    for file in (tmp_path / "OUT").glob(f"{LEDGER}*"):
        file.chmod(0o444)
    os.chmod(tmp_path / "OUT", 0o555)
    done = edge_detect("mark", "OUT", "wrong", NAMES[0], "--who", "P", under=UNPRIVILEGED)
    os.chmod(tmp_path / "OUT", 0o755)
    assert done.returncode == 2 and "the mark can't be stored" in done.stderr


def test_a_training_may_lie_beside_two_cameras(tiny_model: Path, edge_detect: Run, tmp_path: Path) -> None:
    """Their names are relative to the folder that holds both; only in a camera's own folder copies would be judged."""
    for camera in ("xray", "cam2"):
        write_frames(tmp_path / camera, {"a.png": tiny.frame(None, (480, 320))})
    assert edge_detect("xray", "cam2", "-m", tiny_model, "-o", "OUT", "--no-check").returncode == 0
    assert edge_detect("mark", "OUT", "wrong", "xray/a.png", "cam2/a.png", "--who", "P").returncode == 0
    assert "lies among the frames" in edge_detect("collect", "OUT", "--data", "xray/DATA").stderr
    done = edge_detect("collect", "OUT", "--data", "DATA")
    assert done.returncode == 0, done.stderr
    assert sorted(files(tmp_path / "DATA")) == ["anomaly/cam2/a.png", "anomaly/xray/a.png"]


def test_the_folder_of_the_frames_is_found_whatever_its_name(tmp_path: Path) -> None:
    odd = r"d:\xray\frames"
    with Ledger(tmp_path / "OUT", {"model": outs.MODEL, "folder of frames": printable(odd)}):
        pass
    with Record(tmp_path / "OUT") as record:
        assert frames_folder(record) == Path(odd)


def test_a_damaged_ledger_is_told_in_one_line(edge_detect: Run, tmp_path: Path) -> None:
    out = outs.make(tmp_path / "OUT", *(outs.good(f"{number:04}.png", sha256=f"{number:064}") for number in range(300)))
    with closing(sqlite3.connect(out / LEDGER)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'by_source'").fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    with open(out / LEDGER, "r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    for command in (("mark", "OUT", "wrong", "0001.png", "--who", "P"), ("results", "OUT", "--format", "coco")):
        done = edge_detect(*command)
        assert done.returncode == 2 and "its results can't be read" in done.stderr and "Traceback" not in done.stderr
