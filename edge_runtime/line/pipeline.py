"""Frames in, committed rows out. Each frame is read, judged and drawn by one of a few threads; the rows are committed in the
order of the frames.

A frame stays with its thread: OpenCV, onnxruntime and hashing let go of Python's lock, so that several frames share the
cores without waiting for one another.
"""

import hashlib
import os
import time
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import IntEnum

from edge_runtime import frames
from edge_runtime.errors import FrameError
from edge_runtime.frames import FrameFile
from edge_runtime.inspector import Inspector
from edge_runtime.line.ledger import Ledger, file_state
from edge_runtime.line.pictures import Pictures, encode, keep
from edge_runtime.line.process_wide import set_up
from edge_runtime.line.record import Row
from edge_runtime.line.screen import KINDS, Screen
from edge_runtime.results import Frame, Inspection, Maps, Verdict
from edge_runtime.views import overlay

LULL_S = 0.01
TICK_S = 0.02 if os.name == "nt" else 0.01
"""Two changes of a file within one tick of its clock look like one. Windows' clock ticks 64 times a second."""


class Caution(IntEnum):
    """How a frame is handled that was being worked on when a worker crashed."""

    NONE = 0
    ALONE = 1
    DONT_DECODE = 2
    DONT_READ = 3


@dataclass(frozen=True, slots=True)
class Work:
    """skip: why the frame gets a row without being looked at; empty for those that are."""

    file: FrameFile
    caution: Caution = Caution.NONE
    skip: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a frame. row: as committed; None where the frame was put off. repeated: an earlier run committed it, and
    nothing was done now. preview: base64 of a small JPEG, where one was asked for."""

    file: FrameFile
    row: Row | None
    repeated: bool = False
    preview: str | None = None

    @property
    def still_unreadable(self) -> bool:
        """An earlier row says already that the frame can't be read."""
        return self.repeated and self.row is not None and self.row["sha256"] is None


@dataclass(frozen=True, slots=True)
class _Judged:
    """A frame that only lacks its commit. state: of its file."""

    inspection: Inspection
    pictures: dict[str, str]
    state: str | None
    preview: str | None = None


def _ignore(_: FrameFile) -> None:
    pass


def _never(_: FrameFile, __: bool) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Pipeline:
    """jobs: frames in work at once. began: told of each frame when work on it begins and, every second or so, that it goes on, from
    any thread. put_off: asked whether a frame that can't be read, or was read and can't be decoded (True), may still become readable; then it gets no row
    now. screen: where there is an operator screen, which wants pictures of its own."""

    inspector: Inspector
    ledger: Ledger
    pictures: Pictures
    jobs: int = 1
    began: Callable[[FrameFile], None] = _ignore
    put_off: Callable[[FrameFile, bool], bool] = _never
    screen: Screen | None = None

    def run(self, source: Iterable[Work | None]) -> Iterator[Outcome]:
        """Outcomes, in the order of the source. None in it means that nothing more is there for now. Raises OutputError where
        results can't be written."""
        set_up()
        painter = overlay.Painter(self.inspector.model.manifest.calibration, self.inspector.model.input_hw)
        pool = ThreadPoolExecutor(self.jobs, "frame")
        under_way: deque[tuple[FrameFile, Future[Row | _Judged | None]]] = deque()
        try:
            for work in source:
                if self.screen is not None:
                    self.screen.idle = work is None
                if work is None:
                    if under_way and wait([under_way[0][1]], LULL_S).done:
                        yield self._commit(*under_way.popleft())
                    continue
                alone = work.caution > Caution.NONE
                most = 0 if alone else 2 * self.jobs - 1
                while len(under_way) > most or (under_way and under_way[0][1].done()):
                    yield self._commit(*under_way.popleft())
                under_way.append((work.file, pool.submit(self._judge, work, painter)))
                if alone:
                    yield self._commit(*under_way.popleft())
            while under_way:
                yield self._commit(*under_way.popleft())
        finally:
            pool.shutdown(cancel_futures=True)

    def _commit(self, file: FrameFile, found: "Future[Row | _Judged | None]") -> Outcome:
        judged = found.result()
        if not isinstance(judged, _Judged):
            return Outcome(file, judged, repeated=judged is not None)
        row = self.ledger.commit(judged.inspection, file.camera, judged.pictures, judged.state)
        return Outcome(file, row, preview=judged.preview)

    def _judge(self, work: Work, painter: overlay.Painter) -> Row | _Judged | None:
        """A row that is already there, a judgement to commit, or None for a frame that was put off."""
        file, sha256, state = work.file, None, None
        elapsed: dict[str, float] = {}
        data = b""
        pulse = _Pulse(lambda: self.began(file))
        try:
            with _timed(elapsed, "read"):
                if work.caution >= Caution.DONT_READ:
                    raise FrameError("can't be read: the worker hung or crashed on it three times")
                _wait_a_tick(file)
                data, info = frames.read_file(file.path, pulse.beat)
                state = file_state(info)
                sha256 = hashlib.sha256(data).hexdigest()
            pulse.beat()
            committed = self.ledger.find(file.source, sha256, state)
            if committed is not None:
                return committed
            if work.skip:
                skipped = Inspection(file.source, sha256, None, Verdict.SKIPPED, elapsed_ms=elapsed, error=work.skip)
                return _Judged(skipped, {}, state)
            with _timed(elapsed, "decode"):
                if work.caution >= Caution.DONT_DECODE:
                    raise FrameError("made the worker crash or hang twice; it is not decoded again")
                image, size_wh = frames.decode_for(data, self.inspector.model.manifest.needed_hw)
                frame = Frame(file.source, sha256, image, size_wh)
        except FrameError as err:
            if work.caution < Caution.DONT_DECODE and self.put_off(file, sha256 is not None):
                return None
            committed = self.ledger.find(file.source, sha256, state)
            return committed or self._failed(file, data, sha256, err, elapsed, state)
        pulse.beat()
        try:
            inspection, judgement = self.inspector.inspect(frame, pulse.beat)
        except FrameError as err:
            return self._failed(file, data, sha256, err, elapsed, state)
        with _timed(elapsed, "write"):
            pictures, preview = self._draw(file.camera, frame, inspection, judgement.maps, painter, pulse)
        return _Judged(replace(inspection, elapsed_ms=elapsed | inspection.elapsed_ms), pictures, state, preview)

    def _draw(
        self,
        camera: str | None,
        frame: Frame,
        inspection: Inspection,
        maps: Maps,
        painter: overlay.Painter,
        pulse: "_Pulse",
    ) -> tuple[dict[str, str], str | None]:
        """(kind -> picture, preview): what was asked for, and what the screen would like as far as there is time."""
        pictures: dict[str, str] = {}

        def draw(kind: str) -> None:
            pulse.beat()
            drawn = encode(painter(kind, frame.image, inspection, maps))
            suffix = ".png" if kind == "heat" else ".jpg"
            pictures[kind] = keep(self.ledger.out, kind, frame.source, frame.sha256, suffix, drawn)

        wanted = self.pictures.wanted(inspection.verdict)
        for kind in self.pictures.kinds if wanted else ():
            draw(kind)
        if self.screen is None:
            return pictures, None
        has_time = self.screen.has_time()
        with self.screen.spending():
            for kind in KINDS if wanted and has_time else ():
                if kind not in pictures:
                    draw(kind)
            at_once = has_time and inspection.verdict is Verdict.ANOMALY
            if not (self.screen.preview_is_due(camera) or at_once):
                return pictures, None
            return pictures, b64encode(encode(painter.preview(frame.image, inspection, maps))).decode()

    def _failed(
        self,
        file: FrameFile,
        data: bytes,
        sha256: str | None,
        err: FrameError,
        elapsed: dict[str, float],
        state: str | None,
    ) -> _Judged:
        """data: what was read of the file; sha256: of it, None where nothing could be."""
        kept = {}
        if self.pictures.failed and sha256 is not None:
            suffix = os.path.splitext(file.source)[1]
            kept["error"] = keep(self.ledger.out, "error", file.source, sha256, suffix, data)
        failed = Inspection(file.source, sha256, None, Verdict.ERROR, elapsed_ms=elapsed, error=f"{file.source} {err}")
        return _Judged(failed, kept, state)


def _wait_a_tick(file: FrameFile) -> None:
    """Read within a tick of its last change, a file could change again without looking changed (git's index has the same
    problem). Only frames that were written this very moment wait."""
    with suppress(OSError):
        age = time.time() - os.stat(file.path).st_mtime
        time.sleep(TICK_S - age if 0 <= age < TICK_S else 0)


class _Pulse:
    """Tells that work goes on, now and then at most once a second."""

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell, self._last = tell, time.monotonic()
        tell()

    def beat(self) -> None:
        if time.monotonic() > self._last + 1.0:
            self._last = time.monotonic()
            self._tell()


class _timed:
    """Adds a stage's milliseconds to a dict."""

    def __init__(self, elapsed: dict[str, float], stage: str) -> None:
        self.elapsed, self.stage = elapsed, stage

    def __enter__(self) -> None:
        self.started = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.elapsed[self.stage] = (time.perf_counter() - self.started) * 1e3
