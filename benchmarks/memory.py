"""python -m benchmarks.memory: how much memory does an inspection take, and does it grow?

Peak per size of frames, each in a process of its own; then a long run on which a line is laid through what the process holds: its slope
is what a leak would show in.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from benchmarks.common import OUT, Out, Quick, Result, command, table, told
from benchmarks.models import FULL, SLIM, make
from edge_runtime.benchmark.hardware import available_cores
from edge_runtime.benchmark.material import make_frames, parse_size
from edge_runtime.benchmark.profile import Profile
from edge_runtime.benchmark.statistics import slope
from edge_runtime.benchmark.trial import Measured, Trial, run

WARM_UP = 0.2
"""Share of the soak that is not looked at: caches fill and allocators settle."""
SAMPLES = 200
NOTE_BYTES = 8
"""What the measured process keeps per frame and figure: a double."""


def main(
    sizes: Annotated[str, typer.Option(help="WIDTHxHEIGHT, comma-separated.")] = "640x480,1920x1080,4096x3000",
    soak: Annotated[
        int, typer.Option(min=10, help="Frames of the long run: slim INT8, 640x480, a picture each.")
    ] = 10_000,
    out: Out = OUT,
    quick: Quick = False,
) -> None:
    """Print peaks, slope, and open files and threads at both ends."""
    full, slim = make(out / "models", (FULL, 224), (SLIM, 224))
    setups = [Profile.default(available_cores()), Profile.default(available_cores(), live=True)]
    peaks: dict[str, dict[str, float]] = {}
    for precision in ("int8", "fp32"):
        for setup in setups:
            for size in sizes.split(","):
                told(f"{precision}, {setup}, {size}")
                files = make_frames(out / "frames" / size, parse_size(size), 16)
                found = _run(full.file(f"-{precision}.onnx"), files, setup, out, count=4 if quick else 24)
                peaks.setdefault(f"{precision}, {setup}", {})[size] = found.peak_mib or 0.0
    count = 50 if quick else soak
    told(f"soak of {count} frames")
    files = make_frames(out / "frames" / "640x480", (640, 480), 16)
    long = _run(slim.file("-int8.onnx"), files, setups[0], out, count, sample_every=max(1, count // SAMPLES))
    told("")
    settled = long.samples[int(len(long.samples) * WARM_UP) :]
    growth = slope([at for at, *_ in settled], [held for _, held, *_ in settled]) * 1000
    result = Result(
        "memory", {"peak_mib": peaks, "soak": {"frames": count, "mib_per_1000": growth, "samples": long.samples}}
    )
    result.say(
        "Peak MiB, full VGG19, a picture per frame:",
        table(
            ("", *next(iter(peaks.values()))),
            [(name, *(f"{one:.0f}" for one in row.values())) for name, row in peaks.items()],
        ),
    )
    notes = NOTE_BYTES * (1 + len(long.stages_ms)) * 1000 / 2**20
    ends = [
        f"{held:.1f} MiB, {files_open} open files, {threads} threads"
        for _, held, files_open, threads in (settled[0], settled[-1])
    ]
    result.say(
        f"Soak of {count:,} frames: {growth:+.3f} MiB per 1,000 frames, of which {notes:.3f} are the "
        f"measurement's own notes; after warm-up {ends[0]}, at the end {ends[1]}."
    )
    result.write(out, peaks, "MiB")


def _run(model: Path, files: list[Path], setup: Profile, out: Path, count: int, sample_every: int = 0) -> Measured:
    with TemporaryDirectory(dir=out) as folder:
        paths = tuple(map(str, files))
        return run(
            Trial(
                str(model),
                paths,
                folder,
                setup,
                count=count,
                pictures=("overlay",),
                for_all=True,
                sample_every=sample_every,
            )
        )


if __name__ == "__main__":
    command(main)
