"""What a network could go by instead of the defect: trivial properties of a frame, measured before any training."""

import io
import math
import os
import re
from datetime import datetime
from typing import Any

import cv2
import numpy as np
from PIL import Image as Pillow

from edge_runtime.results import Array, Image

TILES = 8
"""Rows and columns of the grid that a frame is measured on."""
EDGE_TILES = tuple(
    (row, column)
    for row in range(TILES)
    for column in range(TILES)
    if {row, column} & {0, TILES - 1}  # where cameras and people write, and few defects only ever lie
)
SIZE_STEP = 1.1
"""File sizes are told apart in steps of a tenth: less than that may be the defect itself, where all else is noise."""
TIME_FORMATS = {14: "%Y%m%d%H%M%S", 12: "%y%m%d%H%M%S", 8: "%Y%m%d"}
EXIF_TIMES = (36867, 306)  # DateTimeOriginal, DateTime


def _place(row: int, column: int) -> str:
    return f"row {row + 1}, column {column + 1} of {TILES}"


CUES = (
    "frame size",
    "frame aspect",
    "brightness",
    "contrast",
    "colour, blue to red",
    "colour, green to magenta",
    "sharpness",
    "file size",
    "time",
    *(f"brightness at the edge of the frame ({_place(*tile)})" for tile in EDGE_TILES),
    *(f"contrast at the edge of the frame ({_place(*tile)})" for tile in EDGE_TILES),
)


def measure(name: str, data: bytes, image: Image) -> Array:
    """The CUES of one frame, float64; NaN where it has none, for example no time.

    name: of the file. data: its bytes. image: (H, W, 3) uint8 BGR. Brightness, contrast, colour and sharpness are medians
    over tiles: a defect moves few of them, another lamp or lens moves all.
    """
    height, width = image.shape[:2]
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    brightness = _tiles(grey)
    contrast = np.sqrt(np.maximum(_tiles(cv2.multiply(grey, grey, dtype=cv2.CV_32F)) - brightness**2, 0))
    sharpness = _tiles(cv2.convertScaleAbs(cv2.Laplacian(grey, cv2.CV_16S)))
    blue, green, red = (float(np.median(channel)) for channel in np.moveaxis(_tiles(image), 2, 0))
    middle = float(np.median(brightness))
    return np.array(
        [
            math.sqrt(width * height),
            width / height,
            middle,
            float(np.median(contrast)),
            red - blue,
            (red + blue) / 2 - green,
            float(np.median(sharpness)),
            round(math.log(max(1, len(data)), SIZE_STEP)),
            _time(name, data),
            *(float(brightness[tile]) - middle for tile in EDGE_TILES),
            *(float(contrast[tile]) for tile in EDGE_TILES),
        ]
    )


def _tiles(image: np.typing.NDArray[Any]) -> Array:
    """The mean of every tile: (TILES, TILES) or (TILES, TILES, 3) float32."""
    return np.asarray(cv2.resize(image.astype(np.float32), (TILES, TILES), interpolation=cv2.INTER_AREA), np.float32)


def _time(name: str, data: bytes) -> float:
    """Seconds since 1970, from the file's name (yymmddhhmmss, yyyymmdd_hhmmss, 2026-11-24, ...) or its EXIF data."""
    stem = os.path.splitext(os.path.basename(name))[0]
    joined = re.sub(r"(?<=\d)[-_.:T ](?=\d\d(\D|$))", "", stem)  # 2026-11-24_18-00-00
    joined = re.sub(r"(?<!\d)(\d{6}|\d{8})[-_T ](?=\d{6}(\D|$))", r"\1", joined)  # 20261124_180000
    for text in (*re.findall(r"\d+", joined), *re.findall(r"\d+", stem), *_exif_times(data)):
        seconds = _parse(text)
        if seconds is not None:
            return seconds
    return math.nan


def _parse(digits: str) -> float | None:
    if len(digits) not in TIME_FORMATS:
        return None
    try:
        when = datetime.strptime(digits, TIME_FORMATS[len(digits)])
    except ValueError:
        return None
    return when.timestamp() if 1990 <= when.year < 2100 else None


def _exif_times(data: bytes) -> list[str]:
    try:
        with Pillow.open(io.BytesIO(data)) as picture:
            exif = picture.getexif()
            found = [exif.get_ifd(0x8769).get(EXIF_TIMES[0]), exif.get(EXIF_TIMES[1])]
    except (OSError, ValueError, SyntaxError):  # what Pillow raises for data that is damaged or not its own
        return []
    return [re.sub(r"\D", "", str(text)) for text in found if text]
