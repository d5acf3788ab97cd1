"""`benchmark`: how fast is a model on this PC, and is it slower than it was?"""

import hashlib
import json
import math
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_runtime.commands import console
from edge_runtime.commands.options import Jobs, ModelArgument, Provider, Save, SaveFor, SaveForOption, Threads
from edge_runtime.commands.running import kinds
from edge_runtime.errors import FrameError, ModelError, UsageError, first_line

if TYPE_CHECKING:
    from edge_runtime.benchmark.compare import Report
    from edge_runtime.benchmark.measure import Frames
    from edge_runtime.benchmark.profile import Profile
    from edge_runtime.benchmark.trial import Pace, Trial

SLOWER = 1
SIZE = "1920x1080"
DISTINCT = 16
"""Frames to make; they are taken in turns."""


def benchmark(
    model: ModelArgument,
    frames: Annotated[
        list[str] | None,
        typer.Argument(metavar="FRAMES", hidden=True),
    ] = None,
    size: Annotated[str, typer.Option(metavar="WxH", help="Of the bundled frames. Default: 1920x1080.")] = "",
    seconds: Annotated[float, typer.Option(metavar="S", min=0.1, help="How long to measure.")] = 15.0,
    fps: Annotated[
        float, typer.Option(metavar="FPS", min=0, help="Frames arrive at this pace; 0: as fast as they are taken.")
    ] = 0.0,
    deadline_ms: Annotated[
        float,
        typer.Option(metavar="MS", min=0, help="With --fps: from arrival to committed row. Default: the next arrival."),
    ] = 0.0,
    save: Save = "overlay",
    save_for: SaveForOption = SaveFor.ANOMALY,
    jobs: Jobs = 0,
    threads: Threads = 0,
    spinning: Annotated[
        bool | None, typer.Option("--spinning/--no-spinning", help="Threads wait for work awake: quicker, and busy.")
    ] = None,
    tune: Annotated[
        bool,
        typer.Option(
            "--tune",
            help="Find the best --jobs, --threads, --spinning and --provider; inspect and watch then use them.",
        ),
    ] = False,
    provider: Provider = "",
    scratch: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder for results that are thrown away; best on the disk that the line writes to."
        ),
    ] = None,
    compare: Annotated[
        Path | None, typer.Option(metavar="BASE.json", help="Exit 1 where it is slower than this earlier --json was.")
    ] = None,
    max_regress: Annotated[
        str, typer.Option(metavar="SHARE", help="With --compare: how much worse is no news.")
    ] = "10%",
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON instead of a table.")] = False,
) -> None:
    """Measure how fast a model is on this PC.

    Throughput, latency, stages, cold start, memory. FRAMES are frames of the line, as for inspect; without, the bundled
    ones, scaled up.

    Example: edge-detect benchmark part.onnx line1/ --fps 20 --deadline-ms 50
    """
    from edge_runtime.benchmark.compare import changes, refuse_unlike
    from edge_runtime.benchmark.hardware import available_cores
    from edge_runtime.benchmark.measure import conditions, figures
    from edge_runtime.benchmark.profile import Profile, read
    from edge_runtime.benchmark.trial import Trial
    from edge_runtime.evaluation.bounds import share
    from edge_runtime.model import available_providers

    limit, base = share("--max-regress", max_regress, at_most=math.inf), None if compare is None else _read(compare)
    pace, sha256 = _pace(fps, deadline_ms), _sha256(model)
    signal.signal(
        signal.SIGINT, lambda *_: console.stop("stopped; nothing was measured to its end, and nothing is left behind")
    )
    with _scratch(scratch) as folder:
        taken = _frames(frames or [], size, folder)
        trial = Trial(
            str(model),
            tuple(map(str, taken.paths)),
            str(folder / "out"),
            Profile.default(available_cores(), live=pace is not None),
            seconds=seconds,
            pictures=kinds(save),
            for_all=save_for is SaveFor.ALL,
            pace=pace,
        )
        known = conditions(trial, taken, sha256)
        if base is not None:
            refuse_unlike(base, known)
        if tune:
            _tune(trial, sha256, [provider] if provider else available_providers(), folder)
        setup = read(model, sha256, pace is not None, console.say) or trial.setup
        trial = replace(trial, setup=_overruled(setup, jobs, threads, spinning, provider))
        found = known | figures(trial, folder, console.say)
    console.out(json.dumps(found)) if as_json else _show(found)
    slower = False
    for change in changes(base, found) if base is not None else ():
        console.say(f"{'SLOWER  ' if change.worse > limit else ''}{change}")
        slower |= change.worse > limit
    raise typer.Exit(SLOWER if slower else 0)


@contextmanager
def _scratch(parent: Path | None) -> Iterator[Path]:
    """An empty folder that goes away again."""
    try:
        folder = tempfile.TemporaryDirectory(prefix="edge-detect-benchmark-", dir=parent, ignore_cleanup_errors=True)
    except OSError as err:
        raise UsageError(f"--scratch {parent}: no folder can be made there: {err.strerror}") from None
    with folder as name:
        yield Path(name)


def _frames(asked: list[str], size: str, folder: Path) -> "Frames":
    from edge_runtime import frames as frame_files
    from edge_runtime.benchmark import material
    from edge_runtime.benchmark.measure import Frames

    if not asked:
        size_wh = material.parse_size(size or SIZE)
        console.say(f"making {DISTINCT} frames of {size_wh[0]}x{size_wh[1]} ...")
        paths = material.make_frames(folder / "frames", size_wh, DISTINCT)
        return Frames("the bundled ones, scaled up, with noise", tuple(paths), size_wh)
    if size:
        raise UsageError("--size is for the bundled frames; frames of your own have theirs")
    files = frame_files.find(asked).files
    try:
        first = frame_files.read(files[0])
    except FrameError as err:
        raise UsageError(f"{files[0].path} {err}; benchmark frames that can be judged") from None
    return Frames(" ".join(asked), tuple(file.path for file in files), first.size_wh)


def _tune(trial: "Trial", sha256: str, providers: list[str], folder: Path) -> None:
    """Find the best setups and write them beside the model."""
    from edge_runtime.benchmark import profile
    from edge_runtime.benchmark.hardware import available_cores
    from edge_runtime.benchmark.measure import tuning
    from edge_runtime.benchmark.tune import for_inspect, for_watch
    from edge_runtime.line.durable import write_bytes

    cores = available_cores()
    times = tuning(trial, cores, providers, folder, console.say)
    for setup, ms in sorted(times.items(), key=lambda one: one[1]):
        console.say(f"  {ms:8.2f} ms per frame  {setup}")
    inspect, watch, path = for_inspect(times), for_watch(times, cores), profile.path_of(Path(trial.model))
    write_bytes(path, f"{json.dumps(profile.to_json(inspect, watch, sha256), indent=1)}\n".encode())
    console.say(f"{path}: written; inspect takes {inspect}, watch takes {watch}")


def _overruled(setup: "Profile", jobs: int, threads: int, spinning: bool | None, provider: str) -> "Profile":
    return replace(
        setup,
        jobs=jobs or setup.jobs,
        threads=threads or setup.threads,
        spinning=setup.spinning if spinning is None else spinning,
        provider=provider or setup.provider,
    )


def _pace(fps: float, deadline_ms: float) -> "Pace | None":
    from edge_runtime.benchmark.trial import Pace

    if not fps and deadline_ms:
        raise UsageError("--deadline-ms needs the pace at which frames arrive: --fps")
    return Pace(fps, deadline_ms or 1e3 / fps) if fps else None


def _sha256(model: Path) -> str:
    """Also says at once what is no model, before frames are made for it."""
    from edge_runtime import onnx_file

    try:
        data = model.read_bytes()
        onnx_file.check(data)
        return hashlib.sha256(data).hexdigest()
    except OSError as err:
        raise ModelError(f"{model}: can't be read: {err.strerror}") from None
    except ModelError as err:
        raise ModelError(f"{model}: {err}") from None


def _read(path: Path) -> "Report":
    try:
        found = json.loads(path.read_bytes())
    except OSError as err:
        raise UsageError(f"--compare {path}: can't be read: {err.strerror}") from None
    except ValueError as err:
        raise UsageError(f"--compare {path}: is no JSON: {first_line(err)}") from None
    if not isinstance(found, dict):
        raise UsageError(f"--compare {path}: is no report; edge-detect benchmark --json prints one")
    return found


def _show(found: "Report") -> None:
    from edge_runtime.benchmark.words import table

    if not sys.stdout.isatty():
        for name, words in table(found):
            console.out(f"{name:12} {words}")
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    for name, words in table(found):
        grid.add_row(f"[bold]{name}[/]", escape(words))
    Console().print(grid)
