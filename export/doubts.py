"""What a model file can't promise."""

from edge_runtime.evaluation.bounds import Rate, percent, promise
from edge_runtime.manifest import Calibration
from train.calibrate import Terms
from train.run import Run

POOR_AUROC = 0.9


def doubts(run: Run, calibration: Calibration, terms: Terms) -> list[str]:
    """In plain words."""
    found = list(run.audit.doubts)
    if run.validation_auroc < POOR_AUROC:
        found.append(
            f"validation AUROC {run.validation_auroc:.2f}: this model will miss many defects; train longer or on more frames"
        )
    if terms.false_boxes and calibration.good < 1 / terms.false_boxes:
        found.append(
            f"calibrated on {calibration.good} good frames; --false-boxes {terms.false_boxes:g} needs {1 / terms.false_boxes:.0f} to mean anything"
        )
    if terms.max_false_rejects and calibration.good < 1 / terms.max_false_rejects:
        found.append(
            f"calibrated on {calibration.good} good frames; at most {percent(terms.max_false_rejects)} false rejects needs {1 / terms.max_false_rejects:.0f} to mean anything"
        )
    found.extend(
        promise(
            Rate(calibration.escapes, calibration.anomaly),
            Rate(calibration.false_rejects, calibration.good),
        )
    )
    return found
