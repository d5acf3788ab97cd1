"""OUT keeps every row once, whatever happens to its files, its disk and its process."""

import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.reliability.line import audit, put, until, watching
from edge_runtime.errors import OutputError
from edge_runtime.line import lines
from edge_runtime.line.durable import write_bytes
from edge_runtime.line.ledger import LINES, Ledger
from edge_runtime.line.record import LEDGER, Record
from edge_runtime.results import Verdict
from tests import outs, tiny
from tests.outs import IDENTITY

WHOLE = {"twice": 0, "torn": 0, "missing": 0, "lines": 0}


def whole(out: Path, rows: int) -> bool:
    return audit(out) == {"rows": rows, "frames": rows, **WHOLE}


@contextmanager
def files_at_most(size: int) -> Iterator[None]:
    """A write beyond fails, as on a full disk, after as much as there is room for."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def remove(out: Path) -> None:
    shutil.rmtree(out)


def move_away(out: Path) -> None:
    out.rename(out.with_name("moved"))


def remove_the_lock(out: Path) -> None:
    (out / ".lock").unlink()


def restore_a_copy(out: Path) -> None:
    shutil.copytree(out, out.with_name("copy"))
    shutil.rmtree(out)
    out.with_name("copy").rename(out)


@pytest.mark.parametrize("happens", [remove, move_away, remove_the_lock, restore_a_copy])
def test_nothing_is_committed_to_a_folder_that_is_gone(happens: Callable[[Path], None], tmp_path: Path) -> None:
    with Ledger(tmp_path / "out", IDENTITY) as ledger:
        ledger.commit(outs.good("1.jpg"), None, {})
        happens(tmp_path / "out")
        with pytest.raises(OutputError, match=r"out: was removed or replaced while results were written there$"):
            ledger.commit(outs.good("2.jpg"), None, {})


def test_a_ledger_that_was_replaced_leaves_the_new_one_alone(tmp_path: Path) -> None:
    old = Ledger(tmp_path / "out", IDENTITY)
    old.commit(outs.good("1.jpg"), None, {})
    shutil.rmtree(tmp_path / "out")
    with Ledger(tmp_path / "out", IDENTITY) as new:
        new.commit(outs.good("2.jpg"), None, {})
        old.__exit__()
        new.commit(outs.good("3.jpg"), None, {})
        with Record(tmp_path / "out") as record:
            assert [row["frame"] for row in record.rows()] == ["2.jpg", "3.jpg"]
    assert whole(tmp_path / "out", 2)


def test_a_watch_whose_output_is_deleted_begins_a_new_one(tiny_model: Path, tmp_path: Path) -> None:
    with watching(tmp_path, tiny_model) as line:
        put(tmp_path / "cam", "1.png", tiny.frame())
        until(lambda: (tmp_path / "out" / "results.jsonl").read_text().count("\n") == 1)
        shutil.rmtree(tmp_path / "out")
        put(tmp_path / "cam", "2.png", tiny.frame(None))
        file = tmp_path / "out" / "results.jsonl"
        until(lambda: file.exists() and file.read_text().count("\n") == 2)
        assert line.stop() == 0
    assert "out: was removed or replaced while results were written there; trying again" in line.said()
    assert whole(tmp_path / "out", 2)


def test_a_line_that_finds_no_room_is_reported_once_and_made_good(tmp_path: Path) -> None:
    out = outs.make(tmp_path / "out", *(outs.good(f"{number}.jpg") for number in range(300)))
    size = (out / LINES).stat().st_size
    with Ledger(out, IDENTITY) as ledger:
        with (
            files_at_most(size + 100),
            pytest.raises(OutputError, match=r"of a\.jpg can't be written: File too large$"),
        ):
            ledger.commit(outs.good("a.jpg"), None, {})
        assert (out / LINES).stat().st_size == size + 100
        ledger.commit(outs.good("b.jpg"), None, {})
        assert whole(out, 302)


def test_closing_never_fails_and_the_next_start_makes_good_what_found_no_room(tmp_path: Path) -> None:
    out = outs.make(tmp_path / "out", *(outs.good(f"{number}.jpg") for number in range(300)))
    with files_at_most((out / LINES).stat().st_size + 100):
        with Ledger(out, IDENTITY) as ledger, pytest.raises(OutputError):
            ledger.commit(outs.good("a.jpg"), None, {})
        with pytest.raises(OutputError, match=r"out: results can't be written there: File too large$"):
            Ledger(out, IDENTITY)
    with Ledger(out, IDENTITY):
        assert whole(out, 301)


def test_a_database_that_fails_is_named_in_one_line(tmp_path: Path) -> None:
    with Ledger(tmp_path / "out", IDENTITY) as ledger:
        with closing(sqlite3.connect(tmp_path / "out" / LEDGER)) as db:
            db.executescript("DROP TABLE inspections; DROP TABLE files")
        for asked in (
            ledger.counts,
            lambda: ledger.unchanged("1.jpg", "state"),
            lambda: ledger.find("1.jpg", "c" * 64, None),
            lambda: ledger.find("1.jpg", None, None),
            lambda: ledger.commit(outs.good("1.jpg"), None, {}),
        ):
            with pytest.raises(OutputError, match=r"out: .*: no such table: \w+$"):
                asked()


def test_only_an_error_tells_that_a_frame_was_unreadable_before(tmp_path: Path) -> None:
    with Ledger(tmp_path / "out", IDENTITY) as ledger:
        ledger.commit(outs.skipped("1.jpg"), None, {})
        assert ledger.find("1.jpg", None, None) is None
        row = ledger.commit(outs.error("1.jpg"), None, {})
        ledger.commit(outs.skipped("1.jpg"), None, {})
        assert ledger.find("1.jpg", None, None) == row
        ledger.commit(outs.good("1.jpg"), None, {})
        assert ledger.find("1.jpg", None, None) is None
        assert ledger.unchanged("1.jpg", "") is None


def test_a_content_that_is_committed_already_keeps_its_first_row(tmp_path: Path) -> None:
    with Ledger(tmp_path / "out", IDENTITY) as ledger:
        first = ledger.commit(outs.good("1.jpg", score=0.1), None, {})
        again = ledger.commit(outs.good("1.jpg", score=0.2), None, {}, state="now")
        assert again == {**first, "size_wh": list(first["size_wh"])}
        assert ledger.unchanged("1.jpg", "now") == "good"
    assert whole(tmp_path / "out", 1)


def test_a_ledger_of_a_newer_version_is_refused_untouched(tmp_path: Path) -> None:
    out = outs.make(tmp_path / "out", outs.good("1.jpg"))
    with closing(sqlite3.connect(out / LEDGER)) as db:
        db.executescript(
            "PRAGMA journal_mode=DELETE; UPDATE meta SET value = '3' WHERE key = 'schema'; DROP TABLE marks"
        )
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(
        OutputError,
        match=r"holds results of schema 3; that needs a newer edge-detect \(this one, \d.*, knows schema 2\)",
    ):
        Ledger(out, IDENTITY)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_a_start_compares_only_lines_since_the_last_checkpoint(tmp_path: Path) -> None:
    """An edit by hand tells: it stays where nothing is compared."""
    with Ledger(tmp_path / "out", IDENTITY) as ledger:
        for number in range(lines.EVERY + 10):
            ledger.commit(outs.good(f"frame {number}.jpg"), None, {})
        shutil.copytree(tmp_path / "out", tmp_path / "cut off")
    for out, torn in (tmp_path / "out", 0), (tmp_path / "cut off", 5):
        text = (out / LINES).read_bytes().replace(b"frame 0", b"FRAME 0")
        (out / LINES).write_bytes(text[: len(text) - torn])
        Ledger(out, IDENTITY).__exit__()
        assert (out / LINES).read_bytes() == text


@settings(max_examples=60, deadline=None)
@given(keep=st.integers(0, 30_000), junk=st.binary(max_size=2000), more=st.integers(0, 9))
def test_whatever_the_end_of_the_lines_looks_like_they_equal_the_rows(keep: int, junk: bytes, more: int) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "EVERY", 7)
        out = outs.make(Path(folder, "out"), *(outs.good(f"{number}.jpg") for number in range(30)))
        text = (out / LINES).read_bytes()
        (out / LINES).write_bytes(text[:keep] + junk)
        outs.make(out, *(outs.good(f"more/{number}.jpg") for number in range(more)))
        assert whole(out, 30 + more)
        (out / LINES).unlink()
        with Ledger(out, IDENTITY):
            assert whole(out, 30 + more) and (out / LINES).read_bytes().startswith(text)


WRITER = """
import itertools, sys
from pathlib import Path
from edge_runtime.line import lines
from edge_runtime.line.ledger import LINES, Ledger
from tests import outs
lines.EVERY = 3
with Ledger(Path(sys.argv[1]), outs.IDENTITY) as ledger:
    for number in itertools.count(ledger.counts()["good"]):
        ledger.commit(outs.good(f"{number}.jpg"), None, {})
        print(number, flush=True)
"""


def test_after_every_kill_the_lines_equal_the_rows(tmp_path: Path) -> None:
    acknowledged = -1
    for times in range(8):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, tmp_path / "out"],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        ) as writer:
            assert writer.stdout is not None
            for _ in range(1 + 5 * times):
                acknowledged = int(next(writer.stdout))
            writer.kill()
        with (tmp_path / "out" / LINES).open("ab") as file:
            file.write(b'{"schema": 2, "fra' * (times % 3))
    with Ledger(tmp_path / "out", IDENTITY) as ledger:
        rows = ledger.counts()["good"]
        assert rows > acknowledged and whole(tmp_path / "out", rows)


def test_threads_that_write_the_same_file_leave_it_whole(tmp_path: Path) -> None:
    target = tmp_path / "1.jpg"
    contents = [bytes([number]) * 100_000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda data: write_bytes(target, data), contents * 12))
    assert target.read_bytes() in contents and list(tmp_path.iterdir()) == [target]


def test_one_leafs_from_row_to_row_of_the_same_verdict(tmp_path: Path) -> None:
    rejects = (outs.reject("first.jpg"), *(outs.good(f"{n}.jpg") for n in range(3)), outs.reject("last.jpg"))
    with Record(outs.make(tmp_path / "out", *rejects)) as record:
        assert record.beside(1, Verdict.ANOMALY) == (None, 5)
        assert record.beside(5, Verdict.ANOMALY) == (1, None)
        assert record.beside(3, Verdict.GOOD) == (2, 4)


def test_one_leafs_within_a_camera(tmp_path: Path) -> None:
    names = [f"{camera}/{number}.jpg" for number in range(3) for camera in ("left", "right")]
    with Ledger(tmp_path / "out", {"model": "0" * 64}) as ledger:
        for name in names:
            ledger.commit(outs.good(name), name.partition("/")[0], {})
    with Record(tmp_path / "out") as record:
        assert record.beside(3, Verdict.GOOD, "left") == (1, 5)
        assert record.beside(6, Verdict.GOOD, "right") == (4, None)
