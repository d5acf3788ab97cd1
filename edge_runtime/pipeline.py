"""Frames in, committed rows out: read, inspect, draw, commit, one frame after the other."""

import hashlib
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np

from edge_runtime import frames, overlay
from edge_runtime.durable import write_bytes
from edge_runtime.errors import FrameError, OutputError
from edge_runtime.frames import FrameFile
from edge_runtime.inspector import Inspector
from edge_runtime.ledger import Ledger, Row
from edge_runtime.results import Frame, Image, Inspection, Verdict

MAX_NAME_BYTES = 200
MAX_JPEG_SIDE = 65_500


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
    draw = overlay.Painter(inspector.model.manifest.calibration, inspector.model.input_hw)
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
            name = picture_name(frame)
            for kind in pictures.kinds:
                write_bytes(ledger.out / kind / name, encode(draw(kind, frame.image, inspection, judgement.maps)))
    return Outcome(ledger.commit(replace(inspection, elapsed_ms=elapsed | inspection.elapsed_ms)), repeated=False)


def picture_name(frame: Frame) -> str:
    """`<folder>/<name>.<hash>.jpg`: a frame's pictures stand under its own name, and its content's hash keeps those of a
    frame that is written again apart."""
    folder, _, name = frame.source.rpartition("/")
    stem = name.rpartition(".")[0] or name
    short = stem.encode()[:MAX_NAME_BYTES].decode(errors="ignore")
    return f"{folder}/{short}.{frame.sha256[:8]}.jpg".lstrip("/")


def encode(image: Image) -> bytes:
    """A JPEG; pictures beyond the format's limit are shrunk to it."""
    scale = MAX_JPEG_SIDE / max(image.shape[:2])
    if scale < 1:
        size = max(1, int(image.shape[1] * scale)), max(1, int(image.shape[0] * scale))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90])
    if not done:
        raise OutputError(f"cv2 could not encode a picture of {image.shape[1]} x {image.shape[0]} pixels as JPEG")
    return data.tobytes()


class _timed:
    """Adds a stage's milliseconds to a dict."""

    def __init__(self, elapsed: dict[str, float], stage: str) -> None:
        self.elapsed, self.stage = elapsed, stage

    def __enter__(self) -> None:
        self.started = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.elapsed[self.stage] = (time.perf_counter() - self.started) * 1e3
