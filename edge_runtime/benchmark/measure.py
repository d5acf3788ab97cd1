"""What a person at the line wants to know of a model on this PC, as one report."""

import hashlib
import itertools
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from edge_runtime.benchmark import hardware, tune
from edge_runtime.benchmark.compare import SCHEMA_VERSION, Report
from edge_runtime.benchmark.paced import miss_rate
from edge_runtime.benchmark.profile import Profile
from edge_runtime.benchmark.statistics import summary
from edge_runtime.benchmark.trial import Trial, run
from edge_runtime.errors import EdgeDetectError, UsageError

COLD_STARTS = 3
TUNING_ROUNDS = 3
TUNING_SHARE = 0.2
"""Of the time that is measured for: a turn of each setup."""
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Frames:
    """Where frames come from, in words, and their paths. size_wh: of the first."""

    source: str
    paths: tuple[Path, ...]
    size_wh: tuple[int, int]

    def to_json(self) -> dict[str, Any]:
        whole = hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in self.paths))
        return {
            "source": self.source,
            "count": len(self.paths),
            "size_wh": list(self.size_wh),
            "sha256": whole.hexdigest(),
        }


def conditions(trial: Trial, frames: Frames, model_sha256: str) -> Report:
    """What is measured on, and how: the part of a report that is known beforehand."""
    found = {
        "schema": SCHEMA_VERSION,
        "hardware": hardware.hardware().to_json(),
        "versions": hardware.versions(),
        "model": {"file": Path(trial.model).name, "sha256": model_sha256},
        "frames": frames.to_json(),
        "pictures": {"kinds": list(trial.pictures), "for_all": trial.for_all},
        "pace": trial.pace and asdict(trial.pace),
    }
    return dict(json.loads(json.dumps(found)))  # as an earlier one is read: lists, no tuples


def figures(trial: Trial, scratch: Path, say: Say) -> Report:
    """Measure steadily, then cold starts. Raises EdgeDetectError."""
    say(f"measuring for {trial.seconds:g} s with {trial.setup} ...")
    measured = run(trial)
    say(f"starting the command {COLD_STARTS} times from nothing ...")
    cold = [cold_start_ms(trial, scratch / f"cold-{number}") for number in range(COLD_STARTS)]
    return {
        "setup": asdict(trial.setup),
        "precision": measured.precision,
        "mirrors": measured.mirrors,
        "input_hw": list(measured.input_hw),
        "samples": measured.frames,
        "seconds": measured.seconds,
        "verdicts": measured.verdicts,
        "throughput_fps": measured.fps,
        "latency_ms": summary(measured.latency_ms),
        "misses": trial.pace and miss_rate(measured.latency_ms, trial.pace.deadline_ms),
        "stages_ms": {stage: summary(times) for stage, times in measured.stages_ms.items()},
        "cold_start_ms": {"median": statistics.median(cold), "all": cold},
        "peak_mib": measured.peak_mib,
    }


def cold_start_ms(trial: Trial, out: Path) -> float:
    """From the start of a fresh command to its first committed row. The model file and the frame are in the system's cache."""
    wanted = [*("--save", ",".join(trial.pictures) or "none"), *("--save-for", "all" if trial.for_all else "anomaly")]
    command = [
        sys.executable,
        "-P",
        "-m",
        "edge_runtime",
        "inspect",
        trial.frames[0],
        "-m",
        trial.model,
        "-o",
        str(out),
    ]
    started = time.perf_counter()
    with subprocess.Popen(
        [*command, *wanted, "--provider", trial.setup.provider, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        try:
            row = process.stdout.readline()
            elapsed = time.perf_counter() - started
            words = process.stderr.read().decode(errors="replace").strip()
        finally:
            process.kill()
    if not row:
        raise EdgeDetectError(
            f"edge-detect inspect gave no row: {words.splitlines()[-1] if words else 'no reason given'}"
        )
    return elapsed * 1e3


def tuning(trial: Trial, cores: int, providers: Sequence[str], scratch: Path, say: Say) -> dict[Profile, float]:
    """Milliseconds per frame with each setup that may be the best. providers: that are there; those that answer otherwise than
    the golden frames say are left out."""
    trusted = [name for name in providers if name == "cpu" or _answers_alike(trial.model, name, say)]
    if not trusted:
        raise UsageError(
            f"--tune: nothing that was asked for ({', '.join(providers)}) runs this model rightly on this PC"
        )
    setups, turns, seconds = tune.candidates(cores, trusted), itertools.count(), trial.seconds * TUNING_SHARE
    say(f"tuning: {len(setups)} setups, {TUNING_ROUNDS} turns of {seconds:g} s each ...")

    def measure(setup: Profile) -> float:
        out = str(scratch / f"tune-{next(turns)}")
        return run(replace(trial, setup=setup, out=out, seconds=seconds, pace=None)).ms_per_frame

    return tune.timed(setups, measure, TUNING_ROUNDS)


def _answers_alike(model: str, provider: str, say: Say) -> bool:
    command = [sys.executable, "-P", "-m", "edge_runtime", "check", model, "--provider", provider]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        say(f"{provider} is left out: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else 'check fails'}")
    return done.returncode == 0
