"""A model file that keeps the contract in a few hundred bytes of weights: a cell is hot where the frame is bright.

No VGG19, only its interface: one convolution with stride 16, a ReLU, and the head. Small enough that a test can say
what must come out: a bright square on a dark frame is an anomaly, and its box is where the square is.
"""

import base64
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import onnx
from msgspec.structs import replace
from onnx import TensorProto, helper, numpy_helper

from edge_runtime.manifest import METADATA_KEY, BoxRule, Calibration, Golden, HeatScale, Manifest, Parity, Training
from edge_runtime.onnx_file import seal
from edge_runtime.stored import to_json

INPUT_HW = (64, 96)
CHANNELS = 3
SCALE = HeatScale(cold=2.0, hot=100.0)
BOXES = BoxRule(guided=True, level=40.0, false_boxes=0.0, stretch=1.6, marked=0, min_area=32)
BOX = (32, 16, 64, 48)
"""Of the square of `frame()`: with this stretch the square itself."""


def manifest(**changes: object) -> Manifest:
    known = Manifest(
        schema_version=2,
        product="tiny",
        classes=("good", "anomaly"),
        input_hw=INPUT_HW,
        resize="stretch-area",
        backbone="vgg19-slim",
        width=0.01,
        wiring="exact",
        explanation="exact",
        fine_layer="block3_conv4",
        precision="fp32",
        quantisation=None,
        fine_tolerance=1e-3,
        golden_tolerance=1e-2,
        calibration=Calibration(
            temperature=1.0,
            threshold=0.5,
            rule="test",
            coarse=SCALE,
            fine=SCALE,
            boxes=BOXES,
            good=10,
            anomaly=10,
            false_rejects=0,
            escapes=0,
        ),
        training=Training(
            weights="none",
            data_sha256="0" * 64,
            train_counts=(10, 10),
            validation_counts=(10, 10),
            seed=0,
            epochs=1,
            best_epoch=1,
            doubts=(),
            validation_auroc=1.0,
            versions={},
        ),
        parity=Parity(frames=0, logits=0, cam=0, box_iou=1, flips=0, versions={}),
        golden=(golden(),),
    )
    return replace(known, **changes)


def frame(
    square: tuple[int, int, int, int] | None = (32, 16, 64, 48), size_wh: tuple[int, int] = (96, 64)
) -> npt.NDArray[np.uint8]:
    """A dark frame (H, W, 3) uint8 BGR with a bright square at (x0, y0, x1, y1)."""
    image = np.full((size_wh[1], size_wh[0], 3), 40, np.uint8)
    if square:
        x0, y0, x1, y1 = square
        image[y0:y1, x0:x1] = 230
    return image


def golden() -> Golden:
    """A whole square cell pattern; answers worked out by hand: the tiny network is linear above its ReLU."""
    _, png = cv2.imencode(".png", frame())
    hot = 230 - 100
    cells = np.zeros((4, 6), np.float32)
    cells[1:3, 2:4] = hot
    margin = float(cells.mean()) - 10
    return Golden(
        png=base64.b64encode(png.tobytes()).decode(),
        label="anomaly",
        logits=(-margin / 2, margin / 2),
        cam=tuple(tuple(float(value) for value in row) for row in cells),
        boxes_xyxy=(BOX,),
    )


def model(described: Manifest | None = None, sign: float = 1.0) -> bytes:
    """The file's bytes. sign: of the direction v1 - v0; the dense weights turn with it, so the answers stay the same."""
    weights: dict[str, npt.NDArray[Any]] = {
        "kernel": np.zeros((CHANNELS, 3, 16, 16), np.float32),
        "bias": np.array([-100, 0, 0], np.float32),
        "dense_weights": np.array([[sign], [0], [0]], np.float32),
        "dense_bias": np.array([0], np.float32),
        "output_weights": np.array([[-sign / 2, sign / 2]], np.float32),
        "output_bias": np.array([5, -5], np.float32),
    }
    weights["kernel"][0] = 1 / (3 * 16 * 16)
    weights |= {
        "fine_kernel": np.full((1, 3, 4, 4), 1 / (3 * 4 * 4), np.float32),
        "fine_offset": np.array([-100], np.float32),
        "four": np.array([1, 1, 4, 4], np.float32),
        "first": np.array([0], np.int64),
        "one": np.array([1], np.int64),
        "zero": np.array([0], np.float32),
        "difference": np.array([[-1], [1]], np.float32),
        "minus_one": np.array([-1], np.int64),
        "explain_from": np.array([np.inf], np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "kernel", "bias"], ["raw"], strides=[16, 16]),
        helper.make_node("Relu", ["raw"], ["active"]),
        helper.make_node("Transpose", ["active"], ["block5_conv3"], perm=[0, 2, 3, 1]),
        helper.make_node("GlobalAveragePool", ["active"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "dense_weights.", "dense_bias."], ["hidden"]),
        helper.make_node("Gemm", ["hidden", "output_weights.", "output_bias."], ["logits"]),
        # The same margin, four times finer: where a cell is active, its mean is the mean of its sixteen parts.
        helper.make_node("Conv", ["planes", "fine_kernel", "fine_offset"], ["parts"], strides=[4, 4]),
        helper.make_node("Sign", ["active"], ["on"]),
        helper.make_node("Gather", ["on", "first"], ["on_first"], axis=1),
        helper.make_node(
            "Resize",
            ["on_first", "", "four"],
            ["mask"],
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        ),
        helper.make_node("Mul", ["mask", "parts"], ["fine_planes"]),
        helper.make_node("Squeeze", ["fine_planes", "one"], ["fine_all"]),
        helper.make_node("Mul", ["hidden", "zero"], ["bias_all"]),
        # None of it below `explain_from`.
        helper.make_node("Gemm", ["logits", "difference"], ["margins"]),
        helper.make_node("ReduceMax", ["margins"], ["margin"], keepdims=1),
        helper.make_node("Reshape", ["margin", "minus_one"], ["margin_flat"]),
        helper.make_node("GreaterOrEqual", ["margin_flat", "explain_from"], ["reached"]),
        helper.make_node("Flatten", ["margins"], ["column"], axis=1),
        helper.make_node("Equal", ["column", "column"], ["always"]),
        helper.make_node("Squeeze", ["always", "one"], ["everyone"]),
        helper.make_node("And", ["everyone", "reached"], ["wanted"]),
        helper.make_node("Compress", ["fine_all", "wanted"], ["fine_cam"], axis=0),
        helper.make_node("Compress", ["bias_all", "wanted"], ["fine_bias"], axis=0),
    ]
    heads = [name for name in weights if name.startswith(("dense", "output"))]
    nodes += [helper.make_node("Identity", [f"{name}."], [name]) for name in heads]
    height, width = INPUT_HW
    graph = helper.make_graph(
        nodes,
        "tiny",
        [
            helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", height, width, 3]),
            helper.make_tensor_value_info("explain_from", TensorProto.FLOAT, [1]),
        ],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 2]),
            helper.make_tensor_value_info(
                "block5_conv3", TensorProto.FLOAT, ["N", height // 16, width // 16, CHANNELS]
            ),
            helper.make_tensor_value_info("fine_cam", TensorProto.FLOAT, ["N", height // 4, width // 4]),
            helper.make_tensor_value_info("fine_bias", TensorProto.FLOAT, ["N", 1]),
            *(helper.make_tensor_value_info(name, TensorProto.FLOAT, list(weights[name].shape)) for name in heads),
        ],
        [numpy_helper.from_array(value, f"{name}." if name in heads else name) for name, value in weights.items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(proto)
    proto.metadata_props.add(key=METADATA_KEY, value=to_json(described or manifest()))
    return seal(proto.SerializeToString())


def write_frames(folder: Path, frames: dict[str, npt.NDArray[np.uint8]]) -> None:
    for name, image in frames.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        _, data = cv2.imencode(path.suffix, image)
        path.write_bytes(data.tobytes())
