"""Pictures for people. Pure functions: they draw on copies, at any frame size, and never over the defect.

The five steps of the method: `input`, `coarse` (the CAM as the network gives it), `heatmap` (upsampled), `cutout`
(only what the evidence shows), `boxes`; `panel` sets them side by side; `overlay` is what an operator looks at.
"""

import cv2
import numpy as np

from edge_runtime import cam
from edge_runtime.manifest import Calibration, HeatScale
from edge_runtime.results import Array, Box, Defect, Image, Inspection, Maps, Verdict

PICTURES = ("overlay", "panel", "input", "coarse", "heatmap", "cutout", "boxes")
STEPS = ("input", "coarse", "heatmap", "cutout", "boxes")

PANEL_HEIGHT, MIN_TILE_WIDTH = 360, 160
"""Pixels of each picture in the panel, whatever the frame's size."""

WHITE, BLACK, INK = (255, 255, 255), (0, 0, 0), (28, 28, 28)
VERDICT_COLOURS = {Verdict.GOOD: (125, 122, 0), Verdict.ANOMALY: (0, 94, 213), Verdict.ERROR: (90, 90, 90)}
"""BGR; Okabe & Ito's colour-blind safe teal and vermilion. The word stands beside the colour."""


class Painter:
    """Draws any of PICTURES for one model. Colours mean the same in every frame: the heat scale is absolute."""

    def __init__(self, calibration: Calibration, input_hw: tuple[int, int]) -> None:
        self.calibration, self.input_hw = calibration, input_hw

    def __call__(self, kind: str, image: Image, inspection: Inspection, maps: Maps) -> Image:
        """image: (H, W, 3) uint8 BGR, the frame; maps: its evidence. Returns uint8 BGR."""
        defects = inspection.defects
        match kind:
            case "input":
                return image.copy()
            case "coarse":
                return tint(image, cam.heat(maps.coarse, self.calibration.coarse), cv2.INTER_NEAREST)
            case "heatmap":
                return tint(image, self._heat(maps), cv2.INTER_LINEAR)
            case "cutout":
                return cut_out(image, [defect.box for defect in defects])
            case "boxes":
                return draw_boxes(image, defects)
            case "overlay":
                picture = draw_boxes(tint(image, self._heat(maps), cv2.INTER_LINEAR), defects)
                return with_banner(picture, inspection)
            case "panel":
                return self._panel(image, inspection, maps)
        raise ValueError(f"no picture is called {kind!r}; there are {', '.join(PICTURES)}")

    def _heat(self, maps: Maps) -> Array:
        if maps.fine is None:
            return cam.heat(cam.upsample(maps.coarse, self.input_hw), self.calibration.coarse)
        return cam.heat(cam.upsample(cam.smooth(maps.fine), self.input_hw), self.calibration.fine)

    def _panel(self, image: Image, inspection: Inspection, maps: Maps) -> Image:
        scale = PANEL_HEIGHT / image.shape[0]
        size = (max(MIN_TILE_WIDTH, round(image.shape[1] * scale)), PANEL_HEIGHT)
        shrinks = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
        tiles = []
        for number, step in enumerate(STEPS, 1):
            picture = cv2.resize(self(step, image, inspection, maps), size, interpolation=shrinks)
            tiles.append(captioned(np.asarray(picture, np.uint8), f"{number} {step}"))
        gap = np.full((tiles[0].shape[0], 8, 3), WHITE, np.uint8)
        row = np.hstack([part for tile in tiles for part in (tile, gap)][:-1])
        coarse = maps.fine is None
        scale = self.calibration.coarse if coarse else self.calibration.fine
        bar = scale_bar(row.shape[1], scale, "coarse" if coarse else "fine")
        return with_banner(np.vstack([row, bar]), inspection)


def colours(heat: Array) -> Image:
    """(h, w) heat in [0, 1] -> (h, w, 3) uint8 BGR; `inferno`, perceptually uniform."""
    return np.asarray(cv2.applyColorMap((heat * 255).astype(np.uint8), cv2.COLORMAP_INFERNO), np.uint8)


def tint(image: Image, heat: Array, interpolation: int) -> Image:
    """Lay the heat over the frame: clear where cold, at most 70 % opaque where hot.

    heat: (h, w) in [0, 1] at any size. Colour and opacity are resized, the frame keeps its own pixels.
    """
    size = (image.shape[1], image.shape[0])
    full = np.clip(cv2.resize(heat, size, interpolation=interpolation), 0, 1)
    alpha = (np.sqrt(full) * 0.7)[..., np.newaxis]
    return (image * (1 - alpha) + colours(0.25 + 0.75 * full) * alpha + 0.5).astype(np.uint8)


def cut_out(image: Image, boxes: list[Box]) -> Image:
    """What lies in the boxes; the rest dimmed to grey. Without boxes all is dimmed."""
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) // 4
    picture = np.repeat(grey[..., np.newaxis], 3, axis=2).astype(np.uint8)
    for box in boxes:
        picture[box.y0 : box.y1, box.x0 : box.x1] = image[box.y0 : box.y1, box.x0 : box.x1]
    return picture


def draw_boxes(image: Image, defects: tuple[Defect, ...], labels: bool = True) -> Image:
    """A thin white line with a dark rim just outside each box, and with labels its share of the evidence beside it."""
    picture = image.copy()
    stroke = max(1, round(min(image.shape[:2]) / 400))
    for defect in defects:
        box, rim = defect.box, stroke * 2
        corners = (box.x0 - rim, box.y0 - rim), (box.x1 - 1 + rim, box.y1 - 1 + rim)
        cv2.rectangle(picture, *corners, BLACK, stroke * 3)
        cv2.rectangle(picture, *corners, WHITE, stroke)
        if labels:
            label(picture, f"{defect.contribution:.0%}", box, stroke)
    return picture


def label(picture: Image, text: str, box: Box, stroke: int) -> None:
    """Write outside the box: above it, or below where there is no room, kept within the picture."""
    scale, pad = 0.45 * stroke + 0.1, 4 * stroke
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, stroke)
    above = box.y0 - 2 * pad
    y = above if above - height >= 0 else min(box.y1 + height + 2 * pad, picture.shape[0] - pad)
    x = max(pad, min(box.x0, picture.shape[1] - width - pad))
    write(picture, text, (x, y), scale, stroke)


def write(picture: Image, text: str, at: tuple[int, int], scale: float, stroke: int) -> None:
    cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, BLACK, stroke * 3, cv2.LINE_AA)
    cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, WHITE, stroke, cv2.LINE_AA)


def with_banner(picture: Image, inspection: Inspection) -> Image:
    """The verdict as a strip above the picture, so that it covers nothing."""
    height = max(24, round(min(picture.shape[:2]) / 14))
    strip = np.full((height, picture.shape[1], 3), VERDICT_COLOURS[inspection.verdict], np.uint8)
    score = "" if inspection.score is None else f"  score {inspection.score:.3f}  (limit {inspection.threshold:.3f})"
    text, thickness = f"{inspection.verdict.value.upper()}{score}", max(1, round(height / 22))
    (wide, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, height / 42, thickness)
    scale = height / 42 * min(1.0, max(0.1, (picture.shape[1] - 2 * (height // 3)) / wide))
    at = (height // 3, round(height * 0.72))
    cv2.putText(strip, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, WHITE, thickness, cv2.LINE_AA)
    return np.vstack([strip, picture])


def captioned(picture: Image, text: str) -> Image:
    strip = np.full((30, picture.shape[1], 3), INK, np.uint8)
    cv2.putText(strip, text, (8, 21), cv2.FONT_HERSHEY_SIMPLEX, 0.6, WHITE, 1, cv2.LINE_AA)
    return np.vstack([strip, picture])


def scale_bar(width: int, scale: HeatScale, name: str) -> Image:
    """The heat scale of the heatmap with its ends in logits. name: which map it is drawn from."""
    bar = np.full((44, width, 3), INK, np.uint8)
    left, right = 150, width - 90
    ramp = np.linspace(0, 1, right - left, dtype=np.float32)[np.newaxis]
    bar[8:22, left:right] = np.repeat(colours(0.25 + 0.75 * ramp), 14, axis=0)
    for text, at in (
        (f"logits  {scale.cold:.1f}", (8, 20)),
        (f"{scale.hot:.1f}", (right + 10, 20)),
        (f"heatmap: {name} map", (8, 40)),
    ):
        cv2.putText(bar, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, WHITE, 1, cv2.LINE_AA)
    return bar
