"""python -m benchmarks.startup: how long until the command says something, and until the first frame is judged?

Fresh processes in turns, with all files in the system's cache. `first verdict` is the full VGG19 in INT8 on one 1080p frame, golden
frames replayed and row committed.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from benchmarks.common import OUT, Out, Quick, Result, Spread, command, in_turns, table
from benchmarks.models import FULL, SLIM, make
from edge_runtime.benchmark.material import make_frames
from edge_runtime.errors import EdgeDetectError

TARGETS_S = {"--help": 0.15, "first verdict, int8": 0.6}
SIZE_WH = (1920, 1080)


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Starts of each.")] = 20, out: Out = OUT, quick: Quick = False
) -> None:
    """Print seconds from start to answer."""
    full, slim = make(out / "models", (FULL, 224), (SLIM, 224))
    frame, *_ = make_frames(out / "frames" / "startup", SIZE_WH, 8)
    script = str(Path(sys.executable).with_name("edge-detect"))
    out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out) as folder:
        number = count()

        def inspect(model: Path, *options: str, frames: Path = frame) -> Callable[[], list[str]]:
            return lambda: [
                script,
                "inspect",
                str(frames),
                "-m",
                str(model),
                "-o",
                f"{folder}/{next(number)}",
                "--json",
                *options,
            ]

        commands: dict[str, Callable[[], list[str]]] = {
            "--help": lambda: [script, "--help"],
            "inspect --help": lambda: [script, "inspect", "--help"],
            "info": lambda: [script, "info", str(full.file("-int8.onnx"))],
            "first verdict, int8": inspect(full.file("-int8.onnx")),
            "first verdict, int8, --no-check": inspect(full.file("-int8.onnx"), "--no-check"),
            "first verdict of a folder, int8": inspect(full.file("-int8.onnx"), frames=frame.parent),
            "first verdict, fp32": inspect(full.file("-fp32.onnx")),
            "first verdict, slim int8": inspect(slim.file("-int8.onnx")),
        }
        times = in_turns({name: partial(_answers_s, made) for name, made in commands.items()}, 1 if quick else rounds)
    rows = [(name, Spread.of(found), TARGETS_S.get(name, "")) for name, found in times.items()]
    result = Result("startup", {"seconds": times})
    result.say(table(("", "seconds", "target"), rows))
    result.write(out, {"start to first answer": {name: statistics.median(found) for name, found in times.items()}}, "s")


def _answers_s(made: Callable[[], list[str]]) -> float:
    """Seconds from start to the first line on standard output."""
    started = time.perf_counter()
    with subprocess.Popen(made(), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        elapsed = time.perf_counter() - started
        process.stdout.read()
        if not line:
            raise EdgeDetectError(f"{' '.join(map(str, process.args))} said nothing")  # type: ignore[arg-type]
    return elapsed


if __name__ == "__main__":
    command(main)
