"""The writing side of OUT: one committed row per frame content, whatever happens in between.

OUT/ledger.sqlite is the truth; OUT/results.jsonl holds the same rows for people and scripts.
"""

import json
import os
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from edge_runtime.errors import OutputError
from edge_runtime.line.durable import hold, make_folder
from edge_runtime.line.record import LEDGER, SCHEMA_VERSION, Row
from edge_runtime.results import Inspection

LINES = "results.jsonl"
_TABLES = """
CREATE TABLE IF NOT EXISTS inspections (
    id INTEGER PRIMARY KEY, source TEXT NOT NULL, sha256 TEXT NOT NULL, verdict TEXT NOT NULL,
    inspected_at TEXT NOT NULL, row TEXT NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS content ON inspections (source, sha256) WHERE sha256 <> '';
CREATE INDEX IF NOT EXISTS by_source ON inspections (source);
CREATE INDEX IF NOT EXISTS by_verdict ON inspections (verdict, id);
CREATE INDEX IF NOT EXISTS by_time ON inspections (inspected_at, verdict);
CREATE TABLE IF NOT EXISTS files (
    source TEXT PRIMARY KEY, state TEXT NOT NULL, inspection INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS marks (
    id INTEGER PRIMARY KEY, inspection INTEGER NOT NULL, mark TEXT NOT NULL, who TEXT NOT NULL, at TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS by_inspection ON marks (inspection);
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


GONE = ""


def file_state(info: os.stat_result) -> str:
    """What changes whenever a file's content does: size, times, and which file it is."""
    return f"{info.st_size} {info.st_mtime_ns} {info.st_ctime_ns} {info.st_ino}"


def state_of(path: Path) -> str:
    """The state of what a path leads to, or of the link where it leads nowhere; GONE where there is nothing."""
    try:
        return file_state(path.stat())
    except OSError:
        with suppress(OSError):
            return file_state(path.lstat())
    return GONE


class Ledger:
    """Rows of one output folder, made by one run after the other in one way. Use as a context manager; any thread may ask."""

    def __init__(self, out: Path, identity: Mapping[str, str]) -> None:
        """Open or create. identity: what all rows of the folder must have in common (model, frames' folder, ...).

        Raises OutputError where OUT can't be written, another process writes there, or its rows were made otherwise.
        """
        self.out, self.model_sha256 = out, identity["model"]
        if out.exists() and not out.is_dir():
            raise OutputError(f"{out}: is a file; results need a folder")
        try:
            make_folder(out)
            self._lock = hold(out)
        except BlockingIOError:
            raise OutputError(
                f"{out}: another edge-detect is writing there; wait for it or choose another --out"
            ) from None
        except OSError as err:
            raise _unwritable(out, err) from None
        try:
            self._guard = threading.Lock()
            self._db = sqlite3.connect(out / LEDGER, isolation_level=None, timeout=10, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            _migrate(self._db)
            self._db.executescript(_TABLES)
            for key, value in ({"schema": str(SCHEMA_VERSION)} | dict(identity)).items():
                self._claim(key, value)
            self._lines = self._open_lines()
        except (OSError, sqlite3.Error) as err:
            raise _unwritable(out, err) from None

    def _claim(self, key: str, value: str) -> None:
        self._db.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (key, value))
        (found,) = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        if found != value:
            raise OutputError(
                f"{self.out}: holds results made with another {key} ({found}; now {value}); choose another --out"
            )

    def _open_lines(self) -> BinaryIO:
        """Open results.jsonl to append, after making it equal the committed rows: a crash may have torn its end.

        What is right of it stays where it is: on a full disk there is no room for a copy.
        """
        path = self.out / LINES
        file = open(path, "r+b" if path.exists() else "w+b")  # noqa: SIM115  # closed with the ledger
        torn = False
        for line in self._texts():
            at = file.tell()
            if not torn and file.read(len(line)) == line:
                continue
            if not torn:
                file.seek(at)
                torn = True
            file.write(line)
        file.truncate()
        file.flush()
        return file

    def _texts(self) -> Iterator[bytes]:
        for (text,) in self._db.execute("SELECT row FROM inspections ORDER BY id"):
            yield f"{text}\n".encode()

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self._db.close()
        self._lock.close()

    def counts(self) -> Counter[str]:
        """Rows per verdict."""
        with self._guard:
            found = self._db.execute("SELECT verdict, count(*) FROM inspections GROUP BY verdict").fetchall()
        return Counter(dict(found))

    def unchanged(self, source: str, state: str) -> str | None:
        """The verdict of the row that this very file has, if its state is what it was then; without reading it."""
        with self._guard:
            found = self._db.execute(
                "SELECT verdict FROM files JOIN inspections ON id = inspection WHERE files.source = ? AND state = ?",
                (source, state),
            ).fetchone()
        return found and str(found[0])

    def find(self, source: str, sha256: str | None, state: str | None) -> Row | None:
        """The committed row of this frame with this content, if there is one; its file then counts as unchanged from now on.

        A frame that can't be read has no content to be known by: the last row of its name counts, if that says so, too.
        """
        with self._guard:
            if sha256 is None:
                found = self._db.execute(
                    "SELECT id, row FROM inspections WHERE id = (SELECT max(id) FROM inspections WHERE source = ?) AND sha256 = ''",
                    (source,),
                ).fetchone()
            else:
                found = self._db.execute(
                    "SELECT id, row FROM inspections WHERE source = ? AND sha256 = ?", (source, sha256)
                ).fetchone()
            if found is None:
                return None
            if state is not None:
                self._db.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?)", (source, state, found[0]))
        return {"id": found[0], **json.loads(found[1])}

    def commit(
        self, inspection: Inspection, camera: str | None, pictures: Mapping[str, str], state: str | None = None
    ) -> Row:
        """Write the row; when this returns it survives a power cut. Its pictures must be written before.

        pictures: kind -> path relative to OUT. state: of the file, where that stands for its content. Returns the row, with
        its `id`.
        """
        row = to_row(inspection, self.model_sha256, camera, pictures)
        text = json.dumps(row)
        try:
            with self._guard, self._db:
                self._db.execute("BEGIN IMMEDIATE")
                number = self._db.execute(
                    "INSERT INTO inspections (source, sha256, verdict, inspected_at, row) VALUES (?, ?, ?, ?, ?)",
                    (inspection.source, inspection.sha256 or "", row["verdict"], row["inspected_at"], text),
                ).lastrowid
                if state is not None:
                    self._db.execute(
                        "INSERT OR REPLACE INTO files VALUES (?, ?, ?)", (inspection.source, state, number)
                    )
            self._lines.write(f"{text}\n".encode())
            self._lines.flush()
        except (OSError, sqlite3.Error) as err:
            raise OutputError(f"{self.out}: the result of {inspection.source} can't be written: {err}") from None
        return {"id": number, **row}


def _migrate(db: sqlite3.Connection) -> None:
    """Bring a ledger of schema 1 up to date: its rows stay as they are."""
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
        return
    if db.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone() != ("1",):
        return
    db.execute("BEGIN IMMEDIATE")
    db.execute("ALTER TABLE inspections RENAME TO inspections_1")
    for statement in _TABLES.split(";"):
        db.execute(statement)
    db.execute(
        "INSERT INTO inspections SELECT id, source, sha256, json_extract(row, '$.verdict'), "
        "json_extract(row, '$.inspected_at'), row FROM inspections_1 ORDER BY id"
    )
    db.execute("DROP TABLE inspections_1")
    db.execute("UPDATE meta SET value = ? WHERE key = 'schema'", (str(SCHEMA_VERSION),))
    db.execute("COMMIT")


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
        "inspected_at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }


def _unwritable(out: Path, err: OSError | sqlite3.Error) -> OutputError:
    reason = err.strerror if isinstance(err, OSError) else str(err)
    return OutputError(f"{out}: results can't be written there: {reason}")
