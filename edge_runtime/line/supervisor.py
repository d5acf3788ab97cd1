"""Keeps a worker at work. A frame that crashes or hangs it costs that frame, not the run.

This process imports nothing heavy: whatever the worker's libraries do, it stays alive and answers.
"""

import queue
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace

from edge_runtime.errors import EdgeDetectError
from edge_runtime.line.events import Began, Done, Ended, Event, Failed, PutOff, Ready, decode
from edge_runtime.line.job import Job

STALL_S = 10.0
"""Silence after which a worker that has frames in work, or watches, is taken for hung. Proofs may take longer."""
STALL_PROVING_S = 60.0
START_S = 120.0
STOP_S = 4.0
MAX_IN_A_ROW = 10
"""Workers that died without one frame done between them: the fault is not in the frames. Without one in work, it is at once."""
STOP = "stop"
PAUSES_S = (1.0, 2.0, 5.0, 10.0)
"""Before the next try where results can't be written; the last for ever."""


class Supervisor:
    """Runs a job to its end. stop() may be called from any thread or signal handler."""

    def __init__(self, job: Job, say: Callable[[str], None]) -> None:
        """say: told, in words, of what was mended."""
        self._job, self._say = job, say
        self._crashed: Counter[str] = Counter()
        self._under_way: dict[str, None] = {}  # in the order they were begun
        self._stop = threading.Event()
        self._stopped_at = 0.0
        self._worker: subprocess.Popen[bytes] | None = None
        self.restarts = 0

    def stop(self) -> None:
        """Finish what is in work, then end."""
        if not self._stop.is_set():
            self._stopped_at = time.monotonic()
            self._stop.set()
            self._send(STOP)

    def kill(self) -> None:
        """End now; what is not committed is done again by the next run."""
        self.stop()
        if self._worker is not None:
            self._worker.kill()

    def run(self) -> Iterator[Event]:
        """The workers' events, without their ends. Raises EdgeDetectError where the job can't be done, in the worker's words."""
        ready, failures, deaths = False, 0, 0
        while True:
            last: Event | None = None
            for last in self._one_worker():
                if isinstance(last, Done):
                    deaths = failures = 0
                ready = ready or isinstance(last, Ready)
                if not isinstance(last, Failed | Ended):
                    yield last
            if isinstance(last, Failed):
                if last.lasting or not ready or self._job.watching is None:
                    raise EdgeDetectError(last.message)
                if failures == 0:
                    self._say(f"error: {last.message}; trying again until it works")
                self._stop.wait(PAUSES_S[min(failures, len(PAUSES_S) - 1)])
                failures += 1
            elif not isinstance(last, Ended):
                deaths += 1 if self._under_way else MAX_IN_A_ROW
            if isinstance(last, Ended) or self._stop.is_set():
                return
            if deaths > MAX_IN_A_ROW:
                raise EdgeDetectError(
                    "workers died one after the other without finishing a frame; edge-detect check tells whether the model "
                    "runs on this PC"
                )
            self.restarts += 1

    def _one_worker(self) -> Iterator[Event]:
        """The events of one worker until it ends, is stopped, or is taken for hung."""
        self._under_way.clear()
        worker = subprocess.Popen(
            [sys.executable, "-P", "-m", "edge_runtime.line.worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._worker = worker
        try:
            self._send(replace(self._job, crashed=dict(self._crashed)).to_json())
            if self._stop.is_set():
                self._send(STOP)
            yield from self._followed(_events(worker))
        finally:
            self._worker = None
            worker.kill()  # whatever state it is in: all that counts is committed
            worker.wait()

    def _followed(self, events: "queue.Queue[Event | None]") -> Iterator[Event]:
        ready = False
        while True:
            try:
                event = events.get(timeout=self._patience_s(ready))
            except queue.Empty:
                if self._stop.is_set() and time.monotonic() < self._stopped_at + STOP_S:
                    continue  # it was told to stop while we waited
                self._blame("hangs")
                return
            if event is None:
                self._blame("died")
                return
            if isinstance(event, Began):
                self._under_way[event.source] = None
            elif isinstance(event, PutOff):
                self._under_way.pop(event.source, None)
            elif isinstance(event, Done):
                self._under_way.pop(event.row["frame"], None)
                self._crashed.pop(event.row["frame"], None)
            ready = ready or isinstance(event, Ready)
            yield event
            if isinstance(event, Failed | Ended):
                return

    def _patience_s(self, ready: bool) -> float:
        if self._stop.is_set():
            return max(0.0, self._stopped_at + STOP_S - time.monotonic())
        if not ready or not (self._under_way or self._job.watching):
            return START_S
        return STALL_PROVING_S if self._job.prove else STALL_S

    def _blame(self, what: str) -> None:
        """Whatever was in work is to be handled with care by the next worker."""
        if self._stop.is_set():
            return
        self._crashed.update(list(self._under_way))
        over = ", ".join(self._under_way) or "no frame"
        self._say(f"warning: the worker {what} with {over} in work; going on with another one")

    def _send(self, line: str) -> None:
        worker = self._worker
        if worker is not None and worker.stdin is not None:
            with suppress(OSError):  # it is dead, which its events will tell
                worker.stdin.write(f"{line}\n".encode("utf-8", "surrogateescape"))
                worker.stdin.flush()


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
