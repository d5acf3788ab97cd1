"""The process that does the work: `python -m edge_runtime.line.worker`, started by supervisor.py.

Standard input brings the job, one line, and later `stop`, one line; where it ends without that, the supervisor is gone and so is
the worker. Standard output carries events. Whatever else prints goes to standard error.
"""

import hashlib
import io
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2

from edge_runtime import frames
from edge_runtime.benchmark import profile
from edge_runtime.benchmark.hardware import available_cores
from edge_runtime.benchmark.profile import Profile
from edge_runtime.errors import EdgeDetectError, MixedResultsError, ModelError
from edge_runtime.frames import FrameFile
from edge_runtime.golden import replay
from edge_runtime.inspector import Inspector
from edge_runtime.line.events import Began, Done, Ended, Event, Failed, Preview, PutOff, Ready, encode
from edge_runtime.line.folder import Folder
from edge_runtime.line.job import Job
from edge_runtime.line.ledger import Ledger, state_of
from edge_runtime.line.pictures import Pictures
from edge_runtime.line.pipeline import Caution, Outcome, Pipeline, Work
from edge_runtime.line.retention import keep_within
from edge_runtime.line.screen import Screen
from edge_runtime.line.supervisor import SIGNALS
from edge_runtime.model import Model, available_providers

STATUS_S = 0.5


class Channel:
    """The pipe to the supervisor, for any thread."""

    def __init__(self) -> None:
        self._pipe = os.dup(1)
        os.dup2(2, 1)
        self._guard = threading.Lock()

    def tell(self, event: Event) -> None:
        left = memoryview(f"{encode(event)}\n".encode())
        with self._guard:
            while left:
                left = left[os.write(self._pipe, left) :]

    def began(self, file: FrameFile) -> None:
        self.tell(Began(file.source))

    def over(self, outcome: Outcome) -> None:
        if outcome.row is None:
            self.tell(PutOff(outcome.file.source))
        else:
            self.tell(Done(outcome.row, outcome.repeated))
            if outcome.preview is not None:
                self.tell(Preview(outcome.row, outcome.preview))


def main() -> None:
    stop = threading.Event()
    for number in SIGNALS:  # they reach all of a terminal or a service; the supervisor says what follows
        signal.signal(number, signal.SIG_IGN)
    channel = Channel()
    control = open(os.dup(0), "rb")  # noqa: SIM115  # its thread reads until the process ends
    job = Job.from_json(control.readline())
    threading.Thread(target=_obey, args=(control, stop), daemon=True).start()
    try:
        if job.watching:
            _watch(job, channel, stop)
        else:
            _inspect(job, channel, stop)
    except EdgeDetectError as err:
        channel.tell(Failed(str(err), lasting=isinstance(err, ModelError | MixedResultsError)))
    else:
        channel.tell(Ended())


def _obey(control: Iterable[bytes], stop: threading.Event) -> None:
    for _ in control:
        stop.set()
    os._exit(3)


def _inspect(job: Job, channel: Channel, stop: threading.Event) -> None:
    sys.stdin = io.TextIOWrapper(io.BytesIO(job.listed.encode("utf-8", "surrogateescape")))
    found = frames.find(job.inputs)
    setup = _setup(job)
    inspector = _inspector(job, setup)
    with Ledger(Path(job.out), _identity(inspector, found.base)) as ledger:
        todo, earlier = [], Counter[str]()
        for file in found.files:
            verdict = ledger.unchanged(file.source, state_of(file.path))
            if verdict is None:
                todo.append(file)
            else:
                earlier[verdict] += 1
        channel.tell(Ready(len(found.files), dict(earlier)))
        pipeline = Pipeline(inspector, ledger, _pictures(job), setup.jobs, channel.began)
        for outcome in pipeline.run(_until(stop, todo, job.crashed)):
            channel.over(outcome)


def _until(stop: threading.Event, files: Iterable[FrameFile], crashed: dict[str, int]) -> Iterator[Work]:
    for file in files:
        if stop.is_set():
            return
        yield Work(file, Caution(min(3, crashed.get(file.source, 0))))


def _watch(job: Job, channel: Channel, stop: threading.Event) -> None:
    assert job.watching is not None
    folder = Folder(job.inputs, Path(job.out), job.watching, job.crashed)
    setup = _setup(job)
    inspector = _inspector(job, setup)
    with Ledger(Path(job.out), _identity(inspector, folder.base)) as ledger:
        channel.tell(Ready(None, {}))
        threading.Thread(target=keep_within, args=(Path(job.out), job.watching), daemon=True).start()
        screen = Screen(setup.jobs) if job.screen else None
        pipeline = Pipeline(inspector, ledger, _pictures(job), setup.jobs, channel.began, folder.put_off, screen)
        for outcome in pipeline.run(_telling(folder, ledger, channel, stop)):
            folder.over(outcome)
            channel.over(replace(outcome, row=None) if outcome.still_unreadable else outcome)
        channel.tell(folder.status())


def _telling(folder: Folder, ledger: Ledger, channel: Channel, stop: threading.Event) -> Iterator[Work | None]:
    """The folder's work; tells how it stands, again and again."""
    told = 0.0
    for work in folder.work(ledger, stop):
        if time.monotonic() - told > STATUS_S:
            channel.tell(folder.status())
            told = time.monotonic()
        yield work


def _setup(job: Job) -> Profile:
    """What was asked for; else what benchmark --tune has found for this model on this PC; else what is best for most."""
    model, live = Path(job.model), job.watching is not None
    found = Profile.default(available_cores(), live)
    if profile.path_of(model).is_file() and model.is_file():
        with open(model, "rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        tuned = profile.read(model, sha256, live, say=lambda words: print(words, file=sys.stderr))
        if tuned is not None and tuned.provider not in available_providers():
            print(f"note: {profile.path_of(model)} asks for {tuned.provider}, which is gone; ignored", file=sys.stderr)
        else:
            found = tuned or found
    return replace(
        found,
        jobs=job.jobs or found.jobs,
        threads=job.threads or found.threads,
        provider=job.provider or found.provider,
    )


def _inspector(job: Job, setup: Profile) -> Inspector:
    cv2.setNumThreads(1)  # the jobs share the cores; more threads within each would only fight over them
    model = Model.load(Path(job.model), setup.threads, setup.provider, job.sha256, setup.spinning)
    if job.check_first:
        for _ in replay(model, whole=False):
            pass
    return Inspector(model, job.threshold, job.single_box, job.prove, job.explain_all)


def _pictures(job: Job) -> Pictures:
    return Pictures(job.kinds, for_all=job.save_for == "all", failed=job.save_for != "anomaly")


def _identity(inspector: Inspector, base: Path) -> dict[str, str]:
    return {**inspector.identity, "folder of frames": frames.printable(os.path.normcase(base))}


if __name__ == "__main__":
    main()
