"""Proof on demand: would the frame pass without its boxes? Arrays and a function that judges them; no model, no files.

The inside of a box is replaced by the frame's own surface, as it is found elsewhere in the frame, turned and mirrored in many
ways: a scratched rim is mended with the same rim from the other side. The best fits are all
tried, and the one that speaks least for `anomaly` counts: the claim is "there is a sound surface with which the frame
passes", and so one is enough. A control must show that it is the box that matters: an equal box at the hottest place
outside all boxes for each of them, mended in the same way.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from edge_runtime.results import Array, Box, Image, Proof, Without

TRIES = 12
"""Surfaces tried per box; docs/experiments.md has what fewer, and fewer turns, would find."""
TILTS = (0, 30, 60)
"""Degrees by which the frame is turned when surface is sought, each also with its quarter turns and mirrored."""
RING = 4
"""Pixels around the box that must fit, and over which the surface is blended."""
APART = 8
"""Pixels by which two tried surfaces differ at least in where they come from."""

Judge = Callable[[Image], Array]
"""(n, h, w, 3) uint8 BGR at input size -> (n,) float32 margins in logits."""


@dataclass(frozen=True, slots=True)
class Mended:
    """A frame with other surface in a hole. painted: no place fits, and the hole is filled from its rim."""

    image: Image
    painted: bool


def prove(
    image: Image, boxes: Sequence[Box], evidence: Array, cell: int, passes: Callable[[float], bool], judge: Judge
) -> Proof:
    """image: (h, w, 3) uint8 BGR at input size, a reject; boxes: its own, in input pixels; evidence: (h, w), never negative.
    cell: pixels per cell of the map that drew the boxes; it sees no sharper, so one cell around a box is replaced with it.
    passes: whether a frame of this margin does."""
    holes = [_grown(box, cell, image) for box in boxes]
    places = list(_elsewhere(holes, evidence))

    def without(hole: Box) -> tuple[Without, Mended]:
        tried = list(mended(image, hole, holes))
        margins = judge(np.stack([one.image for one in tried])).tolist()
        best = margins.index(min(margins))
        return Without(margins[best], passes(margins[best]), tried[best].painted), tried[best]

    def without_all(found: Sequence[Box], each: Sequence[tuple[Without, Mended]]) -> Without:
        together = image.copy()
        for hole, (_, one) in zip(found, each, strict=True):
            rows, columns = _around(hole, image)
            changed = (one.image[rows, columns] != image[rows, columns]).any(axis=2)
            together[rows, columns][changed] = one.image[rows, columns][changed]
        margin = float(judge(together[np.newaxis])[0])
        return Without(margin, passes(margin), any(one.painted for _, one in each))

    each = [without(hole) for hole in holes]
    return Proof(
        each=tuple(found for found, _ in each),
        together=without_all(holes, each),
        control=None if len(places) < len(holes) else without_all(places, [without(place) for place in places]),
    )


def mended(image: Image, hole: Box, holes: Sequence[Box]) -> Iterator[Mended]:
    """Copies of the frame with another surface in the hole, the best fit first; at least one. Nothing is taken from
    any hole."""
    rows, columns = _around(hole, image)
    wanted = image[rows, columns].astype(np.float32)
    inside = np.zeros(wanted.shape[:2], np.float32)
    inside[hole.y0 - rows.start : hole.y1 - rows.start, hole.x0 - columns.start : hole.x1 - columns.start] = 1
    blend = np.maximum(inside, cv2.blur(inside, (2 * RING + 1, 2 * RING + 1)))[..., np.newaxis]
    found = sorted(_fits(image, wanted, 1 - inside, [hole, *holes]), key=lambda fit: fit[0])[:TRIES]
    for _, surface in found:
        outside = (1 - inside)[..., np.newaxis]
        light = ((wanted - surface) * outside).sum((0, 1)) / max(1.0, float(outside.sum()))
        copy = image.copy()
        copy[rows, columns] = np.clip(blend * (surface + light) + (1 - blend) * wanted + 0.5, 0, 255)
        yield Mended(copy, painted=False)
    if not found:  # a box too large for any other place to fit
        mask = np.zeros(image.shape[:2], np.uint8)
        mask[hole.y0 : hole.y1, hole.x0 : hole.x1] = 255
        yield Mended(np.asarray(cv2.inpaint(image, mask, 3, cv2.INPAINT_TELEA), np.uint8), painted=True)


def _around(hole: Box, image: Image) -> tuple[slice, slice]:
    """Rows and columns of a hole and its ring."""
    whole = _grown(hole, RING, image)
    return slice(whole.y0, whole.y1), slice(whole.x0, whole.x1)


def _grown(box: Box, by: int, image: Image) -> Box:
    height, width = image.shape[:2]
    return Box(max(0, box.x0 - by), max(0, box.y0 - by), min(width, box.x1 + by), min(height, box.y1 + by))


def _fits(image: Image, wanted: Array, ring: Array, taken: Sequence[Box]) -> Iterator[tuple[float, Array]]:
    """(misfit, surface like `wanted`) of the best places in all orientations of the frame."""
    height, width = wanted.shape[:2]
    forbidden = np.zeros(image.shape[:2], np.uint8)
    for box in taken:
        forbidden[box.y0 : box.y1, box.x0 : box.x1] = 1
    for source, closed in _orientations(image, forbidden):
        if source.shape[0] < height or source.shape[1] < width:
            continue
        misfit = cv2.matchTemplate(source, wanted, cv2.TM_SQDIFF, mask=np.repeat(ring[..., np.newaxis], 3, axis=2))
        sums = cv2.integral(closed)
        touched = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
        misfit[touched > 0] = np.inf
        for _ in range(TRIES):
            y, x = np.unravel_index(int(misfit.argmin()), misfit.shape)
            if not np.isfinite(misfit[y, x]):
                break
            yield float(misfit[y, x]), source[y : y + height, x : x + width]
            misfit[max(0, y - APART) : y + APART + 1, max(0, x - APART) : x + APART + 1] = np.inf


def _orientations(image: Image, forbidden: Image) -> Iterator[tuple[Array, Image]]:
    """(frame as float32, where nothing may be taken from), turned and mirrored."""
    for tilt in TILTS:
        tilted = _tilted(image, forbidden, tilt) if tilt else (image, forbidden)
        for quarter_turns in range(4):
            source, closed = (np.rot90(one, quarter_turns) for one in tilted)
            for step in (1, -1):
                yield np.ascontiguousarray(source[:, ::step], np.float32), np.ascontiguousarray(closed[:, ::step])


def _tilted(image: Image, forbidden: Image, degrees: float) -> tuple[Image, Image]:
    """Both, turned within a larger frame, whose corners are forbidden."""
    height, width = forbidden.shape
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    size = np.ceil(np.abs(turn[:, :2]) @ (width, height))
    turn[:, 2] += (size - (width, height)) / 2
    wide, high = size.astype(int).tolist()
    return (
        np.asarray(
            cv2.warpAffine(image, turn, (wide, high), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE), np.uint8
        ),
        np.asarray(cv2.warpAffine(forbidden, turn, (wide, high), flags=cv2.INTER_NEAREST, borderValue=1), np.uint8),
    )


def _elsewhere(holes: Sequence[Box], evidence: Array) -> Iterator[Box]:
    """For each hole an equal box where there is most evidence outside all holes and all boxes before; fewer where there is
    no room."""
    sums, taken = cv2.integral(evidence.astype(np.float64)), list(holes)
    for hole in holes:
        height, width = hole.y1 - hole.y0, hole.x1 - hole.x0
        inside = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
        for other in taken:
            inside[max(0, other.y0 - height + 1) : other.y1, max(0, other.x0 - width + 1) : other.x1] = -np.inf
        y, x = (int(at) for at in np.unravel_index(int(inside.argmax()), inside.shape))
        if np.isfinite(inside[y, x]):
            taken.append(Box(x, y, x + width, y + height))
            yield taken[-1]
