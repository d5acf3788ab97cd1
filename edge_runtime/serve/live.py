"""The state of the live page: the board's, and what the record says, as one text that all clients share."""

import json
import sqlite3
import threading
import time
from collections import Counter, OrderedDict
from typing import Any

from edge_runtime import __version__
from edge_runtime.errors import UsageError
from edge_runtime.line.record import Record, Row
from edge_runtime.serve.board import Board, brief

STRIP = 12
FRESH_S = 0.1
MOST_ASKED = 64
"""Ways to ask for the state that are kept: as many as screens may be open."""


class Live:
    def __init__(self, board: Board) -> None:
        self.board = board
        self._counts, self._latest = Counts(), Latest()
        self._texts: OrderedDict[tuple[str, str | None], tuple[int, float, str]] = OrderedDict()
        self._lock = threading.Lock()

    def text(self, since: str, camera: str | None = None) -> tuple[int, str]:
        """The board's version and the state as one line of JSON. since: rows from then on are counted. camera: whose last rejects are
        given, None for all. Blocks: reads a file."""
        with self._lock:
            version, now = self.board.version, time.monotonic()
            kept = self._texts.get((since, camera))
            if kept is None or kept[0] != version or now - kept[1] > FRESH_S:
                kept = version, now, json.dumps(self._state(since, camera))
                self._texts[since, camera] = kept
                self._texts.move_to_end((since, camera))
                if len(self._texts) > MOST_ASKED:
                    self._texts.popitem(last=False)
            return version, kept[2]

    def _state(self, since: str, camera: str | None) -> dict[str, Any]:
        state: dict[str, Any] = {"version": __version__, "since": since, "counts": {}, "rejects": [], "unjudged": []}
        state |= self.board.view()
        try:
            with Record(self.board.out) as record:
                counts = self._counts.since(since, record)
                state["counts"] = None if counts is None else _by_verdict(counts)
                for one in state["cameras"]:
                    one["counts"] = None if counts is None else _by_verdict(counts, one["name"])
                state["rejects"] = [brief(row) for row in self._latest.of(record, "anomaly", camera)]
                unjudged = self._latest.of(record, "error", camera) + self._latest.of(record, "skipped", camera)
                unjudged.sort(key=lambda row: -row["id"])
                state["unjudged"] = [brief(row) for row in unjudged[:STRIP]]
        except UsageError:
            pass  # a new folder: the worker makes it once the model is loaded
        except (sqlite3.Error, OSError) as err:
            state["trouble"] = f"the results can't be read: {err}"
        return state


def _by_verdict(counts: Counter[tuple[str, str]], of: str | None = None) -> Counter[str]:
    """of: a camera; None for all together."""
    found: Counter[str] = Counter()
    for (camera, verdict), count in counts.items():
        found[verdict] += count * (of in (None, camera))
    return +found


class Counts:
    """Rows per camera and verdict since some times. Rows stay as they are, so that only new ones are counted: a record may be long."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, tuple[int, int]], tuple[int, Counter[tuple[str, str]]]] = OrderedDict()

    def since(self, since: str, record: Record) -> Counter[tuple[str, str]] | None:
        """None until all are counted."""
        key = since, record.identity
        last, counts = self._kept.get(key, (0, Counter()))
        if last > record.last_id:  # another ledger, in spite of all
            last, counts = 0, Counter()
        last, whole, new = record.counts(since, last)
        self._kept[key] = last, counts + new
        self._kept.move_to_end(key)
        if len(self._kept) > MOST_ASKED:
            self._kept.popitem(last=False)
        return self._kept[key][1] if whole else None


class Latest:
    """The last rows of a camera per verdict. Only new rows are looked through: those of one camera may be rare."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str, tuple[int, int]], tuple[int, list[int]]] = OrderedDict()

    def of(self, record: Record, verdict: str, camera: str | None) -> list[Row]:
        """camera: None for all. Newest first."""
        if camera is None:
            return record.latest(verdict, STRIP)
        key = verdict, camera, record.identity
        last, ids = self._kept.get(key, (0, []))
        now = record.last_id
        if last > now:  # another ledger, in spite of all
            last, ids = 0, []
        ids = [*record.latest_ids(verdict, camera, last), *ids][:STRIP]
        self._kept[key] = max([now, *ids[:1]]), ids  # one may have come since `now` was asked for
        self._kept.move_to_end(key)
        if len(self._kept) > 3 * MOST_ASKED:
            self._kept.popitem(last=False)
        return [row for row in map(record.row, ids) if row]
