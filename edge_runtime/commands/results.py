"""`results`: the rows of OUT for other tools."""

from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

import typer

from edge_runtime.commands import console
from edge_runtime.commands.options import Out, Since, Until, period


def results(
    out: Out,
    form: Annotated[
        Literal["jsonl", "csv", "coco", "labelstudio"],
        typer.Option(
            "--format", "-f", help="jsonl and csv hold all rows, coco and labelstudio the last of each frame."
        ),
    ] = "jsonl",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to FILE instead of stdout.")
    ] = None,
    verdict: Annotated[
        Literal["good", "anomaly", "error", "skipped"] | None, typer.Option(help="Only frames with this verdict.")
    ] = None,
    since: Since = "",
    until: Until = "",
    after: Annotated[
        int,
        typer.Option(
            min=0, max=2**63 - 1, metavar="ID", help="Only rows after this one, for who asks again and again."
        ),
    ] = 0,
    images: Annotated[
        str, typer.Option(metavar="PREFIX", help="labelstudio: what stands before a frame's name in its address.")
    ] = "/data/local-files/?d=",
) -> None:
    """Print results for a spreadsheet, a script or a labelling tool.

    They may be those of a watch that is running. There is no Parquet: pandas reads the csv or jsonl and writes it.

    Example: edge-detect results OUT --format csv -o results.csv
    """
    from edge_runtime.line.record import Record
    from edge_runtime.views import formats
    from edge_runtime.views import output as file

    chosen = formats.Choice(verdict, *period(since, until), after, images)
    with Record(out) as record:
        lines = formats.FORMATS[form](record, chosen)
        if output is None:
            with suppress(console.ReaderGone):
                for line in lines:
                    console.out(line)
        else:
            file.write(output, out, (f"{line}\n".encode(errors="backslashreplace") for line in lines))
            console.say(f"{output}: written")
