"""`evaluate`: how good is a model file, on frames whose class is known?"""

import json
import os
import signal
from pathlib import Path
from typing import Annotated

import typer

from edge_runtime.commands import console
from edge_runtime.commands.options import Exit, ModelOption, Prove, Threads, Threshold
from edge_runtime.errors import require


def evaluate(
    frames: Annotated[
        Path,
        typer.Argument(
            metavar="FRAMES", help="Folder with good/ and anomaly/, or the same under test/, or the MVTec layout."
        ),
    ],
    model: ModelOption,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for evaluation.json, frames.jsonl and the worst.")
    ],
    truth: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Where the defects are: a truth.json, or a folder of masks. Adds how well they are located.",
        ),
    ] = None,
    threshold: Threshold = None,
    prove: Prove = False,
    threads: Threads = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print evaluation.json instead of the table.")] = False,
) -> None:
    """Measure escapes and false rejects on frames of known class.

    And what they promise: escapes and false rejects come with their bounds at 95 % confidence.

    Example: edge-detect evaluate test/ -m part.onnx -o evaluation
    """
    require("sklearn", extra="evaluate")
    from edge_runtime.evaluation import evaluate as evaluation
    from edge_runtime.inspector import Inspector
    from edge_runtime.model import Model

    inspector = Inspector(Model.load(model, threads), threshold, prove=prove, explain_all=truth is not None)
    evaluation.prepare_out(out, frames)
    signal.signal(signal.SIGINT, lambda *_: console.stop("stopped; nothing was written"))
    with console.bar("evaluating") as progress:
        found = evaluation.evaluate(frames, inspector, truth, progress)
    evaluation.write(out, found, inspector)
    console.out(json.dumps(found.figures) if as_json else evaluation.table(found.figures))
    if found.learned:
        console.say(
            "warning: these are the very frames that the model was trained on and calibrated with; they promise nothing of others"
        )
    folders = [name for name, *_ in evaluation.WRONG if os.path.isdir(out / name) and os.listdir(out / name)]
    console.say(
        f"in {out}: {', '.join((evaluation.FIGURES, evaluation.ROWS, *(f'pictures of the worst {name}' for name in folders)))}"
    )
    for error in found.errors:
        console.say(f"error: {error}")
    raise typer.Exit(Exit.NOT_DONE if found.errors else Exit.NOTHING_FOUND)
