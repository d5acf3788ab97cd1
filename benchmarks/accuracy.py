"""python -m benchmarks.accuracy FRAMES MODEL: how many defects slip through, and does the heat lie on them?

FRAMES holds good/, anomaly/ and truth.json, as python -m train.bangles writes them. Truth is read here and nowhere else.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from sklearn.metrics import roc_auc_score

from edge_runtime import cam, frames
from edge_runtime.errors import UsageError, run_command
from edge_runtime.inspector import Inspector, Judgement
from edge_runtime.model import Model
from edge_runtime.preprocess import to_frame
from edge_runtime.results import Box, Inspection, Verdict

Rectangle = Sequence[float]
"""x0, y0, x1, y1 in frame pixels, half-open."""


@dataclass(frozen=True, slots=True)
class Case:
    """One judged frame. truth: its defects' boxes, none for a good frame. all_boxes: drawn as if it were a reject."""

    inspection: Inspection
    judgement: Judgement
    truth: tuple[Rectangle, ...]
    all_boxes: tuple[Box, ...]


def judge(folder: Path, inspector: Inspector) -> list[Case]:
    """Raises UsageError where truth.json is missing or a defective frame is not in it."""
    try:
        truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    except OSError as err:
        raise UsageError(
            f"{folder}/truth.json: {err.strerror}; expected a folder as python -m train.bangles writes it"
        ) from None
    cases = []
    for name in ("good", "anomaly"):
        for file in frames.find([str(folder / name)]).files:
            inspection, judgement = inspector.inspect(frames.read(file))
            cases.append(
                Case(
                    inspection,
                    judgement,
                    _truth(truth, folder.name, f"{name}/{file.source}") if name == "anomaly" else (),
                    _boxes(inspection, judgement, inspector),
                )
            )
    return cases


def _truth(truth: dict[str, dict[str, list[Rectangle]]], folder: str, name: str) -> tuple[Rectangle, ...]:
    entry = truth.get(name) or truth.get(f"{folder}/{name}")
    if entry is None:
        raise UsageError(f"truth.json has no entry for {name}")
    return tuple(entry["boxes_xyxy"])


def _boxes(inspection: Inspection, judgement: Judgement, inspector: Inspector) -> tuple[Box, ...]:
    model = inspector.model
    found = cam.defects(cam.upsample(judgement.cam, model.input_hw), model.manifest.calibration)
    assert inspection.size_wh is not None
    return tuple(to_frame(defect.box, model.input_hw, inspection.size_wh) for defect in found)


def measure(cases: list[Case], input_hw: tuple[int, int]) -> dict[str, float | int]:
    good = [case for case in cases if not case.truth]
    bad = [case for case in cases if case.truth]
    labels = [0] * len(good) + [1] * len(bad)
    margins = [case.judgement.margin for case in good + bad]
    escapes = sum(case.inspection.verdict is Verdict.GOOD for case in bad)
    false_rejects = sum(case.inspection.verdict is Verdict.ANOMALY for case in good)
    return {
        "good": len(good),
        "anomaly": len(bad),
        "image_auroc": float(roc_auc_score(labels, margins)),
        "escapes": escapes,
        "false_rejects": false_rejects,
        "peak_on_defect": _share(_hit(_peak(case, input_hw), case, input_hw) for case in bad),
        "centre_of_mass_on_defect": _share(_hit(_centre_of_mass(case, input_hw), case, input_hw) for case in bad),
        "frame_centre_on_defect": _share(_hit((0.5, 0.5), case, input_hw) for case in bad),
        "false_boxes_per_good_frame": sum(len(case.all_boxes) for case in good) / max(1, len(good)),
        "drawn_boxes_per_good_frame": sum(len(case.inspection.defects) for case in good) / max(1, len(good)),
        "box_iou_0.3": _share(_best_iou(case) >= 0.3 for case in bad),
        "box_iou_0.5": _share(_best_iou(case) >= 0.5 for case in bad),
        "largest_residual": max((case.inspection.residual or 0.0) for case in cases),
    }


def _share(hits: Iterable[bool]) -> float:
    return float(np.mean(list(hits)))


def _peak(case: Case, input_hw: tuple[int, int]) -> tuple[float, float]:
    """(x, y) of the hottest point, as shares of the frame's sides."""
    fine = cam.upsample(case.judgement.cam, input_hw)
    y, x = np.unravel_index(int(fine.argmax()), fine.shape)
    return (float(x) + 0.5) / fine.shape[1], (float(y) + 0.5) / fine.shape[0]


def _centre_of_mass(case: Case, input_hw: tuple[int, int]) -> tuple[float, float]:
    """(x, y) of the centre of what is above half of the frame's greatest evidence."""
    fine = cam.upsample(case.judgement.cam, input_hw)
    evidence = fine - np.median(fine)
    weight = np.where(evidence >= evidence.max() / 2, evidence, 0)
    ys, xs = np.mgrid[: fine.shape[0], : fine.shape[1]] + 0.5
    return float((xs * weight).sum() / weight.sum() / fine.shape[1]), float(
        (ys * weight).sum() / weight.sum() / fine.shape[0]
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
) -> None:
    """Measure a model file on frames with known truth; prints JSON."""
    inspector = Inspector(Model.load(model))
    figures = measure(judge(folder, inspector), inspector.model.input_hw)
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    run_command(app)
