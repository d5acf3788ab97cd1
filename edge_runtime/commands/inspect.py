"""`inspect`: judge frames that are there."""

from collections import Counter
from typing import Annotated

import typer

from edge_runtime.commands import console, running, summary
from edge_runtime.commands.options import (
    Exit,
    Explain,
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
from edge_runtime.line.events import Event, Ready
from edge_runtime.line.job import Job
from edge_runtime.line.record import NOT_SEARCHED
from edge_runtime.line.supervisor import Supervisor


def inspect(
    frames: Annotated[
        list[str],
        typer.Argument(metavar="FRAMES", hidden=True),
    ],
    model: ModelOption,
    out: NewOut,
    save: Save = "overlay",
    save_for: SaveForOption = SaveFor.ANOMALY,
    threshold: Threshold = None,
    single_box: SingleBox = False,
    explain: Annotated[
        Explain, typer.Option(help="Which frames get the fine map; good ones need it for their pictures only.")
    ] = Explain.ANOMALY,
    prove: Prove = False,
    check_first: Annotated[
        bool,
        typer.Option(
            "--check/--no-check",
            help="Replay the file's golden frames first, as edge-detect check does, but only one anomaly.",
        ),
    ] = True,
    require_sha256: RequiredSha256 = None,
    provider: Provider = "",
    jobs: Jobs = 0,
    threads: Threads = 0,
    quiet: Quiet = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the new result rows instead of a line per new frame.")
    ] = False,
    exit_zero: Annotated[bool, typer.Option("--exit-zero", help="Exit 0 also when anomalies were found.")] = False,
) -> None:
    """Judge frames: good or anomaly, where, and why. The default.

    FRAMES are folders, image files, globs, list files (.txt), or - for a list on stdin. What an earlier run has judged
    into OUT is not judged again.

    Example: edge-detect inspect line1/ -m part.onnx -o OUT --save overlay,panel
    """
    job = Job(
        inputs=tuple(frames),
        listed=running.listed(frames),
        model=str(model),
        out=str(out),
        kinds=running.kinds(save),
        save_for=save_for,
        threshold=threshold,
        single_box=single_box,
        explain_all=explain is Explain.ALL,
        prove=prove,
        check_first=check_first,
        sha256=require_sha256 or "",
        provider=provider,
        jobs=jobs,
        threads=threads,
    )
    form = "json" if as_json else "none" if quiet else "lines"

    def tell(tally: summary.Tally) -> None:
        if quiet:
            return
        summary.show(tally)
        console.say(summary.told(tally, out))
        if tally.counts["proved"]:
            console.say(f"{tally.counts['explained']} of {tally.counts['proved']} rejects pass without their boxes")

    def stopped(tally: summary.Tally) -> None:
        if tally.total:
            tell(tally)
        console.stop()

    noted: set[str] = set()

    def told(event: Event, _: Supervisor) -> None:
        for folder in event.passed_over if isinstance(event, Ready) else ():  # of each worker: another may follow
            if folder not in noted:
                console.say(f"note: {folder} {NOT_SEARCHED}")
                noted.add(folder)

    tally = running.follow(job, form, told, stopped)
    tell(tally)
    raise typer.Exit(_exit_code(tally.counts, exit_zero))


def _exit_code(counts: Counter[str], exit_zero: bool) -> Exit:
    if counts["error"]:
        return Exit.NOT_DONE
    return Exit.ANOMALIES_FOUND if counts["anomaly"] and not exit_zero else Exit.NOTHING_FOUND
