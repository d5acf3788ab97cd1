"""The record of inspections: one committed row per frame content, whatever happens in between.

OUT/ledger.sqlite is the truth; OUT/results.jsonl holds the same rows for people and scripts.
"""

import json
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edge_runtime.durable import write_bytes
from edge_runtime.errors import OutputError
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
                "peak": round(defect.peak, 4),
            }
            for defect in inspection.defects
        ],
        "residual": inspection.residual,
        "elapsed_ms": {stage: round(ms, 2) for stage, ms in inspection.elapsed_ms.items()},
        "model": f"sha256:{model_sha256}",
        "error": inspection.error,
        "inspected_at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }


class Ledger:
    """Rows of one output folder, made by one model. Use as a context manager."""

    def __init__(self, out: Path, model_sha256: str) -> None:
        """Open or create. Raises OutputError where OUT can't be written or holds results of another model."""
        self.out, self.model_sha256 = out, model_sha256
        try:
            out.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(out / "ledger.sqlite", isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(_TABLES)
            self._claim("schema", str(SCHEMA_VERSION), "was written by another version of edge-detect")
            self._claim("model", model_sha256, "holds the results of another model")
            self._lines = self._open_lines()
        except (OSError, sqlite3.Error) as err:
            reason = err.strerror if isinstance(err, OSError) else str(err)
            raise OutputError(f"{out}: results can't be written there: {reason}") from None

    def _claim(self, key: str, value: str, otherwise: str) -> None:
        self._db.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (key, value))
        (found,) = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        if found != value:
            raise OutputError(f"{self.out} {otherwise} ({key} {found[:12]}, now {value[:12]}); choose another --out")

    def _open_lines(self) -> int:
        """Open results.jsonl to append, after making it equal the committed rows: a crash may have torn its end."""
        path = self.out / "results.jsonl"
        committed = "".join(
            f"{text}\n" for (text,) in self._db.execute("SELECT row FROM inspections ORDER BY id")
        ).encode()
        if not path.exists() or path.read_bytes() != committed:
            write_bytes(path, committed)
        return os.open(path, os.O_WRONLY | os.O_APPEND | getattr(os, "O_BINARY", 0))

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._lines)
        self._db.close()

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
            os.write(self._lines, f"{text}\n".encode())
        except (OSError, sqlite3.Error) as err:
            raise OutputError(f"{self.out}: the result of {inspection.source} can't be written: {err}") from None
        return row

    def rows(self) -> Iterator[Row]:
        return (json.loads(text) for (text,) in self._db.execute("SELECT row FROM inspections ORDER BY id"))
