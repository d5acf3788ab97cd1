"""`inspect`: judge frames that are there."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from edge_runtime.commands import console, running
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
from edge_runtime.line.job import Job


def inspect(
    frames: Annotated[
        list[str],
        typer.Argument(
            metavar="FRAMES...", help="Folders, image files, globs, list files (.txt), or - for a list on stdin."
        ),
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
        typer.Option("--check/--no-check", help="Replay the file's golden frames first, as edge-detect check does."),
    ] = True,
    require_sha256: RequiredSha256 = "",
    provider: Provider = "cpu",
    jobs: Jobs = 0,
    threads: Threads = 0,
    quiet: Quiet = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the new result rows instead of a line per new frame.")
    ] = False,
    exit_zero: Annotated[bool, typer.Option(help="Exit 0 also when anomalies were found.")] = False,
) -> None:
    """Judge frames: verdict, score, boxes with what each contributes, pictures. [dim](default command)[/]

    Example: edge-detect inspect line1/ -m part.onnx -o results --save overlay,panel
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
        sha256=require_sha256,
        provider=provider,
        jobs=jobs,
        threads=threads,
    )
    counts = running.follow(job, "json" if as_json else "none" if quiet else "lines", stopped=console.stop)
    _summarise(counts, out)
    raise typer.Exit(_exit_code(counts, exit_zero))


def _summarise(counts: Counter[str], out: Path) -> None:
    verdicts = ("good", "anomaly", "error")
    judged = ", ".join(f"{counts[verdict]} {verdict}" for verdict in verdicts)
    if counts["skipped"]:
        judged += f", {counts['skipped']} skipped"
    total = sum(counts[verdict] for verdict in (*verdicts, "skipped"))
    earlier = ""
    if counts["repeated"]:
        earlier = f" ({counts['repeated']} of them by an earlier run: no new rows and no new pictures)"
    console.say(f"{total} frame{'' if total == 1 else 's'}: {judged}{earlier}. Results are in {out}")
    if counts["proved"]:
        console.say(f"{counts['explained']} of {counts['proved']} rejects pass without their boxes")


def _exit_code(counts: Counter[str], exit_zero: bool) -> Exit:
    if counts["error"]:
        return Exit.NOT_DONE
    return Exit.ANOMALIES_FOUND if counts["anomaly"] and not exit_zero else Exit.NOTHING_FOUND
