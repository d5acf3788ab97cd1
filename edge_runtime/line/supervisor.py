"""Keeps a worker at work. A frame that crashes or hangs it costs that frame, not the run.

This process imports nothing heavy: whatever the worker's libraries do, it stays alive and answers.
"""

import queue
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace

from edge_runtime.errors import EdgeDetectError
from edge_runtime.line import process
from edge_runtime.line.events import Alive, Began, Done, Ended, Event, Failed, PutOff, Ready, decode
from edge_runtime.line.job import Job

STALL_S = 8.0
"""A frame that shows no sign of life for so long hangs; another worker is at work before 10 s are over. Proofs may take longer."""
STALL_PROVING_S = 60.0
SILENCE_S = 120.0
SILENCE_WATCHING_S = 20.0
"""A worker that tells nothing at all for so long hangs, while it starts, too; one that watches tells twice a second how it stands."""
STOP_S = 4.0
LOOK_S = 0.25
"""Between two looks at the clock."""
SOUND_S = 60.0
"""A worker that was ready and has lived for so long was no bad start."""
MAX_IN_A_ROW = 10
"""Workers that died without one frame done between them: the fault is not in the frames. Without one in work, two are enough."""
NAP_S = 1.0
LONG_S = 60.0
"""After which a start that takes so long is told."""
STOP = "stop"
SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name))
"""What asks for an end: Ctrl-C, a service's stop, and Ctrl-Break, all that one program can send another on Windows."""
PAUSES_S = (1.0, 2.0, 5.0, 10.0)
"""Before the next try of a watch that can't go on; the last for ever."""


class Awake:
    """Seconds, but for those in which this process was itself stopped (Ctrl-Z, a sleeping PC, a paused virtual machine): then
    nothing was heard because nobody listened. To be asked more often than every NAP_S."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._last, self._passed = clock, clock(), 0.0

    def __call__(self) -> float:
        now = self._clock()
        self._passed += min(now - self._last, NAP_S)
        self._last = now
        return self._passed


class Supervisor:
    """Runs a job to its end. stop() and kill() may be called from any thread or signal handler."""

    def __init__(self, job: Job, say: Callable[[str], None]) -> None:
        """say: told, in words, of what was mended."""
        self._job, self._say = job, say
        self._crashed: Counter[str] = Counter()
        self._under_way: dict[str, float] = {}  # source -> its last sign of life
        self._stop = threading.Event()
        self._stopped_at = 0.0
        self._worker: subprocess.Popen[bytes] | None = None
        self._sending = threading.Lock()
        self._silence_s = SILENCE_S
        self._awake = Awake()
        self.restarts = 0

    def stop(self) -> None:
        """Finish what is in work, then end."""
        if not self._stop.is_set():
            self._stopped_at = time.monotonic()
            self._stop.set()
            threading.Thread(target=self._send, args=(STOP,), daemon=True).start()

    def kill(self) -> None:
        """End now; what is not committed is done again by the next run."""
        self.stop()
        if self._worker is not None:
            self._worker.kill()

    def run(self) -> Iterator[Event]:
        """The workers' events; a Failed among them says that one is replaced. Raises EdgeDetectError where the job can't be done,
        in the worker's words."""
        ready, failures, deaths = False, 0, 0
        watching = self._job.watching is not None
        while not self._stop.is_set():
            started, last = time.monotonic(), None
            begun, told = False, False
            for last in self._one_worker():
                if isinstance(last, Alive) and not told and time.monotonic() > started + LONG_S:
                    self._say("note: looking for frames and opening the results takes long; going on")
                    told = True
                if isinstance(last, Done):
                    if failures:
                        self._say("note: it works again")
                    deaths = failures = 0
                begun = begun or isinstance(last, Ready)
                if not isinstance(last, Alive | Failed | Ended):
                    yield last
            if isinstance(last, Ended) or self._stop.is_set():
                return
            ready = ready or begun
            if begun and time.monotonic() > started + SOUND_S:
                deaths = failures = 0
            if isinstance(last, Failed):
                if last.lasting or not (ready and watching):
                    raise EdgeDetectError(last.message)
                if failures == 0:
                    self._say(f"error: {last.message}; trying again until it works")
            else:
                deaths += 1 if self._under_way else MAX_IN_A_ROW
                if deaths > MAX_IN_A_ROW and not (ready and watching):
                    raise EdgeDetectError(
                        "workers died one after the other without finishing a frame; edge-detect check tells whether the "
                        "model runs on this PC"
                    )
            self.restarts += 1
            yield last if isinstance(last, Failed) else Failed("", lasting=False)
            if isinstance(last, Failed) or deaths > MAX_IN_A_ROW:
                self._stop.wait(PAUSES_S[min(failures, len(PAUSES_S) - 1)])
                failures += 1

    def _one_worker(self) -> Iterator[Event]:
        """The events of one worker until it ends, is stopped, or is taken for hung."""
        self._under_way.clear()
        self._silence_s = SILENCE_S
        try:
            worker = process.worker()
        except OSError as err:
            yield Failed(f"{sys.executable}: the worker can't be started: {err.strerror}", lasting=False)
            return
        with self._sending:  # nothing is sent before the job
            self._worker = worker
            self._write(replace(self._job, crashed=dict(self._crashed)).to_json())
        try:
            if self._stop.is_set():
                self._send(STOP)
            yield from self._followed(_events(worker))
        finally:
            self._worker = None
            worker.kill()  # whatever state it is in: all that counts is committed
            with suppress(subprocess.TimeoutExpired):  # a process that a dead disk holds can't be waited for
                worker.wait(LOOK_S)

    def _followed(self, events: "queue.Queue[Event | None]") -> Iterator[Event]:
        heard = self._awake()
        while True:
            try:
                event = events.get(timeout=LOOK_S)
            except queue.Empty:
                if self._given_up(heard):
                    self._blame("hangs")
                    return
                continue
            heard = self._awake()
            if event is None:
                self._blame("died")
                return
            self._note(event)
            yield event
            if isinstance(event, Failed | Ended):
                return
            if self._given_up(heard) and events.empty():
                self._blame("hangs")
                return

    def _note(self, event: Event) -> None:
        now = self._awake()
        if isinstance(event, Ready) and self._job.watching is not None:
            self._silence_s = SILENCE_WATCHING_S
        elif isinstance(event, Began):
            self._under_way[event.source] = now
        elif isinstance(event, Done | PutOff):
            source = event.row["frame"] if isinstance(event, Done) else event.source
            self._under_way.pop(source, None)
            self._crashed.pop(source, None)
            self._under_way = dict.fromkeys(self._under_way, now)  # they may have waited for it

    def _given_up(self, heard: float) -> bool:
        """Whether to wait no more. As long as any frame shows a sign of life, the others may wait for it; where one hangs, rows being
        committed in order, they all fall silent soon. heard: of the last event."""
        if self._stop.is_set() and time.monotonic() > self._stopped_at + STOP_S:
            return True
        now = self._awake()
        sign = max(self._under_way.values(), default=now)
        return now > sign + (STALL_PROVING_S if self._job.prove else STALL_S) or now > heard + self._silence_s

    def _blame(self, what: str) -> None:
        """Whatever was in work is to be handled with care by the next worker."""
        if self._stop.is_set():
            return
        self._crashed.update(list(self._under_way))
        over = ", ".join(self._under_way) or "no frame"
        self._say(f"warning: the worker {what} with {over} in work; going on with another one")

    def _send(self, line: str) -> None:
        with self._sending:
            self._write(line)

    def _write(self, line: str) -> None:
        if self._worker is not None and self._worker.stdin is not None:
            with suppress(OSError):  # it is dead, which its events will tell
                self._worker.stdin.write(f"{line}\n".encode("utf-8", "surrogateescape"))
                self._worker.stdin.flush()


def _events(worker: "subprocess.Popen[bytes]") -> "queue.Queue[Event | None]":
    """What a worker tells, as it comes; None when it is gone. Where nobody listens, the worker waits."""
    events: queue.Queue[Event | None] = queue.Queue(maxsize=1000)

    def read() -> None:
        assert worker.stdout is not None
        with worker.stdout:
            for line in worker.stdout:
                if line.endswith(b"\n"):
                    events.put(decode(line))
        events.put(None)

    threading.Thread(target=read, daemon=True).start()
    return events
