"""What several commands share: their options, and how they end."""

from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Exit(IntEnum):
    """As linters have them; 130 is what shells give for Ctrl-C."""

    NOTHING_FOUND = 0
    ANOMALIES_FOUND = 1
    NOT_DONE = 2
    INTERRUPTED = 130


class Explain(StrEnum):
    ANOMALY = "anomaly"
    ERROR = "error"
    ALL = "all"


class SaveFor(StrEnum):
    ANOMALY = "anomaly"
    ERROR = "error"
    ALL = "all"


ModelArgument = Annotated[Path, typer.Argument(metavar="MODEL", help="Model file written by python -m export.")]
ModelOption = Annotated[Path, typer.Option("--model", "-m", help="Model file written by python -m export.")]
Out = Annotated[Path, typer.Argument(metavar="OUT", help="Folder of results that inspect or watch has made.")]
Threads = Annotated[int, typer.Option(min=0, max=256, help="Threads for each frame's network; 0 chooses.")]
Threshold = Annotated[
    float | None,
    typer.Option(min=0, max=1, help="Score from which on a frame is an anomaly. Default: the model file's own."),
]
Prove = Annotated[
    bool, typer.Option("--prove", help="Judge every reject again without its boxes: would it pass then? Slow.")
]
Provider = Annotated[
    str, typer.Option(help="What runs the network: cpu, or openvino with the onnxruntime that has it.", metavar="NAME")
]
RequiredSha256 = Annotated[
    str, typer.Option("--require-sha256", metavar="HEX", help="Refuse any other model file than this one.")
]
NewOut = Annotated[Path, typer.Option("--out", "-o", help="Folder for the results; an earlier run there is continued.")]
Save = Annotated[
    str,
    typer.Option(
        help="Pictures, comma-separated: overlay, panel, input, coarse, heatmap, cutout, boxes, heat; or none."
    ),
]
SaveForOption = Annotated[SaveFor, typer.Option(help="Which frames get pictures.")]
SingleBox = Annotated[bool, typer.Option(help="One box around all defects of a frame.")]
Jobs = Annotated[int, typer.Option(min=0, max=256, help="Frames in work at once; 0 chooses.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No line per frame and no progress.")]
