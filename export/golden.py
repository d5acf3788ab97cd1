"""A few frames that travel inside the file, with what it must answer for them on every PC."""

import base64
from collections.abc import Sequence

import cv2

from edge_runtime.frames import FrameFile, decode, read_bytes
from edge_runtime.golden import answer
from edge_runtime.manifest import Golden
from edge_runtime.model import Model
from edge_runtime.results import Image

MOST_BYTES = 2_000_000
"""Of a frame's file that travels as it is; a larger one is written anew."""


def choose(margins: list[float], labels: list[int]) -> list[int]:
    """The median good frame, the median anomaly and the plainest anomaly: far from the threshold, all three."""
    good = sorted((index for index, label in enumerate(labels) if label == 0), key=lambda index: margins[index])
    anomaly = sorted((index for index, label in enumerate(labels) if label == 1), key=lambda index: margins[index])
    return list(dict.fromkeys([good[len(good) // 2], anomaly[len(anomaly) // 2], anomaly[-1]]))


def record_all(
    model: Model, margins: list[float], labels: list[int], images: Image, files: Sequence[FrameFile]
) -> tuple[Golden, ...]:
    """Of the validation frames, images (n, h, w, 3) uint8 BGR at input size. The defective ones travel as whole files, so that they
    are decoded and resized again at every start, too."""
    pictures = {
        row: as_it_came(files[row]) if labels[row] else prepared(images[row]) for row in choose(margins, labels)
    }
    return tuple(record(model, picture, labels[row]) for row, picture in pictures.items())


def record(model: Model, picture: bytes, label: int) -> Golden:
    """model: the file as it will ship, but for its golden frames. picture: an image file."""
    prediction, judged = answer(model, picture)
    return Golden(
        png=base64.b64encode(picture).decode(),
        label="anomaly" if label else "good",
        logits=(float(prediction.logits[0]), float(prediction.logits[1])),
        cam=tuple(tuple(float(value) for value in row) for row in judged.maps.coarse),
        boxes_xyxy=tuple((one.box.x0, one.box.y0, one.box.x1, one.box.y1) for one in judged.defects),
    )


def prepared(image: Image) -> bytes:
    """A frame at input size, (h, w, 3) uint8 BGR, as an image file."""
    return _encoded(".png", image, cv2.IMWRITE_PNG_COMPRESSION, 9)


def as_it_came(file: FrameFile) -> bytes:
    """The frame's file; in its place a JPEG of the same size where it is large."""
    data = read_bytes(file.path)
    return data if len(data) <= MOST_BYTES else _encoded(".jpg", decode(data), cv2.IMWRITE_JPEG_QUALITY, 90)


def _encoded(suffix: str, image: Image, *settings: int) -> bytes:
    done, data = cv2.imencode(suffix, image, settings)
    if not done:
        raise RuntimeError(f"cv2 could not encode {suffix}")
    return data.tobytes()
