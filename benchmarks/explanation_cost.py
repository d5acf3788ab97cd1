"""python -m benchmarks.explanation_cost MODEL...: what a reject's fine map costs on top of its verdict, on this PC."""

import json
import math
import statistics
import time
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from edge_runtime.errors import run_command
from edge_runtime.model import Model

PLAIN, EXPLAINED = math.inf, -math.inf


def main(
    models: Annotated[list[Path], typer.Argument(metavar="MODEL...", help="Model files written by python -m export.")],
    rounds: Annotated[int, typer.Option(min=5, help="Measurements of each, taken in turns.")] = 60,
) -> None:
    """Median milliseconds of the network for a frame that is not explained and one that is, and the most memory a process
    has held that did only that; a line of JSON per model."""
    spawn = get_context("spawn")
    for path in models:
        found = measured(path, rounds)
        for name, explain_from in (("good_mib", PLAIN), ("reject_mib", EXPLAINED)):
            with spawn.Pool(1) as pool:
                found[name] = pool.apply(peak_mib, (path, explain_from))
        print(json.dumps({"model": path.name, **found}), flush=True)


def measured(path: Path, rounds: int) -> dict[str, Any]:
    loaded = Model.load(path)
    image = np.random.default_rng(0).integers(0, 256, (1, *loaded.input_hw, 3), np.uint8)
    elapsed: dict[float, list[float]] = {PLAIN: [], EXPLAINED: []}
    for _ in range(rounds + 3):
        for explain_from, times in elapsed.items():
            started = time.perf_counter()
            loaded.predict(image, explain_from)
            times.append((time.perf_counter() - started) * 1e3)
    plain, explained = (statistics.median(times[3:]) for times in elapsed.values())  # the first three warm up
    precision = loaded.manifest.precision
    return {
        "precision": precision,
        "good_ms": plain,
        "reject_ms": explained,
        "on_top": explained / plain - 1,
        "rounds": rounds,
    }


def peak_mib(path: Path, explain_from: float) -> float:
    """Of a process of its own, on Linux. (getrusage would count what the parent held before it.)"""
    loaded = Model.load(path)
    image = np.zeros((1, *loaded.input_hw, 3), np.uint8)
    for _ in range(5):
        loaded.predict(image, explain_from)
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    run_command(app)
