"""python -m benchmarks.pipeline: how near is the pipeline to what decoding and the network cost by themselves?

The floor of a frame is the time to read and decode it plus the time of its network, each measured alone, flat out on all
cores, on the same frames and in the same turns as the whole. Share = floor / whole: 1 would be a pipeline that costs nothing. With a picture
per frame, drawing and encoding it are part of the floor, too.
"""

import math
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.common import OUT, Out, Quick, Result, Spread, command, in_turns, table
from benchmarks.models import FULL, SLIM, make
from edge_runtime import frames
from edge_runtime.benchmark.hardware import available_cores
from edge_runtime.benchmark.material import make_frames, parse_size
from edge_runtime.benchmark.profile import Profile
from edge_runtime.frames import FrameFile
from edge_runtime.inspector import Inspector
from edge_runtime.line.ledger import Ledger
from edge_runtime.line.pictures import Pictures, encode
from edge_runtime.line.pipeline import Pipeline, Work
from edge_runtime.model import Model
from edge_runtime.results import Frame
from edge_runtime.views.overlay import Painter

FRAMES = 16
TURN_S = 1.0
"""A turn is as many frames as take at least so long: starting and ending the pipeline is no part of what a frame costs."""


def main(
    sizes: Annotated[str, typer.Option(help="WIDTHxHEIGHT, comma-separated.")] = "640x480,1920x1080,4096x3000",
    model: Annotated[
        Path | None, typer.Option(help="A model file. Default: VGG19 and a slim one in INT8, random weights.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each.")] = 7,
    out: Out = OUT,
    quick: Quick = False,
) -> None:
    """Print the floor, the whole and the share of both, per size of frames."""
    made = make(out / "models", (FULL, 224), (SLIM, 224)) if model is None else []
    models = [model] if model else [one.file("-int8.onnx") for one in made]
    result, setup = Result("pipeline"), Profile.default(available_cores())
    bars: dict[str, dict[str, float]] = {}
    for path in models:
        inspector = Inspector(Model.load(path, setup.threads, spinning=setup.spinning))
        rows = []
        for size in sizes.split(","):
            files = make_frames(out / "frames" / size, parse_size(size), FRAMES)
            measure = Station(inspector, files, setup.jobs)
            times = in_turns(measure.all(), 1 if quick else rounds)
            told = {"plain": shares(times, pictures=False), "drawn": shares(times, pictures=True)}
            result.figures[f"{path.stem} {size}"] = {
                "ms_per_frame": times,
                "share": {k: v.to_json() for k, v in told.items()},
            }
            bars.setdefault(path.stem, {})[size] = told["plain"].median
            rows.append((size, *(Spread.of(times[name]) for name in times), told["plain"], told["drawn"]))
        columns = ("", *times, "share", "share with pictures")
        result.say(f"## {path.stem}, {setup}", table(columns, rows))
    result.say("Milliseconds per frame, medians (least to greatest).")
    result.write(out, bars, "share of the floor")


def shares(times: dict[str, list[float]], pictures: bool) -> Spread:
    floor = [
        sum(parts)
        for parts in zip(
            times["read, decode"], times["network"], *([times["picture"]] if pictures else []), strict=True
        )
    ]
    return Spread.of_ratios(floor, times["whole, pictures" if pictures else "whole"])


class Station:
    """The pipeline and its parts, on the same frames with the same threads; each gives milliseconds per frame."""

    def __init__(self, inspector: Inspector, files: list[Path], jobs: int) -> None:
        self.inspector, self.files, self.jobs = inspector, files, jobs
        self.image = np.random.default_rng(0).integers(0, 256, (1, *inspector.model.input_hw, 3), np.uint8)
        self.painter = Painter(inspector.model.manifest.calibration, inspector.model.input_hw)
        self.frame = self._decode(files[0])
        self.inspection, self.judgement = inspector.inspect(self.frame)
        self.files *= max(1, math.ceil(TURN_S / (self._whole(False) * len(files) / 1e3)))

    def all(self) -> dict[str, Callable[[], float]]:
        return {
            "read, decode": partial(self._flat_out, self._decode),
            "network": partial(self._flat_out, self._predict),
            "picture": partial(self._flat_out, self._draw),
            "whole": partial(self._whole, False),
            "whole, pictures": partial(self._whole, True),
        }

    def _flat_out(self, work: Callable[[Path], Any]) -> float:
        with ThreadPoolExecutor(self.jobs) as pool:
            started = time.perf_counter()
            list(pool.map(work, self.files))
            return (time.perf_counter() - started) / len(self.files) * 1e3

    def _decode(self, path: Path) -> Frame:
        return frames.read(FrameFile(path, path.name), self.inspector.model.manifest.needed_hw)

    def _predict(self, _: Path) -> Any:
        return self.inspector.model.predict(self.image)

    def _draw(self, _: Path) -> bytes:
        return encode(self.painter("overlay", self.frame.image, self.inspection, self.judgement.maps))

    def _whole(self, pictures: bool) -> float:
        kinds = Pictures(("overlay",) if pictures else (), for_all=True)
        work: Iterable[Work] = (Work(FrameFile(path, f"{n:06}-{path.name}")) for n, path in enumerate(self.files))
        with TemporaryDirectory() as out, Ledger(Path(out), self.inspector.identity) as ledger:
            started = time.perf_counter()
            for outcome in Pipeline(self.inspector, ledger, kinds, self.jobs).run(work):
                assert outcome.row is not None and outcome.row["error"] is None
            return (time.perf_counter() - started) / len(self.files) * 1e3


if __name__ == "__main__":
    command(main)
