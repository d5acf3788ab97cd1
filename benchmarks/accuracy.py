"""python -m benchmarks.accuracy FRAMES MODEL: how many defects slip through, and does the heat lie on them?

FRAMES holds good/, anomaly/ and truth.json, as python -m train.bangles writes them (or --truth FILE). Truth is read here and nowhere else.
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from sklearn.metrics import roc_auc_score

from edge_runtime import cam, frames
from edge_runtime.errors import FrameError, UsageError, run_command
from edge_runtime.inspector import Inspector, Judgement
from edge_runtime.model import Model
from edge_runtime.preprocess import prepare
from edge_runtime.results import Array, Box, Defect, Frame, Inspection, Verdict

Rectangle = Sequence[float]
"""x0, y0, x1, y1 in frame pixels, half-open."""


@dataclass(frozen=True, slots=True)
class Case:
    """One judged frame. truth: its defects' boxes, none for a good frame. coarse, fine: its maps at input size, whatever
    the verdict; coarse_boxes, all_boxes: input pixels, what each of them would draw in a reject."""

    inspection: Inspection
    truth: tuple[Rectangle, ...]
    judgement: Judgement
    coarse: Array
    fine: Array
    coarse_boxes: tuple[Defect, ...]
    all_boxes: tuple[Defect, ...]


def judge(folder: Path, truth_file: Path, inspector: Inspector) -> list[Case]:
    """Raises UsageError where truth.json is missing or a defective frame is not in it, or a frame can't be judged."""
    try:
        truth = json.loads(truth_file.read_text(encoding="utf-8"))
    except OSError as err:
        raise UsageError(f"{truth_file}: {err.strerror}; say where the truth is with --truth") from None
    cases = []
    for name in ("good", "anomaly"):
        for file in frames.find([str(folder / name)]).files:
            try:
                frame = frames.read(file)
                boxes = _truth(truth, folder.name, f"{name}/{file.source}") if name == "anomaly" else ()
                cases.append(_case(frame, boxes, inspector))
            except FrameError as err:
                raise UsageError(f"{file.path} {err}") from None
    return cases


def _case(frame: Frame, truth: tuple[Rectangle, ...], inspector: Inspector) -> Case:
    model = inspector.model
    inspection, judgement = inspector.inspect(frame)
    (prediction,) = model.predict(prepare(frame.image, model.input_hw)[np.newaxis], -math.inf)
    fine = prediction.fine
    assert fine is not None
    maps = cam.upsample(judgement.maps.coarse, model.input_hw), cam.upsample(cam.smooth(fine.cam), model.input_hw)
    scales = model.manifest.calibration
    return Case(
        inspection, truth, judgement, *maps, cam.defects(maps[0], scales.coarse), cam.defects(maps[1], scales.fine)
    )


def _truth(truth: dict[str, dict[str, list[Rectangle]]], folder: str, name: str) -> tuple[Rectangle, ...]:
    entry = truth.get(name) or truth.get(f"{folder}/{name}")
    if entry is None:
        raise UsageError(f"truth.json has no entry for {name}")
    return tuple(entry["boxes_xyxy"])


def measure(cases: list[Case], input_hw: tuple[int, int]) -> dict[str, float | int]:
    """Shares are of the defective frames, localisation too: an escape counts as a miss. `coarse_`: of the CAM alone."""
    good = [case for case in cases if not case.truth]
    bad = [case for case in cases if case.truth]
    labels = [0] * len(good) + [1] * len(bad)
    margins = [case.judgement.margin for case in good + bad]
    residuals = [case.inspection.residual for case in cases if case.inspection.residual is not None]
    return {
        "good": len(good),
        "anomaly": len(bad),
        "image_auroc": float(roc_auc_score(labels, margins)),
        "escapes": sum(case.inspection.verdict is Verdict.GOOD for case in bad),
        "false_rejects": sum(case.inspection.verdict is Verdict.ANOMALY for case in good),
        "peak_on_defect": _share(_hit(_peak(case.fine), case, input_hw) for case in bad),
        "coarse_peak_on_defect": _share(_hit(_peak(case.coarse), case, input_hw) for case in bad),
        "coarse_centre_of_mass_on_defect": _share(_hit(_centre_of_mass(case.coarse), case, input_hw) for case in bad),
        "frame_centre_on_defect": _share(_hit((0.5, 0.5), case, input_hw) for case in bad),
        "box_iou_0.3": _share(_best_iou(case) >= 0.3 for case in bad),
        "box_iou_0.5": _share(_best_iou(case) >= 0.5 for case in bad),
        "boxes_drawn_per_good_frame": sum(len(case.inspection.defects) for case in good) / len(good),
        "boxes_per_good_frame_whatever_the_verdict": sum(len(case.all_boxes) for case in good) / len(good),
        "coarse_boxes_per_good_frame_whatever_the_verdict": sum(len(case.coarse_boxes) for case in good) / len(good),
        "largest_residual": max(residuals, default=math.nan),
    }


def _share(hits: Iterable[bool]) -> float:
    return float(np.mean(list(hits)))


def _peak(map_: Array) -> tuple[float, float]:
    """(x, y) of the hottest point of a map, as shares of the frame's sides."""
    y, x = np.unravel_index(int(map_.argmax()), map_.shape)
    return (float(x) + 0.5) / map_.shape[1], (float(y) + 0.5) / map_.shape[0]


def _centre_of_mass(map_: Array) -> tuple[float, float]:
    """(x, y) of the centre of what is above half of the map's greatest evidence."""
    evidence = map_ - np.median(map_)
    weight = np.where(evidence >= evidence.max() / 2, evidence, 0)
    ys, xs = np.mgrid[: map_.shape[0], : map_.shape[1]] + 0.5
    return (
        float((xs * weight).sum() / weight.sum() / map_.shape[1]),
        float((ys * weight).sum() / weight.sum() / map_.shape[0]),
    )


def _hit(point: tuple[float, float], case: Case, input_hw: tuple[int, int]) -> bool:
    """Does the point lie in a true box, grown by half a cell of the CAM (8 input pixels) on each side?"""
    assert case.inspection.size_wh is not None
    width, height = case.inspection.size_wh
    x, y = point[0] * width, point[1] * height
    grow_x, grow_y = 8 * width / input_hw[1], 8 * height / input_hw[0]
    return any(x0 - grow_x <= x < x1 + grow_x and y0 - grow_y <= y < y1 + grow_y for x0, y0, x1, y1 in case.truth)


def _best_iou(case: Case) -> float:
    """Best overlap of any drawn box with any true one."""
    return max((_iou(defect.box, box) for defect in case.inspection.defects for box in case.truth), default=0.0)


def _iou(box: Box, truth: Rectangle) -> float:
    x0, y0, x1, y1 = truth
    shared = max(0.0, min(box.x1, x1) - max(box.x0, x0)) * max(0.0, min(box.y1, y1) - max(box.y0, y0))
    return shared / (box.area + (x1 - x0) * (y1 - y0) - shared)


def main(
    folder: Annotated[Path, typer.Argument(metavar="FRAMES", help="Folder with good/, anomaly/ and truth.json.")],
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Model file written by python -m export.")],
    truth: Annotated[
        Path | None, typer.Option(help="Default: FRAMES/truth.json. Its keys end in <class>/<name>.")
    ] = None,
) -> None:
    """Measure a model file on frames with known truth; prints JSON."""
    inspector = Inspector(Model.load(model))
    figures = measure(judge(folder, truth or folder / "truth.json", inspector), inspector.model.input_hw)
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    run_command(app)
