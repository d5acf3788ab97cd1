"""What a model file says about itself, in words."""

from decimal import ROUND_CEILING

from edge_runtime.evaluation.bounds import Rate, percent
from edge_runtime.manifest import BoxRule, Calibration, HeatScale, Manifest, Usual
from edge_runtime.mirrors import AXES


def described(manifest: Manifest) -> dict[str, str]:
    """Name -> what there is to know, in the order it is shown."""
    calibration, training, parity = manifest.calibration, manifest.training, manifest.parity
    return {
        "product": manifest.product,
        "network": f"{manifest.backbone}, width {manifest.width:g}, wiring {manifest.wiring}: the heatmap is {manifest.explanation}",
        "precision": _precision(manifest),
        "input": f"{manifest.input_hw[1]} x {manifest.input_hw[0]} pixels (width x height), {manifest.resize}",
        "mirror images": _mirrors(manifest),
        "usual frames": _usual(manifest.usual),
        "threshold": f"score {calibration.threshold:.4f}: {calibration.rule} (temperature {calibration.temperature:.2f})",
        "there": "validation anomalies that escape: {}; good frames that are rejected: {}; the threshold was chosen on them, which flatters".format(
            *counted(calibration)
        ),
        "coarse map": _scale(calibration.coarse),
        "fine map": f"{_scale(calibration.fine)}, at {manifest.fine_layer}",
        "boxes": _boxes(calibration.boxes),
        "calibrated on": f"{calibration.good} good + {calibration.anomaly} anomaly frames",
        "trained on": f"{training.train_counts[0]} good + {training.train_counts[1]} anomaly frames, weights {training.weights}, seed {training.seed}, epoch {training.best_epoch} of {training.epochs}",
        "data": f"sha256 {training.data_sha256}",
        **{f"doubt {number}": doubt for number, doubt in enumerate(training.doubts, 1)},
        "validation": f"AUROC {training.validation_auroc:.4f} of the trained network",
        "parity": f"in float, {parity.frames} frames: logits within {parity.logits:.1g}, CAM within {parity.cam:.1g} logits, boxes IoU {parity.box_iou:.3f}, {parity.flips} flips",
        "tolerances": f"golden frames within {manifest.golden_tolerance:g} of their answers, fine maps within {manifest.fine_tolerance:.2g} of adding up",
        "golden frames": str(len(manifest.golden)),
        "made with": _versions(training.versions | parity.versions),
    }


def counted(calibration: Calibration) -> tuple[str, str]:
    """Escapes and false rejects of the validation frames with what they promise of others: 0 of 8 (up to 31.3 % ...)."""
    escapes = Rate(calibration.escapes, calibration.anomaly)
    false_rejects = Rate(calibration.false_rejects, calibration.good)
    first, second = (
        f"{rate.count:,} of {rate.total:,} (up to {percent(rate.at_most, ROUND_CEILING)} at 95 % confidence)"
        for rate in (escapes, false_rejects)
    )
    return first, second


def _precision(manifest: Manifest) -> str:
    found = manifest.quantisation
    if found is None:
        return "fp32"
    return (
        f"int8 ({found.scheme}; {found.speedup:.1f} times as fast as fp32 where it was exported, {found.missed} more defects "
        f"missed, {100 * found.flips:.2g} % of the verdicts differ, AUROC {found.auroc_drop:.2g} lower, CAM correlation "
        f"{found.cam_correlation:.3f}, boxes IoU {found.box_iou:.3f}, fine maps within {found.fine_residual:.2g}; ranges of {found.frames} frames)"
    )


def _mirrors(manifest: Manifest) -> str:
    count = len(AXES[manifest.mirrors])
    return (
        "none" if count == 1 else f"{manifest.mirrors}: each answer is the mean of {count}, for {count} times the time"
    )


def _usual(usual: Usual | None) -> str:
    if usual is None:
        return "all: whatever a frame looks like, it is judged"
    named = {"brightness": usual.brightness, "contrast": usual.contrast, "sharpness": usual.sharpness}
    return f"{', '.join(f'{name} {max(0.0, low):.3g} to {min(255.0, high):.3g}' for name, (low, high) in named.items())}; others are errors"


def _versions(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _scale(scale: HeatScale) -> str:
    return f"heat 0 at {scale.cold:.2f}, 1 at {scale.hot:.2f} logits"


def _boxes(rule: BoxRule) -> str:
    fitted = f"fitted on {rule.marked} marked frames" if rule.marked else "the default: no frames were marked"
    return f"reach of the evidence times {rule.stretch:.2f}, moved {rule.outline:.0%} of the way to outlines ({fitted}); a second one from {rule.level:.2f} logits, {rule.false_boxes:.3f} per good frame"
