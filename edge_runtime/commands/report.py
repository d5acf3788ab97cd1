"""`report`: one page about everything in OUT, or about a period."""

import re
from pathlib import Path
from typing import Annotated

import typer

from edge_runtime.commands import console
from edge_runtime.commands.options import Out, Since, Until, period


def report(
    out: Out,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Where to write it. Default: OUT/report.html, for a period OUT/report-from-...-to-....html.",
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option("--model", "-m", metavar="FILE", help="The model file of the results: adds what it promises."),
    ] = None,
    since: Since = "",
    until: Until = "",
) -> None:
    """Write all results, or a period's, as one page.

    Totals, scores and threshold, times, errors with their reasons, and every reject with its picture. It needs no network.

    Example: edge-detect report OUT -m part.onnx --since 2026-11-23 --until 2026-11-29
    """
    from edge_runtime.views import formats
    from edge_runtime.views import report as page

    chosen = formats.Choice(None, *period(since, until))
    path = output or out / _name(since, until)
    if not page.write(out, path, model, chosen) and chosen != formats.ALL:
        console.say(f"{out}: nothing was inspected in this period, and the page says so")
    console.out(str(path))


def _name(since: str, until: str) -> str:
    """A report on a period never takes the place of the whole one."""
    limits = ((word, re.sub(r"[^\w+-]", "", text, flags=re.ASCII)) for word, text in (("from", since), ("to", until)))
    return "-".join(["report", *(f"{word}-{text}" for word, text in limits if text)]) + ".html"
