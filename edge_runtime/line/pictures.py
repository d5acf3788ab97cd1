"""Pictures as files: which are wanted, what they are called, how they are encoded and kept."""

import errno
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edge_runtime.errors import OutputError
from edge_runtime.line.durable import write_bytes
from edge_runtime.results import Image, Verdict

MAX_NAME_BYTES = 200
LONGEST_SUFFIX = 5
"""Of a kind of picture: `.jpeg`. Whatever follows the dot of a foreign file may be as long as a name."""
NAME_TROUBLE = {errno.ENAMETOOLONG, errno.EINVAL, errno.ENOENT, errno.EILSEQ}
"""What a disk says of a name that it can't have."""
MAX_JPEG_SIDE = 65_500


@dataclass(frozen=True, slots=True)
class Pictures:
    """Which pictures to write (names from overlay.PICTURES), and whether for good frames too. failed: keep the file of a frame
    that could not be judged, as it was read."""

    kinds: tuple[str, ...] = ("overlay",)
    for_all: bool = False
    failed: bool = False

    def wanted(self, verdict: Verdict) -> bool:
        return self.for_all or verdict is Verdict.ANOMALY


def keep(out: Path, kind: str, source: str, sha256: str, suffix: str, content: bytes) -> str:
    """Write a picture and return its path relative to OUT: named after the frame, or by its hash where the disk of OUT can't
    have such a name."""
    name = f"{kind}/{picture_name(source, sha256, suffix)}"
    try:
        write_bytes(out / name, content)
    except OutputError as err:
        if getattr(err.__context__, "errno", None) not in NAME_TROUBLE:
            raise
        name = f"{kind}/{sha256}{suffix if len(suffix) <= LONGEST_SUFFIX else ''}"
        write_bytes(out / name, content)
    return name


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
