"""Old pictures make room for new ones. Rows stay for ever; only pictures that a committed row names are ever deleted."""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from edge_runtime.line.job import Watching
from edge_runtime.line.record import LEDGER, stamp

EVERY_S = 600.0
BATCH = 500
"""Rows whose pictures are noted as deleted at once: a commit waits for a disk, and frames wait for it."""


def keep_within(out: Path, rule: Watching) -> None:
    """Delete old pictures now and every ten minutes, for as long as the process lives."""
    while rule.keep_days or rule.max_gb:
        with suppress(sqlite3.Error, OSError):  # a full or sick disk: the inspection says so, and this tries again
            delete_old(out, rule)
        time.sleep(EVERY_S)


def delete_old(out: Path, rule: Watching) -> None:
    """Delete pictures beyond the limits, oldest first. Raises OSError, sqlite3.Error.

    The ledger's table `pictures` names the rows whose pictures are still there. A row leaves it once they are deleted, so
    that one which can't be deleted now, or is not old enough, is looked at again the next time and holds up no other.
    """
    with closing(sqlite3.connect(out / LEDGER, isolation_level=None, timeout=10)) as db:
        excess = _size(out, db) - rule.max_gb * 1e9 if rule.max_gb else 0.0
        oldest = stamp(datetime.now(UTC) - timedelta(days=rule.keep_days)) if rule.keep_days else ""
        for batch in _batches(db):
            gone = []
            for number, inspected_at, pictures in batch:
                if excess > 0 or inspected_at < oldest:
                    freed = [_delete(out / picture) for picture in pictures]
                    excess -= sum(size or 0 for size in freed)
                    if None not in freed:
                        gone.append(number)
            if gone:
                db.execute(
                    "DELETE FROM pictures WHERE inspection IN (SELECT value FROM json_each(?))", (json.dumps(gone),)
                )
            if excess <= 0 and not oldest:
                return


def _batches(db: sqlite3.Connection) -> Iterator[list[tuple[int, str, list[str]]]]:
    """(id, inspected_at, pictures) of the rows whose pictures are still there, oldest first."""
    last = 0
    query = (
        "SELECT id, inspected_at, json_extract(row, '$.pictures') FROM pictures JOIN inspections ON id = inspection "
        "WHERE inspection > ? ORDER BY inspection LIMIT ?"
    )
    while found := db.execute(query, (last, BATCH)).fetchall():
        last = found[-1][0]
        yield [(number, at, list(json.loads(pictures).values())) for number, at, pictures in found]


def _size(out: Path, db: sqlite3.Connection) -> int:
    """Bytes of the pictures that are still there."""
    return sum(_bytes(out / picture) for batch in _batches(db) for _, _, pictures in batch for picture in pictures)


def _bytes(picture: Path) -> int:
    try:
        return picture.stat().st_size
    except OSError:
        return 0


def _delete(picture: Path) -> int | None:
    """Returns the bytes that became free; None where it can't be deleted."""
    size = _bytes(picture)
    try:
        picture.unlink(missing_ok=True)
    except OSError:
        return None
    return size
