"""Small pictures that stand in the report itself."""

import base64
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import cv2
import numpy as np

from edge_runtime import frames
from edge_runtime.errors import FrameError
from edge_runtime.headers import probe
from edge_runtime.line.record import Row
from edge_runtime.results import Image
from edge_runtime.views import PICTURES

SIZES = ((320, 75), (320, 65), (288, 60), (256, 60), (232, 55), (208, 55))
"""(longest side in pixels, JPEG quality), the best first."""
BUDGET = 15_000_000
"""Characters that all of them take in the page."""
TRIED = 12
PREFERRED = ("overlay", "boxes", "heatmap", "cutout", "panel", "coarse", "input")


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """url: a data URL, the picture itself; width, height: in pixels."""

    url: str
    width: int
    height: int


def thumbnails(out: Path, rows: Sequence[Row]) -> dict[int, Thumbnail]:
    """By id, in the order of the rows until BUDGET is spent; the more there are, the smaller they are. Rows whose picture
    was not saved, or is gone, have none."""
    shown = [row for row in rows if _preferred(row)]
    side, quality = _size(out, shown)
    found: dict[int, Thumbnail] = {}
    left = BUDGET
    for row in shown:
        small = _thumbnail(out, row, side, quality)
        if small is None:
            continue
        left -= len(small.url)
        if left < 0:
            break
        found[row["id"]] = small
    return found


def _size(out: Path, rows: Sequence[Row]) -> tuple[int, int]:
    """The best size at which all rows would fit, judged by a few of them."""
    tried = rows[:: len(rows) // TRIED + 1]
    for side, quality in SIZES:
        small = (_thumbnail(out, row, side, quality) for row in tried)
        taken = sum(len(one.url) for one in small if one)
        if taken * len(rows) <= BUDGET * len(tried):
            return side, quality
    return SIZES[-1]


def _preferred(row: Row) -> str | None:
    return next((row["pictures"][kind] for kind in PREFERRED if kind in row["pictures"]), None)


def _thumbnail(out: Path, row: Row, side: int, quality: int) -> Thumbnail | None:
    try:
        data = frames.read_bytes(out / str(_preferred(row)))
        image = frames.decode(data, _reduction(data, side))
    except FrameError:
        return None
    small = _shrunk(image, side)
    _, encoded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, quality])
    url = f"data:image/jpeg;base64,{base64.b64encode(encoded.tobytes()).decode()}"
    return Thumbnail(url, small.shape[1], small.shape[0])


def _reduction(data: bytes, side: int) -> int:
    """A large JPEG need not be decoded in full: 1/2, 1/4 or 1/8 of it, as long as that is no smaller than asked for."""
    header = probe(data)
    longest = max(header.width, header.height) if header.kind == "JPEG" else 0
    return next((reduce for reduce in (8, 4, 2) if longest >= side * reduce), 1)


def _shrunk(image: Image, side: int) -> Image:
    """The longest side at most this long."""
    scale = side / max(image.shape[:2])
    if scale >= 1:
        return image
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def kept(out: Path, row: Row) -> str | None:
    """Where in OUT the file of a frame lies that could not be judged, if it is still there."""
    path: str | None = row["pictures"].get("error")
    return path if path is not None and os.path.isfile(out / path) else None


def links(out: Path, page: Path, row: Row) -> list[tuple[str, str]]:
    """(kind, address as seen from the page) of the pictures in OUT that are still there."""
    drawn = set(row["pictures"]) & set(PICTURES)  # the kept file of a frame that could not be judged is none of ours
    kinds = sorted(drawn, key=lambda kind: (kind not in PREFERRED, kind != "overlay", kind))
    paths = ((kind, out / row["pictures"][kind]) for kind in kinds)
    return [(kind, _address(path, page.parent)) for kind, path in paths if os.path.isfile(path)]


def _address(path: Path, folder: Path) -> str:
    try:
        relative = os.path.relpath(path, folder)
    except ValueError:  # on another drive
        return path.resolve().as_uri()
    return quote(Path(relative).as_posix())
