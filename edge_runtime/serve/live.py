"""The state of the live page: the board's, and what the record says, as one text that all clients share."""

import json
import sqlite3
import threading
import time
from collections import Counter, OrderedDict
from typing import Any

from edge_runtime import __version__
from edge_runtime.errors import UsageError
from edge_runtime.line.record import Record
from edge_runtime.serve.board import Board, brief

STRIP = 12
FRESH_S = 0.1
COUNTING_SHARE = 0.02
"""Of one core, at most, is spent on counting rows: a long record is counted less often."""
MAX_SHIFTS = 16


class Live:
    def __init__(self, board: Board) -> None:
        self.board = board
        self._counts = Counts()
        self._texts: OrderedDict[str, tuple[int, float, str]] = OrderedDict()
        self._lock = threading.Lock()

    def text(self, since: str) -> tuple[int, str]:
        """The board's version and the state as one line of JSON. since: rows from then on are counted. Blocks: reads a file."""
        with self._lock:
            version, now = self.board.version, time.monotonic()
            kept = self._texts.get(since)
            if kept is None or kept[0] != version or now - kept[1] > FRESH_S:
                kept = version, now, json.dumps(self._state(since))
                self._texts[since] = kept
                if len(self._texts) > MAX_SHIFTS:
                    self._texts.popitem(last=False)
            return version, kept[2]

    def _state(self, since: str) -> dict[str, Any]:
        state: dict[str, Any] = {"version": __version__, "since": since, "counts": {}, "rejects": [], "unjudged": []}
        state |= self.board.view()
        try:
            with Record(self.board.out) as record:
                state["counts"] = self._counts.since(since, record)
                state["rejects"] = [brief(row) for row in record.latest("anomaly", STRIP)]
                unjudged = record.latest("error", STRIP) + record.latest("skipped", STRIP)
                unjudged.sort(key=lambda row: -row["id"])
                state["unjudged"] = [brief(row) for row in unjudged[:STRIP]]
        except UsageError:
            pass  # a new folder: the worker makes it once the model is loaded
        except sqlite3.Error as err:
            state["trouble"] = f"the results can't be read: {err}"
        return state


class Counts:
    """Rows per verdict since some times, counted anew as often as COUNTING_SHARE allows."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[float, Counter[str]]] = OrderedDict()

    def since(self, since: str, record: Record) -> Counter[str]:
        started = time.monotonic()
        due, counts = self._kept.get(since, (0.0, Counter()))
        if started >= due:
            counts = record.counts(since)
            now = time.monotonic()
            self._kept[since] = now + (now - started) / COUNTING_SHARE, counts
            if len(self._kept) > MAX_SHIFTS:
                self._kept.popitem(last=False)
        return counts
