"""The writing side of OUT: one committed row per frame content, whatever happens in between.

OUT/ledger.sqlite is the truth; OUT/results.jsonl holds the same rows for people and scripts.
"""

import json
import os
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from edge_runtime.errors import MixedResultsError, OutputError, first_line
from edge_runtime.line.durable import LOCK, hold, make_folder
from edge_runtime.line.lines import Lines
from edge_runtime.line.record import LEDGER, SCHEMA_VERSION, Row, stamp
from edge_runtime.line.tables import prepare
from edge_runtime.results import Inspection, Verdict

LINES = "results.jsonl"

GONE = ""


def file_state(info: os.stat_result) -> str:
    """What changes whenever a file's content does: size, times, and which file it is."""
    return f"{info.st_size} {info.st_mtime_ns} {info.st_ctime_ns} {info.st_ino}"


def state_of(path: Path) -> str:
    """The state of what a path leads to, or of the link where it leads nowhere; GONE where there is nothing."""
    try:
        return file_state(path.stat())
    except OSError:
        try:
            return file_state(path.lstat())
        except (FileNotFoundError, NotADirectoryError):
            return GONE
        except OSError as err:  # a share that is away
            return f"can't be asked: {err.errno}"


class Ledger:
    """Rows of one output folder, made by one run after the other in one way. Use as a context manager; any thread may ask."""

    def __init__(self, out: Path, identity: Mapping[str, str]) -> None:
        """Open or create. identity: what all rows of the folder must have in common (model, frames' folder, ...).

        Raises OutputError where OUT can't be written, another process writes there, or its rows were made otherwise.
        """
        self.out, self.model_sha256 = out, identity["model"]
        if os.path.exists(out) and not os.path.isdir(out):
            raise OutputError(f"{out}: is a file; results need a folder")
        self._guard = threading.Lock()
        with ExitStack() as opened, _writable(out):
            make_folder(out)
            opened.enter_context(closing(self._hold()))
            self._db = sqlite3.connect(out / LEDGER, isolation_level=None, timeout=10, check_same_thread=False)
            opened.enter_context(closing(self._db))
            prepare(self._db, out)
            with self._db:  # one commit for all: each waits for the disk
                self._db.execute("BEGIN IMMEDIATE")
                for key, value in identity.items():
                    self._claim(key, value)
            self._lines = opened.enter_context(closing(Lines(out / LINES, self._db)))
            self._opened = _which_files(out)
            self._close = opened.pop_all().close

    def _hold(self) -> sqlite3.Connection:
        try:
            return hold(self.out)
        except BlockingIOError:
            raise OutputError(
                f"{self.out}: another edge-detect is writing there; wait for it or choose another --out"
            ) from None

    def _claim(self, key: str, value: str) -> None:
        self._db.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (key, value))
        (found,) = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        if found != value:
            raise MixedResultsError(
                f"{self.out}: holds results made with another {key} ({found}; now {value}); choose another --out"
            )

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *_: object) -> None:
        with self._guard, suppress(sqlite3.Error):  # all that counts is committed
            self._close()

    @contextmanager
    def _asked(self, what: str = "its ledger can't be used") -> Iterator[sqlite3.Connection]:
        """The database, for one thread at a time. Raises OutputError where it fails."""
        try:
            with self._guard:
                yield self._db
        except (OSError, sqlite3.Error) as err:
            raise OutputError(f"{self.out}: {what}: {_reason(err)}") from None

    def counts(self) -> Counter[str]:
        """Rows per verdict. Raises OutputError, as all that follow do where the disk or somebody beside them fails."""
        with self._asked() as db:
            found = db.execute("SELECT verdict, count(*) FROM inspections GROUP BY verdict").fetchall()
        return Counter(dict(found))

    def unchanged(self, source: str, state: str) -> str | None:
        """The verdict of the row that this very file has, if its state is what it was then; without reading it."""
        with self._asked() as db:
            found = db.execute(
                "SELECT verdict FROM files JOIN inspections ON id = inspection WHERE files.source = ? AND state = ?",
                (source, state),
            ).fetchone()
        return found and str(found[0])

    def find(self, source: str, sha256: str | None, state: str | None) -> Row | None:
        """The committed row of this frame with this content, if there is one; its file then counts as unchanged from now on.

        A frame that can't be read has no content to be known by: the last row of its name counts, if that says so, too.
        Rows of frames that were skipped unread say nothing about them.
        """
        with self._asked() as db:
            found = _by_content(db, source, sha256) if sha256 else _unreadable(db, source)
            if found is None:
                return None
            if state is not None:
                _set_state(db, source, state, found["id"])
        return found

    def commit(
        self, inspection: Inspection, camera: str | None, pictures: Mapping[str, str], state: str | None = None
    ) -> Row:
        """Write the row; when this returns it survives a power cut. Its pictures must be written before.

        pictures: kind -> path relative to OUT. state: of the file, where that stands for its content. Returns the row, with
        its `id`; the one that is there already where this frame with this content has one. Raises OutputError, also where OUT
        was removed or replaced since it was opened: what is committed then, nobody finds.
        """
        row = to_row(inspection, self.model_sha256, camera, pictures)
        text = json.dumps(row)
        with self._asked(f"the result of {inspection.source} can't be written") as db:
            with db:
                db.execute("BEGIN IMMEDIATE")
                done = db.execute(
                    "INSERT INTO inspections (source, sha256, verdict, inspected_at, row) VALUES (?, ?, ?, ?, ?) "
                    "ON CONFLICT (source, sha256) WHERE sha256 <> '' DO NOTHING",
                    (inspection.source, inspection.sha256 or "", row["verdict"], row["inspected_at"], text),
                )
                if done.rowcount == 1:
                    stored = {"id": done.lastrowid, **row}
                    if pictures:
                        db.execute("INSERT INTO pictures VALUES (?)", (done.lastrowid,))
                else:
                    stored = _by_content(db, inspection.source, str(inspection.sha256)) or {}
                if state is not None:
                    _set_state(db, inspection.source, state, stored["id"])
            if done.rowcount == 1:
                self._lines.append(stored["id"], text)
            if _which_files(self.out) != self._opened:
                raise OutputError(f"{self.out}: was removed or replaced while results were written there")
        return stored


def _by_content(db: sqlite3.Connection, source: str, sha256: str) -> Row | None:
    found = db.execute("SELECT id, row FROM inspections WHERE source = ? AND sha256 = ?", (source, sha256)).fetchone()
    return found and {"id": found[0], **json.loads(found[1])}


def _unreadable(db: sqlite3.Connection, source: str) -> Row | None:
    found = db.execute(
        "SELECT id, row FROM inspections WHERE sha256 = '' AND id = "
        "(SELECT max(id) FROM inspections WHERE source = ? AND verdict <> ?)",
        (source, Verdict.SKIPPED),
    ).fetchone()
    return found and {"id": found[0], **json.loads(found[1])}


def _set_state(db: sqlite3.Connection, source: str, state: str, number: int) -> None:
    db.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?)", (source, state, number))


def _which_files(out: Path) -> list[tuple[int, int] | None]:
    """Which ledger and which lock lie in OUT; None for one that is gone."""
    found: list[tuple[int, int] | None] = []
    for name in (LEDGER, LOCK):
        try:
            info = os.stat(out / name)
            found.append((info.st_dev, info.st_ino))
        except FileNotFoundError:
            found.append(None)
    return found


def to_row(inspection: Inspection, model_sha256: str, camera: str | None, pictures: Mapping[str, str]) -> Row:
    """An inspection as the row that is stored: JSON types only, keys as in docs/results.md."""
    proof = inspection.proof
    return {
        "schema": SCHEMA_VERSION,
        "frame": inspection.source,
        "camera": camera,
        "sha256": inspection.sha256,
        "size_wh": inspection.size_wh,
        "verdict": inspection.verdict.value,
        "score": inspection.score,
        "margin": inspection.margin,
        "threshold": inspection.threshold,
        "defects": [
            {
                "box_xyxy": list(asdict(defect.box).values()),
                "contribution": round(defect.contribution, 4),
                "logits": round(defect.logits, 4),
                "peak": round(defect.peak, 4),
                "map": defect.map,
                **({} if proof is None else {"without_box": asdict(proof.each[index])}),
            }
            for index, defect in enumerate(inspection.defects)
        ],
        "account": inspection.account
        and {part: round(logits, 4) for part, logits in asdict(inspection.account).items()},
        "proof": None
        if proof is None
        else {"without_boxes": asdict(proof.together), "control": proof.control and asdict(proof.control)},
        "residual": inspection.residual,
        "pictures": dict(pictures),
        "elapsed_ms": {stage: round(ms, 2) for stage, ms in inspection.elapsed_ms.items()},
        "model": f"sha256:{model_sha256}",
        "error": inspection.error,
        "inspected_at": stamp(datetime.now(UTC)),
    }


@contextmanager
def _writable(out: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error) as err:
        raise OutputError(f"{out}: results can't be written there: {_reason(err)}") from None


def _reason(err: OSError | sqlite3.Error) -> str:
    return first_line(err) if isinstance(err, sqlite3.Error) else err.strerror or first_line(err)
