"""What Windows does otherwise. Where it can be played elsewhere, it is; the rest says that it was not run."""

import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge_runtime import frames
from edge_runtime.commands import console
from edge_runtime.errors import OutputError
from edge_runtime.line import durable
from tests import tiny
from tests.conftest import Run

on_windows = pytest.mark.skipif(os.name != "nt", reason="NOT RUN: this is about Windows itself")


def test_a_folder_on_a_drive_that_is_not_there_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "is_dir", lambda _: False)
    monkeypatch.setattr(os.path, "isdir", lambda _: False)  # not even the root
    with pytest.raises(OSError):
        durable.make_folder(tmp_path / "out" / "overlay")


@pytest.mark.parametrize(("refusals", "written"), [(2, True), (3, False)])
def test_a_file_is_written_although_a_virus_scanner_looked_at_it(
    refusals: int, written: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace, left = os.replace, [PermissionError(errno.EACCES, "Access is denied")] * refusals

    def refuse(temporary: Path, path: Path) -> None:
        if left:
            raise left.pop()
        replace(temporary, path)

    monkeypatch.setattr(durable, "AGAIN_S", (0.0, 0.0))
    monkeypatch.setattr(os, "replace", refuse)
    try:
        durable.write_bytes(tmp_path / "1.jpg", b"whole")
    except OutputError as err:
        assert not written and "Access is denied" in str(err) and list(tmp_path.iterdir()) == []
    else:
        assert written and (tmp_path / "1.jpg").read_bytes() == b"whole"


def test_a_reader_that_left_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows has no EPIPE."""

    class Left(io.StringIO):
        def write(self, _: str) -> int:
            raise OSError(errno.EINVAL, "Invalid argument")

        def fileno(self) -> int:
            return file.fileno()

    with open(tmp_path / "stdout", "w") as file:
        monkeypatch.setattr(sys, "stdout", Left())
        with pytest.raises(console.ReaderGone):
            console.out("a row")


def test_the_screen_does_not_depend_on_what_the_registry_calls_its_files(tmp_path: Path) -> None:
    """Browsers run no script that is said to be text/plain."""
    script = """
import mimetypes
for suffix in (".js", ".css", ".html", ".svg"):
    mimetypes.add_type("text/plain", suffix)
from pathlib import Path
from starlette.testclient import TestClient
from edge_runtime.serve import app, board, stream
client = TestClient(app.application(board.Board(Path("out")), stream.Streams()))
for path in ("/", "/static/app.js", "/static/base.css", "/static/icon.svg"):
    print(client.get(path).headers["content-type"].partition(";")[0])
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["text/html", "text/javascript", "text/css", "image/svg+xml"], done.stderr


def test_what_a_system_keeps_at_the_top_of_a_disk_are_no_frames(tmp_path: Path) -> None:
    for folder in ("$RECYCLE.BIN/S-1-5", "System Volume Information", "lost+found", "line1"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "1.jpg").write_bytes(b"")
    assert [file.source for file in frames.find([str(tmp_path)]).files] == ["line1/1.jpg"]
    assert not frames.is_frame(Path("$RECYCLE.BIN", "S-1-5", "1.jpg"))


@on_windows
def test_a_folder_is_the_same_however_its_letters_are_written(
    edge_detect: Run, tiny_model: Path, tmp_path: Path
) -> None:
    tiny.write_frames(tmp_path / "Frames", {"1.png": tiny.frame()})
    first = edge_detect("Frames", "-m", tiny_model, "-o", "out", "--exit-zero")
    again = edge_detect("FRAMES", "-m", tiny_model, "-o", "out", "--exit-zero")
    assert (first.returncode, again.returncode) == (0, 0), again.stderr
    assert "by an earlier run" in again.stderr
