"""What several commands share: their options, and how they end."""

import re
from collections.abc import Callable
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Annotated

import typer

from edge_runtime.errors import UsageError


class Exit(IntEnum):
    """As linters have them; 130 and 141 are what shells give for Ctrl-C and for a reader that has gone away."""

    NOTHING_FOUND = 0
    ANOMALIES_FOUND = 1
    NOT_DONE = 2
    INTERRUPTED = 130
    READER_GONE = 141


class Explain(StrEnum):
    ANOMALY = "anomaly"
    ALL = "all"


class SaveFor(StrEnum):
    ANOMALY = "anomaly"
    ERROR = "error"
    ALL = "all"


ModelArgument = Annotated[Path, typer.Argument(metavar="MODEL", help="Model file written by python -m export.")]
ModelOption = Annotated[
    Path, typer.Option("--model", "-m", metavar="FILE", help="Model file written by python -m export.")
]
Out = Annotated[Path, typer.Argument(metavar="OUT", help="Folder of results that inspect or watch has made.")]
Since = Annotated[
    str, typer.Option(metavar="TIME", help="Only what was inspected from then on; ISO 8601, local unless it says else.")
]
Until = Annotated[
    str,
    typer.Option(
        metavar="TIME", help="Only what was inspected before then; where it is a day, until this day is over."
    ),
]
Threads = Annotated[int, typer.Option(metavar="N", min=0, max=256, help="Threads for each frame's network; 0 chooses.")]
Threshold = Annotated[
    float | None,
    typer.Option(
        metavar="SCORE", min=0, max=1, help="Score from which on a frame is an anomaly. Default: the model file's own."
    ),
]
Prove = Annotated[
    bool, typer.Option("--prove", help="Judge every reject again without its boxes: would it pass then? Slow.")
]
Provider = Annotated[
    str,
    typer.Option(
        help="What runs the network: cpu, or openvino with the onnxruntime that has it. inspect and watch take by themselves what benchmark --tune found.",
        metavar="NAME",
    ),
]


def _sha256(text: str) -> str:
    digits = text.strip().lower().removeprefix("sha256:")
    if not re.fullmatch("[0-9a-f]{64}", digits):
        raise typer.BadParameter(f"expected the 64 hex digits that edge-detect info MODEL prints, got {text!r}")
    return digits


RequiredSha256 = Annotated[
    str | None,
    typer.Option("--require-sha256", metavar="HEX", help="Refuse any other model file than this one.", parser=_sha256),
]


def _folder(text: str) -> Path:
    if not text.strip():  # a variable of a script that is not set
        raise typer.BadParameter("expected a folder, nothing came")
    return Path(text)


NewOut = Annotated[
    Path,
    typer.Option(
        "--out",
        "-o",
        metavar="OUT",
        help="Folder for the results; an earlier run there is continued.",
        parser=_folder,
    ),
]
Save = Annotated[
    str,
    typer.Option(
        metavar="KINDS",
        help="Pictures, comma-separated: overlay, panel, input, coarse, heatmap, cutout, boxes, heat; or none.",
    ),
]
SaveForOption = Annotated[
    SaveFor,
    typer.Option(
        help="anomaly: pictures of rejects. error: also the files of frames that could not be judged, in OUT/error. all: "
        "also pictures of good frames."
    ),
]
SingleBox = Annotated[bool, typer.Option("--single-box", help="One box around all defects of a frame.")]
Jobs = Annotated[int, typer.Option(metavar="N", min=0, max=256, help="Frames in work at once; 0 chooses.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No line per frame, no progress, no summary.")]


def period(since: str, until: str) -> tuple[str, str]:
    """The first moment, and the first one after the last, as `inspected_at` is written; empty for no limit. Raises UsageError."""
    from edge_runtime.line.record import as_stored, end_as_stored

    begin, end = _moment("--since", since, as_stored), _moment("--until", until, end_as_stored)
    if end and end <= begin:
        raise UsageError(f"--until {until}: is not after --since {since}; expected a later day or time")
    return begin, end


def _moment(option: str, text: str, stored: Callable[[str], str]) -> str:
    try:
        return stored(text)
    except ValueError:
        raise UsageError(
            f"{option} {text}: no time; expected ISO 8601, such as 2026-11-24 or 2026-11-24T06:00Z"
        ) from None
