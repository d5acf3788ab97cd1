"""Frames in, committed rows out. Each frame is read, judged and drawn by one of a few threads; the rows are committed in the
order of the frames.

A frame stays with its thread: OpenCV, onnxruntime and hashing let go of Python's lock, so that several frames share the
cores without waiting for one another.
"""

import errno
import hashlib
import os
import time
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import IntEnum

import cv2
import numpy as np

from edge_runtime import frames
from edge_runtime.errors import FrameError, OutputError
from edge_runtime.frames import FrameFile
from edge_runtime.inspector import Inspector
from edge_runtime.line.durable import write_bytes
from edge_runtime.line.ledger import Ledger, file_state
from edge_runtime.line.record import Row
from edge_runtime.results import Frame, Image, Inspection, Verdict
from edge_runtime.views import overlay

MAX_NAME_BYTES = 200
NAME_TROUBLE = {errno.ENAMETOOLONG, errno.EINVAL, errno.ENOENT, errno.EILSEQ}
"""What a disk says of a name that it can't have."""
MAX_JPEG_SIDE = 65_500
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
class Pictures:
    """Which pictures to write (names from overlay.PICTURES), and whether for good frames too. failed: keep the file of a frame
    that could not be judged, as it was read."""

    kinds: tuple[str, ...] = ("overlay",)
    for_all: bool = False
    failed: bool = False

    def wanted(self, verdict: Verdict) -> bool:
        return bool(self.kinds) and (self.for_all or verdict is Verdict.ANOMALY)


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


def _never(_: FrameFile, __: FrameError) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Pipeline:
    """jobs: frames in work at once. began: told of each frame when work on it begins and, every second or so, that it goes on, from
    any thread. put_off: asked whether
    a frame that can't be read or decoded may still become readable; then it gets no row now. previews_s: time between two
    previews, None for none."""

    inspector: Inspector
    ledger: Ledger
    pictures: Pictures
    jobs: int = 1
    began: Callable[[FrameFile], None] = _ignore
    put_off: Callable[[FrameFile, FrameError], bool] = _never
    previews_s: float | None = None
    _previewed: dict[str | None, float] = field(default_factory=dict)

    def run(self, source: Iterable[Work | None]) -> Iterator[Outcome]:
        """Outcomes, in the order of the source. None in it means that nothing more is there for now. Raises OutputError where
        results can't be written."""
        painter = overlay.Painter(self.inspector.model.manifest.calibration, self.inspector.model.input_hw)
        pool = ThreadPoolExecutor(self.jobs, "frame")
        under_way: deque[tuple[FrameFile, Future[Row | _Judged | None]]] = deque()
        try:
            for work in source:
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
                data, info = frames.read_file(file.path)
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
            if work.caution < Caution.DONT_DECODE and self.put_off(file, err):
                return None
            committed = self.ledger.find(file.source, sha256, state)
            return committed or self._failed(file, data, sha256, err, elapsed, state)
        pulse.beat()
        try:
            inspection, judgement = self.inspector.inspect(frame)
        except FrameError as err:
            return self._failed(file, data, sha256, err, elapsed, state)
        pictures: dict[str, str] = {}
        with _timed(elapsed, "write"):
            if self.pictures.wanted(inspection.verdict):
                for kind in self.pictures.kinds:
                    pulse.beat()
                    drawn = painter(kind, frame.image, inspection, judgement.maps)
                    suffix = ".png" if kind == "heat" else ".jpg"
                    pictures[kind] = self._keep(kind, frame.source, frame.sha256, suffix, encode(drawn))
            preview = None
            if self._preview_is_due(file.camera, inspection.verdict):
                preview = b64encode(encode(painter.preview(frame.image, inspection, judgement.maps))).decode()
        return _Judged(replace(inspection, elapsed_ms=elapsed | inspection.elapsed_ms), pictures, state, preview)

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
            kept["error"] = self._keep("error", file.source, sha256, suffix, data)
        failed = Inspection(file.source, sha256, None, Verdict.ERROR, elapsed_ms=elapsed, error=f"{file.source} {err}")
        return _Judged(failed, kept, state)

    def _keep(self, kind: str, source: str, sha256: str, suffix: str, content: bytes) -> str:
        """Write a picture and return its path relative to OUT: named after the frame, or by its hash where the disk of OUT can't
        have such a name."""
        name = f"{kind}/{picture_name(source, sha256, suffix)}"
        try:
            write_bytes(self.ledger.out / name, content)
        except OutputError as err:
            if getattr(err.__context__, "errno", None) not in NAME_TROUBLE:
                raise
            name = f"{kind}/{sha256}{suffix}"
            write_bytes(self.ledger.out / name, content)
        return name

    def _preview_is_due(self, camera: str | None, verdict: Verdict) -> bool:
        if self.previews_s is None:
            return False
        due = time.monotonic() - self._previewed.get(camera, -1e9) >= self.previews_s
        if due or verdict is Verdict.ANOMALY:
            self._previewed[camera] = time.monotonic()
        return due or verdict is Verdict.ANOMALY


def _wait_a_tick(file: FrameFile) -> None:
    """Read within a tick of its last change, a file could change again without looking changed (git's index has the same
    problem). Only frames that were written this very moment wait."""
    with suppress(OSError):
        age = time.time() - os.stat(file.path).st_mtime
        time.sleep(TICK_S - age if 0 <= age < TICK_S else 0)


def picture_name(source: str, sha256: str, suffix: str) -> str:
    """`<folder>/<name>.<hash><suffix>`: a frame's pictures stand under its own name, and its content's hash keeps those of a
    frame that is written again apart."""
    folder, _, name = source.rpartition("/")
    stem = name.rpartition(".")[0] or name
    short = stem.encode()[:MAX_NAME_BYTES].decode(errors="ignore")
    return f"{folder}/{short}.{sha256[:8]}{suffix}".lstrip("/")


def encode(image: Image) -> bytes:
    """A JPEG, or a PNG where there is an alpha channel; pictures beyond JPEG's limit are shrunk to it."""
    if image.shape[2] == 4:
        return _encode(".png", image, [])
    scale = MAX_JPEG_SIDE / max(image.shape[:2])
    if scale < 1:
        size = max(1, int(image.shape[1] * scale)), max(1, int(image.shape[0] * scale))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    return _encode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90])


def _encode(suffix: str, image: Image, options: list[int]) -> bytes:
    done, data = cv2.imencode(suffix, image, options)
    if not done:
        raise OutputError(f"cv2 could not encode a picture of {image.shape[1]} x {image.shape[0]} pixels as {suffix}")
    return data.tobytes()


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
