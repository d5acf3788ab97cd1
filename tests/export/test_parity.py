"""What the comparison of the exported graph with the trained model lets pass."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from export.parity import Answers, ParityError, check_frames, compare
from tests import tiny
from train import callbacks
from train.data import LabelledFrame, Samples

LOGITS = np.tile(np.array([1, 0], np.float32), (4, 1))


@pytest.mark.parametrize("wrong", [3, 40, 160])
def test_a_network_that_is_sure_and_wrong_has_the_same_loss_in_training_and_export(
    wrong: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    logits = np.array([[2, 0], [1, 0], [0, 4], [wrong, 0]], np.float32)
    monkeypatch.setattr(callbacks, "predict", lambda model, images: logits)
    labels = [0, 0, 1, 1]
    frames = tuple(LabelledFrame(path=str(row), label=label, sha256="0") for row, label in enumerate(labels))
    noted = callbacks.score(None, Samples(frames, np.zeros((4, 1, 1, 3), np.uint8))).loss
    check_frames(Answers(logits, logits), labels, noted)
    with pytest.raises(ParityError, match="decoded or resized in another way"):
        check_frames(Answers(np.add(logits, [0, 0.01], dtype=np.float32), logits), labels, noted)


def exported(cams: Any) -> Any:
    """A candidate with the answers of the trained model, but for its maps."""
    return SimpleNamespace(
        file={1: Answers(LOGITS, cams)},
        calibration=tiny.manifest().calibration,
        seen=SimpleNamespace(fine=None),
        fine_residual=0.0,
    )


@pytest.mark.parametrize(
    ("highest", "apart", "passes"),
    [(1, 9e-4, True), (1, 2e-3, False), (2000, 2e-3, True), (2000, 0.1, False)],
    ids=["small map, rounded", "small map, another", "large map, rounded", "large map, another"],
)
def test_a_map_may_differ_by_what_float32_rounds_away(highest: float, apart: float, passes: bool) -> None:
    cams = np.linspace(0, highest, 4 * 24, dtype=np.float32).reshape(4, 4, 6)
    moved = cams.copy()
    moved[2, 1, 3] += apart
    if passes:
        assert compare(Answers(LOGITS, cams), exported(moved), (64, 96), {}).cam == pytest.approx(apart, rel=0.1)
    else:
        with pytest.raises(ParityError, match="the CAM differs by"):
            compare(Answers(LOGITS, cams), exported(moved), (64, 96), {})
