"""How many defects slip through, how many good frames are rejected, and how sure is that?"""

from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from edge_runtime.evaluation.bounds import Rate
from edge_runtime.results import Array

CAPS = (0.005, 0.01, 0.02, 0.05)
"""Shares of false rejects at which escapes are told, too."""


def measure(
    labels: np.typing.NDArray[np.int64], margins: Array, rejected: np.typing.NDArray[np.bool_]
) -> dict[str, Any]:
    """labels: (n,), 0 good, 1 anomaly. margins: (n,) logits. rejected: (n,), at the model file's threshold.

    `escapes_at`: per share of false rejects, the escapes at the best threshold for *these* frames; it tells what the
    ranking allows, not what the file's threshold gives.
    """
    bad = labels == 1
    escapes, false_rejects = (
        Rate(int((~rejected & bad).sum()), int(bad.sum())),
        Rate(int((rejected & ~bad).sum()), int((~bad).sum())),
    )
    return {
        "auroc": float(roc_auc_score(labels, margins)),
        "average_precision": float(average_precision_score(labels, margins)),
        "balanced_accuracy": 1 - (escapes.share + false_rejects.share) / 2,
        "escapes": escapes.as_dict(),
        "false_rejects": false_rejects.as_dict(),
        "confusion": {
            "good": {"passed": false_rejects.total - false_rejects.count, "rejected": false_rejects.count},
            "anomaly": {"passed": escapes.count, "rejected": escapes.total - escapes.count},
        },
        "escapes_at": {f"{cap:g}": _escapes_at(cap, margins[~bad], margins[bad]).as_dict() for cap in CAPS},
    }


def _escapes_at(cap: float, good: Array, anomaly: Array) -> Rate:
    """Escapes where at most this share of the good frames is rejected."""
    allowed = int(cap * len(good) + 1e-9)
    first_that_passes = np.sort(good)[::-1][allowed] if allowed < len(good) else -np.inf
    return Rate(int((anomaly <= first_that_passes).sum()), len(anomaly))
