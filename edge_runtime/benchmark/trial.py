"""One measured run of the real pipeline, in a process of its own: what it is asked, what it answers, and how it is started."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from edge_runtime.benchmark.profile import Profile
from edge_runtime.errors import EdgeDetectError


@dataclass(frozen=True, slots=True)
class Pace:
    """Frames arrive at this rate, whatever the pipeline does. deadline_ms: from a frame's scheduled arrival to its committed
    row."""

    fps: float
    deadline_ms: float


@dataclass(frozen=True, slots=True)
class Trial:
    """frames: paths, taken in turns. out: a folder for results that are thrown away. seconds: how long, and count: how many
    frames at most, 0 for as many as that makes; with neither, each frame once. pictures: kinds, for rejects or for_all. threshold: -1 is the
    model's own, 0 rejects every frame. cores: numbers of those it may use, none for all. sample_every: frames between two looks at memory, 0 for none.
    """

    model: str
    frames: tuple[str, ...]
    out: str
    setup: Profile
    seconds: float = 0.0
    count: int = 0
    warm_up: int = 3
    pictures: tuple[str, ...] = ()
    for_all: bool = False
    threshold: float = -1.0
    pace: Pace | None = None
    cores: tuple[int, ...] = ()
    sample_every: int = 0

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Trial":
        values = json.loads(text)
        for name in ("frames", "pictures", "cores"):
            values[name] = tuple(values[name])
        pace = values.pop("pace")
        return cls(**values | {"setup": Profile(**values["setup"]), "pace": pace and Pace(**pace)})


@dataclass(frozen=True, slots=True)
class Measured:
    """seconds: from the first frame to the last committed row. latency_ms: per frame; from its scheduled arrival to its row
    where it was paced, else the work on it from reading to its last picture. stages_ms: stage -> per frame. peak_mib: of
    the process, None where the system does not tell. samples: (frames done, MiB held, open files, threads)."""

    seconds: float
    latency_ms: list[float]
    stages_ms: dict[str, list[float]]
    verdicts: dict[str, int]
    model_sha256: str
    precision: str
    mirrors: str
    input_hw: tuple[int, int]
    peak_mib: float | None = None
    samples: list[tuple[int, float, int, int]] = field(default_factory=list)

    @property
    def frames(self) -> int:
        return len(self.latency_ms)

    @property
    def fps(self) -> float:
        return self.frames / self.seconds

    @property
    def ms_per_frame(self) -> float:
        return self.seconds / self.frames * 1e3


def run(trial: Trial) -> Measured:
    """Start the process, wait for it, and end it where we are interrupted. Raises EdgeDetectError with what it says."""
    command = [sys.executable, "-P", "-m", "edge_runtime.benchmark.worker"]
    alone = None if sys.platform == "win32" else partial(_alone, trial.cores)
    _block_interrupt(True)  # or the new process, while it still is a copy of this one, may run this one's handler
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=alone
    ) as process:
        try:
            _block_interrupt(False)
            answer, _ = process.communicate(trial.to_json())
        finally:
            process.kill()
    if process.returncode or not answer:
        raise EdgeDetectError(f"{trial.model}: the measured process ended with {process.returncode}; see above")
    found: dict[str, Any] = json.loads(answer)
    if "error" in found:
        raise EdgeDetectError(found["error"])
    return Measured(**found | {"input_hw": tuple(found["input_hw"])})


def _alone(cores: tuple[int, ...]) -> None:
    """Before the process begins: Ctrl-C reaches the whole terminal, but it is for us to end it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _block_interrupt(False)
    if cores:
        os.sched_setaffinity(0, cores)


def _block_interrupt(block: bool) -> None:
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_BLOCK if block else signal.SIG_UNBLOCK, {signal.SIGINT})
