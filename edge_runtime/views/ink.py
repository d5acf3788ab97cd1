"""Text, boxes and the verdict's banner. Sizes follow the picture's, so that they read alike at 320 pixels and at 12 MP."""

import math
from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from edge_runtime.results import Box, Defect, Image, Inspection, Verdict

WHITE, PALE, INK = (255, 255, 255), (238, 238, 238), (28, 28, 28)
VERDICT_COLOURS = {
    Verdict.GOOD: (125, 122, 0),
    Verdict.ANOMALY: (0, 80, 196),
    Verdict.ERROR: (90, 90, 90),
    Verdict.SKIPPED: (90, 90, 90),
}
"""BGR; teal and vermilion, which colour-blind eyes tell apart, dark enough for white words. A sign and a word stand beside."""
SIGNS = {
    Verdict.GOOD: [[(0.0, 0.55), (0.35, 0.9), (1.0, 0.1)]],
    Verdict.ANOMALY: [[(0.1, 0.1), (0.9, 0.9)], [(0.9, 0.1), (0.1, 0.9)]],
    Verdict.ERROR: [[(0.5, 0.0), (0.5, 0.6)], [(0.5, 0.95), (0.5, 1.0)]],
    Verdict.SKIPPED: [[(0.0, 0.5), (1.0, 0.5)]],
}
"""Strokes in the unit square: a tick, a cross, an exclamation mark, a dash."""

FONT_PIXELS = 28
"""Height of cv2's fonts at scale 1, and CAPITAL: of its capitals as a share of that."""
CAPITAL = 0.72


MIN_BANNER_WIDTH = 120


def proportion(picture: Image) -> float:
    """Pixels that strokes and fonts are in proportion to: the short side of a 4:3 picture as large, at most twice its
    own."""
    height, width = picture.shape[:2]
    return float(min(0.87 * math.sqrt(height * width), 2 * min(height, width)))


def text_width(text: str, pixels: int, bold: bool = False) -> int:
    """pixels: of the font's height."""
    (width, _), _ = cv2.getTextSize(text, *_font(pixels, bold))
    return int(width)


def write(
    picture: Image, text: str, at: tuple[int, int], pixels: int, colour: tuple[int, int, int], bold: bool = False
) -> None:
    """On the picture itself. at: (x, y), the left end and the middle of the capitals."""
    face, scale, thickness = _font(pixels, bold)
    origin = at[0], at[1] + round(CAPITAL * pixels / 2)
    cv2.putText(picture, text, origin, face, scale, colour, thickness, cv2.LINE_AA)


def _font(pixels: int, bold: bool) -> tuple[int, float, int]:
    """OpenCV 5 draws these with an outline font, where thickness is a weight; OpenCV 4 with strokes of that thickness."""
    return cv2.FONT_HERSHEY_DUPLEX if bold else cv2.FONT_HERSHEY_SIMPLEX, pixels / FONT_PIXELS, max(1, pixels // 24)


def wrapped(text: str, pixels: int, width: int) -> list[str]:
    """Lines of whole words no wider than width; a word that is wider is broken. Nothing is left out."""
    lines = [""]
    for word in text.split():
        while word:
            longer = f"{lines[-1]} {word}".strip()
            if text_width(longer, pixels) <= width:
                lines[-1], word = longer, ""
            elif lines[-1]:
                lines.append("")
            else:
                fits = max([n for n in range(1, len(word)) if text_width(word[:n], pixels) <= width], default=1)
                lines[-1:] = [word[:fits], ""]
                word = word[fits:]
    return [line for line in lines if line]


def draw_boxes(image: Image, defects: Sequence[Defect], labels: bool = True) -> Image:
    """A copy with a thin white line with a dark rim just outside each box, and with labels its share of the evidence
    beside it. The inside of every box stays as it is."""
    picture = image.copy()
    stroke = max(1, round(proportion(image) / 400))
    for colour, thickness in ((INK, 3 * stroke), (WHITE, stroke)):
        for defect in defects:
            box, away = defect.box, 2 * stroke
            corners = (box.x0 - away, box.y0 - away), (box.x1 - 1 + away, box.y1 - 1 + away)
            cv2.rectangle(picture, *corners, colour, thickness)
    for defect in defects:  # where boxes overlap, and where cv2 rounds a thick line's corner
        rows, columns = slice(defect.box.y0, defect.box.y1), slice(defect.box.x0, defect.box.x1)
        picture[rows, columns] = image[rows, columns]
    if labels:
        _label(picture, defects, 4 * stroke)
    return picture


def _label(picture: Image, defects: Sequence[Defect], away: int) -> None:
    height, width = picture.shape[:2]
    pixels = max(11, round(proportion(picture) / 32))
    texts = [f"{defect.contribution:.0%}" for defect in defects]
    sizes = [(text_width(text, pixels, bold=True) + round(0.6 * pixels), round(1.3 * pixels)) for text in texts]
    places = placed([defect.box for defect in defects], sizes, (width, height), away)
    for text, place in zip(texts, places, strict=True):
        if place is not None:
            picture[place.y0 : place.y1, place.x0 : place.x1] = INK
            middle = place.x0 + round(0.3 * pixels), (place.y0 + place.y1) // 2
            write(picture, text, middle, pixels, WHITE, bold=True)


def placed(
    boxes: Sequence[Box], sizes_wh: Sequence[tuple[int, int]], picture_wh: tuple[int, int], away: int
) -> list[Box | None]:
    """Where each box's label goes: beside its box, inside the picture, and over no box, no line and no other label;
    None where there is no such place.

    away: pixels around a box that belong to its line.
    """
    width, height = picture_wh
    taken = [
        Box(max(0, box.x0 - away), max(0, box.y0 - away), min(width, box.x1 + away), min(height, box.y1 + away))
        for box in boxes
    ]
    found: list[Box | None] = []
    for box, size in zip(taken[: len(boxes)], sizes_wh, strict=True):
        free = (place for place in _beside(box, size, picture_wh) if not any(map(place.iou, taken)))
        found.append(next(free, None))
        if found[-1] is not None:
            taken.append(found[-1])
    return found


def _beside(box: Box, size_wh: tuple[int, int], picture_wh: tuple[int, int]) -> Iterator[Box]:
    """Places of a size inside the picture that touch the box from outside, the best first."""
    wide, high = size_wh
    room_x, room_y = picture_wh[0] - wide, picture_wh[1] - high
    if room_x < 0 or room_y < 0:
        return
    for y in (box.y0 - high, box.y1):  # above, then below
        for x in (box.x0, box.x1 - wide):
            if 0 <= y <= room_y:
                x = min(max(0, x), room_x)
                yield Box(x, y, x + wide, y + high)
    for x in (box.x1, box.x0 - wide):  # right, then left
        for y in (box.y0, box.y1 - high):
            if 0 <= x <= room_x:
                y = min(max(0, y), room_y)
                yield Box(x, y, x + wide, y + high)


def with_banner(picture: Image, inspection: Inspection) -> Image:
    """The verdict as a strip above the picture, so that it covers nothing. A picture too narrow for it gets a margin at
    its right."""
    margin = MIN_BANNER_WIDTH - picture.shape[1]
    if margin > 0:
        picture = np.asarray(cv2.copyMakeBorder(picture, 0, 0, 0, margin, cv2.BORDER_CONSTANT, value=PALE), np.uint8)
    return np.vstack([banner(inspection, picture.shape[1], round(proportion(picture) / 20)), picture])


def banner(inspection: Inspection, width: int, pixels: int) -> Image:
    """A sign, the word and the score; in a narrow picture one below the other. (height, width, 3) uint8.

    width: MIN_BANNER_WIDTH at least. pixels: of the word's font, where it fits.
    """
    word, details = inspection.verdict.value.upper(), _details(inspection)
    detail = "   ".join(details)
    pixels = max(13, pixels)
    needed = text_width(word, pixels, bold=True) + 2.7 * pixels
    pixels = min(pixels, int(pixels * width / needed))
    margin, small = round(0.6 * pixels), max(11, round(0.8 * pixels))
    left = margin + round(1.2 * pixels)
    right = width - margin - text_width(detail, small)
    beside = left + text_width(word, pixels, bold=True) + 2 * margin <= right
    lines = [] if beside else [line for text in details for line in wrapped(text, small, width - 2 * margin)]
    height, step = round(1.8 * pixels), round(1.4 * small)
    strip = np.empty((height + step * len(lines), width, 3), np.uint8)
    strip[:] = VERDICT_COLOURS[inspection.verdict]
    _sign(strip, inspection.verdict, (margin, height // 2), pixels)
    write(strip, word, (left, height // 2), pixels, WHITE, bold=True)
    if beside:
        write(strip, detail, (right, height // 2), small, WHITE)
    for row, line in enumerate(lines):
        write(strip, line, (margin, height + step * row + round(0.35 * small)), small, WHITE)
    return strip


def _details(inspection: Inspection) -> list[str]:
    if inspection.score is None:
        return [inspection.error or ""]
    limit = [] if inspection.threshold is None else [f"limit {inspection.threshold:.3f}"]
    return [f"score {inspection.score:.3f}", *limit]


def _sign(strip: Image, verdict: Verdict, at: tuple[int, int], pixels: int) -> None:
    side = CAPITAL * pixels
    for stroke in SIGNS[verdict]:
        points = [(at[0] + round(side * x), at[1] + round(side * (y - 0.5))) for x, y in stroke]
        cv2.polylines(strip, [np.array(points, np.int32)], False, WHITE, max(1, round(pixels / 7)), cv2.LINE_AA)


def captioned(picture: Image, text: str) -> Image:
    """The picture under a line of text, which is wrapped where it is longer."""
    lines = wrapped(text, 17, picture.shape[1] - 12)
    strip = np.full((8 + 22 * len(lines), picture.shape[1], 3), 255, np.uint8)
    for row, line in enumerate(lines):
        write(strip, line, (6, 15 + 22 * row), 17, INK)
    return np.vstack([strip, picture])
