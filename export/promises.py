"""What a model file promises, and what it can't."""

from edge_runtime.evaluation.bounds import Rate, percent, promise
from edge_runtime.manifest import Calibration
from train.calibrate import Terms


def promised(calibration: Calibration, terms: Terms) -> list[str]:
    """In plain words."""
    found = []
    if terms.false_boxes and calibration.good < 1 / terms.false_boxes:
        found.append(
            f"calibrated on {calibration.good} good frames; --false-boxes {terms.false_boxes:g} needs {1 / terms.false_boxes:.0f} to mean anything"
        )
    if terms.max_false_rejects and calibration.good < 1 / terms.max_false_rejects:
        found.append(
            f"calibrated on {calibration.good} good frames; at most {percent(terms.max_false_rejects)} false rejects needs {1 / terms.max_false_rejects:.0f} to mean anything"
        )
    escapes, false_rejects = (
        Rate(calibration.escapes, calibration.anomaly),
        Rate(calibration.false_rejects, calibration.good),
    )
    return [
        *found,
        *promise(escapes, false_rejects),
        "the threshold was chosen on these frames, which flatters it, the more so the fewer they are; edge-detect evaluate on others tells more",
    ]
