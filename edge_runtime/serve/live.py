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
MAX_SHIFTS = 16
"""Ways to ask for the state, each kept for a while: since when is counted, and the camera that is looked at."""


class Live:
    def __init__(self, board: Board) -> None:
        self.board = board
        self._counts = Counts()
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
                if len(self._texts) > MAX_SHIFTS:
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
                state["rejects"] = [brief(row) for row in record.latest("anomaly", STRIP, camera)]
                unjudged = record.latest("error", STRIP, camera) + record.latest("skipped", STRIP, camera)
                unjudged.sort(key=lambda row: -row["id"])
                state["unjudged"] = [brief(row) for row in unjudged[:STRIP]]
        except UsageError:
            pass  # a new folder: the worker makes it once the model is loaded
        except sqlite3.Error as err:
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
        self._kept: OrderedDict[str, tuple[int, Counter[tuple[str, str]]]] = OrderedDict()

    def since(self, since: str, record: Record) -> Counter[tuple[str, str]] | None:
        """None until all are counted."""
        last, counts = self._kept.get(since, (0, Counter()))
        last, whole, new = record.counts(since, last)
        self._kept[since] = last, counts + new
        if len(self._kept) > MAX_SHIFTS:
            self._kept.popitem(last=False)
        return self._kept[since][1] if whole else None
