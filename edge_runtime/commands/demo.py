"""`demo`: a first look, with what is bundled."""

from pathlib import Path
from typing import Annotated

import typer

from edge_runtime.commands import console, running
from edge_runtime.commands.options import Exit
from edge_runtime.line.job import Job


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="OUT", help="Folder for the results.")] = Path(
        "edge-detect-demo"
    ),
) -> None:
    """Inspect bundled frames with a bundled model: a first look."""
    bundled = Path(__file__).parents[1] / "demo"
    job = Job(
        inputs=(str(bundled / "frames"),),
        model=str(bundled / "model.onnx"),
        out=str(out),
        kinds=("overlay", "panel"),
        save_for="all",
        check_first=False,
    )
    counts = running.follow(job, stopped=lambda _: console.stop()).counts
    if counts["repeated"]:
        console.say(f"{counts['repeated']} frames were judged by an earlier demo.")
    console.say(f"\nLook at the pictures in {out / 'overlay'} and the method's five steps in {out / 'panel'}.")
    raise typer.Exit(Exit.NOT_DONE if counts["error"] else Exit.NOTHING_FOUND)
