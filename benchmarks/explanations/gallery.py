"""The maps side by side, for eyes. Each is stretched to its own range, as the peers' usually are."""

from pathlib import Path

import cv2
import numpy as np

from edge_runtime.results import Array, Box, Defect, Image
from edge_runtime.views.heat import tint
from edge_runtime.views.ink import captioned, draw_boxes

TRUE = (120, 255, 120)
HEIGHT = 224


def row(image: Image, truth: list[Box], maps: dict[str, Array], ours: list[Box]) -> list[Image]:
    """The frame with its true boxes in green, then a tile per method; ours with its own boxes."""
    tiles = [image.copy()]
    for name, map_ in maps.items():
        span = max(float(np.ptp(map_)), 1e-9)
        tile = tint(image, np.asarray((map_ - map_.min()) / span, np.float32), cv2.INTER_LINEAR)
        if name == "ours":
            tile = draw_boxes(tile, tuple(Defect(box, 1.0, 0.0, 0.0, "fine") for box in ours), labels=False)
        tiles.append(tile)
    for tile in tiles:
        for box in truth:
            cv2.rectangle(tile, (box.x0 - 1, box.y0 - 1), (box.x1, box.y1), TRUE, 1)
    return tiles


def write(path: Path, names: list[str], rows: list[list[Image]]) -> None:
    if not rows:
        return
    scale = HEIGHT / rows[0][0].shape[0]
    size = round(rows[0][0].shape[1] * scale), HEIGHT
    resized = [
        [np.asarray(cv2.resize(tile, size, interpolation=cv2.INTER_CUBIC), np.uint8) for tile in tiles]
        for tiles in rows
    ]
    head = [captioned(tile, name) for tile, name in zip(resized[0], ("frame, truth", *names), strict=True)]
    picture = np.vstack([np.hstack(head), *(np.hstack(tiles) for tiles in resized[1:])])
    path.write_bytes(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes())
