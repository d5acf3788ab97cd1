"""RUN/report.html: one page, for people, that needs nothing else."""

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING
from pathlib import Path
from typing import Any

import cv2
import jinja2
import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from edge_runtime import boxes
from edge_runtime.evaluation.bounds import Rate, percent, promise
from edge_runtime.line.durable import write_bytes
from edge_runtime.manifest import Calibration
from edge_runtime.preprocess import to_frame
from edge_runtime.results import Defect, Inspection, Maps, Verdict, probability
from edge_runtime.stored import to_dict
from edge_runtime.views.overlay import Painter
from train.calibrate import Validated
from train.data import Samples
from train.run import Run

NAME = "report.html"
WORST, TYPICAL, WIDTH = 10, 5, 480
GOOD, ANOMALY, GREY = "#007a7d", "#d55e00", "#667085"
"""As in the overlays: Okabe & Ito's colour-blind safe teal and vermilion."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the page is made of. seen: the network's answers for the validation frames, in the frames' order.
    defects: of each frame, in input pixels, as the exported file shows them; empty before the export, when there is only the coarse map.
    file: which that is, in words."""

    run: Run
    history: dict[str, list[float]]
    seen: Validated
    calibration: Calibration
    validation: Samples
    defects: Sequence[tuple[Defect, ...]] = ()
    file: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """One validation frame with its overlay. source: a data URL."""

    name: str
    source: str
    score: float


def write(folder: Path, told: Told) -> Path:
    """Write the page; returns its path."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
    )
    page = environment.get_template("report.html.j2").render(_content(told))
    write_bytes(folder / NAME, page.encode())
    return folder / NAME


def _content(told: Told) -> dict[str, Any]:
    margins, labels, calibration = told.seen.margins, told.seen.labels, told.calibration
    scores = np.array([probability(float(margin), calibration.temperature) for margin in margins])
    rejected = scores >= calibration.threshold
    bad = labels == 1
    escapes = Rate(int((~rejected & bad).sum()), int(bad.sum()))
    false_rejects = Rate(int((rejected & ~bad).sum()), int((~bad).sum()))

    def pictures(chosen: Any, order: Any, limit: int) -> list[Picture]:
        """chosen: which frames, (n,) bool; order: smallest first."""
        rows = np.flatnonzero(chosen)
        return [_picture(told, int(row), float(scores[row])) for row in rows[np.argsort(order[rows])][:limit]]

    typical = -np.abs(margins - np.median(margins[bad]))
    return {
        "run": told.run,
        "settings": told.run.settings,
        "recipe": to_dict(told.run.settings.recipe),
        "calibration": calibration,
        "doubts": told.run.doubts,
        "audit": told.run.audit,
        "evidence_counts": told.run.audit.evidence_counts,
        "evidence": told.run.audit.evidence,
        "promises": promise(escapes, false_rejects),
        "escapes": escapes,
        "false_rejects": false_rejects,
        "auroc": roc_auc_score(labels, margins),
        "average_precision": average_precision_score(labels, margins),
        "confusion": {
            "good": (int((~rejected & ~bad).sum()), false_rejects.count),
            "anomaly": (escapes.count, int((rejected & bad).sum())),
        },
        "plots": [
            _curves(told.history, told.run.best_epoch),
            _roc(margins, labels, escapes, false_rejects),
            _histogram(scores, labels, calibration.threshold),
        ],
        "galleries": [
            ("Escapes, the worst first", "Defective frames that pass.", pictures(~rejected & bad, margins, WORST)),
            (
                "False rejects, the worst first",
                "Good frames that are rejected.",
                pictures(rejected & ~bad, -margins, WORST),
            ),
            (
                "Typical rejects",
                "Defective frames around the median margin.",
                pictures(rejected & bad, -typical, TYPICAL),
            ),
            (
                "Warmest good frames that pass",
                "What comes closest to a false reject.",
                pictures(~rejected & ~bad, -margins, TYPICAL),
            ),
        ],
        "map": "fine" if told.defects else "coarse",
        "file": told.file,
        "percent": percent,
        "up": ROUND_CEILING,
    }


def _picture(told: Told, row: int, score: float) -> Picture:
    frame, image = told.validation.frames[row], told.validation.images[row]
    times = math.ceil(WIDTH / image.shape[1])  # so that lines and figures are fine ones, also on a small input
    image = np.asarray(cv2.resize(image, None, fx=times, fy=times, interpolation=cv2.INTER_CUBIC), np.uint8)
    size_wh = image.shape[1], image.shape[0]
    input_hw, calibration = told.run.settings.input_hw, told.calibration
    reject = score >= calibration.threshold
    maps = Maps(told.seen.coarse[row], told.seen.fine[row] if told.defects and reject else None)
    found = told.defects[row] if told.defects else boxes.locate(maps, calibration, input_hw) if reject else ()
    inspection = Inspection(
        source=frame.path,
        sha256=frame.sha256,
        size_wh=size_wh,
        verdict=Verdict.ANOMALY if reject else Verdict.GOOD,
        score=score,
        margin=float(told.seen.margins[row]),
        threshold=calibration.threshold,
        defects=tuple(replace(one, box=to_frame(one.box, input_hw, size_wh)) for one in found),
    )
    painted = Painter(calibration, input_hw)("overlay", image, inspection, maps)
    _, data = cv2.imencode(".jpg", painted, [cv2.IMWRITE_JPEG_QUALITY, 80])
    return Picture(frame.path, f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}", score)


def _svg(figure: Figure) -> str:
    """The figure as SVG that can stand in the page."""
    text = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "edge-detect"}):
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    return text.getvalue()[text.getvalue().index("<svg") :]


def _axes(title: str, x: str, y: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=(4.6, 3.4), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    return figure, axes


def _curves(history: dict[str, list[float]], best_epoch: int) -> str:
    figure, axes = _axes("Training", "epoch", "cross-entropy, nats")
    epochs = range(1, len(history["val_loss"]) + 1)
    train = history.get("logits_loss", history.get("loss", []))
    point = "o" if len(epochs) == 1 else ""  # which is no line
    axes.plot(epochs, train, color=GREY, marker=point, label="training loss")
    axes.plot(epochs, history["val_loss"], color=ANOMALY, marker=point, label="validation loss")
    axes.set_ylim(0, max(1.0, 1.5 * float(np.median([loss for loss in history["val_loss"] if math.isfinite(loss)]))))
    right = axes.twinx()
    right.plot(epochs, history["val_auroc"], color=GOOD, marker=point, label="validation AUROC")
    right.set_ylim(0, 1.02)
    right.spines[["top"]].set_visible(False)
    axes.axvline(best_epoch, color="black", linewidth=0.8, linestyle=":")
    lines = [*axes.get_lines()[:2], *right.get_lines()]
    figure.legend(
        lines, [line.get_label() for line in lines], fontsize=8, loc="outside lower center", ncols=3, frameon=False
    )
    axes.xaxis.get_major_locator().set_params(integer=True)
    return _svg(figure)


def _roc(margins: Any, labels: Any, escapes: Rate, false_rejects: Rate) -> str:
    figure, axes = _axes("ROC, with the chosen point", "false rejects", "defects caught")
    x, y, _ = roc_curve(labels, margins)
    axes.plot(x, y, color=GOOD)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=":")
    point = false_rejects.share, 1 - escapes.share
    axes.errorbar(
        *point,
        xerr=[[point[0] - false_rejects.low], [false_rejects.high - point[0]]],
        yerr=[[point[1] - (1 - escapes.high)], [1 - escapes.low - point[1]]],
        color=ANOMALY,
        marker="o",
        capsize=3,
    )
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    return _svg(figure)


def _histogram(scores: Any, labels: Any, threshold: float) -> str:
    figure, axes = _axes("Scores and threshold", "score", "frames")
    axes.hist(
        [scores[labels == 0], scores[labels == 1]],
        bins=np.linspace(0, 1, 26).tolist(),
        stacked=True,
        color=[GOOD, ANOMALY],
        label=["good", "anomaly"],
    )
    axes.axvline(threshold, color="black", linewidth=1)
    most = max(np.histogram(scores, bins=25, range=(0, 1))[0])
    if most > 20:
        axes.set_yscale("symlog", linthresh=10)  # the few frames in the middle are what matters
        axes.yaxis.set_major_formatter(ScalarFormatter())
    else:
        axes.yaxis.get_major_locator().set_params(integer=True)
    axes.legend(fontsize=8)
    return _svg(figure)
