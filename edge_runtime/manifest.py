"""Everything a model file says about itself: JSON under the metadata key `edge_detect` of the ONNX file."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from edge_runtime.errors import ModelError, first_line
from edge_runtime.mirrors import Mirrors
from edge_runtime.stored import from_json

METADATA_KEY = "edge_detect"
SCHEMA_VERSION = 2

Count = Annotated[int, Meta(ge=0)]


class _Strict(Struct, frozen=True, forbid_unknown_fields=True):
    pass


class HeatScale(_Strict, frozen=True):
    """The absolute scale of a map, fitted on validation frames.

    cold, hot: values in logits that show as heat 0 (as warm as half of the good frames that pass ever get) and 1 (the
    peak of a typical anomaly).
    """

    cold: float
    hot: float

    def __post_init__(self) -> None:
        if not self.cold < self.hot:
            raise ValueError("cold must lie below hot")


class BoxRule(_Strict, frozen=True):
    """How boxes are drawn; edge_runtime/boxes.py.

    guided: whether the coarse map has a say; not where it is an approximation. level: strength in logits from which on a
    further region gets a box of its own. false_boxes: such regions per good frame that passes. stretch: of the
    reach of the evidence; outline: how far from there to the outline of what looks alike; marked: defective frames with known boxes
    these were fitted on, 0 for the defaults.
    min_area: input pixels; a further region with a smaller box gets none.
    """

    guided: bool
    level: Annotated[float, Meta(ge=0)]
    false_boxes: float
    stretch: Annotated[float, Meta(gt=0, le=10)]
    marked: Count
    min_area: Count
    outline: Annotated[float, Meta(ge=0, le=1)] = 0.0


class Calibration(_Strict, frozen=True):
    """Levels fitted on validation frames, on the outputs of the very network in the file.

    temperature: divides the margin before it becomes a score. threshold: score in (0, 1) from which on a frame is an
    anomaly, and rule: what it was chosen for. coarse, fine: the scales of the CAM and of the smoothed fine map. good,
    anomaly: frames it all rests on; false_rejects and escapes: how many of these lie on the wrong side of the threshold.
    """

    temperature: Annotated[float, Meta(gt=0)]
    threshold: Annotated[float, Meta(gt=0, lt=1)]
    rule: str
    coarse: HeatScale
    fine: HeatScale
    boxes: BoxRule
    good: Count
    anomaly: Count
    false_rejects: Count
    escapes: Count


class Training(_Strict, frozen=True):
    """Where the weights come from. best_epoch: the one that was kept. Counts are (good, anomaly). validation_auroc: of the trained network,
    in float and without mirror images. doubts: why not to trust the model, such as what it may be judging instead of the defect."""

    weights: str
    data_sha256: str
    train_counts: tuple[Count, Count]
    validation_counts: tuple[Count, Count]
    seed: int
    epochs: Count
    best_epoch: Count
    validation_auroc: float
    doubts: tuple[str, ...]
    versions: dict[str, str]


class Parity(_Strict, frozen=True):
    """Greatest differences between the trained model and the exported network in float, over `frames` real frames, at batch
    1 and 8. What INT8 adds to that is its Quantisation.

    logits, cam: absolute, in logits. box_iou: the mean over all rejects. flips: verdicts that differ.
    """

    frames: Count
    logits: float
    cam: float
    box_iou: float
    flips: Count
    versions: dict[str, str]


REDUCED_RANGE = "reduced range"
"""Stands in a scheme of 7-bit weights."""


class Quantisation(_Strict, frozen=True):
    """What INT8 costs against the same network in float, on the validation frames; each with its own levels.

    scheme: how it was made. frames: that ranges were measured on. auroc_drop: of the image AUROC. missed: defects that
    float catches and this does not. flips: share of the verdicts that differ. cam_correlation, box_iou: medians, the latter
    over frames both reject. fine_residual: the farthest that a fine map was from adding up, per logit of evidence. speedup:
    of a frame that passes, on the PC that exported it.
    """

    scheme: str
    frames: Count
    auroc_drop: float
    missed: Count
    flips: float
    cam_correlation: float
    box_iou: float
    fine_residual: float
    speedup: float

    @property
    def reduced_range(self) -> bool:
        """Whether weights have 7 bits."""
        return REDUCED_RANGE in self.scheme


Limits = tuple[float, float]


class Usual(_Strict, frozen=True):
    """What frames must look like, (low, high) in grey levels at input size, both allowed; edge_runtime/usual.py."""

    brightness: Limits
    contrast: Limits
    sharpness: Limits

    def __post_init__(self) -> None:
        if not all(low < high for low, high in (self.brightness, self.contrast, self.sharpness)):
            raise ValueError("limits of what is usual are upside down")


class Golden(_Strict, frozen=True):
    """A frame with what the file must answer for it; boxes are half-open xyxy in input pixels.

    png: base64 of an image file: at input size, or as the camera wrote it, so that decoding and resizing are checked, too.
    """

    png: str
    label: Literal["good", "anomaly"]
    logits: tuple[float, float]
    cam: tuple[tuple[float, ...], ...]
    boxes_xyxy: tuple[tuple[Count, Count, Count, Count], ...]

    def __post_init__(self) -> None:
        if len({len(row) for row in self.cam}) > 1:
            raise ValueError("the rows of the cam differ in length")
        if any(x0 >= x1 or y0 >= y1 for x0, y0, x1, y1 in self.boxes_xyxy):
            raise ValueError("a box is empty")


class Manifest(_Strict, frozen=True, omit_defaults=True):
    """input_hw: (height, width) of the network's input. resize: how frames get there, edge_runtime/preprocess.py. width: share of VGG19's filters per layer. fine_tolerance: how far
    the fine map may be from adding up to the margin, in logits per logit of evidence: rounding in float, and in
    INT8 what lies between the integers. golden_tolerance: how far other processors' answers may be from the golden ones,
    relative above one logit. mirrors: of every frame that are asked, too, and averaged; edge_runtime/mirrors.py.
    usual: what frames must look like to be judged; None where all are.
    """

    schema_version: Literal[2]
    product: str
    classes: tuple[Literal["good"], Literal["anomaly"]]
    input_hw: tuple[Annotated[int, Meta(ge=32, le=4096)], Annotated[int, Meta(ge=32, le=4096)]]
    resize: Literal["stretch-area", "stretch-area-reduced"]
    backbone: Literal["vgg19", "vgg19-slim"]
    width: float
    wiring: Literal["exact", "full"]
    explanation: Literal["exact", "approximate"]
    fine_layer: Annotated[str, Meta(pattern=r"^block[1-5]_conv[1-4]\Z")]
    precision: Literal["fp32", "int8"]
    quantisation: Quantisation | None
    fine_tolerance: Annotated[float, Meta(gt=0)]
    golden_tolerance: Annotated[float, Meta(gt=0, le=0.2)]
    calibration: Calibration
    training: Training
    parity: Parity
    golden: tuple[Golden, ...]
    mirrors: Mirrors = "none"
    usual: Usual | None = None

    @property
    def fine_hw(self) -> tuple[int, int]:
        """(height, width) of the fine map: the input's, halved by every pooling before the layer."""
        pools = int(self.fine_layer[len("block")]) - 1
        return self.input_hw[0] >> pools, self.input_hw[1] >> pools

    @property
    def needed_hw(self) -> tuple[int, int] | None:
        """What frames are decoded for: the input where large JPEGs are decoded reduced, None where all pixels are."""
        return self.input_hw if self.resize == "stretch-area-reduced" else None

    def __post_init__(self) -> None:
        if (self.wiring == "exact") != (self.explanation == "exact"):
            raise ValueError("only the exact wiring has an exact explanation")
        if (self.precision == "int8") != (self.quantisation is not None):
            raise ValueError("an int8 file says what that costs, and only an int8 file does")


class _Versioned(Struct):
    schema_version: Any = None


def parse(text: str) -> Manifest:
    """Raises ModelError for a manifest of another schema version, and for one that does not fit its own."""
    try:
        version = from_json(text, _Versioned).schema_version
        if version != SCHEMA_VERSION:
            raise ModelError(
                f"its manifest has schema version {repr(version)[:40]}, this edge-detect reads {SCHEMA_VERSION}; install the edge-detect it was exported with"
            )
        return from_json(text, Manifest)
    except ValueError as err:
        raise ModelError(f"its manifest is damaged: {first_line(err)}; export it again") from None
