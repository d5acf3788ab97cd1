"""Folders that frames arrive in, as a queue. Looking at all files is the truth; events of the system only make it look sooner,
for they get lost when many files come at once, and network shares send none.
"""

import heapq
import itertools
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from pathlib import Path

from edge_runtime import frames
from edge_runtime.errors import UsageError
from edge_runtime.frames import FrameFile
from edge_runtime.line.events import Status
from edge_runtime.line.job import Watching
from edge_runtime.line.ledger import GONE, Ledger, state_of
from edge_runtime.line.pipeline import Caution, Outcome, Work
from edge_runtime.line.record import NOT_SEARCHED
from edge_runtime.line.search import MAX_UNSEARCHED, Search
from edge_runtime.line.wake import Wake
from edge_runtime.results import Verdict

MAX_PENDING = 50_000
"""Frames kept in mind; what lies in the folders beyond is found by a later look."""
LOOK_S = 0.05
"""For looking at files, between two frames that are begun."""
MAX_IDLE_S = 0.5
RETRY_S = 60.0
"""After which a frame is tried again that could not be read: a disk or a share may have been away."""


class Stage(Enum):
    SETTLING = auto()
    READY = auto()
    UNDER_WAY = auto()


@dataclass(slots=True)
class Pending:
    """A file that has no row yet. state: when last looked at. changed: when it was last seen to change, and ready: when it may
    be read (monotonic seconds). closed: by whoever wrote it, or moved here from nearby. stirred: it changed while it was read in vain.
    heard_of: something happened to it while it was being judged."""

    file: FrameFile
    state: str
    changed: float
    ready: float
    closed: bool = False
    stage: Stage = Stage.SETTLING
    stirred: bool = False
    heard_of: bool = False


class Folder:
    """The queue. One thread calls work(), over() and status(); put_off() may be called from any."""

    def __init__(self, inputs: Sequence[str], out: Path, watching: Watching, crashed: Mapping[str, int]) -> None:
        """crashed: frame -> how many workers died over it. Raises UsageError for folders that lie in
        one another or hold the results themselves. One that is not there may come back."""
        self.base, self._roots = _roots(inputs, out)
        self._rule, self._crashed = watching, dict(crashed)
        self._pending: dict[str, Pending] = {}
        self._due: list[tuple[float, int, str]] = []
        self._ready: deque[Pending] = deque()
        self._numbers = itertools.count()
        self._counts: Counter[str] = Counter()
        self._seen = self._under_way = 0
        self._again: list[Pending] = []  # judged, and perhaps written again meanwhile
        self._not_whole: dict[str, tuple[str, float]] = {}  # read in vain: source -> camera, since when it waits
        self._unreadable: dict[str, tuple[str, float]] = {}  # source -> state of the file, when to try again
        roots = [root for root, _ in self._roots]
        self._searches = [Search(root, roots, watching.rescan_s) for root in roots]

    @property
    def cameras(self) -> list[str]:
        """By name; none for a single folder."""
        return [camera for _, camera in self._roots if camera is not None]

    def work(self, ledger: Ledger, stop: threading.Event) -> Generator[Work | None, None, None]:
        """Frames to inspect as they become ready, None while there are none; ends after stop."""
        with Wake(self._rule.poll) as wake:
            while not stop.is_set():
                for path, closed in wake.hints():
                    self._look_at_one(path, closed, ledger)
                again, self._again = self._again, []
                for pending in again:
                    self._look(pending.file.path, pending.file.camera, pending.closed, ledger)
                self._look_on(wake, ledger)
                self._let_ready()
                if self._ready:
                    yield self._next()
                    continue
                yield None
                if not self._under_way:
                    wake.wait(self._idle_s())

    def over(self, outcome: Outcome) -> None:
        """A frame has its row, or was put off."""
        self._under_way -= 1
        source = outcome.file.source
        pending = self._pending[source]
        if outcome.row is None:
            self._not_whole.setdefault(source, (pending.file.camera or "", pending.ready))
            if pending.heard_of:
                self._again.append(replace(pending))
            pending.stage, pending.closed, pending.heard_of = Stage.SETTLING, False, False
            again = self._rule.settle_s if pending.stirred else self._rule.incomplete_s
            self._ready_at(pending, pending.changed + again)
            return
        del self._pending[source]
        self._not_whole.pop(source, None)
        if pending.heard_of:
            self._again.append(pending)
        unreadable = outcome.row["sha256"] is None and outcome.row["verdict"] == Verdict.ERROR
        if unreadable and len(self._unreadable) < MAX_PENDING:
            self._unreadable[source] = pending.state, time.monotonic() + RETRY_S
        if outcome.still_unreadable:
            self._seen -= 1
        else:
            self._counts[outcome.row["verdict"]] += 1

    def put_off(self, file: FrameFile, was_read: bool) -> bool:
        """Whether a frame that can't be judged may still become readable: it has not been left alone for long enough. One that is gone
        before it was read was never a frame."""
        pending, state = self._pending[file.source], state_of(file.path)
        pending.stirred = self._note(pending, state)
        if state == GONE:
            return not was_read
        return time.monotonic() < pending.changed + self._rule.incomplete_s

    def status(self) -> Status:
        return Status(
            seen=self._seen,
            done=self._counts["good"] + self._counts["anomaly"],
            error=self._counts["error"],
            skipped=self._counts["skipped"],
            pending=len(self._pending),
            lag_s=round(time.monotonic() - self._ready[0].ready, 3) if self._ready else 0.0,
            unsearched=[where for search in self._searches for where in search.unsearched][:MAX_UNSEARCHED],
            away={
                camera or "": search.away
                for search, (_, camera) in zip(self._searches, self._roots, strict=True)
                if search.away
            },
            not_whole=self._not_whole_s(),
        )

    def _not_whole_s(self) -> dict[str, float]:
        now, ages = time.monotonic(), dict[str, float]()
        for camera, since in self._not_whole.values():
            ages[camera] = max(ages.get(camera, 0.0), round(now - since, 3))
        return ages

    def _look_on(self, wake: Wake, ledger: Ledger) -> None:
        """Look at all files again when it is time to; a little at a time, so that frames are judged meanwhile."""
        for search, (_, camera) in zip(self._searches, self._roots, strict=True):
            for path in search.files(wake, time.monotonic() + LOOK_S / len(self._searches)):
                self._look(path, camera, False, ledger)

    def _look_at_one(self, path: Path, closed: bool, ledger: Ledger) -> None:
        for root, camera in self._roots:
            if path.is_relative_to(root):
                if frames.is_frame(path.relative_to(root)) and not _in_an_output(path, root):
                    self._look(path, camera, closed, ledger)
                return

    def _look(self, path: Path, camera: str | None, closed: bool, ledger: Ledger) -> None:
        """Queue a file that is not known in this state, or note what has become of one that is queued."""
        source = frames.printable(path.relative_to(self.base).as_posix())
        pending, state = self._pending.get(source), state_of(path)
        if pending is None:
            if state == GONE or len(self._pending) >= MAX_PENDING or ledger.unchanged(source, state):
                return
            tried, again = self._unreadable.get(source, ("", 0.0))
            if (tried == state and time.monotonic() < again) or os.path.isdir(path):
                return
            self._unreadable.pop(source, None)
            now = time.monotonic()
            # One that is tried again has been left alone for long enough, and is not to wait, nor to count as waiting.
            changed = now - self._rule.incomplete_s if tried == state else now
            pending = Pending(FrameFile(path, source, camera), state, changed, 0.0, closed)
            self._pending[source] = pending
            self._seen += 1
            self._ready_at(pending, now + (0 if closed or tried == state else self._rule.settle_s))
        elif pending.stage is Stage.SETTLING and (self._note(pending, state) or closed):
            pending.closed = closed
            self._ready_at(pending, pending.changed + (0 if closed else self._rule.settle_s))
        elif pending.stage is Stage.UNDER_WAY:
            pending.heard_of, pending.closed = True, closed

    def _note(self, pending: Pending, state: str) -> bool:
        """Note a file's state; whether it has changed."""
        if state == pending.state:
            return False
        pending.state, pending.changed = state, time.monotonic()
        return True

    def _ready_at(self, pending: Pending, moment: float) -> None:
        pending.ready = moment
        heapq.heappush(self._due, (moment, next(self._numbers), pending.file.source))

    def _let_ready(self) -> None:
        while self._due and self._due[0][0] <= time.monotonic():
            moment, _, source = heapq.heappop(self._due)
            pending = self._pending.get(source)
            if pending is None or pending.stage is not Stage.SETTLING or pending.ready != moment:
                continue
            state = state_of(pending.file.path)
            if state == GONE:  # before it could be read: it was never a frame
                del self._pending[source]
                self._not_whole.pop(source, None)
                self._seen -= 1
            elif self._note(pending, state) and not pending.closed:
                self._ready_at(pending, pending.changed + self._rule.settle_s)
            else:
                pending.stage = Stage.READY
                self._ready.append(pending)

    def _next(self) -> Work:
        """The next of the ready ones: the oldest; or the newest, after those that have waited too long."""
        waited = time.monotonic() - self._ready[0].ready
        overdue = self._rule.newest_first and len(self._ready) > 1 and waited > self._rule.skip_after_s
        pending = self._ready.pop() if self._rule.newest_first and not overdue else self._ready.popleft()
        pending.stage = Stage.UNDER_WAY
        self._under_way += 1
        source = pending.file.source
        skip = f"{source} waited {waited:.0f} s; newer frames were judged first" if overdue else ""
        return Work(pending.file, Caution(min(3, self._crashed.pop(source, 0))), skip)

    def _idle_s(self) -> float:
        """Until something may be due."""
        if any(search.goes_on for search in self._searches):
            return LOOK_S
        due = min([search.next_at for search in self._searches] + [moment for moment, _, _ in self._due[:1]])
        return min(max(0.0, due - time.monotonic()), MAX_IDLE_S)


def _in_an_output(path: Path, root: Path) -> bool:
    """Whether a file below root lies where some run keeps its results: a picture there is no frame."""
    depth = len(path.relative_to(root).parts)
    return any(frames.holds_results(folder) for folder in list(path.parents)[:depth])


def _roots(inputs: Sequence[str], out: Path) -> tuple[Path, list[tuple[Path, str | None]]]:
    """The folder that holds all inputs, and each input with the name of its camera: where there are several."""
    folders = list(dict.fromkeys(map(frames.absolute, inputs)))
    real = {folder: Path(os.path.realpath(folder)) for folder in folders}
    for folder in folders:
        if real[folder] == Path(os.path.realpath(out)):
            raise UsageError(f"{out}: frames arrive there; results need another folder")
        if frames.holds_results(folder):
            raise UsageError(f"{folder}: {NOT_SEARCHED}; frames need another folder")
    frames.refuse_among(out, real.values())
    for one, other in itertools.permutations(folders, 2):
        if real[one].is_relative_to(real[other]):
            raise UsageError(f"{one}: lies in {other}, which is watched with all its folders")
    try:
        base = Path(os.path.commonpath(folders))
    except ValueError as err:
        raise UsageError(f"the folders lie on different drives ({err}); watch them one by one") from None
    names = [frames.printable(folder.relative_to(base).as_posix()) if len(folders) > 1 else None for folder in folders]
    return base, list(zip(folders, names, strict=True))
