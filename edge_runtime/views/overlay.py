"""Pictures for people. Pure functions: they draw on copies, at any frame size, and never over the defect.

The five steps of the method: `input`, `coarse` (the CAM as the network gives it), `heatmap` (upsampled), `cutout`
(only what the evidence shows), `boxes`; `panel` sets them side by side; `overlay` is what an operator looks at; `heat` is
the heat alone.
"""

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from edge_runtime import cam
from edge_runtime.manifest import Calibration
from edge_runtime.preprocess import to_frame
from edge_runtime.results import Array, Box, Defect, Image, Inspection, Maps
from edge_runtime.views import PICTURES
from edge_runtime.views.heat import glaze, layer, tint
from edge_runtime.views.ink import draw_boxes, with_banner
from edge_runtime.views.panel import STEPS, figure, tile_wh

SMALL = 640
"""Pixels of the longest side below which a preview is enlarged."""


class Painter:
    """Draws any of PICTURES for one model. Colours mean the same in every frame: the heat scale is absolute."""

    def __init__(self, calibration: Calibration, input_hw: tuple[int, int]) -> None:
        self.calibration, self.input_hw = calibration, input_hw

    def __call__(self, kind: str, image: Image, inspection: Inspection, maps: Maps) -> Image:
        """image: (H, W, 3) uint8 BGR, the frame or a smaller copy of it; maps: its evidence. Returns uint8 BGR at the size
        of the image, but for `panel`, and for `heat`: BGRA at the size of the network's input."""
        match kind:
            case "input":
                return image.copy()
            case "coarse":
                return tint(image, cam.heat(maps.coarse, self.calibration.coarse), cv2.INTER_NEAREST)
            case "heatmap":
                return tint(image, self._heat(maps), cv2.INTER_LINEAR)
            case "cutout":
                return cut_out(image, [defect.box for defect in _on(image, inspection)])
            case "boxes":
                return draw_boxes(image, _on(image, inspection))
            case "overlay":
                return with_banner(self._marked(image, inspection, maps), inspection)
            case "panel":
                tile = _resized(image, tile_wh((image.shape[1], image.shape[0])))
                steps = [self(step, tile, inspection, maps) for step in STEPS]
                return figure(steps, inspection, maps, self.calibration)
            case "heat":
                return layer(self._heat(maps))
        raise ValueError(f"no picture is called {kind!r}; there are {', '.join(PICTURES)}")

    def preview(self, image: Image, inspection: Inspection, maps: Maps, max_side: int = 960) -> Image:
        """Heat and boxes without the banner, no side longer than max_side pixels: for a screen that has its own words. A small
        frame is enlarged first, so that boxes and labels are sharp."""
        longest = max(image.shape[:2])
        scale = min(max(1.0, SMALL / longest), max_side / longest)
        small = _resized(image, (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))))
        return self._marked(small, inspection, maps if inspection.defects else replace(maps, fine=None))

    def _marked(self, image: Image, inspection: Inspection, maps: Maps) -> Image:
        return draw_boxes(glaze(image, self._heat(maps)), _on(image, inspection))

    def _heat(self, maps: Maps) -> Array:
        if maps.fine is None:
            return cam.heat(cam.upsample(maps.coarse, self.input_hw), self.calibration.coarse)
        return cam.heat(cam.upsample(cam.smooth(maps.fine), self.input_hw), self.calibration.fine)


def cut_out(image: Image, boxes: Sequence[Box]) -> Image:
    """What lies in the boxes; the rest dimmed to grey. Without boxes all is dimmed."""
    grey = cv2.convertScaleAbs(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), alpha=0.25)
    picture = np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), np.uint8)
    for box in boxes:
        picture[box.y0 : box.y1, box.x0 : box.x1] = image[box.y0 : box.y1, box.x0 : box.x1]
    return picture


def _on(image: Image, inspection: Inspection) -> tuple[Defect, ...]:
    """The defects with their boxes in the pixels of this picture of the frame."""
    size_wh = image.shape[1], image.shape[0]
    if inspection.size_wh is None or inspection.size_wh == size_wh:
        return inspection.defects
    full_hw = inspection.size_wh[1], inspection.size_wh[0]
    return tuple(replace(defect, box=to_frame(defect.box, full_hw, size_wh)) for defect in inspection.defects)


def _resized(image: Image, size_wh: tuple[int, int]) -> Image:
    """Shrunk by halves first: cv2 is fast at those, and no pixel is skipped."""
    width, height = size_wh
    if (image.shape[1], image.shape[0]) == size_wh:
        return image
    while image.shape[1] >= 2 * width and image.shape[0] >= 2 * height:
        half = image.shape[1] // 2, image.shape[0] // 2
        even = image[: 2 * half[1], : 2 * half[0]]
        image = np.asarray(cv2.resize(even, half, interpolation=cv2.INTER_AREA), np.uint8)
    grows = width > image.shape[1]
    return np.asarray(
        cv2.resize(image, size_wh, interpolation=cv2.INTER_NEAREST if grows else cv2.INTER_LINEAR), np.uint8
    )
