"""The five steps of the method in one figure, and the sum behind the verdict."""

from collections.abc import Sequence

import cv2
import numpy as np

from edge_runtime.manifest import Calibration, HeatScale
from edge_runtime.results import Image, Inspection, Maps, Verdict
from edge_runtime.views.heat import tint
from edge_runtime.views.ink import INK, PALE, banner, text_width, wrapped, write

STEPS = ("input", "coarse", "heatmap", "cutout", "boxes")
WIDTH, MAX_HEIGHT, GAP = 1920, 640, 16
"""Pixels: of the steps side by side, of each picture, and between them."""
MIN_CELL_WIDTH = 200
BANNER, TITLE, SUM, CAPTION, TICK = 24, 20, 18, 15, 13
"""Pixels of the fonts."""
GREY = (90, 90, 90)


def tile_wh(size_wh: tuple[int, int]) -> tuple[int, int]:
    """A step's picture for a frame of this size, in its proportions. A small frame grows by a whole number."""
    width, height = size_wh
    scale = min((WIDTH // _columns(size_wh) - GAP) / width, MAX_HEIGHT / height)
    scale = max(1, int(scale)) if scale >= 1 else scale
    return max(1, round(width * scale)), max(1, round(height * scale))


def _columns(size_wh: tuple[int, int]) -> int:
    return 5 if size_wh[0] <= 2 * size_wh[1] else 3


def figure(pictures: Sequence[Image], inspection: Inspection, maps: Maps, calibration: Calibration) -> Image:
    """pictures: of STEPS, all of one size. Returns the figure, uint8 BGR, some WIDTH pixels wide at most."""
    high, wide = pictures[0].shape[:2]
    width = max(MIN_CELL_WIDTH, wide)
    captions = _captions(inspection, maps)
    lines = max(len(wrapped(text, CAPTION, width)) for _, text in captions)
    fine = calibration.coarse if maps.fine is None else calibration.fine
    bars = {1: scale_bar(width, calibration.coarse), 2: scale_bar(width, fine)}
    cells = []
    for number, (picture, (title, text)) in enumerate(zip(pictures, captions, strict=True)):
        framed = cv2.copyMakeBorder(picture, 0, 0, 0, width - wide, cv2.BORDER_CONSTANT, value=(255, 255, 255))
        head = _head(f"{number + 1}  {title}", text, width, lines)
        cells.append(np.vstack([head, framed, *([bars[number]] if number in bars else [])]))
    columns = _columns((wide, high))
    rows = [_row(cells[start : start + columns], columns) for start in range(0, len(cells), columns)]
    whole = rows[0].shape[1]
    return np.vstack([banner(inspection, whole, BANNER), *rows, _sum(inspection, maps, whole)])


def _paper(width: int, height: int) -> Image:
    return np.full((height, width, 3), 255, np.uint8)


def _row(cells: Sequence[Image], columns: int) -> Image:
    width = cells[0].shape[1]
    row = _paper(columns * (width + GAP) + GAP, max(cell.shape[0] for cell in cells))
    for column, cell in enumerate(cells):
        left = GAP + column * (width + GAP)
        row[: cell.shape[0], left : left + width] = cell
    return row


def _head(title: str, caption: str, width: int, lines: int) -> Image:
    head = _paper(width, 44 + 20 * lines)
    write(head, title, (0, 24), TITLE, INK, bold=True)
    for row, line in enumerate(wrapped(caption, CAPTION, width)):
        write(head, line, (0, 48 + 20 * row), CAPTION, GREY)
    return head


def _captions(inspection: Inspection, maps: Maps) -> list[tuple[str, str]]:
    """Title and sentence of each step, for somebody who sees such a figure for the first time."""
    defects, passes = inspection.defects, inspection.verdict is Verdict.GOOD
    size = "x".join(map(str, inspection.size_wh or ())) or "unknown size"
    share = min(1.0, sum(defect.contribution for defect in defects))
    held = f"{len(defects)} box{'es' if len(defects) > 1 else ''} with {share:.0%} of the evidence"
    why = "the frame passes" if passes else "the maps are flat"
    return [
        ("Input", f"the frame, {size}"),
        ("Coarse map", f"{_cells(maps.coarse.shape)}: whether, and how much"),
        ("Upsampled map", "the coarse map between its cells")
        if maps.fine is None
        else ("Fine map", f"{_cells(maps.fine.shape)}: where exactly"),
        ("Cut-out", "only what the boxes hold" if defects else "nothing stands out"),
        ("Boxes", held if defects else f"none, {why}"),
    ]


def _cells(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]} cells"


def scale_bar(width: int, scale: HeatScale) -> Image:
    """The heat scale of a map from cold to hot with ticks in logits."""
    bar = _paper(width, 62)
    ramp = np.tile(np.linspace(0, 1, width, dtype=np.float32), (12, 1))
    bar[8:20] = tint(np.full((12, width, 3), PALE, np.uint8), ramp, cv2.INTER_NEAREST)
    free = 0
    for value in ticks(scale):
        x = round((value - scale.cold) / (scale.hot - scale.cold) * (width - 1))
        text = f"{value:g}"
        left = min(max(0, x - text_width(text, TICK) // 2), width - text_width(text, TICK))
        if left >= free:
            bar[20:25, x] = INK
            write(bar, text, (left, 34), TICK, INK)
            free = left + text_width(text, TICK) + 8
    ends = ("cold: good parts", "hot: typical anomaly")
    if text_width(" ".join((*ends, "logits")), TICK) > width:
        ends = "cold", "hot"
    write(bar, ends[0], (0, 52), TICK, GREY)
    write(bar, "logits", ((width - text_width("logits", TICK)) // 2, 52), TICK, GREY)
    write(bar, ends[1], (width - text_width(ends[1], TICK), 52), TICK, GREY)
    return bar


def ticks(scale: HeatScale) -> list[float]:
    """Round numbers in logits from cold to hot, two to six of them."""
    span = scale.hot - scale.cold
    power = 10.0 ** np.floor(np.log10(span / 5))
    step = next(float(power * leap) for leap in (1, 2, 5, 10) if power * leap >= span / 5)
    first = int(np.ceil(scale.cold / step))
    values = [float(f"{number * step:.6g}") for number in range(first, first + 7)]
    return [value for value in values if value <= scale.hot]


def _sum(inspection: Inspection, maps: Maps, width: int) -> Image:
    lines = wrapped(equation(inspection, maps), SUM, width - 2 * GAP)
    strip = _paper(width, GAP + 26 * len(lines) + GAP // 2)
    for row, line in enumerate(lines):
        write(strip, line, (GAP, GAP + 12 + 26 * row), SUM, INK)
    return strip


def equation(inspection: Inspection, maps: Maps) -> str:
    """How the margin comes about, in logits; empty where the map is an approximation that does not add up to it."""
    account, margin = inspection.account, inspection.margin
    if margin is None:
        return ""
    if account is not None:
        parts = {"fine map": account.fine_map, "biases": account.biases, "offset": account.offset}
        if abs(account.rounding) >= 0.005:
            parts["rounding"] = account.rounding
    elif inspection.residual is not None:
        mean = float(maps.coarse.mean(dtype=np.float64))
        parts = {"coarse map": mean, "offset": margin - mean}
    else:
        return ""
    terms = " + ".join(f"{name} {value:.2f}" for name, value in parts.items())
    return f"{terms} = margin {margin:.2f} logits"
