"""python -m benchmarks.quantisation: how much smaller and faster is INT8, per width of the network?

Frames that pass, one at a time on all cores; `explanation_cost` says what a reject pays on top. What INT8 costs in verdicts is
measured at every export (docs/export.md).
"""

import time
from functools import partial
from typing import Annotated

import numpy as np
import typer

from benchmarks.common import OUT, Out, Quick, Result, Spread, command, in_turns, table
from benchmarks.models import make
from edge_runtime.benchmark.hardware import available_cores
from edge_runtime.errors import UsageError
from edge_runtime.model import Model
from edge_runtime.results import Image

SIDE = 224
CALLS = 5
"""Per turn."""


def main(
    widths: Annotated[str, typer.Option(help="Shares of VGG19's filters, comma-separated.")] = "1,0.5,0.25",
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each.")] = 15,
    out: Out = OUT,
    quick: Quick = False,
) -> None:
    """Print megabytes and milliseconds of both."""
    cores = available_cores()
    networks = make(out / "models", *((width, SIDE) for width in _shares(widths)))
    image = np.random.default_rng(0).integers(0, 256, (1, SIDE, SIDE, 3), np.uint8)
    rows, bars, figures = [], {}, {}
    for network in networks:
        files = {kind: network.file(f"-{kind}.onnx") for kind in ("fp32", "int8")}
        models = {kind: Model.load(file, cores, spinning=False) for kind, file in files.items()}
        times = in_turns({kind: partial(_ms, model, image) for kind, model in models.items()}, 1 if quick else rounds)
        ratio = Spread.of_ratios(times["fp32"], times["int8"])
        sizes = {kind: file.stat().st_size / 1e6 for kind, file in files.items()}
        rows.append(
            (f"{network.width:g}", *(f"{size:.1f}" for size in sizes.values()), *map(Spread.of, times.values()), ratio)
        )
        bars[f"width {network.width:g}"] = {kind: Spread.of(found).median for kind, found in times.items()}
        figures[f"{network.width:g}"] = {"megabytes": sizes, "ms": times, "speedup": ratio.to_json()}
    result = Result("quantisation", {"widths": figures})
    result.say(table(("width", "fp32 MB", "INT8 MB", "fp32 ms", "INT8 ms", "times faster"), rows))
    result.write(out, bars, "ms")


def _shares(widths: str) -> list[float]:
    try:
        shares = [float(width) for width in widths.split(",")]
    except ValueError:
        shares = []
    if not shares or not all(0 < share <= 1 for share in shares):
        raise UsageError(f"--widths {widths}: expected shares of VGG19's filters such as 1,0.5")
    return shares


def _ms(model: Model, image: Image) -> float:
    started = time.perf_counter()
    for _ in range(CALLS):
        model.predict(image)
    return (time.perf_counter() - started) / CALLS * 1e3


if __name__ == "__main__":
    command(main)
