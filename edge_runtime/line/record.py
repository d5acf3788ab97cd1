"""The reading side of OUT: its rows, also while a run writes them; and the marks that people make on them."""

import errno
import json
import os
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from edge_runtime.errors import OutputError, UsageError

LEDGER = "ledger.sqlite"
NOT_SEARCHED = "holds results, and pictures there are no frames"
SCHEMA_VERSION = 2
Row = dict[str, Any]
Mark = Literal["right", "wrong"]
MAX_NAME = 60
"""Characters in the name of whoever marks."""

_NOT_WRITABLE = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL)
"""What SQLite, which writes in order to read, says of a folder that is closed, and of a full disk."""
_LACKING_IN_SCHEMA_1: Row = {"camera": None, "pictures": {}}
_SELECT = """
SELECT i.id, i.row, m.mark, m.who, m.at FROM inspections i
LEFT JOIN marks m ON m.id = (SELECT max(id) FROM marks WHERE inspection = i.id)
"""
_CAMERA = "coalesce(json_extract(i.row, '$.camera'), '')"
NEAR = 1000
"""Rows that are looked through for those of one camera."""
COUNTED = 200_000
"""Rows that are counted at a time: a second and a half."""
_COUNTING = """
SELECT i.source, coalesce(f.inspection, max(i.id)) FROM inspections i LEFT JOIN files f ON f.source = i.source
"""
_JUDGED = """
WITH judged AS (
    SELECT source, max(id) AS last FROM inspections WHERE verdict IN ('good', 'anomaly')
    AND source IN (SELECT source FROM inspections WHERE verdict IN ('error', 'skipped')) GROUP BY source)
"""
"""Of each frame that could not be judged once, the last row that judges it: looked up at once, as one name may have many rows."""
_WEEK = re.compile(r"\d{4}-?W\d\d")
_WITHIN = "i.id <= :last AND i.inspected_at >= :since AND (:until = '' OR i.inspected_at < :until)"


def stamp(moment: datetime, timespec: str = "milliseconds") -> str:
    """A time, local where it has no offset, as results hold it: UTC, so that two compare as text."""
    return moment.astimezone(UTC).isoformat(timespec=timespec).replace("+00:00", "Z")


def as_stored(text: str) -> str:
    """Any ISO 8601 time, local unless it says else, as `inspected_at` is written; empty for all times. Raises ValueError for what is
    none, and for a week without a day."""
    if not text:
        return ""
    if _WEEK.fullmatch(text):
        raise ValueError(text)
    try:
        return stamp(datetime.fromisoformat(text))
    except (OverflowError, OSError):  # beyond what there is, or what the system knows local time of
        raise ValueError(text) from None


def end_as_stored(text: str) -> str:
    """The first moment after a period that ends with this time, as as_stored() gives it: a day is in it to its end, a time is not."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return as_stored(text)
    if day == date.max or _WEEK.fullmatch(text):
        raise ValueError(text)
    return as_stored((day + timedelta(days=1)).isoformat())


def _opened(ledger: Path) -> tuple[sqlite3.Connection, dict[str, str]]:
    """The ledger and its table `meta`. Raises sqlite3.Error, OSError."""
    try:
        return _asked(sqlite3.connect(ledger, isolation_level=None, timeout=10))
    except sqlite3.OperationalError as err:
        if err.sqlite_errorcode & 0xFF not in _NOT_WRITABLE:
            raise
    return _asked(_unchanging(ledger))


def _unchanging(ledger: Path) -> sqlite3.Connection:
    """Where nothing may be written (an archive, another user's folder) SQLite opens only what nobody is writing, and takes our word for
    it. Raises OSError where somebody is."""
    log = ledger.with_name(f"{ledger.name}-wal")
    if os.path.exists(log) and os.path.getsize(log):
        raise OSError(errno.EAGAIN, "somebody is writing them, or was when the power went")
    path = ledger.absolute().as_posix()  # a drive needs a third slash, a Windows share has two of its own
    host = "file://" if path.startswith("/") else "file:///"
    return sqlite3.connect(f"{host}{quote(os.fsencode(path))}?mode=ro&immutable=1", uri=True, isolation_level=None)


def _asked(db: sqlite3.Connection) -> tuple[sqlite3.Connection, dict[str, str]]:
    try:
        return db, dict(db.execute("SELECT key, value FROM meta"))
    except sqlite3.Error:
        db.close()
        raise


class Record:
    """What OUT holds. Any number of readers may look while one run writes. One per thread; close() or use as a context manager."""

    def __init__(self, out: Path) -> None:
        """Raises UsageError where OUT has no results, or those of another version."""
        self.out = out
        if not os.path.isfile(out / LEDGER):
            raise UsageError(f"{out}: holds no results; edge-detect inspect or watch makes them")
        try:
            self._db, self.meta = _opened(out / LEDGER)
        except (sqlite3.Error, OSError) as err:
            raise UsageError(f"{out}: its results can't be read: {err}") from None
        schema = self.meta.get("schema", "")
        if schema != str(SCHEMA_VERSION):
            newer = schema.isdecimal() and int(schema) > SCHEMA_VERSION
            raise UsageError(
                f"{out}: was written by another version of edge-detect (schema {schema}, this one reads {SCHEMA_VERSION}); "
                + ("read it with that one" if newer else "run inspect or watch on it once, which brings it up to date")
            )

    def __enter__(self) -> "Record":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as err:
            raise UsageError(
                f"{self.out}: its results can't be read: {err}; was somebody writing them? Try again"
            ) from None

    def rows(self, after: int = 0) -> Iterator[Row]:
        """Rows with an id greater than `after`, in the order of their commits; keys as in docs/results.md, with `id`
        and `mark`. Raises UsageError where the ledger is damaged, or is written where we may not write."""
        with self._reading():
            yield from map(_row, self._db.execute(f"{_SELECT} WHERE i.id > ? ORDER BY i.id", (after,)))

    def row(self, number: int) -> Row | None:
        found = self._db.execute(f"{_SELECT} WHERE i.id = ?", (number,)).fetchone()
        return found and _row(found)

    def of(self, frame: str) -> Row | None:
        """The row that counts for the frame of this name. Raises UsageError, as rows()."""
        with self._reading():
            found = self._db.execute(f"{_COUNTING} WHERE i.source = ? GROUP BY i.source", (frame,)).fetchone()
            return found and self.row(found[1])

    def counting(self) -> dict[str, int]:
        """Frame -> the id of the row that counts: that of the content which its file was last seen with, else the last. Raises
        UsageError, as rows()."""
        with self._reading():
            return dict(self._db.execute(f"{_COUNTING} GROUP BY i.source"))

    def marked(self) -> list[Row]:
        """All rows that somebody has marked, in the order of their commits. Raises UsageError, as rows()."""
        with self._reading():
            found = self._db.execute(f"{_SELECT} WHERE i.id IN (SELECT inspection FROM marks) ORDER BY i.id")
            return [_row(one) for one in found]

    def marks(self, number: int) -> list[dict[str, str]]:
        """All marks of a row, the one that counts first. Raises UsageError, as rows()."""
        with self._reading():
            found = self._db.execute("SELECT mark, who, at FROM marks WHERE inspection = ? ORDER BY id DESC", (number,))
            return [{"mark": mark, "who": who, "at": at} for mark, who, at in found]

    def latest(self, verdict: str, limit: int) -> list[Row]:
        """The last rows with this verdict, newest first."""
        found = self._db.execute(f"{_SELECT} WHERE i.verdict = ? ORDER BY i.id DESC LIMIT ?", (verdict, limit))
        return [_row(one) for one in found]

    def latest_ids(self, verdict: str, camera: str, after: int = 0) -> list[int]:
        """Of the rows with this verdict and camera that have a greater id than `after`, newest first, as far as NEAR rows with the verdict go
        back."""
        near = "SELECT * FROM inspections WHERE verdict = ? AND id > ? ORDER BY id DESC LIMIT ?"
        found = self._db.execute(
            f"SELECT i.id FROM ({near}) i WHERE {_CAMERA} = ? ORDER BY i.id DESC", (verdict, after, NEAR, camera)
        )
        return [number for (number,) in found]

    @property
    def last_id(self) -> int:
        """The greatest id there is, 0 without any."""
        return int(self._db.execute("SELECT coalesce(max(id), 0) FROM inspections").fetchone()[0])

    @property
    def identity(self) -> tuple[int, int]:
        """Tells a ledger from one that has taken its place. Raises OSError."""
        info = os.stat(self.out / LEDGER)
        return info.st_dev, info.st_ino

    def beside(self, number: int, verdict: str, camera: str | None = None) -> tuple[int | None, int | None]:
        """The ids of the next older and the next newer row of this verdict and camera, None also beyond NEAR others."""
        return self._next(number, verdict, camera, "<", "DESC"), self._next(number, verdict, camera, ">", "ASC")

    def _next(self, number: int, verdict: str, camera: str | None, side: str, order: str) -> int | None:
        near = f"SELECT * FROM inspections WHERE verdict = ? AND id {side} ? ORDER BY id {order} LIMIT ?"
        found = self._db.execute(
            f"SELECT i.id FROM ({near}) i WHERE {_CAMERA} = ? ORDER BY i.id {order} LIMIT 1",
            (verdict, number, NEAR, camera or ""),
        ).fetchone()
        return int(found[0]) if found else None

    def counts(self, since: str = "", after: int = 0) -> tuple[int, bool, Counter[tuple[str, str]]]:
        """How many rows each (camera, verdict) has; the camera is "" for a single folder. Also up to which id they were counted, and
        whether that is the last: a long record is counted in parts. since: UTC, ISO 8601, as in `inspected_at`. after: the id that
        this gave before, 0 at first."""
        last = self.last_id
        if not after:
            first = self._db.execute("SELECT min(+id) FROM inspections WHERE inspected_at >= ?", (since,)).fetchone()[0]
            after = last if first is None else first - 1
        end = min(last, after + COUNTED)
        found = self._db.execute(
            f"SELECT {_CAMERA}, i.verdict, count(*) FROM inspections i "
            "WHERE i.id > ? AND i.id <= ? AND i.inspected_at >= ? GROUP BY 1, 2",
            (after, end, since),
        )
        return end, end == last, Counter({(camera, verdict): count for camera, verdict, count in found})

    def names(self, last: int, since: str = "", until: str = "") -> int:
        """How many frames, told apart by their names, the rows up to `last` are of. since, until: the first moment and the first
        one after the last, as for counts(). Raises UsageError, as rows()."""
        asked = {"last": last, "since": since, "until": until}
        with self._reading():
            found = self._db.execute(f"SELECT count(DISTINCT i.source) FROM inspections i WHERE {_WITHIN}", asked)
            return int(found.fetchone()[0])

    def judged_later(self, last: int, since: str = "", until: str = "") -> Counter[str]:
        """Of the same rows those whose frame could not be judged, or was skipped, and has a later row that judges it: how many,
        per verdict."""
        asked = {"last": last, "since": since, "until": until}
        with self._reading():
            found = self._db.execute(
                f"{_JUDGED} SELECT i.verdict, count(*) FROM inspections i JOIN judged j ON j.source = i.source "
                f"AND j.last > i.id WHERE i.verdict IN ('error', 'skipped') AND {_WITHIN} GROUP BY i.verdict",
                asked,
            )
            return Counter(dict(found.fetchall()))

    def mark(self, number: int, mark: Mark, who: str) -> Row:
        """Say whether the verdict of a row was right; the last mark counts. who: see named(). Returns the row with it.

        Raises UsageError for a row that is not there, OutputError where the mark can't be stored.
        """
        if self.row(number) is None:
            raise UsageError(f"no result has the id {number}")
        at = stamp(datetime.now(UTC), "seconds")
        try:
            self._db.execute(
                "INSERT INTO marks (inspection, mark, who, at) VALUES (?, ?, ?, ?)", (number, mark, who, at)
            )
        except sqlite3.Error as err:
            raise OutputError(f"{self.out}: the mark can't be stored: {err}") from None
        marked = self.row(number)
        assert marked is not None
        return marked


def named(who: str) -> str:
    """Who marks, as marks hold it. Raises ValueError for what is no name."""
    name = " ".join(who.split())
    if not (0 < len(name) <= MAX_NAME and name.isprintable()):
        raise ValueError(f"a name has 1 to {MAX_NAME} printable characters")
    return name


def _row(found: tuple[int, str, str | None, str, str]) -> Row:
    number, text, mark, who, at = found
    return {
        "id": number,
        **_LACKING_IN_SCHEMA_1,
        **json.loads(text),
        "mark": mark and {"mark": mark, "who": who, "at": at},
    }
