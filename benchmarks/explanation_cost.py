"""python -m benchmarks.explanation_cost MODEL: what a reject's fine map costs on top of its verdict, on this PC."""

import json
import math
import statistics
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from edge_runtime.errors import run_command
from edge_runtime.model import Model


def main(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Model file written by python -m export.")],
    rounds: Annotated[int, typer.Option(min=5, help="Measurements of each, taken in turns.")] = 60,
) -> None:
    """Median milliseconds of the network for a frame that is not explained and one that is; prints JSON."""
    loaded = Model.load(model)
    image = np.random.default_rng(0).integers(0, 256, (1, *loaded.input_hw, 3), np.uint8)
    elapsed: dict[float, list[float]] = {math.inf: [], -math.inf: []}
    for _ in range(rounds + 3):
        for explain_from, times in elapsed.items():
            started = time.perf_counter()
            loaded.predict(image, explain_from)
            times.append((time.perf_counter() - started) * 1e3)
    plain, explained = (statistics.median(times[3:]) for times in elapsed.values())  # the first three warm up
    print(json.dumps({"good_ms": plain, "reject_ms": explained, "on_top": explained / plain - 1, "rounds": rounds}))


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    run_command(app)
