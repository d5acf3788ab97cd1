"""A running edge-detect, as somebody beside the PC sees it: processes, files, and what may be done to them."""

import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

Frames = Callable[[int], np.typing.NDArray[np.uint8]]
"""Number -> (H, W, 3) uint8 BGR."""
LONGEST_S = 120.0


def command() -> str:
    return str(Path(sys.executable).with_name("edge-detect"))


class Line:
    """An edge-detect process in a session of its own, so that signals reach it and nobody else."""

    def __init__(self, folder: Path, *arguments: object, under: Sequence[str] = ()) -> None:
        """folder: where it runs. under: a command that runs it, as strace does."""
        self.folder = folder
        self.errors = folder / "stderr.txt"
        with open(self.errors, "ab") as errors:
            self.process = subprocess.Popen(
                [*under, command(), *map(str, arguments)],
                cwd=folder,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )

    def rows(self) -> Iterator[str]:
        """The lines on stdout, as they come."""
        assert self.process.stdout is not None
        return iter(self.process.stdout)

    def said(self) -> str:
        return self.errors.read_text()

    def worker(self) -> int | None:
        """The process that does the work, if it is there."""
        try:
            children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        except FileNotFoundError:
            return None
        return int(children[0]) if children else None

    def kill_all(self) -> None:
        """As a power cut does, for processes."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()

    def kill_worker(self) -> None:
        worker = self.worker()
        if worker is not None:
            os.kill(worker, signal.SIGKILL)

    def stop(self, patience_s: float = LONGEST_S) -> int:
        """SIGTERM; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.end(patience_s)

    def end(self, patience_s: float = LONGEST_S) -> int:
        """Wait for its end; returns the exit code."""
        self.process.communicate(timeout=patience_s)
        return self.process.returncode


@contextmanager
def watching(
    folder: Path, model: Path, *options: object, cameras: Sequence[str] = ("cam",), under: Sequence[str] = ()
) -> Iterator[Line]:
    """`edge-detect watch` on folder/cam into folder/out, ready to work; killed at the end where it still runs."""
    for camera in cameras:
        (folder / camera).mkdir(exist_ok=True)
    (folder / "out" / "heartbeat.json").unlink(missing_ok=True)
    form = () if "--json" in options else ("--quiet",)
    line = Line(folder, "watch", *cameras, "-m", model, "-o", "out", *form, *options, under=under)
    try:
        until(lambda: (folder / "out" / "heartbeat.json").exists() or line.process.poll() is not None)
        yield line
    finally:
        if line.process.poll() is None:
            line.kill_all()


def until(condition: Callable[[], object], patience_s: float = LONGEST_S) -> None:
    """Wait for a condition. Raises TimeoutError."""
    started = time.monotonic()
    while not condition():
        if time.monotonic() > started + patience_s:
            raise TimeoutError(f"waited {patience_s:.0f} s in vain")
        time.sleep(0.01)


def heartbeat(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "heartbeat.json").read_text())
    return found


def committed(out: Path) -> int:
    """Rows in the ledger, as another process sees them."""
    if not (out / "ledger.sqlite").exists():
        return 0
    with closing(sqlite3.connect(out / "ledger.sqlite", timeout=10)) as db:
        try:
            return int(db.execute("SELECT count(*) FROM inspections").fetchone()[0])
        except sqlite3.OperationalError:  # its tables are still to be made
            return 0


def audit(out: Path) -> dict[str, int]:
    """What a run left behind, counted by somebody who trusts nothing: rows, `frames` with a row, `twice` (rows beyond one per
    name and content), `torn` pictures and copies, those that are `missing`, and `lines` of results.jsonl that differ from the ledger."""
    with closing(sqlite3.connect(out / "ledger.sqlite")) as db:
        texts = [text for (text,) in db.execute("SELECT row FROM inspections ORDER BY id")]
    rows = [json.loads(text) for text in texts]
    named = [(kind, out / name, row["sha256"]) for row in rows for kind, name in row["pictures"].items()]
    there = [one for one in named if one[1].exists()]
    lines = (out / "results.jsonl").read_text().splitlines() if texts else []
    return {
        "rows": len(rows),
        "frames": len({row["frame"] for row in rows}),
        "twice": len(rows) - len({(row["frame"], row["sha256"]) for row in rows}),
        "torn": sum(not _is_whole(*one) for one in there) + sum(1 for _ in out.rglob("*.part")),
        "missing": len(named) - len(there),
        "lines": sum(line != text for line, text in zip(lines, texts, strict=False)) + abs(len(lines) - len(texts)),
    }


def _is_whole(kind: str, file: Path, sha256: str) -> bool:
    """A picture that can be decoded; a copy of a frame that could not be judged, as it was hashed."""
    data = file.read_bytes()
    if kind == "error":
        return hashlib.sha256(data).hexdigest() == sha256
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) is not None


def put(folder: Path, name: str, image: np.typing.NDArray[np.uint8]) -> None:
    """As a good camera writes: under another name first."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{name}.tmp"
    temporary.write_bytes(cv2.imencode(Path(name).suffix, image)[1].tobytes())
    temporary.rename(folder / name)


def fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
