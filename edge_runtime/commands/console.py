"""How commands talk to people: lines on stdout for data, words and progress on stderr."""

import errno
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from edge_runtime.commands.options import Exit
from edge_runtime.errors import OutputError

LAST_S = 2.0
"""For which a reader may take the last lines: a watch that is stopped has to end within 5 seconds."""


class ReaderGone(OutputError):
    """Whoever read stdout has seen enough, as `head` has."""


def out(line: str) -> None:
    """Print a line of data. Raises ReaderGone where stdout is closed, OutputError where it is full."""
    try:
        print(line, flush=True)
    except OSError as err:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise _told(err) from None


def _told(err: OSError) -> OutputError:
    if err.errno in (errno.EPIPE, errno.EINVAL):  # EINVAL is what Windows calls it
        return ReaderGone("nobody reads stdout any more")
    return OutputError(f"stdout can't be written: {err.strerror}")


class Unhurried:
    """Lines of data on stdout from a thread of its own: whoever reads them slowly slows us down, whoever stops reading does not
    stop us. Use as a context manager."""

    def __init__(self, wait_s: float = 30.0, lines: int = 100) -> None:
        """wait_s: for how long a line may find no room before nobody is taken to read. (A pipe has room again only after a page,
        some ten rows.) lines: kept meanwhile."""
        self._wait_s = wait_s
        self._told = False
        self._lines: queue.Queue[str | None] = queue.Queue(lines)
        self._failed: OutputError | None = None
        self._thread = threading.Thread(target=self._print, daemon=True)
        self._thread.start()

    def out(self, line: str) -> None:
        """Raises OutputError where nobody reads, also that of an earlier line."""
        if self._failed is None:
            try:
                self._lines.put(line, timeout=self._wait_s)
                return
            except queue.Full:
                self._failed = OutputError(f"nobody has read stdout for {self._wait_s:g} s")
        self._told = True
        raise self._failed

    def __enter__(self) -> "Unhurried":
        return self

    def __exit__(self, *_: object) -> None:
        """Wait until all lines are printed, but not for nobody."""
        with suppress(queue.Full):
            self._lines.put(None, timeout=0 if self._failed else LAST_S)
            self._thread.join(LAST_S)
        if not self._told and (self._failed or self._thread.is_alive()):
            say(f"warning: {self._failed or 'stdout is read too slowly'}; its last lines are missing")

    def _print(self) -> None:
        while (line := self._lines.get()) is not None:
            if self._failed is None:
                try:
                    _write(f"{line}{os.linesep}".encode(sys.stdout.encoding, "backslashreplace"))
                except OSError as err:
                    self._failed = _told(err)


def _write(data: bytes) -> None:
    """Past the buffer of sys.stdout: Python could not end while a thread that waits for a reader holds its lock."""
    raw: Any = getattr(sys.stdout.buffer, "raw", sys.stdout.buffer)  # with PYTHONUNBUFFERED there is no buffer
    while data:
        written = raw.write(data)
        if written is None:  # somebody made it non-blocking
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        data = data[written:]


def say(words: str) -> None:
    with suppress(OSError):  # a log on a full disk must not end the inspection
        print(printable(words), file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """Without what would steer a terminal: anyone can name a file."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each == "\n" else ascii(each)[1:-1] for each in text)


PROVED = {True: "would pass without", False: "a reject without, too"}


def row_line(row: dict[str, Any]) -> str:
    """A result row as a line for people."""
    if row["error"] is not None:
        return one_line(f"{row['verdict']:8} {'-':>6}  {row['error']}")
    boxes = "  ".join(
        f"[{','.join(map(str, defect['box_xyxy']))}] {defect['contribution']:.0%}" for defect in row["defects"]
    )
    proof = f"  {PROVED[row['proof']['without_boxes']['flips']]}" if row["proof"] else ""
    return one_line(f"{row['verdict']:8} {row['score']:6.3f}  {row['frame']}  {boxes}{proof}".rstrip())


def one_line(text: str) -> str:
    return printable(text).replace("\n", "\\n")


@contextmanager
def bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr where that is a terminal; yields what to tell it: done, total."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as shown:
        task = shown.add_task(what)
        yield lambda done, total: shown.update(task, completed=done, total=total)


def stop(said: str = "stopped; what was judged is kept, and the same command continues") -> None:
    """Ctrl-C: typer would end with 1, which means "anomalies found" here."""
    say(f"\n{said}")
    raise SystemExit(Exit.INTERRUPTED)
