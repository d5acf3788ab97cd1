"""What a worker does: a job's frames, one after the other, from where they lie to their rows, each step told."""

import io
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from edge_runtime import frames
from edge_runtime.frames import FrameFile
from edge_runtime.golden import replay
from edge_runtime.inspector import Inspector
from edge_runtime.line.events import Alive, Began, Done, Event, Preview, PutOff, Ready
from edge_runtime.line.folder import Folder
from edge_runtime.line.job import Job
from edge_runtime.line.ledger import Ledger, state_of
from edge_runtime.line.pictures import Pictures
from edge_runtime.line.pipeline import Caution, Outcome, Pipeline, Work
from edge_runtime.line.process_wide import set_up
from edge_runtime.line.retention import keep_within
from edge_runtime.line.screen import Screen
from edge_runtime.model import Model

STATUS_S = 0.5
ALIVE_S = 5.0
Tell = Callable[[Event], None]


def run(job: Job, model: Callable[[], Model], jobs: int, tell: Tell, stop: threading.Event) -> None:
    """Do the job to its end, or until `stop` is set. model: waits for it. jobs: frames in work at once. tell: may be called from
    several threads. Raises EdgeDetectError."""
    set_up()
    if job.watching:
        _watch(job, model, jobs, tell, stop)
    else:
        _inspect(job, model, jobs, tell, stop)


def _inspect(job: Job, model: Callable[[], Model], jobs: int, tell: Tell, stop: threading.Event) -> None:
    sys.stdin = io.TextIOWrapper(io.BytesIO(job.listed.encode("utf-8", "surrogateescape")))
    with _alive(tell):
        found = frames.find(job.inputs)
        frames.refuse_among(Path(job.out), found.folders)
    inspector = _inspector(job, model())
    with _ledger(job, _identity(inspector, found.base), tell) as ledger:
        with _alive(tell):
            todo, earlier = _todo(found.files, ledger)
        out = os.path.realpath(job.out)
        passed_over = [folder for folder in found.passed_over if os.path.realpath(folder) != out]
        tell(Ready(len(found.files), dict(earlier), passed_over))
        pipeline = Pipeline(inspector, ledger, _pictures(job), jobs, _began(tell))
        for outcome in pipeline.run(_until(stop, todo, job.crashed)):
            _over(tell, outcome)


def _todo(files: Iterable[FrameFile], ledger: Ledger) -> tuple[list[FrameFile], Counter[str]]:
    """(frames to judge, rows per verdict of those that are as an earlier run has judged them)."""
    todo, earlier = [], Counter[str]()
    for file in files:
        verdict = ledger.unchanged(file.source, state_of(file.path))
        if verdict is None:
            todo.append(file)
        else:
            earlier[verdict] += 1
    return todo, earlier


def _until(stop: threading.Event, files: Iterable[FrameFile], crashed: dict[str, int]) -> Iterator[Work]:
    for file in files:
        if stop.is_set():
            return
        yield Work(file, Caution(min(3, crashed.get(file.source, 0))))


def _watch(job: Job, model: Callable[[], Model], jobs: int, tell: Tell, stop: threading.Event) -> None:
    assert job.watching is not None
    folder = Folder(job.inputs, Path(job.out), job.watching, job.crashed)
    inspector = _inspector(job, model())
    with _ledger(job, _identity(inspector, folder.base), tell) as ledger:
        judges = inspector.model
        tell(Ready(None, {}, product=judges.manifest.product, model=judges.sha256, cameras=folder.cameras))
        threading.Thread(target=keep_within, args=(Path(job.out), job.watching), daemon=True).start()
        screen = Screen(jobs) if job.screen else None
        pipeline = Pipeline(inspector, ledger, _pictures(job), jobs, _began(tell), folder.put_off, screen)
        for outcome in pipeline.run(_telling(folder, ledger, tell, stop)):
            folder.over(outcome)
            _over(tell, replace(outcome, row=None) if outcome.still_unreadable else outcome)
        tell(folder.status())


def _ledger(job: Job, identity: dict[str, str], tell: Tell) -> Ledger:
    """Opened; one of an earlier edge-detect, or with results.jsonl lost, may take minutes for a million rows."""
    with _alive(tell):
        return Ledger(Path(job.out), identity)


@contextmanager
def _alive(tell: Tell) -> Iterator[None]:
    """What takes long in here is not taken for a hang."""
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(ALIVE_S):
            tell(Alive())

    threading.Thread(target=repeat, daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _telling(folder: Folder, ledger: Ledger, tell: Tell, stop: threading.Event) -> Iterator[Work | None]:
    """The folder's work; tells how it stands, again and again."""
    told = 0.0
    for work in folder.work(ledger, stop):
        if time.monotonic() - told > STATUS_S:
            tell(folder.status())
            told = time.monotonic()
        yield work


def _began(tell: Tell) -> Callable[[FrameFile], None]:
    return lambda file: tell(Began(file.source))


def _over(tell: Tell, outcome: Outcome) -> None:
    if outcome.row is None:
        tell(PutOff(outcome.file.source))
    else:
        tell(Done(outcome.row, outcome.repeated))
        if outcome.preview is not None:
            tell(Preview(outcome.row, outcome.preview))


def _inspector(job: Job, model: Model) -> Inspector:
    if job.check_first:
        for _ in replay(model, whole=False):
            pass
    return Inspector(model, job.threshold, job.single_box, job.prove, job.explain_all)


def _pictures(job: Job) -> Pictures:
    return Pictures(job.kinds, for_all=job.save_for == "all", failed=job.save_for != "anomaly")


def _identity(inspector: Inspector, base: Path) -> dict[str, str]:
    return {**inspector.identity, "folder of frames": frames.printable(os.path.normcase(base))}
