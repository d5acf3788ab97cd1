"""A few frames that travel inside the file, with what it must answer for them on every PC."""

import base64

import cv2

from edge_runtime import cam
from edge_runtime.manifest import Calibration, Golden
from edge_runtime.results import Image
from export.parity import Answers


def choose(margins: list[float], labels: list[int]) -> list[int]:
    """The median good frame, the median anomaly and the plainest anomaly: far from the threshold, all three."""
    good = sorted((index for index, label in enumerate(labels) if label == 0), key=lambda index: margins[index])
    anomaly = sorted((index for index, label in enumerate(labels) if label == 1), key=lambda index: margins[index])
    return list(dict.fromkeys([good[len(good) // 2], anomaly[len(anomaly) // 2], anomaly[-1]]))


def record(image: Image, label: int, answers: Answers, index: int, calibration: Calibration) -> Golden:
    """image: (h, w, 3) uint8 BGR at input size; answers[index] is what the file said of it."""
    encoded, png = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    if not encoded:
        raise RuntimeError("cv2 could not encode a PNG")
    map_ = answers.cams[index]
    return Golden(
        png=base64.b64encode(png.tobytes()).decode(),
        label="anomaly" if label else "good",
        logits=(float(answers.logits[index, 0]), float(answers.logits[index, 1])),
        cam=tuple(tuple(float(value) for value in row) for row in map_),
        boxes_xyxy=tuple(
            (d.box.x0, d.box.y0, d.box.x1, d.box.y1)
            for d in cam.defects(cam.upsample(map_, image.shape[:2]), calibration.coarse)
        ),
    )
