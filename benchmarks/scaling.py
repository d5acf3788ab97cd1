"""python -m benchmarks.scaling: does a frame cost more in a folder of 100,000 than in one of 1,000, and on one core than on two?

The real command on folders of small frames, with a network so small that everything else shows: from start to first row, from there to
the last, and again when everything is done already.
"""

import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from benchmarks.common import OUT, Out, Quick, Result, command, table, told
from benchmarks.models import make
from edge_runtime.benchmark.hardware import available_cores, peak_mib
from edge_runtime.benchmark.material import make_frames
from edge_runtime.errors import EdgeDetectError

TINY = (0.05, 64)
"""(width, side) of the network."""
SIZE_WH = (96, 72)
DISTINCT = 50
FOLDER = 1000
"""Frames in one camera's folder of one hour."""
WATCH_S = 0.25


@dataclass(frozen=True, slots=True)
class Run:
    """first_s: from start to the first row; rest_ms: per frame from there on. again_s: the same command, with nothing left to do.
    peak_mib: of all its processes together, at most."""

    frames: int
    cores: int
    first_s: float
    rest_ms: float
    again_s: float
    peak_mib: float


def main(
    counts: Annotated[str, typer.Option(help="Frames, comma-separated.")] = "1000,10000,100000",
    one_core: Annotated[int, typer.Option(help="Frames that are inspected on a single core, too.")] = 10_000,
    out: Out = OUT,
    quick: Quick = False,
) -> None:
    """Print the cost of a frame, start, resume and memory per size of folder."""
    wanted = [100, 300] if quick else [int(count) for count in counts.split(",")]
    (model,) = make(out / "models", TINY)
    originals = make_frames(out / "frames" / "tiny", SIZE_WH, DISTINCT)
    runs = []
    for count, cores in [*((count, available_cores()) for count in wanted), (min(one_core, wanted[-1]), 1)]:
        told(f"{count} frames on {cores} cores")
        runs.append(measured(model.file("-fp32.onnx"), originals, count, cores, out))
    told("")
    rows = [
        (
            f"{one.frames:,}",
            one.cores,
            f"{one.first_s:.2f}",
            f"{one.rest_ms:.3f}",
            _ratio(one, runs[0]),
            f"{one.again_s:.2f}",
            f"{one.peak_mib:.0f}",
        )
        for one in runs
    ]
    result = Result("scaling", {"runs": [asdict(one) for one in runs]})
    columns = (
        "frames",
        "cores",
        "first row, s",
        "then ms per frame",
        f"times {runs[0].frames:,}",
        "again, s",
        "peak MiB",
    )
    result.say(table(columns, rows))
    plotted = {f"{one.frames:,} on {one.cores}": one.rest_ms for one in runs}
    result.write(out, {"cost of a frame": plotted}, "ms per frame")


def _ratio(one: Run, first: Run) -> str:
    return f"{one.rest_ms / first.rest_ms:.3f}" if one.cores == first.cores else ""


def measured(model: Path, originals: list[Path], count: int, cores: int, out: Path) -> Run:
    out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out) as folder:
        _fill(Path(folder, "frames"), originals, count)
        inspect = [sys.executable, "-m", "edge_runtime", "inspect", f"{folder}/frames", "-m", str(model)]
        inspect += ["-o", f"{folder}/out", "--save", "none", "--json", "--exit-zero"]
        first_s, whole_s, peak = _timed(inspect, cores)
        with (Path(folder, "out", "results.jsonl")).open() as rows:
            done = sum(1 for _ in rows)
        if done != count:
            raise EdgeDetectError(f"{done} rows for {count} frames")
        _, again_s, _ = _timed(inspect, cores)
    return Run(count, cores, first_s, (whole_s - first_s) / (count - 1) * 1e3, again_s, peak)


def _fill(folder: Path, originals: list[Path], count: int) -> None:
    """Many names for few contents: what a frame costs does not depend on that, and the disk has room."""
    for number in range(count):
        name = folder / f"{number // FOLDER:04}" / f"{number:06}.jpg"
        name.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(originals[number % len(originals)], name)


def _timed(command: list[str], cores: int) -> tuple[float, float, float]:
    """(seconds to the first line, seconds in all, MiB at most) of a process and its children."""
    chosen = sorted(os.sched_getaffinity(0))[:cores]
    started = time.perf_counter()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, preexec_fn=lambda: os.sched_setaffinity(0, chosen)
    ) as process:
        assert process.stdout is not None
        peaks: dict[int, float] = {}
        over = threading.Event()
        watching = threading.Thread(target=_watch, args=(process.pid, peaks, over))
        watching.start()
        try:
            process.stdout.readline()
            first = time.perf_counter() - started
            for _ in process.stdout:
                pass
            process.wait()
        finally:
            over.set()
            watching.join()
            process.kill()
    if process.returncode:
        raise EdgeDetectError(f"{' '.join(command)} ended with {process.returncode}")
    return first, time.perf_counter() - started, sum(peaks.values())


def _watch(parent: int, peaks: dict[int, float], over: threading.Event) -> None:
    while not over.wait(WATCH_S):
        children = Path(f"/proc/{parent}/task/{parent}/children")
        try:
            family = [parent, *map(int, children.read_text().split())]
        except OSError:
            return
        for one in family:
            peaks[one] = max(peaks.get(one, 0.0), peak_mib(one) or 0.0)


if __name__ == "__main__":
    command(main)
