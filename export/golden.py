"""A few frames that travel inside the file, with what it must answer for them on every PC."""

import base64

import cv2

from edge_runtime import boxes
from edge_runtime.manifest import Calibration, Golden
from edge_runtime.results import Array, Image, Maps, probability


def choose(margins: list[float], labels: list[int]) -> list[int]:
    """The median good frame, the median anomaly and the plainest anomaly: far from the threshold, all three."""
    good = sorted((index for index, label in enumerate(labels) if label == 0), key=lambda index: margins[index])
    anomaly = sorted((index for index, label in enumerate(labels) if label == 1), key=lambda index: margins[index])
    return list(dict.fromkeys([good[len(good) // 2], anomaly[len(anomaly) // 2], anomaly[-1]]))


def record(image: Image, label: int, logits: Array, maps: Maps, calibration: Calibration) -> Golden:
    """image: (h, w, 3) uint8 BGR at input size; logits (2,), maps: what the file said of it."""
    encoded, png = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    if not encoded:
        raise RuntimeError("cv2 could not encode a PNG")
    reject = probability(float(logits[1] - logits[0]), calibration.temperature) >= calibration.threshold
    found = boxes.locate(maps, calibration, (image.shape[0], image.shape[1])) if reject else ()
    return Golden(
        png=base64.b64encode(png.tobytes()).decode(),
        label="anomaly" if label else "good",
        logits=(float(logits[0]), float(logits[1])),
        cam=tuple(tuple(float(value) for value in row) for row in maps.coarse),
        boxes_xyxy=tuple((one.box.x0, one.box.y0, one.box.x1, one.box.y1) for one in found),
    )
