"""Old pictures make room for new ones. Rows stay for ever; only pictures that a committed row names are ever deleted."""

import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from edge_runtime.line.job import Watching
from edge_runtime.line.record import LEDGER
from edge_runtime.views import PICTURES

EVERY_S = 600.0
BATCH = 1000
CURSOR = "pictures deleted up to"


def keep_within(out: Path, rule: Watching) -> None:
    """Delete old pictures now and every ten minutes, for as long as the process lives."""
    while rule.keep_days or rule.max_gb:
        with suppress(sqlite3.Error, OSError):  # a full or sick disk: the inspection says so, and this tries again
            delete_old(out, rule)
        time.sleep(EVERY_S)


def delete_old(out: Path, rule: Watching) -> None:
    """Delete pictures beyond the limits, oldest first. Raises OSError, sqlite3.Error."""
    with closing(sqlite3.connect(out / LEDGER, isolation_level=None, timeout=10)) as db:
        excess = _size(out) - rule.max_gb * 1e9 if rule.max_gb else 0.0
        oldest = datetime.now(UTC) - timedelta(days=rule.keep_days) if rule.keep_days else None
        for number, inspected_at, pictures in _rows(db):
            too_old = oldest is not None and datetime.fromisoformat(inspected_at) < oldest
            if not too_old and excess <= 0:
                return
            for picture in pictures:
                excess -= _delete(out / picture)
            db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (CURSOR, str(number)))


def _rows(db: sqlite3.Connection) -> Iterator[tuple[int, str, list[str]]]:
    """(id, inspected_at, pictures) of the rows whose pictures are still there, oldest first."""
    found = db.execute("SELECT value FROM meta WHERE key = ?", (CURSOR,)).fetchone()
    last = int(found[0]) if found else 0
    query = "SELECT id, inspected_at, row FROM inspections WHERE id > ? ORDER BY id LIMIT ?"
    while batch := db.execute(query, (last, BATCH)).fetchall():
        for last, inspected_at, row in batch:
            yield last, inspected_at, list(json.loads(row).get("pictures", {}).values())


def _size(out: Path) -> int:
    """Bytes of all pictures."""
    folders = (folder for kind in PICTURES for folder in os.walk(out / kind))
    return sum(_bytes(Path(folder, name)) for folder, _, names in folders for name in names)


def _bytes(picture: Path) -> int:
    try:
        return picture.stat().st_size
    except OSError:
        return 0


def _delete(picture: Path) -> int:
    """Returns the bytes that became free."""
    size = _bytes(picture)
    picture.unlink(missing_ok=True)
    return size
