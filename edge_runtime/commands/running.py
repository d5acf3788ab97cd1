"""What inspect, watch and demo share: a supervised run, followed to its end and told to people."""

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import FrameType

from edge_runtime.commands import console
from edge_runtime.commands.options import Exit
from edge_runtime.commands.progress import Progress
from edge_runtime.commands.summary import Tally
from edge_runtime.errors import OutputError, UsageError
from edge_runtime.line.events import Done, Event
from edge_runtime.line.job import Job
from edge_runtime.line.supervisor import SIGNALS, Supervisor
from edge_runtime.views import PICTURES

LEAVE_S = 4.7


def kinds(save: str) -> tuple[str, ...]:
    """`--save` as names. Raises UsageError for a picture that does not exist."""
    found = tuple(dict.fromkeys(kind.strip() for kind in save.split(",") if kind.strip() not in ("", "none")))
    unknown = sorted(set(found) - set(PICTURES))
    if unknown:
        raise UsageError(f"--save {','.join(unknown)}: no such picture; there are {', '.join(PICTURES)}")
    return found


def follow(
    job: Job,
    form: str = "lines",
    told: Callable[[Event, Supervisor], None] = lambda _, __: None,
    stopped: Callable[[Tally], None] = lambda _: None,
) -> Tally:
    """Run a job to its end. Returns what it has come to.

    form: of the rows on stdout, `lines`, `json` or `none`. told: of every event. stopped: told what the run has come to when a
    signal has stopped it. Raises EdgeDetectError.
    """
    supervisor = Supervisor(job, console.say)
    tally = Tally()
    unhurried = job.watching and form != "none" and not sys.stdout.isatty()  # a terminal that is held holds stderr, too
    with (
        Progress(job.watching is not None, shown=form != "none") as progress,
        _signals(supervisor, job.watching is not None) as signalled,
        console.Unhurried() if unhurried else nullcontext(console) as printer,
    ):
        for event in supervisor.run():
            tally.add(event)
            if isinstance(event, Done) and not event.repeated and form != "none":
                form = _printed(event, form, printer.out, job.watching is not None)
            progress.show(event, tally)
            told(event, supervisor)
    if signalled:
        stopped(tally)
    return tally


def _stored(event: Done) -> dict[str, object]:
    """The row as it stands in results.jsonl."""
    return {key: value for key, value in event.row.items() if key != "id"}


def _printed(event: Done, form: str, out: Callable[[str], None], watching: bool) -> str:
    """Print a row. Returns the form to go on with: a watch outlives whoever reads it."""
    line = json.dumps(_stored(event)) if form == "json" else console.row_line(event.row)
    try:
        out(line)
    except OutputError as err:
        if watching:
            console.say(f"warning: {err}; going on without")
            return "none"
        if isinstance(err, console.ReaderGone):
            raise
        raise OutputError(f"{err}; what was judged is kept, and the same command continues") from None
    return form


@contextmanager
def _signals(supervisor: Supervisor, watching: bool) -> Iterator[list[int]]:
    """Ctrl-C and SIGTERM let what is in work finish; a second one does not. Yields those that came."""
    came: list[int] = []

    def stop(number: int, _: FrameType | None) -> None:
        came.append(number)
        if len(came) > 1:
            _leave(supervisor, Exit.INTERRUPTED)
        supervisor.stop()
        # Whoever reads our output may hold us up for ever; a signal is answered all the same.
        late = threading.Timer(LEAVE_S, _leave, (supervisor, Exit.NOTHING_FOUND if watching else Exit.INTERRUPTED))
        late.daemon = True
        late.start()

    before = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(supervisor: Supervisor, code: Exit) -> None:
    supervisor.kill()
    os._exit(code)


def listed(inputs: list[str]) -> str:
    """What came on stdin, where `-` asks for it."""
    return sys.stdin.buffer.read().decode("utf-8", "surrogateescape") if "-" in inputs else ""
