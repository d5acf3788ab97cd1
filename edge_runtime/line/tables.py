"""The tables of OUT/ledger.sqlite, and how a ledger of an earlier edge-detect is brought up to date."""

import sqlite3
from pathlib import Path

from edge_runtime import __version__
from edge_runtime.errors import OutputError
from edge_runtime.line.record import SCHEMA_VERSION

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
_PICTURES = """
DROP TABLE IF EXISTS pictures;
CREATE TABLE pictures (inspection INTEGER PRIMARY KEY);
INSERT INTO pictures SELECT id FROM inspections WHERE json_extract(row, '$.pictures') <> '{}'
"""
"""The rows whose pictures are not deleted yet; of a ledger without this table, all that name some."""


def prepare(db: sqlite3.Connection, out: Path) -> None:
    """Make the tables, or bring them up to date; all of it or nothing. Rows stay as they are.

    Raises OutputError, and changes nothing, for a ledger of a newer edge-detect; sqlite3.Error.
    """
    schema = _schema(db)
    if schema not in (None, "1", str(SCHEMA_VERSION)):
        raise OutputError(
            f"{out}: holds results of schema {schema}; that needs a newer edge-detect (this one, {__version__}, knows "
            f"schema {SCHEMA_VERSION}); update it, or choose another --out"
        )
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    if schema == str(SCHEMA_VERSION) and _has(db, "pictures"):
        return
    with db:
        db.execute("BEGIN IMMEDIATE")
        if schema == "1":
            db.execute("ALTER TABLE inspections RENAME TO inspections_1")
        _execute(db, _TABLES)
        if schema == "1":
            db.execute(
                "INSERT INTO inspections SELECT id, source, sha256, json_extract(row, '$.verdict'), "
                "json_extract(row, '$.inspected_at'), row FROM inspections_1 ORDER BY id"
            )
            db.execute("DROP TABLE inspections_1")
        _execute(db, _PICTURES)
        db.execute("INSERT OR REPLACE INTO meta VALUES ('schema', ?)", (str(SCHEMA_VERSION),))


def _schema(db: sqlite3.Connection) -> str | None:
    """None for a ledger that is still to be made."""
    found = _has(db, "meta") and db.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
    return str(found[0]) if found else None


def _has(db: sqlite3.Connection, table: str) -> bool:
    return db.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone() is not None


def _execute(db: sqlite3.Connection, statements: str) -> None:
    """Unlike executescript, within the transaction."""
    for statement in statements.split(";"):
        db.execute(statement)
