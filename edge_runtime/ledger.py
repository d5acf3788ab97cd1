"""The record of inspections: one committed row per frame content, whatever happens in between.

OUT/ledger.sqlite is the truth; OUT/results.jsonl holds the same rows for people and scripts.
"""

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from edge_runtime.durable import hold, make_folder, write_bytes
from edge_runtime.errors import OutputError
from edge_runtime.frames import LEDGER
from edge_runtime.results import Inspection

SCHEMA_VERSION = 1
Row = dict[str, Any]

_TABLES = """
CREATE TABLE IF NOT EXISTS inspections (
    id INTEGER PRIMARY KEY, source TEXT NOT NULL, sha256 TEXT NOT NULL, row TEXT NOT NULL, UNIQUE (source, sha256));
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


def to_row(inspection: Inspection, model_sha256: str) -> Row:
    """An inspection as the row that is stored: JSON types only, keys as in docs/results.md."""
    proof = inspection.proof
    return {
        "schema": SCHEMA_VERSION,
        "frame": inspection.source,
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
        "elapsed_ms": {stage: round(ms, 2) for stage, ms in inspection.elapsed_ms.items()},
        "model": f"sha256:{model_sha256}",
        "error": inspection.error,
        "inspected_at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }


class Ledger:
    """Rows of one output folder, made by one run after the other in one way. Use as a context manager."""

    def __init__(self, out: Path, identity: dict[str, str]) -> None:
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
            self._db = sqlite3.connect(out / LEDGER, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(_TABLES)
            for key, value in ({"schema": str(SCHEMA_VERSION)} | identity).items():
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
        """Open results.jsonl to append, after making it equal the committed rows: a crash may have torn its end."""
        path = self.out / "results.jsonl"
        committed = "".join(f"{json.dumps(row)}\n" for row in self.rows()).encode()
        if not path.exists() or path.read_bytes() != committed:
            write_bytes(path, committed)
        return open(path, "ab")

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self._db.close()
        self._lock.close()

    def find(self, source: str, sha256: str | None) -> Row | None:
        """The committed row of this frame with this content, if there is one."""
        found = self._db.execute(
            "SELECT row FROM inspections WHERE source = ? AND sha256 = ?", (source, sha256 or "")
        ).fetchone()
        return json.loads(found[0]) if found else None

    def commit(self, inspection: Inspection) -> Row:
        """Write the row; when this returns it survives a power cut. Its pictures must be written before."""
        row = to_row(inspection, self.model_sha256)
        text = json.dumps(row)
        try:
            self._db.execute(
                "INSERT INTO inspections (source, sha256, row) VALUES (?, ?, ?)",
                (inspection.source, inspection.sha256 or "", text),
            )
            self._lines.write(f"{text}\n".encode())
            self._lines.flush()
        except (OSError, sqlite3.Error) as err:
            raise OutputError(f"{self.out}: the result of {inspection.source} can't be written: {err}") from None
        return row

    def rows(self) -> Iterator[Row]:
        """All committed rows, in the order of their commits."""
        return (json.loads(text) for (text,) in self._db.execute("SELECT row FROM inspections ORDER BY id"))


def _unwritable(out: Path, err: OSError | sqlite3.Error) -> OutputError:
    reason = err.strerror if isinstance(err, OSError) else str(err)
    return OutputError(f"{out}: results can't be written there: {reason}")
