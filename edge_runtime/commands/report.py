"""`report`: one page about everything in OUT."""

from pathlib import Path
from typing import Annotated

import typer

from edge_runtime.commands import console
from edge_runtime.commands.options import Out


def report(
    out: Out,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to write it. Default: OUT/report.html.")
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option("--model", "-m", metavar="FILE", help="The model file of the results: adds what it promises."),
    ] = None,
) -> None:
    """Write all results as one page that needs no network.

    Totals, scores and threshold, times, errors with their reasons, and every reject with its picture.

    Example: edge-detect report OUT -m part.onnx
    """
    from edge_runtime.views import report as page

    page.write(out, output or out / page.NAME, model)
    console.out(str(output or out / page.NAME))
