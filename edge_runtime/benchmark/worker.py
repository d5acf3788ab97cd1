"""The measured process: `python -m edge_runtime.benchmark.worker`, a Trial on standard input, a Measured on standard output."""

import json
import os
import signal
import sys
import threading
import time
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from edge_runtime.benchmark.hardware import memory_mib, peak_mib
from edge_runtime.benchmark.paced import Arrivals
from edge_runtime.benchmark.trial import Measured, Trial
from edge_runtime.errors import EdgeDetectError, FrameError
from edge_runtime.inspector import Inspector
from edge_runtime.line.ledger import Ledger
from edge_runtime.line.pictures import Pictures
from edge_runtime.line.pipeline import Outcome, Pipeline, Work
from edge_runtime.model import Model


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in trial.py, for Windows
    trial = sys.stdin.read()
    if not trial:  # stopped before it was said what to do
        return
    try:
        print(json.dumps(asdict(measure(Trial.from_json(trial)))))
    except EdgeDetectError as err:
        print(json.dumps({"error": str(err)}))


def measure(trial: Trial) -> Measured:
    """Raises EdgeDetectError."""
    setup, paths = trial.setup, [Path(frame) for frame in trial.frames]
    model = Model.load(Path(trial.model), setup.threads, setup.provider, spinning=setup.spinning)
    inspector = Inspector(model, None if trial.threshold < 0 else trial.threshold)
    if trial.warm_up:
        _run(trial, inspector, "warm-up", Arrivals(paths, 0, 0, trial.warm_up + setup.jobs))
    count = trial.count or (0 if trial.seconds else len(paths))
    found = _run(trial, inspector, "run", Arrivals(paths, trial.pace.fps if trial.pace else 0, trial.seconds, count))
    return Measured(
        seconds=found.seconds,
        latency_ms=found.latency_ms.tolist(),
        stages_ms={stage: ms.tolist() for stage, ms in found.stages_ms.items()},
        verdicts=dict(found.verdicts),
        model_sha256=model.sha256,
        precision=model.manifest.precision,
        mirrors=model.manifest.mirrors,
        input_hw=model.input_hw,
        peak_mib=peak_mib(),
        samples=found.samples,
    )


class _Seen:
    """What one run has shown so far."""

    def __init__(self, sample_every: int) -> None:
        self.started, self.seconds, self.sample_every = time.perf_counter(), 0.0, sample_every
        # Arrays: where memory is watched, a measurement's own notes must grow by little.
        self.latency_ms = array("d")
        self.stages_ms: dict[str, array[float]] = defaultdict(lambda: array("d"))
        self.verdicts: Counter[str] = Counter()
        self.samples: list[tuple[int, float, int, int]] = []

    def take(self, outcome: Outcome, due: float | None) -> None:
        """due: when the frame was to arrive; None where nobody waited for it."""
        committed, row = time.perf_counter(), outcome.row
        if row is None or row["verdict"] == "error":
            raise FrameError(f"{outcome.file.path}: {row and row['error']}; benchmark frames that can be judged")
        self.seconds = committed - self.started
        elapsed: dict[str, float] = row["elapsed_ms"]
        self.latency_ms.append(sum(elapsed.values()) if due is None else (committed - due) * 1e3)
        for stage, ms in elapsed.items():
            self.stages_ms[stage].append(ms)
        self.verdicts[row["verdict"]] += 1
        done = len(self.latency_ms)
        if self.sample_every and done % self.sample_every == 0:
            self.samples.append((done, memory_mib() or 0.0, _open_files(), threading.active_count()))


def _run(trial: Trial, inspector: Inspector, name: str, arrivals: Arrivals) -> _Seen:
    with Ledger(Path(trial.out, name), inspector.identity) as ledger:
        pipeline = Pipeline(inspector, ledger, Pictures(trial.pictures, trial.for_all), trial.setup.jobs)
        seen = _Seen(trial.sample_every)
        for outcome in pipeline.run(_work(arrivals)):
            due = arrivals.due.pop(outcome.file.source)
            seen.take(outcome, due if trial.pace else None)
    return seen


def _work(arrivals: Arrivals) -> Iterator[Work | None]:
    for file in arrivals:
        yield None if file is None else Work(file)


def _open_files() -> int:
    """0 where the system does not tell."""
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError:
        return 0


if __name__ == "__main__":
    main()
