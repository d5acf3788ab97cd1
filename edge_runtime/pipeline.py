"""Frames in, committed rows out: read, inspect, draw, commit, one frame after the other."""

import hashlib
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2

from edge_runtime import frames, overlay
from edge_runtime.durable import write_bytes
from edge_runtime.errors import FrameError, OutputError
from edge_runtime.frames import FrameFile
from edge_runtime.inspector import Inspector, Judgement
from edge_runtime.ledger import Ledger, Row
from edge_runtime.results import Frame, Image, Inspection, Verdict


@dataclass(frozen=True, slots=True)
class Pictures:
    """Which pictures to write (names from overlay.PICTURES), and whether for good frames too."""

    kinds: tuple[str, ...] = ("overlay",)
    for_all: bool = False

    def wanted(self, verdict: Verdict) -> bool:
        return bool(self.kinds) and (self.for_all or verdict is Verdict.ANOMALY)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A committed row. repeated: it was committed by an earlier run, and nothing was done now."""

    row: Row
    repeated: bool


def run(files: Iterable[FrameFile], inspector: Inspector, ledger: Ledger, pictures: Pictures) -> Iterator[Outcome]:
    """Inspect every frame that has no committed row yet, in order. Raises OutputError where results can't be written."""
    draw = overlay.Painter(inspector.model.manifest)
    for file in files:
        yield _one(file, inspector, ledger, pictures, draw)


def _one(file: FrameFile, inspector: Inspector, ledger: Ledger, pictures: Pictures, draw: overlay.Painter) -> Outcome:
    sha256: str | None = None
    elapsed: dict[str, float] = {}
    try:
        with _timed(elapsed, "read"):
            data = frames.read_bytes(file.path)
            sha256 = hashlib.sha256(data).hexdigest()
        committed = ledger.find(file.source, sha256)
        if committed is not None:
            return Outcome(committed, repeated=True)
        with _timed(elapsed, "decode"):
            frame = Frame(file.source, sha256, frames.decode(data))
        inspection, judgement = inspector.inspect(frame)
    except FrameError as err:
        committed = ledger.find(file.source, sha256)
        if committed is not None:
            return Outcome(committed, repeated=True)
        failed = Inspection(file.source, sha256, None, Verdict.ERROR, elapsed_ms=elapsed, error=f"{file.source} {err}")
        return Outcome(ledger.commit(failed), repeated=False)
    with _timed(elapsed, "write"):
        if pictures.wanted(inspection.verdict):
            _write(draw, frame, inspection, judgement, pictures.kinds, ledger.out)
    return Outcome(ledger.commit(replace(inspection, elapsed_ms=elapsed | inspection.elapsed_ms)), repeated=False)


def _write(
    draw: overlay.Painter, frame: Frame, inspection: Inspection, judgement: Judgement, kinds: tuple[str, ...], out: Path
) -> None:
    for kind in kinds:
        write_bytes(out / kind / picture_name(frame.source), encode(draw(kind, frame.image, inspection, judgement.cam)))


def picture_name(source: str) -> str:
    """A frame's pictures are JPEGs under the frame's own name, with .jpg added where it has another ending."""
    return source if source.lower().endswith((".jpg", ".jpeg")) else f"{source}.jpg"


def encode(image: Image) -> bytes:
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90])
    if not done:
        raise OutputError("cv2 could not encode a JPEG")
    return data.tobytes()


class _timed:
    """Adds a stage's milliseconds to a dict."""

    def __init__(self, elapsed: dict[str, float], stage: str) -> None:
        self.elapsed, self.stage = elapsed, stage

    def __enter__(self) -> None:
        self.started = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.elapsed[self.stage] = (time.perf_counter() - self.started) * 1e3
