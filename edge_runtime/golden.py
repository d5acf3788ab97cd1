"""The golden frames inside a model file: the same answers on this PC as where it was exported?"""

import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from edge_runtime.benchmark.hardware import available_cores
from edge_runtime.errors import FrameError, ModelError
from edge_runtime.frames import decode_for
from edge_runtime.inspector import Inspector, Judgement
from edge_runtime.manifest import Golden
from edge_runtime.model import Model
from edge_runtime.preprocess import prepare
from edge_runtime.results import Box, Prediction, agreement

BOX_IOU = 0.9


def replay(model: Model, whole: bool = True) -> Iterator[str]:
    """Answer the golden frames and yield a line for each. Raises ModelError with the figures that differ.

    whole: all of them; otherwise, as every start of a line waits for this, the first anomaly, which asks for all that a file
    can do; with a second engine, which has the last word on what passes, the first good frame, too.
    """
    chosen = list(enumerate(model.manifest.golden, 1))
    if not chosen:
        raise ModelError("the file has no golden frames to check; export it again")
    if not whole:
        first = {golden.label: (number, golden) for number, golden in reversed(chosen)}
        chosen = sorted(first.values()) if model.forward is not None else [first.get("anomaly") or first["good"]]
    with ThreadPoolExecutor(available_cores()) as pool:
        found = list(pool.map(partial(_differences, model), (golden for _, golden in chosen)))
    for (number, golden), (logits, map_, boxes) in zip(chosen, found, strict=True):
        figures = f"golden frame {number} ({golden.label}): logits differ by {logits:.2g}, CAM by {map_:.2g} logits, boxes agree to IoU {boxes:.3f}"
        tolerance = model.manifest.golden_tolerance
        if not (logits <= tolerance and map_ <= tolerance and boxes >= BOX_IOU):
            raise ModelError(
                f"this PC gives other answers than the export: {figures}. Don't inspect with it; export it again if another version of edge-detect did, else report the PC's CPU and its versions of onnxruntime and OpenCV"
            )
        yield f"ok  {figures}"


def answer(model: Model, picture: bytes) -> tuple[Prediction, Judgement]:
    """What the file says of an image file, read, resized, judged and explained as on the line. Raises FrameError."""
    image, _ = decode_for(picture, model.manifest.needed_hw)
    inspector = Inspector(model)
    (prediction,) = model.predict(prepare(image, model.input_hw)[np.newaxis], inspector.explain_from)
    return prediction, inspector.judge(prediction)


def _differences(model: Model, golden: Golden) -> tuple[float, float, float]:
    """(logits, CAM, smallest box IoU); the first two relative to the expected size where that is above one logit."""
    expected_cam = np.array(golden.cam, np.float32)
    if expected_cam.shape != (model.input_hw[0] // 16, model.input_hw[1] // 16):
        raise ModelError("a golden frame's map has another size than the network's; export the file again")
    try:
        prediction, judged = answer(model, base64.b64decode(golden.png, validate=True))
    except ValueError:
        raise ModelError("a golden frame is damaged; export the file again") from None
    except FrameError as err:
        raise ModelError(f"a golden frame {err}") from None
    return (
        _relative(prediction.logits, np.array(golden.logits, np.float32)),
        _relative(judged.maps.coarse, expected_cam),
        agreement([defect.box for defect in judged.defects], [Box(*box) for box in golden.boxes_xyxy]),
    )


def _relative(found: np.typing.NDArray[np.float32], expected: np.typing.NDArray[np.float32]) -> float:
    return float(np.abs(found.astype(np.float64) - expected).max() / max(1.0, float(np.abs(expected).max())))
