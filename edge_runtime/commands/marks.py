"""`mark` and `collect`: what people know better goes back into the training."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from edge_runtime.commands import console
from edge_runtime.commands.options import Exit, Out
from edge_runtime.errors import UsageError

if TYPE_CHECKING:
    from edge_runtime.line.record import Record, Row


def mark(
    out: Out,
    verdict_was: Annotated[Literal["right", "wrong"], typer.Argument(help="Whether their verdict was right or wrong.")],
    names: Annotated[
        list[str], typer.Argument(metavar="FRAME...", help="Frames by their names in the results, or by their paths.")
    ],
    who: Annotated[
        str, typer.Option(metavar="NAME", help="Who says so. Default: the name you are logged in with.")
    ] = "",
) -> None:
    """Say of frames whether their verdict was right.

    A part that passed and turned out to be defective: mark its frame wrong. The last mark of a frame counts; results, report and
    collect tell of it. The operator screen marks, too.

    Example: edge-detect mark OUT wrong line1/0815.png --who Petra
    """
    from edge_runtime.line.record import Record

    who = _name(who)
    with Record(out) as record:
        rows = [_row(record, name) for name in names]  # all of them are known before one is marked
        for row in rows:
            record.mark(row["id"], verdict_was, who)
            console.say(console.one_line(f"{row['frame']}: {row['verdict']}, which was {verdict_was}, says {who}"))


def collect(
    out: Out,
    data: Annotated[
        Path,
        typer.Option("--data", "-d", metavar="DATA", help="Folder of a training: copies go to its good/ and anomaly/."),
    ],
    folder: Annotated[
        Path | None,
        typer.Option("--frames", metavar="FOLDER", help="Where the frames lie now. Default: where they were judged."),
    ] = None,
) -> None:
    """Copy marked frames to good/ and anomaly/ of a training.

    Passed wrongly is an anomaly, rejected wrongly is good. Prints where each copy lies; what lies there already stays as it is, so it
    can be run again and again. Exit code 2 where a marked frame is gone or was written again since.

    Example: edge-detect collect OUT --data DATA
    """
    from edge_runtime.line.marked import collect as collected
    from edge_runtime.line.record import Record

    new = {"good": 0, "anomaly": 0}
    old = failed = 0
    with Record(out) as record:
        for one in collected(record, folder, data):
            if one.path is None:
                failed += 1
                console.say(f"error: {console.one_line(f'{one.frame} {one.problem}')}")
                continue
            new[one.label] += one.new
            old += not one.new
            console.out(console.one_line(str(one.path)))
    console.say(
        f"{new['good']} new frames in {data / 'good'}, {new['anomaly']} in {data / 'anomaly'}; {old} lay there already"
        + (f"; {failed} could not be copied" if failed else "")
    )
    if failed:
        raise SystemExit(Exit.NOT_DONE)


def _name(who: str) -> str:
    import getpass

    from edge_runtime.line.record import MAX_NAME, named

    try:
        return named(who or getpass.getuser())
    except (ImportError, KeyError, OSError, ValueError):  # a service may have no name
        raise UsageError(f"--who: expected a name of at most {MAX_NAME} characters; a mark says whose it is") from None


def _row(record: "Record", name: str) -> "Row":
    """The last row of a frame. Raises UsageError."""
    from edge_runtime import frames
    from edge_runtime.line.marked import frames_folder

    row = record.of(name)
    path = frames.absolute(name)
    if row is None and path.is_relative_to(frames_folder(record)):
        row = record.of(frames.printable(path.relative_to(frames_folder(record)).as_posix()))
    if row is None:
        raise UsageError(
            f"{name}: no frame of this name was judged; expected one of the names that `edge-detect results {record.out}` prints"
        )
    if row["score"] is None:
        raise UsageError(f"{name}: has no verdict that could be right or wrong: {row['error']}")
    return row
