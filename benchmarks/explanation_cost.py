"""python -m benchmarks.explanation_cost MODEL...: what a reject's fine map costs on top of its verdict, on this PC."""

import math
import time
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks.common import OUT, Out, Quick, Result, Spread, command, in_turns, table
from edge_runtime.benchmark import hardware
from edge_runtime.model import Model

KINDS = {"good": math.inf, "reject": -math.inf}
"""Margin from which on a frame is explained."""


def main(
    models: Annotated[list[Path], typer.Argument(metavar="MODEL...", help="Model files written by python -m export.")],
    rounds: Annotated[int, typer.Option(min=5, help="Measurements of each, taken in turns.")] = 60,
    out: Out = OUT,
    quick: Quick = False,
) -> None:
    """Milliseconds of the network for a frame that is not explained and one that is, and the most memory a process has held that did
    only that."""
    spawn, rows, figures = get_context("spawn"), [], {}
    for path in models:
        loaded = Model.load(path)
        image = np.random.default_rng(0).integers(0, 256, (1, *loaded.input_hw, 3), np.uint8)
        contenders = {kind: partial(_ms, loaded, image, explain_from) for kind, explain_from in KINDS.items()}
        times = in_turns(contenders, 5 if quick else rounds, warm_up=3)
        memory = {}
        for kind, explain_from in KINDS.items():
            with spawn.Pool(1) as pool:
                memory[kind] = pool.apply(peak_mib, (path, explain_from))
        on_top = Spread.of_ratios(times["reject"], times["good"])
        rows.append((path.name, *map(Spread.of, times.values()), on_top, *(f"{one:.0f}" for one in memory.values())))
        figures[path.name] = {
            "precision": loaded.manifest.precision,
            "ms": times,
            "times": on_top.to_json(),
            "peak_mib": memory,
        }
    result = Result("explanation_cost", {"models": figures})
    result.say(table(("", "good, ms", "reject, ms", "times good", "good, MiB", "reject, MiB"), rows))
    result.write(out)


def _ms(model: Model, image: "np.typing.NDArray[np.uint8]", explain_from: float) -> float:
    started = time.perf_counter()
    model.predict(image, explain_from)
    return (time.perf_counter() - started) * 1e3


def peak_mib(path: Path, explain_from: float) -> float:
    """Of a process of its own; 0 where the system does not tell."""
    loaded = Model.load(path)
    image = np.zeros((1, *loaded.input_hw, 3), np.uint8)
    for _ in range(5):
        loaded.predict(image, explain_from)
    return hardware.peak_mib() or 0.0


if __name__ == "__main__":
    command(main)
