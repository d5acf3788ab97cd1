"""Of more frames than there is time to learn from: those that the first weights find hard, and some of the others."""

from collections.abc import Sequence

import numpy as np

from edge_runtime.errors import UsageError
from edge_runtime.results import Array
from train.calibrate import Labels
from train.data import LABELS, MIN_PER_CLASS

OTHERS = 0.1
"""Share of the groups that are not hard, drawn by chance, so that what is known is not unlearned."""


def between_classes(margins: Array, labels: Labels) -> float:
    """The margin half-way between both classes' medians: a head that knows other frames may call all of these defective."""
    return float(np.mean([np.median(margins[labels == label]) for label in (0, 1)]))


def hardest(
    margins: Array, labels: Labels, groups: Sequence[str], share: float, seed: int
) -> np.typing.NDArray[np.intp]:
    """Rows to learn from: of the groups with the greatest loss in any of their frames, this share, and OTHERS. Losses are told from
    between both classes' medians.

    margins: (n,) logits of the first weights; labels: (n,) 0 good, 1 anomaly. Raises UsageError where a class has too few frames left.
    """
    offset = between_classes(margins, labels)
    losses = np.logaddexp(0, np.where(labels == 1, offset - margins, margins - offset))
    names, group = np.unique(groups, return_inverse=True)
    worst = np.zeros(len(names))
    np.maximum.at(worst, group, losses)
    order = np.argsort(-worst, kind="stable")
    hard, rest = np.split(order, [max(1, round(share * len(names)))])
    others = np.random.default_rng(seed).permutation(rest)[: round(OTHERS * len(rest))]
    rows = np.flatnonzero(np.isin(group, np.concatenate([hard, others])))
    for name, left in zip(LABELS, np.bincount(labels[rows], minlength=2), strict=True):
        if left < MIN_PER_CLASS:
            raise UsageError(
                f"--hardest {share:g}: leaves {left} {name} frames to learn from; {MIN_PER_CLASS} are the fewest, so ask for a larger share"
            )
    return rows
