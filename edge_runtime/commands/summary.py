"""What a run has come to: counted as it goes on, told in a table at its end."""

import re
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from edge_runtime.commands.console import printable
from edge_runtime.line.events import Done, Event, Ready

VERDICTS = ("good", "anomaly", "error", "skipped")
REASONS_TOLD, REASONS_KEPT = 5, 50
"""Reasons for errors; a watch that runs for years must not collect them without end."""
UNITS = ((86_400.0, "days"), (3600.0, "h"), (60.0, "min"))


class Tally:
    """counts: frames per verdict, and under `repeated`, `proved` and `explained` what else they were. reasons: why frames
    could not be judged by this run."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self._ready: float | None = None

    def add(self, event: Event) -> None:
        if isinstance(event, Ready):
            self._ready = self._ready or time.monotonic()
            if event.total is not None:
                self._take_over(event.earlier)
        elif isinstance(event, Done):
            self.counts[event.row["verdict"]] += 1
            self.counts["repeated"] += event.repeated
            if event.row["verdict"] == "error":
                reason = _reason(event.row["frame"], event.row["error"])
                if reason in self.reasons or len(self.reasons) < REASONS_KEPT:
                    self.reasons[reason] += 1
            if event.row.get("proof"):
                self.counts["proved"] += 1
                self.counts["explained"] += event.row["proof"]["without_boxes"]["flips"]

    def _take_over(self, earlier: dict[str, int]) -> None:
        """earlier: frames that had a row already, some of them by a worker of this run that died."""
        by_this_run = self.total - self.counts["repeated"]
        self.counts.update({verdict: earlier.get(verdict, 0) - self.counts[verdict] for verdict in VERDICTS})
        self.counts["repeated"] = sum(earlier.values()) - by_this_run

    @property
    def total(self) -> int:
        return sum(self.counts[verdict] for verdict in VERDICTS)

    def pace(self) -> str:
        """Time since the model was loaded, and frames per second."""
        seconds = time.monotonic() - (self._ready or time.monotonic())
        size, unit = next((each for each in UNITS if seconds >= each[0]), (1.0, "s"))
        spent, new = f"{seconds / size:.1f} {unit}", self.total - self.counts["repeated"]
        return f"{spent}, {new / seconds:.1f} frames/s" if new else spent

    def why(self) -> str:
        """The reasons for errors, a line each."""
        told = self.reasons.most_common(REASONS_TOLD)
        more = self.counts["error"] - sum(count for _, count in told)
        rest = [("told by edge-detect results OUT --verdict error", more)] if more else []
        return "\n".join(f"{count} × {words}" for words, count in told + rest)


def show(tally: Tally) -> None:
    """The table, on stderr."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    table.add_column(no_wrap=True, justify="right")
    table.add_column(overflow="fold")
    table.add_row("verdict", "frames", "share", style="dim")
    for verdict in VERDICTS:
        count = tally.counts[verdict]
        if count or verdict != "skipped":
            why = Text(tally.why() if verdict == "error" else "")
            table.add_row(verdict, str(count), f"{count / tally.total:.2%}" if count else "-", why)
    with suppress(OSError):
        Console(stderr=True, highlight=False).print(table)


def told(tally: Tally, out: Path) -> str:
    """What stands below the table."""
    frames, earlier = f"{tally.total} frame{'' if tally.total == 1 else 's'}", ""
    if tally.counts["repeated"]:
        earlier = f" ({tally.counts['repeated']} of them by an earlier run: no new rows and no new pictures)"
    return f"{frames} in {tally.pace()}{earlier}. Results are in {out}"


def _reason(frame: str, error: str) -> str:
    """Without what differs from frame to frame, so that frames that failed alike are counted together."""
    return re.sub(r"\d[\d,.]*", "…", printable(error.removeprefix(frame).strip(" :")))
