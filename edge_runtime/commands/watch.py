"""`watch`: judge frames as they arrive, for years."""

import os
from base64 import b64decode
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_runtime.commands import console, running, summary
from edge_runtime.commands.options import (
    Jobs,
    ModelOption,
    NewOut,
    Prove,
    Provider,
    Quiet,
    RequiredSha256,
    Save,
    SaveFor,
    SaveForOption,
    SingleBox,
    Threads,
    Threshold,
)
from edge_runtime.errors import UsageError, require
from edge_runtime.line.events import Done, Event, Failed, Preview, Ready, Status
from edge_runtime.line.heartbeat import Heartbeat
from edge_runtime.line.job import Job, Watching
from edge_runtime.line.supervisor import Supervisor

if TYPE_CHECKING:
    from edge_runtime.serve.board import Board

SKIP_AFTER_S = 10.0


def watch(
    folders: Annotated[list[str], typer.Argument(metavar="DIR", hidden=True)],
    model: ModelOption,
    out: NewOut,
    save: Save = "overlay",
    save_for: SaveForOption = SaveFor.ANOMALY,
    threshold: Threshold = None,
    single_box: SingleBox = False,
    prove: Prove = False,
    check_first: Annotated[
        bool, typer.Option("--check/--no-check", help="Replay one golden anomaly at every start.")
    ] = True,
    require_sha256: RequiredSha256 = None,
    provider: Provider = "",
    jobs: Jobs = 0,
    threads: Threads = 0,
    settle_ms: Annotated[
        float,
        typer.Option(
            metavar="MS", min=0, help="A file that nobody closes is read when it has not changed for so long."
        ),
    ] = 500,
    incomplete_after: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="A file that stays unreadable for so long is an error.")
    ] = 10,
    rescan: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="Time between two looks at all files, at least.")
    ] = 5,
    poll: Annotated[
        bool, typer.Option("--poll", help="Look only, without events: for network shares, which send none.")
    ] = False,
    newest_first: Annotated[
        bool, typer.Option("--newest-first", help="When frames pile up, judge the newest and skip those that wait.")
    ] = False,
    skip_after: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help=f"With --newest-first: a frame that waits longer is skipped. Default: {SKIP_AFTER_S:g}.",
        ),
    ] = None,
    keep_days: Annotated[
        float,
        typer.Option(min=0, max=36_500, metavar="DAYS", help="Delete pictures that are older; rows stay. 0 keeps all."),
    ] = 0,
    max_gb: Annotated[
        float,
        typer.Option(min=0, max=1e9, metavar="GB", help="Delete the oldest pictures beyond so much. 0 keeps all."),
    ] = 0,
    serve: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Show an operator screen there, e.g. 127.0.0.1:8080.")
    ] = "",
    serve_token: Annotated[
        str,
        typer.Option(
            metavar="SECRET", envvar="EDGE_DETECT_TOKEN", help="Who asks must know it. Needed beyond this PC."
        ),
    ] = "",
    quiet: Quiet = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result rows instead of a line per frame.")] = False,
) -> None:
    """Judge frames as cameras write them, until it is stopped.

    DIR are the folders that cameras write frames to; several are several cameras. Ctrl-C or SIGTERM ends it. Each frame
    gets exactly one result, also after a power cut.

    Example: edge-detect watch line1/ -m part.onnx -o OUT --serve 127.0.0.1:8080
    """
    for folder in folders:
        if not os.path.isdir(folder):
            what = "is no folder" if os.path.exists(folder) else "no such folder"
            raise UsageError(f"{folder}: {what}; watch needs the folders that cameras write to")
    if skip_after is not None and not newest_first:
        raise UsageError(f"--skip-after {skip_after:g}: needs --newest-first; otherwise no frame is skipped")
    job = Job(
        inputs=tuple(folders),
        model=str(model),
        out=str(out),
        kinds=running.kinds(save),
        save_for=save_for,
        threshold=threshold,
        single_box=single_box,
        prove=prove,
        check_first=check_first,
        sha256=require_sha256 or "",
        provider=provider,
        jobs=jobs,
        threads=threads,
        screen=bool(serve),
        watching=Watching(
            settle_s=settle_ms / 1000,
            incomplete_s=incomplete_after,
            rescan_s=rescan,
            poll=poll,
            newest_first=newest_first,
            skip_after_s=SKIP_AFTER_S if skip_after is None else skip_after,
            keep_days=keep_days,
            max_gb=max_gb,
        ),
    )
    watched = Watched(f"{', '.join(folders)} with {model} into {out}", out, _board(serve, serve_token, out, model.stem))
    form = "json" if as_json else "none" if quiet else "lines"
    tally = running.follow(job, form, watched.told, lambda _: watched.heartbeat.stopping())
    if not quiet:
        summary.show(tally)
    console.say(f"stopped; since the start {summary.told(tally, out)}; the same command goes on")


class Watched:
    """Passes on what the workers tell: to the heartbeat, and to the operator screen."""

    def __init__(self, what: str, out: Path, board: "Board | None") -> None:
        """what: is watched, in words."""
        self.heartbeat, self._what, self._board = Heartbeat(out), what, board
        self._counts: Counter[str] = Counter()
        self._before = 0
        self._unsearched: list[str] = []

    def told(self, event: Event, supervisor: Supervisor) -> None:
        if isinstance(event, Ready):
            if not self._before and not self._counts:
                console.say(f"watching {self._what}")
            self._before = self._counts.total()
            self.heartbeat.ready()
            self.health("running")
            if self._board is not None:
                self._board.ready(event.product, event.model, event.cameras)
        elif isinstance(event, Status):
            status = self._of_all(event)
            for folder in status.unsearched:
                if folder not in self._unsearched:
                    console.say(f"warning: frames can't be looked for in {folder}; trying again")
            if self._unsearched and not status.unsearched:
                console.say("note: frames can be looked for everywhere again")
            self._unsearched = status.unsearched
            self.heartbeat.beat(status, supervisor.restarts)
            if self._board is not None:
                self._board.status(status)
        elif isinstance(event, Done):
            self._counts[event.row["verdict"]] += 1
            if self._board is not None and not event.repeated:
                self._board.done(event.row)
        elif isinstance(event, Failed):
            self.health(f"failed: {event.message}; trying again" if event.message else "restarting")
        elif isinstance(event, Preview) and self._board is not None:
            self._board.preview(event.row, b64decode(event.jpeg))

    def health(self, worker: str) -> None:
        if self._board is not None:
            self._board.health(worker)

    def _of_all(self, now: Status) -> Status:
        """Of all workers of this run: what one left waiting, the next has found again."""
        return replace(
            now,
            seen=self._before + now.seen,
            done=self._counts["good"] + self._counts["anomaly"],
            error=self._counts["error"],
            skipped=self._counts["skipped"],
        )


def _board(address: str, token: str, out: Path, product: str) -> "Board | None":
    if not address:
        return None
    require("starlette", "uvicorn", "prometheus_client", extra="serve")
    from edge_runtime.serve.board import Board
    from edge_runtime.serve.server import start

    host, _, port = address.rpartition(":")
    if not (host and port.isascii() and port.isdigit() and int(port) < 2**16):
        raise UsageError(f"--serve {address}: expected HOST:PORT, for example 127.0.0.1:8080")
    if not (token.isascii() and token.isprintable()):  # a browser and a script would each write it in its own way
        raise UsageError("--serve-token: expected ASCII letters, digits and signs")
    board = Board(out, product)
    console.say(f"operator screen: {start(board, host.strip('[]'), int(port), token or None).url}")
    return board
