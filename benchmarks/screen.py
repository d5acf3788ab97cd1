"""python -m benchmarks.screen: what does the operator screen cost the inspection?

`edge-detect watch` on a folder that is full already, without and with --serve and an open page, in turns. A frame's time is that
from the first commit to the last, shared among the frames.
"""

import os
import shutil
import sqlite3
import threading
import urllib.request
from contextlib import closing, suppress
from datetime import datetime
from functools import partial
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from benchmarks.common import OUT, Out, Quick, Result, Spread, command, in_turns, table
from benchmarks.models import FULL, SLIM, make
from benchmarks.reliability.line import committed, until, watching
from edge_runtime.benchmark.material import make_frames
from edge_runtime.frames import FrameFile, read
from edge_runtime.inspector import Inspector
from edge_runtime.model import Model

SIZE_WH = (640, 480)
ADDRESS = "127.0.0.1:8097"
CASES = {"frames pass": 0.0, "one in eight a reject": 1 / 8, "every frame a reject": 1.0}
TARGET = 0.02
SAMPLE = 64
"""Frames whose scores tell the threshold of a case."""


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each.")] = 7,
    count: Annotated[
        int, typer.Option(min=16, help="Frames in a turn; an eighth of them for the full network.")
    ] = 2000,
    out: Out = OUT,
    quick: Quick = False,
) -> None:
    """Print milliseconds per frame without and with the screen, and the ratio, turn by turn."""
    rows, figures, bars = [], {}, {}
    for made in make(out / "models", (FULL, 224), (SLIM, 224)):
        model = made.file("-int8.onnx").resolve()
        for case, share in CASES.items():
            number = max(8, count // (10 if quick else 1) // (8 if made.width == FULL else 1))
            frames = make_frames(out / "frames" / "640x480", SIZE_WH, number)
            options = ("--threshold", threshold(model, frames, share)) if share else ()
            contenders = {
                "alone": partial(ms_per_frame, model, frames, out, *options),
                "with the screen": partial(ms_per_frame, model, frames, out, "--serve", ADDRESS, *options),
            }
            times = in_turns(contenders, 1 if quick else rounds)
            ratio = Spread.of_ratios(times["with the screen"], times["alone"])
            figures[f"{model.stem}, {case}"] = {"ms_per_frame": times, "ratio": ratio.to_json()}
            bars[f"{model.stem}, {case}"] = {"ratio": ratio.median}
            rows.append((model.stem, case, *map(Spread.of, times.values()), ratio))
    result = Result("screen", {"runs": figures})
    result.say(table(("", "", "alone, ms", "with the screen, ms", f"ratio (at most {1 + TARGET} is wanted)"), rows))
    result.write(out, bars, "times")


def threshold(model: Path, frames: list[Path], share: float) -> float:
    """A score that this share of the frames reaches."""
    inspector = Inspector(Model.load(model))
    found = [inspector.inspect(read(FrameFile(frame, frame.name)))[0].score or 0.0 for frame in frames[:SAMPLE]]
    return sorted(found, reverse=True)[round(share * len(found)) - 1]


def ms_per_frame(model: Path, frames: list[Path], out: Path, *options: object) -> float:
    with TemporaryDirectory(dir=out) as folder:
        camera = Path(folder, "cam")
        camera.mkdir()
        for frame in frames:
            os.link(frame, camera / frame.name)
        with watching(Path(folder), model, "--no-check", *options) as line, suppress(OSError):
            if "--serve" in options:
                threading.Thread(target=_look, daemon=True).start()
            until(lambda: committed(Path(folder, "out")) >= len(frames))
            line.stop()
        with closing(sqlite3.connect(Path(folder, "out", "ledger.sqlite"))) as db:
            first, last = db.execute("SELECT min(inspected_at), max(inspected_at) FROM inspections").fetchone()
    spent = datetime.fromisoformat(last) - datetime.fromisoformat(first)
    return spent.total_seconds() * 1e3 / (len(frames) - 1)


def _look() -> None:
    """An open page, which takes all it is sent."""
    with (
        suppress(OSError, HTTPException),
        urllib.request.urlopen(f"http://{ADDRESS}/api/events") as events,
        open(os.devnull, "wb") as gone,
    ):
        shutil.copyfileobj(events, gone)


if __name__ == "__main__":
    command(main)
