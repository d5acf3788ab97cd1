"""How commands talk to people: lines on stdout for data, words and progress on stderr."""

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from edge_runtime.commands.options import Exit
from edge_runtime.errors import OutputError


class ReaderGone(OutputError):
    """Whoever read stdout has seen enough, as `head` has."""


def out(line: str) -> None:
    """Print a line of data. Raises ReaderGone where stdout is closed, OutputError where it is full."""
    try:
        print(line, flush=True)
    except OSError as err:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if err.errno in (errno.EPIPE, errno.EINVAL):  # EINVAL is what Windows calls it
            raise ReaderGone("nobody reads stdout any more") from None
        raise OutputError(f"stdout can't be written: {err.strerror}") from None


def say(words: str) -> None:
    with suppress(OSError):  # a log on a full disk must not end the inspection
        print(printable(words), file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """Without what would steer a terminal: anyone can name a file."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each == "\n" else ascii(each)[1:-1] for each in text)


def row_line(row: dict[str, Any]) -> str:
    """A result row as a line for people."""
    if row["error"] is not None:
        return one_line(f"{row['verdict']:8} {'-':>6}  {row['error']}")
    boxes = "  ".join(
        f"[{','.join(map(str, defect['box_xyxy']))}] {defect['contribution']:.0%}" for defect in row["defects"]
    )
    return one_line(f"{row['verdict']:8} {row['score']:6.3f}  {row['frame']}  {boxes}".rstrip())


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
