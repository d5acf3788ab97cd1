"""Is it the defect that tells the two folders apart? Asked before the training, and of the evidence after it.

A shortcut looks like success: an AUROC near 1 from the age of the part, the lamp of the day or a mark in a corner.
"""

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from msgspec import Struct
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.tree import DecisionTreeClassifier

from edge_runtime.results import Array, Image
from train.cues import CUES

Labels = np.typing.NDArray[np.int64]
CUE_AUROC = 0.75
"""A cue that tells the classes apart this well on held-out groups is called a shortcut."""
CUE_DEVIATIONS = 4.0
"""And it must be this many standard deviations from chance, for some sixty cues are tried."""
FOLDS = 5
MEASURED = 0.9
"""Share of the frames that must have a cue, such as a time, for it to be asked."""
COLDEST = 0.1
COARSEST = 0.65
"""Share of the cells that may lie at the edge of a map before its places mean little: a map of 5 x 5 is the smallest."""
FEWEST = 8
"""Defective frames with evidence that it takes to speak of their evidence at all."""
EVERYWHERE, SPREAD, SAME_PLACE, OUTSIDE = 0.5, 0.35, 0.5, 0.5
"""Shares of the evidence beyond which it is no evidence of a local defect; see `Evidence`."""


class Cue(Struct, frozen=True, kw_only=True):
    """A trivial property that predicts the label on held-out groups. auroc: in [0, 1], 0.5 is chance."""

    name: str
    auroc: float


class Evidence(Struct, frozen=True, kw_only=True):
    """Where the evidence for `anomaly` lies in the defective validation frames; shares in [0, 1].

    everywhere: of what sets the margins of both classes apart, how much the coldest tenth of the cells already shows; a
    local defect leaves these as they are, however far the network sees around it. spread: of the frame that holds half of the evidence, the median. same_place: of the evidence that lies in one and the
    same sixteenth of every frame. edge: that lies in the outermost cells, which are edge_area of all. outside_roi: outside the region of interest, None
    where there is none. frames: with any evidence, which the others rest on. auroc: of the margins; a model that has learned
    nothing has no evidence to speak of.
    """

    frames: int
    auroc: float
    everywhere: float
    spread: float
    same_place: float
    edge: float
    edge_area: float
    outside_roi: float | None = None


class Audit(Struct, frozen=True, kw_only=True):
    """cues: shortcuts found before the training, the plainest first. limit: the AUROC from which a cue is called one; with
    few frames or groups it is high. unasked: cues that could not be asked. known_before: how many of the validated frames
    the network that the training went on from had learned from; None where its file does not tell. evidence: None before the training."""

    cues: tuple[Cue, ...] = ()
    limit: float = CUE_AUROC
    unasked: tuple[str, ...] = ()
    known_before: int | None = 0
    evidence: Evidence | None = None

    @property
    def doubts(self) -> tuple[str, ...]:
        """What the model may be judging instead of the defect, in plain words; empty where nothing speaks for it."""
        found = []
        if self.cues:
            named = "; ".join(f"{cue.name} (AUROC {cue.auroc:.2f})" for cue in self.cues[:4])
            more = f" and {len(self.cues) - 4} more" if len(self.cues) > 4 else ""
            found.append(
                f"this model may be judging something else than the defect: good and anomaly frames can be told apart by {named}{more}. "
                "Take both kinds on the same days, with the same camera, light and zoom"
            )
        if self.known_before:
            found.append(
                f"{self.known_before} of the frames that this model is validated on had been learned from by the network in --weights, "
                "so its figures flatter. Pass the split.json of that training with --split"
            )
        if self.evidence and self.evidence_counts:
            found.extend(_doubts(self.evidence))
        return tuple(found)

    @property
    def evidence_counts(self) -> bool:
        """Has the model learned enough, and on enough frames and fine enough a map, to speak of its evidence?"""
        evidence = self.evidence
        return (
            evidence is not None
            and evidence.auroc >= CUE_AUROC
            and evidence.frames >= FEWEST
            and evidence.edge_area < COARSEST
        )


def _doubts(evidence: Evidence) -> list[str]:
    found = []
    if evidence.everywhere > EVERYWHERE:
        found.append(
            f"this model may be judging the whole picture, not the defect: {evidence.everywhere:.0%} of what sets anomalies apart lies everywhere in the frame"
        )
    elif evidence.spread > SPREAD:
        found.append(
            f"this model may be judging the whole picture, not the defect: half of the evidence is spread over {evidence.spread:.0%} of the frame"
        )
    if evidence.same_place > SAME_PLACE:
        found.append(
            f"this model may be judging a fixed place, not the defect: {evidence.same_place:.0%} of the evidence lies in the same sixteenth of every frame"
        )
    if evidence.edge > (1 + evidence.edge_area) / 2:
        found.append(
            f"this model may be judging the edge of the picture, not the part: {evidence.edge:.0%} of the evidence lies there"
        )
    if evidence.outside_roi is not None and evidence.outside_roi > OUTSIDE:
        found.append(
            f"this model may be judging the surroundings, not the part: {evidence.outside_roi:.0%} of the evidence lies outside the region of interest"
        )
    return found


def before(cues: Array, labels: Labels, groups: Sequence[str]) -> Audit:
    """Which trivial cues predict the label of frames in groups that were held out?

    cues: (n, len(CUES)), NaN where a frame has none. labels: (n,), 0 good, 1 anomaly. groups: (n,); frames of one group
    stay on one side. One shallow decision tree per cue, cross-validated.
    """
    names = np.array(groups)
    limit = max(CUE_AUROC, 0.5 + CUE_DEVIATIONS * _chance(labels, names))
    folds = min(FOLDS, *(len(set(names[labels == label])) for label in (0, 1)))
    if folds < 2 or limit >= 1:
        return Audit(limit=1.0, unasked=CUES)
    found, missing = [], []
    splits: dict[bytes, list[Any]] = {}  # of the frames that have a cue, mostly all: finding them takes seconds
    for name, column in zip(CUES, cues.T, strict=True):
        known = np.isfinite(column)
        groups_known = [len(set(names[known & (labels == label)])) for label in (0, 1)]
        if known.mean() < MEASURED or min(groups_known) < folds:
            missing.append(name)
            continue
        if np.ptp(column[known]) == 0:
            continue
        if known.tobytes() not in splits:
            splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=0)
            splits[known.tobytes()] = list(splitter.split(column[known], labels[known], names[known]))
        found.append(Cue(name=name, auroc=_held_out_auroc(column[known], labels[known], splits[known.tobytes()])))
    shortcuts = sorted((cue for cue in found if cue.auroc >= limit), key=lambda cue: -cue.auroc)
    return Audit(cues=tuple(shortcuts), limit=limit, unasked=tuple(missing))


def _chance(labels: Labels, groups: np.typing.NDArray[np.str_]) -> float:
    """Standard deviation of the AUROC of noise. Frames of a group that has one label only are one observation."""
    _, group = np.unique(groups, return_inverse=True)
    per_group = np.bincount(2 * group + labels, minlength=2 * (group.max() + 1)).reshape(-1, 2)
    good, anomaly = np.where(per_group.all(axis=1, keepdims=True), per_group, per_group > 0).sum(axis=0)
    return math.sqrt((good + anomaly + 1) / (12 * good * anomaly))


def _held_out_auroc(column: Array, labels: Labels, splits: list[Any]) -> float:
    tree = DecisionTreeClassifier(
        max_depth=2,
        min_samples_leaf=max(2, int(np.bincount(labels).min()) // 10),
        class_weight="balanced",
        random_state=0,
    )
    guesses = cross_val_predict(tree, column[:, np.newaxis], labels, cv=splits, method="predict_proba")
    return float(roc_auc_score(labels, guesses[:, 1]))


def after(cells: Array, labels: Labels, roi: Image | None = None) -> Evidence:
    """How local is the evidence of the defective frames, and is it always at the same place?

    cells: (n, rows, columns) CAMs in logits. roi: (H, W) uint8 mask, above 127 where the part is, or None.
    Evidence is what exceeds the level that half of the good frames ever reach.
    """
    cold = np.median(cells[labels == 0].max(axis=(1, 2)))
    evidence = np.maximum(cells[labels == 1] - cold, 0).astype(np.float64)
    totals = evidence.sum(axis=(1, 2))
    evidence = evidence[totals > 0] / totals[totals > 0, np.newaxis, np.newaxis]
    rows, columns = cells.shape[1:]
    auroc = float(roc_auc_score(labels, cells.mean(axis=(1, 2))))
    edge_area = 1 - max(0, rows - 2) * max(0, columns - 2) / (rows * columns)
    if not len(evidence):
        return Evidence(frames=0, auroc=auroc, everywhere=0, spread=0, same_place=0, edge=0, edge_area=edge_area)
    hottest_first = np.sort(evidence.reshape(len(evidence), -1), axis=1)[:, ::-1].cumsum(axis=1)
    mean = evidence.mean(axis=0)
    window = max(1, round(columns / 4)), max(1, round(rows / 4))
    together = cv2.boxFilter(mean, -1, window, normalize=False, borderType=cv2.BORDER_CONSTANT)
    outside = None
    if roi is not None:
        inside = cv2.resize((roi > 127).astype(np.float64), (columns, rows), interpolation=cv2.INTER_AREA)
        outside = float((mean * (1 - inside)).sum())
    return Evidence(
        frames=len(evidence),
        auroc=auroc,
        everywhere=_everywhere(cells, labels),
        spread=float(np.median((hottest_first < 0.5).sum(axis=1) + 1) / (rows * columns)),
        same_place=float(together.max()),
        edge=float(1 - mean[1:-1, 1:-1].sum()),
        edge_area=edge_area,
        outside_roi=outside,
    )


def _everywhere(cells: Array, labels: Labels) -> float:
    flat = cells.reshape(len(cells), -1)
    coldest, means = np.quantile(flat, COLDEST, axis=1), flat.mean(axis=1)
    apart = means[labels == 1].mean() - means[labels == 0].mean()
    if apart <= 0:
        return 0.0
    return float(np.clip((coldest[labels == 1].mean() - coldest[labels == 0].mean()) / apart, 0, 1))
