"""OUT/results.jsonl: the ledger's rows once more, a line each, for people and scripts."""

import json
import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

CHECKPOINT = "results.jsonl is right up to"
EVERY = 1000
"""Lines between two checkpoints."""


class Lines:
    """Equals the rows from when it is opened, whatever a crash did to the file before: torn, cut off, or all gone.

    The ledger's `meta` keeps a checkpoint, [id of a row, byte its line begins at]: up to there the file was right and synced,
    so that only what follows is compared. Lines before it that somebody edits by hand stay edited.
    """

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        """db: the ledger's; whoever calls sees to it that one thread uses it at a time. Raises OSError, sqlite3.Error."""
        self._db = db
        self._unwritten = b""
        self._since = 0
        self._last = self._begins = self._end = 0
        with open(path, "a+b") as file:
            _ = self._compare(file, *self._checkpoint()) or self._compare(file, 0, 0)
            file.truncate(self._end)
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115  # closed with the ledger
        try:
            for number, text in db.execute("SELECT id, row FROM inspections WHERE id > ? ORDER BY id", (self._last,)):
                self._add(number, text)
        except BaseException:
            self._file.close()
            raise

    def _checkpoint(self) -> tuple[int, int]:
        found = self._db.execute("SELECT value FROM meta WHERE key = ?", (CHECKPOINT,)).fetchone()
        number, at = json.loads(found[0]) if found else (0, 0)
        return number, at

    def _compare(self, file: BinaryIO, number: int, at: int) -> bool:
        """Go along the file from byte `at`, where the line of row `number` or the next begins, for as long as it is right.
        Returns whether any of it is."""
        self._since = 0
        file.seek(at)
        for last, text in self._db.execute("SELECT id, row FROM inspections WHERE id >= ? ORDER BY id", (number,)):
            line = f"{text}\n".encode()
            if file.read(len(line)) != line:
                break
            self._last, self._begins, self._end = last, at, at + len(line)
            at = self._end
            self._since += 1
        return self._since > 0

    def append(self, number: int, text: str) -> None:
        """Raises OSError, sqlite3.Error. A line that could not be written, or not all of it, goes before the next one."""
        self._add(number, text)
        if self._since >= EVERY:
            self._save()

    def _add(self, number: int, text: str) -> None:
        line = f"{text}\n".encode()
        self._last, self._begins, self._end = number, self._end, self._end + len(line)
        self._since += 1
        self._unwritten += line
        self._write()

    def _write(self) -> None:
        while self._unwritten:
            self._unwritten = self._unwritten[self._file.write(self._unwritten) :]

    def _save(self) -> None:
        os.fsync(self._file.fileno())
        checkpoint = json.dumps([self._last, self._begins])
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (CHECKPOINT, checkpoint))
        self._since = 0

    def close(self) -> None:
        """Never raises: what is missing is made good when it is opened again."""
        with suppress(OSError, sqlite3.Error):
            if self._since:
                self._write()
                self._save()
        with suppress(OSError):
            self._file.close()
