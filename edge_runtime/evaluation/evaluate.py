"""A model file on frames with known truth -> figures, a row per frame, pictures of the worst."""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge_runtime import boxes, cam, frames
from edge_runtime.errors import FrameError, OutputError, UsageError
from edge_runtime.evaluation import image_level, localisation
from edge_runtime.evaluation.bounds import Rate, percent, promise
from edge_runtime.evaluation.localisation import Case
from edge_runtime.evaluation.truth import (
    Labelled,
    MaskFolder,
    Rectangle,
    TruthFile,
    class_folders,
    fingerprint,
    labelled,
    read_truth,
    refuse_shared,
    shrink,
)
from edge_runtime.inspector import Inspector, Judgement
from edge_runtime.line.durable import write_bytes
from edge_runtime.preprocess import to_frame
from edge_runtime.results import Box, Frame, Inspection, Verdict
from edge_runtime.views.overlay import Painter

FIGURES, ROWS = "evaluation.json", "frames.jsonl"
WORST = 10
MAX_STEM_BYTES = 200
WRONG = (("escapes", 1, Verdict.GOOD, 1), ("false-rejects", 0, Verdict.ANOMALY, -1))
"""(folder of pictures, label, verdict, sign of the margin that puts the worst first)."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One frame with its label and the file's answer. case: where defects are known, what came of them. case is None without truth."""

    frame: Labelled
    inspection: Inspection
    case: Case | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """figures: what evaluation.json holds. judged: in the frames' order. errors: frames that could not be judged, with why. learned: whether
    they are the very frames of the training."""

    figures: dict[str, Any]
    judged: tuple[Judged, ...]
    errors: tuple[str, ...]
    learned: bool


def evaluate(
    root: Path, inspector: Inspector, truth_path: Path | None, progress: Callable[[int, int], None]
) -> Evaluation:
    """Judge every frame of the class folders under root. Raises UsageError where classes or truth are missing or don't fit, before
    the first frame is judged."""
    truth = None if truth_path is None else read_truth(truth_path)
    todo = labelled(root)
    if truth is not None:
        refuse_shared(truth, (one.file.path for one in todo if one.label))
    for one in todo:
        if truth is not None and one.label:
            with suppress(FrameError):  # counted when its turn comes
                truth.of(one.file.path, frames.read(one.file, inspector.model.manifest.needed_hw).size_wh)
    judged: list[Judged] = []
    errors: list[str] = []
    for done, one in enumerate(todo, 1):
        try:
            judged.append(_judge(one, inspector, truth))
        except FrameError as err:
            errors.append(f"{one.file.source} {err}")
        progress(done, len(todo))
    if {one.frame.label for one in judged} != {0, 1}:
        raise UsageError(
            f"{root}: needs frames of both classes that can be judged ({len(errors)} can't: {'; '.join(errors[:3])})"
        )
    seen = fingerprint((one.frame.label, one.inspection.sha256 or "") for one in judged)
    learned = seen == inspector.model.manifest.training.data_sha256
    return Evaluation(_figures(inspector, judged, errors, truth is not None), tuple(judged), tuple(errors), learned)


def _judge(one: Labelled, inspector: Inspector, truth: TruthFile | MaskFolder | None) -> Judged:
    frame = frames.read(one.file, inspector.model.manifest.needed_hw)
    inspection, judgement = inspector.inspect(frame)
    if truth is None:
        return Judged(one, inspection, None)
    return Judged(one, inspection, _case(one, frame, inspection, judgement, inspector, truth))


def _case(
    one: Labelled,
    frame: Frame,
    inspection: Inspection,
    judgement: Judgement,
    inspector: Inspector,
    truth: TruthFile | MaskFolder,
) -> Case:
    """inspector explains all: an escape may still be hottest on its defect."""
    model = inspector.model
    input_hw, calibration = model.input_hw, model.manifest.calibration
    maps = judgement.maps
    assert maps.fine is not None
    evidence = boxes.located(maps, calibration)
    strong = boxes.further(boxes.regions(evidence), calibration.boxes, evidence.shape, input_hw)
    known = truth.of(one.file.path, frame.size_wh) if one.label else None
    return Case.of(
        defective=bool(one.label),
        size_wh=frame.size_wh,
        truth=known.boxes if known else (),
        drawn=tuple(_rectangle(defect.box) for defect in inspection.defects),
        whatever_the_verdict=tuple(
            _rectangle(
                to_frame(
                    boxes.box_of(one, calibration.boxes.stretch, evidence.shape, input_hw), input_hw, frame.size_wh
                )
            )
            for one in strong
        ),
        located=cam.upsample(evidence, input_hw),
        coarse=cam.upsample(maps.coarse, input_hw),
        fine=cam.upsample(cam.smooth(maps.fine), input_hw),
        mask=None if known is None or known.mask is None else shrink(known.mask, input_hw),
    )


def _rectangle(box: Box) -> Rectangle:
    return float(box.x0), float(box.y0), float(box.x1), float(box.y1)


def _figures(inspector: Inspector, judged: list[Judged], errors: list[str], with_truth: bool) -> dict[str, Any]:
    labels = np.array([one.frame.label for one in judged])
    margins = np.array([one.inspection.margin for one in judged], np.float32)
    rejected = np.array([one.inspection.verdict is Verdict.ANOMALY for one in judged])
    residuals = [one.inspection.residual for one in judged if one.inspection.residual is not None]
    figures: dict[str, Any] = {
        "model": f"sha256:{inspector.model.sha256}",
        "threshold": judged[0].inspection.threshold,
        "frames": {"good": int((labels == 0).sum()), "anomaly": int((labels == 1).sum()), "error": len(errors)},
        "image": image_level.measure(labels, margins, rejected),
        "largest_residual": max(residuals, default=None),
    }
    proofs = [one.inspection.proof for one in judged if one.frame.label and one.inspection.proof]
    if proofs:
        controls = [proof.control for proof in proofs if proof.control]
        figures["proof"] = {
            "without_boxes": {"count": sum(proof.together.flips for proof in proofs), "of": len(proofs)},
            "without_control": {"count": sum(control.flips for control in controls), "of": len(controls)},
        }
    if with_truth:
        figures["localisation"] = localisation.measure([one.case for one in judged if one.case])
    return figures


def table(figures: dict[str, Any]) -> str:
    """The figures for people, a line each."""
    image, counts = figures["image"], figures["frames"]
    escapes, false_rejects = (Rate(image[name]["count"], image[name]["of"]) for name in ("escapes", "false_rejects"))
    lines = [
        ("frames", f"{counts['good']} good, {counts['anomaly']} anomaly, {counts['error']} that can't be judged"),
        ("threshold", f"score {figures['threshold']:.4g}"),
        ("AUROC", f"{image['auroc']:.4f}"),
        ("average precision", f"{image['average_precision']:.4f}"),
        ("balanced accuracy", f"{image['balanced_accuracy']:.4f}"),
        ("escapes", str(escapes)),
        ("false rejects", str(false_rejects)),
        *(
            (f"escapes at {percent(float(cap))} false rejects", str(Rate(rate["count"], rate["of"])))
            for cap, rate in image["escapes_at"].items()
        ),
    ]
    found = figures.get("localisation")
    if found:
        lines += [(f"pointing: {name.replace('_', ' ')}", f"{share:.3f}") for name, share in found["pointing"].items()]
        lines += [
            (f"{title} at IoU {limit}", "  ".join(f"{name} {share:.3f}" for name, share in shares.items()))
            for key, title in (("box_iou", "a box"), ("defect_recall", "defects found"))
            for limit, shares in found[key].items()
        ]
        lines += [
            (f"boxes per good frame, {name.replace('_', ' ')}", f"{rate:.3f}")
            for name, rate in found["boxes_per_good_frame"].items()
        ]
        lines += [
            (f"pixels: {name.replace('_', ' ')}", f"{share:.3f}") for name, share in found.get("pixels", {}).items()
        ]
    for name, what in (("without_boxes", "their boxes"), ("without_control", "equal boxes elsewhere")):
        if "proof" in figures:
            rate = figures["proof"][name]
            lines.append((f"caught defects that pass without {what}", str(Rate(rate["count"], rate["of"]))))
    if figures["largest_residual"] is not None:
        lines.append(("largest residual", f"{figures['largest_residual']:.1e} logits"))
    width = max(len(name) for name, _ in lines)
    return "\n".join(
        [
            *(f"{name:{width}}  {text}" for name, text in lines),
            *(f"{said}." for said in promise(escapes, false_rejects)),
        ]
    )


def prepare_out(out: Path, root: Path) -> None:
    """Before anything is judged: can results be written there, and will they not be taken for frames? Raises UsageError,
    OutputError."""
    good, anomaly = class_folders(root)
    inside = [folder for folder in (*good, *anomaly, root / "test") if out.resolve().is_relative_to(folder.resolve())]
    if inside:
        raise UsageError(f"--out {out}: lies in {inside[0]}, among the frames; choose another")
    if os.path.isdir(out) and os.listdir(out) and not os.path.exists(out / FIGURES):
        raise UsageError(f"--out {out}: holds other things than an earlier evaluation; choose another folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise OutputError(f"{out}: can't be written: {err.strerror}") from None


def write(out: Path, evaluation: Evaluation, inspector: Inspector) -> None:
    """OUT/evaluation.json, OUT/frames.jsonl, and overlays of the worst in OUT/escapes/ and OUT/false-rejects/, in place of those of
    an earlier evaluation."""
    try:
        if (out / FIGURES).exists():
            for name, _, _, _ in WRONG:
                for picture in (out / name).glob("[0-9][0-9]_*.jpg"):
                    picture.unlink()
        write_bytes(out / FIGURES, json.dumps(evaluation.figures, indent=1).encode())
        rows = "".join(json.dumps(_row(one)) + "\n" for one in evaluation.judged)
        write_bytes(out / ROWS, rows.encode())
        for name, label, verdict, sign in WRONG:
            wrong = [one for one in evaluation.judged if one.frame.label == label and one.inspection.verdict is verdict]
            worst = sorted(wrong, key=lambda one: sign * (one.inspection.margin or 0))[:WORST]
            for rank, one in enumerate(worst, 1):
                stem = one.frame.file.path.stem.encode(errors="surrogateescape")[:MAX_STEM_BYTES].decode(
                    errors="ignore"
                )
                _paint(out / name / f"{rank:02}_{stem}.jpg", one, inspector)
    except OSError as err:
        raise OutputError(f"{out}: can't be written: {err.strerror}") from None


def _row(one: Judged) -> dict[str, Any]:
    inspection = one.inspection
    return {
        "frame": one.frame.file.source,
        "label": "anomaly" if one.frame.label else "good",
        "verdict": inspection.verdict.value,
        "score": inspection.score,
        "margin": inspection.margin,
        "boxes_xyxy": [[d.box.x0, d.box.y0, d.box.x1, d.box.y1] for d in inspection.defects],
        "proof": inspection.proof and asdict(inspection.proof),
        "truth_xyxy": [list(box) for box in one.case.truth] if one.case else None,
    }


def _paint(path: Path, one: Judged, inspector: Inspector) -> None:
    frame = frames.read(one.frame.file, inspector.model.manifest.needed_hw)
    inspection, judgement = inspector.inspect(frame)
    painter = Painter(inspector.model.manifest.calibration, inspector.model.input_hw)
    _, data = cv2.imencode(".jpg", painter("overlay", frame.image, inspection, judgement.maps))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, data.tobytes())
