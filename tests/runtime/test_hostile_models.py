"""Files that are no model, or no model of ours: each is refused in one clear line, and nothing but the file is read."""

import base64
import os
import random
import re
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnx.external_data_helper
import pytest
from msgspec.structs import replace
from onnx import TensorProto, helper, numpy_helper

from edge_runtime.errors import FrameError, ModelError
from edge_runtime.golden import answer, replay
from edge_runtime.manifest import Golden
from edge_runtime.model import MAX_BYTES, Model
from edge_runtime.onnx_file import seal
from edge_runtime.stored import to_json
from tests import tiny
from tests.conftest import Run

Change = Callable[[onnx.ModelProto], None]


def described(**changes: object) -> Change:
    def change(proto: onnx.ModelProto) -> None:
        proto.metadata_props[0].value = to_json(tiny.manifest(**changes))

    return change


def replaced(old: str, new: str) -> Change:
    def change(proto: onnx.ModelProto) -> None:
        assert old in proto.metadata_props[0].value
        proto.metadata_props[0].value = proto.metadata_props[0].value.replace(old, new)

    return change


def weights(name: str, value: object) -> Change:
    def change(proto: onnx.ModelProto) -> None:
        found = next(one for one in proto.graph.initializer if one.name == name)
        found.CopyFrom(numpy_helper.from_array(np.array(value, np.float32), name))

    return change


def external(location: str) -> Change:
    def change(proto: onnx.ModelProto) -> None:
        kernel = next(one for one in proto.graph.initializer if one.name == "kernel")
        onnx.external_data_helper.set_external_data(kernel, location)
        kernel.ClearField("raw_data")

    return change


def added(*nodes: onnx.NodeProto) -> Change:
    return lambda proto: proto.graph.node.extend(nodes)


def without_output(proto: onnx.ModelProto) -> None:
    del proto.graph.output[1]


def renamed_output(proto: onnx.ModelProto) -> None:
    proto.graph.output[1].name = "block5_conv4"
    next(node for node in proto.graph.node if "block5_conv3" in node.output).output[0] = "block5_conv4"


def extra_output(proto: onnx.ModelProto) -> None:
    proto.graph.output.append(helper.make_tensor_value_info("pooled", TensorProto.FLOAT, ["N", tiny.CHANNELS, 1, 1]))


def output_of_doubles(proto: onnx.ModelProto) -> None:
    for node in proto.graph.node:
        for names in (node.input, node.output):
            names[:] = ["logits_32" if name == "logits" else name for name in names]
    proto.graph.node.append(helper.make_node("Cast", ["logits_32"], ["logits"], to=TensorProto.DOUBLE))
    proto.graph.output[0].type.tensor_type.elem_type = TensorProto.DOUBLE


def output_on_its_side(proto: onnx.ModelProto) -> None:
    turned = next(node for node in proto.graph.node if "block5_conv3" in node.output)
    turned.attribute[0].ints[:] = [0, 3, 2, 1]
    height, width = proto.graph.output[1].type.tensor_type.shape.dim[1:3]
    height.dim_value, width.dim_value = width.dim_value, height.dim_value


def outlined(shape: list[str | int] | None) -> Change:
    """Boxes follow outlines, and their activations have as many columns as the batch has frames, whatever is said of them."""

    def change(proto: onnx.ModelProto) -> None:
        levels = tiny.manifest().calibration
        described(calibration=replace(levels, boxes=replace(levels.boxes, outline=0.5)))(proto)
        proto.graph.node.append(helper.make_node("Transpose", ["fine_planes"], ["fine_last"], perm=[0, 2, 3, 1]))
        proto.graph.node.append(helper.make_node("Compress", ["fine_last", "wanted"], ["fine_activations"], axis=2))
        proto.graph.output.append(helper.make_tensor_value_info("fine_activations", TensorProto.FLOAT, shape))

    return change


def extra_input(proto: onnx.ModelProto) -> None:
    proto.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1]))


def float_input(proto: onnx.ModelProto) -> None:
    proto.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT


def external_constant(proto: onnx.ModelProto) -> None:
    tensor = numpy_helper.from_array(np.ones(1, np.float32), "value")
    proto.graph.node.append(helper.make_node("Constant", [], ["value"], value=tensor))
    onnx.external_data_helper.set_external_data(proto.graph.node[-1].attribute[0].t, "/etc/passwd")


def endless(proto: onnx.ModelProto) -> None:
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"])],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("on", TensorProto.BOOL, [])],
    )
    proto.graph.initializer.append(numpy_helper.from_array(np.array(True), "true"))
    proto.graph.node.append(helper.make_node("Loop", ["", "true"], [], body=body))


def enormous_weights(proto: onnx.ModelProto) -> None:
    proto.graph.initializer.append(TensorProto(name="huge", data_type=TensorProto.FLOAT, dims=[200_000, 200_000]))
    proto.graph.node.append(helper.make_node("Add", ["dense_weights.", "huge"], ["dense_weights_and_more"]))
    next(node for node in proto.graph.node if node.output[0] == "dense_weights").input[0] = "dense_weights_and_more"


def enormous_result(proto: onnx.ModelProto) -> None:
    """A grown copy of the picture, 160 GB of it, on the way to the logits."""
    _grow(proto)
    next(node for node in proto.graph.node if node.output[0] == "logits").output[0] = "logits."
    proto.graph.node.append(helper.make_node("Add", ["logits.", "most"], ["logits"]))


def enormous_weights_of_the_frame(proto: onnx.ModelProto) -> None:
    """The same on the way to the dense weights, which are asked for without a frame."""
    _grow(proto)
    proto.graph.node.append(helper.make_node("Add", ["dense_weights.", "most"], ["dense_weights_and_most"]))
    next(node for node in proto.graph.node if node.output[0] == "dense_weights").input[0] = "dense_weights_and_most"


def _grow(proto: onnx.ModelProto) -> None:
    proto.graph.initializer.append(numpy_helper.from_array(np.array([1, 1, 3000, 3000], np.float32), "grow"))
    proto.graph.initializer.append(numpy_helper.from_array(np.array([0, 1, 2, 3], np.int64), "all"))
    proto.graph.node.append(helper.make_node("Resize", ["planes", "", "grow"], ["grown"], mode="nearest"))
    proto.graph.node.append(helper.make_node("ReduceMax", ["grown"], ["most"], keepdims=0))


def _sparse(location: str) -> onnx.SparseTensorProto:
    values = numpy_helper.from_array(np.ones(1, np.float32), "values")
    onnx.external_data_helper.set_external_data(values, location)
    values.ClearField("raw_data")
    indices = numpy_helper.from_array(np.zeros(1, np.int64), "indices")
    return helper.make_sparse_tensor(values, indices, [1])


def sparse_elsewhere(proto: onnx.ModelProto) -> None:
    proto.graph.sparse_initializer.append(_sparse("../weights.bin"))


def sparse_constant_elsewhere(proto: onnx.ModelProto) -> None:
    proto.graph.node.append(helper.make_node("Constant", [], ["sparse"], sparse_value=_sparse("weights.bin")))


def own_function(proto: onnx.ModelProto) -> None:
    proto.functions.append(helper.make_function("", "Mine", ["x"], ["y"], [], proto.opset_import))


def golden_bomb(proto: onnx.ModelProto) -> None:
    """A few kilobytes of PNG that claim 900 megapixels."""
    _, small = cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))
    data = bytearray(small.tobytes())
    data[16:24] = (30_000).to_bytes(4) * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4)
    golden = replace(tiny.golden(), png=base64.b64encode(bytes(data)).decode())
    described(golden=(golden,))(proto)


def no_manifest(proto: onnx.ModelProto) -> None:
    del proto.metadata_props[:]


CHANGES: dict[str, tuple[Change, str]] = {
    "no manifest": (no_manifest, "not exported by edge-detect"),
    "manifest of a newer schema": (replaced('"schema_version":2', '"schema_version":3'), "schema version 3"),
    "manifest out of range": (replaced('"threshold":0.5', '"threshold":1.5'), "calibration.threshold"),
    "manifest that is no JSON": (lambda proto: setattr(proto.metadata_props[0], "value", "hello"), "damaged"),
    "manifest nested without end": (
        lambda proto: setattr(proto.metadata_props[0], "value", f'{{"x": {"[" * 200_000}{"]" * 200_000}}}'),
        "nested too deeply",
    ),
    "manifest of 70 MB": (
        lambda proto: setattr(proto.metadata_props[0], "value", "x" * 70_000_000),
        "bytes; 67,108,864 are the most",
    ),
    "missing output": (without_output, "lacks the outputs block5_conv3"),
    "renamed output": (renamed_output, "lacks the outputs block5_conv3"),
    "extra output": (extra_output, "outputs that no model of ours has: pooled"),
    "output of another type": (output_of_doubles, "its output `logits` is tensor\\(double\\)"),
    "output of another shape": (
        output_on_its_side,
        "its output `block5_conv3` is .*\\[6, 4, 3\\]; expected .*\\[4, 6, 3\\]",
    ),
    "extra input": (extra_input, "expected one `image`"),
    "other input size": (described(input_hw=(64, 64)), "expected one `image`"),
    "other input type": (float_input, "(expected one `image`|no ONNX model that can be run)"),
    "other fine layer": (described(fine_layer="block2_conv2"), "its output `fine_cam` is"),
    "outlines without their output": (
        described(calibration=replace(tiny.manifest().calibration, boxes=replace(tiny.BOXES, outline=0.5))),
        "lacks the outputs fine_activations",
    ),
    "outlines from an output without a shape": (outlined(None), "its output `fine_activations` is"),
    "contradiction": (replaced('"explanation":"exact"', '"explanation":"approximate"'), "only the exact wiring"),
    "INT8 without its cost": (replaced('"precision":"fp32"', '"precision":"int8"'), "says what that costs"),
    "weights beside the file": (external("weights.bin"), "reads weights from another file"),
    "weights above the file": (external("../weights.bin"), "reads weights from another file"),
    "weights at an absolute path": (external("/etc/passwd"), "reads weights from another file"),
    "constant at an absolute path": (external_constant, "reads weights from another file"),
    "foreign operator": (
        added(helper.make_node("Add", ["float", "float"], ["unused"], domain="com.microsoft")),
        "domain 'com.microsoft'",
    ),
    "foreign opset": (
        lambda proto: proto.opset_import.append(helper.make_opsetid("com.microsoft", 1)),
        "domain 'com.microsoft'",
    ),
    "operators of its own": (own_function, "operators of its own"),
    "endless loop": (endless, "operator 'Loop', which no model of ours has"),
    "random numbers": (
        added(helper.make_node("RandomNormal", [], ["noise"], shape=[4])),
        "operator 'RandomNormal', which no model of ours has",
    ),
    "sparse weights elsewhere": (sparse_elsewhere, "sparse weights, which no model of ours has"),
    "sparse constant elsewhere": (sparse_constant_elsewhere, "sparse weights, which no model of ours has"),
    "a golden box inside out": (
        replaced('"boxes_xyxy":[[32,16,64,48]]', '"boxes_xyxy":[[63,17,33,47]]'),
        "a box is empty",
    ),
    "a golden map with ragged rows": (replaced('"cam":[[0.0,', '"cam":[['), "the rows of the cam differ"),
    "boxes without bounds": (replaced('"stretch":1.6', '"stretch":1e308'), "calibration.boxes.stretch"),
    "an input of two gigapixels": (
        replaced('"input_hw":[64,96]', '"input_hw":[38400,57600]'),
        "<= 4096 - at .*input_hw",
    ),
    "NaN in the head": (weights("dense_weights.", [[np.nan], [0], [0]]), "finite"),
    "infinity in the head": (weights("dense_bias.", [np.inf]), "finite"),
    "NaN in the body": (weights("bias", [np.nan, 0, 0]), "golden frame .*no finite answer"),
    "infinity in the body": (weights("bias", [np.inf, 0, 0]), "golden frame .*no finite answer"),
    "160 GB of weights, as it says": (enormous_weights, "no ONNX model that can be run"),
    "160 GB of results": (enormous_result, "golden frame .*makes the network fail"),
    "160 GB of weights, made of the frame": (enormous_weights_of_the_frame, "not all finite"),
    "golden frame of 900 megapixels": (golden_bomb, "a golden frame has 30,000 x 30,000 pixels"),
    "golden frame with another answer": (
        described(golden=(replace(tiny.golden(), logits=(0.0, 3.0)),)),
        "other answers than the export",
    ),
    "golden frame with another box": (
        described(golden=(replace(tiny.golden(), boxes_xyxy=((0, 0, 9, 9),)),)),
        "other answers than the export",
    ),
}


def changed(change: Change) -> bytes:
    proto = onnx.load_from_string(tiny.model())
    del proto.metadata_props[1:]  # its seal
    change(proto)
    return seal(proto.SerializeToString())


def refused(path: Path) -> str:
    """What `edge-detect check` says, in a process that may have 4 GB."""
    command = [str(Path(sys.executable).with_name("edge-detect")), "check", str(path)]
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({4 << 30}, {4 << 30}))"
    launch = [sys.executable, "-c", f"{limited}; import os, sys; os.execv(sys.argv[1], sys.argv[1:])", *command]
    done = subprocess.run(launch, capture_output=True, text=True, timeout=60)  # an endless one would raise here
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("error: ") and len(done.stderr) < 1000, done.stderr
    return done.stderr


@pytest.mark.parametrize("name", CHANGES)
def test_a_file_that_breaks_the_contract_is_refused_with_what_is_wrong(name: str, tmp_path: Path) -> None:
    change, says = CHANGES[name]
    path = tmp_path / "part.onnx"
    path.write_bytes(changed(change))
    said = refused(path)
    assert re.search(says, said), said


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is no ONNX model: it is empty; expected a model file"),
        (b"hello, world\n" * 99, "is no ONNX model"),
        (random.Random(0).randbytes(9_999), "is no ONNX model"),
        (tiny.model()[:-300], "(is no ONNX model|has no seal)"),
        (tiny.model()[:4] + b"ORTM" + tiny.model()[8:], "(onnxruntime's own format|is damaged)"),
        (seal(tiny.model()[:4] + b"ORTM" + tiny.model()[8:]), "onnxruntime's own format"),
        (seal(tiny.model() + b"\x72\x01\x07"), "what it says of itself can't be parsed"),
        (seal(tiny.model() + b"\x70\x05"), "what it says of itself can't be parsed"),
        (seal(tiny.model() + b"\x72\x0f\x0a\x0bedge_detect\x12\x00"), "its manifest is damaged"),
        (seal(tiny.model() + b"\x72\x10\x0a\x0bedge_detect\x12\x01\xff"), "what it says of itself can't be parsed"),
        (tiny.model() + b"\0", "(is no ONNX model|has no seal|is damaged)"),
    ],
    ids=[
        "empty",
        "text",
        "random",
        "cut off",
        "another format",
        "another format, sealed",
        "metadata of an unknown kind",
        "metadata that is a number",
        "two manifests, the last one empty",
        "manifest that is no text",
        "longer",
    ],
)
def test_what_is_no_model_is_refused(data: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "part.onnx"
    path.write_bytes(data)
    said = refused(path)
    assert re.search(says, said), said


def test_what_is_no_file_of_bearable_size_is_refused(tmp_path: Path) -> None:
    large = tmp_path / "large.onnx"
    with open(large, "wb") as file:
        os.truncate(file.fileno(), MAX_BYTES + 1)
    assert "a model has at most" in refused(large)
    os.mkfifo(tmp_path / "pipe.onnx")
    assert "is no regular file" in refused(tmp_path)
    assert "is no regular file" in refused(tmp_path / "pipe.onnx")
    assert "can't be read: No such file" in refused(tmp_path / "none.onnx")


def test_weights_elsewhere_are_not_even_opened(tmp_path: Path) -> None:
    """Beside the model lies a pipe: whoever opened it would wait for ever. One name is a link to it."""
    os.mkfifo(tmp_path / "pipe.bin")
    (tmp_path / "link.bin").symlink_to("pipe.bin")
    for name in ("pipe.bin", "link.bin"):
        (tmp_path / "part.onnx").write_bytes(changed(external(name)))
        assert "reads weights from another file" in refused(tmp_path / "part.onnx")


OTHER_RESIZE = """
import cv2
resize = cv2.resize
cv2.resize = lambda image, size, interpolation: resize(image, size, interpolation=cv2.INTER_LINEAR)
"""


def otherwise(folder: Path) -> dict[str, str]:
    """The environment of a PC whose OpenCV doesn't average areas."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(OTHER_RESIZE)
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])}


def with_golden(picture: bytes) -> bytes:
    """The tiny model with a golden frame of any size."""
    prediction, judged = answer(Model.from_bytes(tiny.model()), picture)
    golden = Golden(
        png=base64.b64encode(picture).decode(),
        label="anomaly",
        logits=(float(prediction.logits[0]), float(prediction.logits[1])),
        cam=tuple(tuple(map(float, row)) for row in judged.maps.coarse),
        boxes_xyxy=tuple((box.x0, box.y0, box.x1, box.y1) for box in (defect.box for defect in judged.defects)),
    )
    return tiny.model(tiny.manifest(golden=(golden,)))


def test_an_opencv_that_resizes_otherwise_is_refused_before_the_first_frame(edge_detect: Run, tmp_path: Path) -> None:
    """A square of lines, five times as large as the input. Averaged it is bright; between the averages' middles it is dark."""
    image = tiny.frame((160, 80, 320, 240), (480, 320))
    image[:, 2::5] = 40
    tiny.write_frames(tmp_path, {"frames/lines.png": image})
    (tmp_path / "part.onnx").write_bytes(with_golden((tmp_path / "frames/lines.png").read_bytes()))
    other = otherwise(tmp_path / "other")
    inspect = ["inspect", "frames", "-m", "part.onnx", "-o"]
    assert edge_detect("check", "part.onnx").returncode == 0
    assert edge_detect(*inspect, "out").returncode == 1  # the square is found
    for command in (["check", "part.onnx"], [*inspect, "refused"]):
        done = edge_detect(*command, env=other)
        assert done.returncode == 2 and "this PC gives other answers than the export" in done.stderr, done.stderr
    assert edge_detect(*inspect, "unchecked", "--no-check", env=other).returncode == 0  # and is overlooked there


def test_a_byte_flipped_anywhere_is_found() -> None:
    whole, rng = tiny.model(), random.Random(0)
    for _ in range(2000):
        at, bit = rng.randrange(len(whole)), 1 << rng.randrange(8)
        flipped = whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :]
        with pytest.raises(ModelError):
            Model.from_bytes(flipped)


def test_a_file_that_is_cut_off_anywhere_is_refused() -> None:
    whole = tiny.model()
    for keep in range(0, len(whole) - 1, max(1, len(whole) // 97)):
        with pytest.raises(ModelError):
            Model.from_bytes(whole[:keep])


def test_the_seal_is_all_that_is_missing() -> None:
    """The files above are refused for what is wrong with them, not for lack of a seal."""
    proto = onnx.load_from_string(tiny.model())
    del proto.metadata_props[1:]
    assert list(replay(Model.from_bytes(seal(proto.SerializeToString()))))
    with pytest.raises(ModelError, match="has no seal"):
        Model.from_bytes(proto.SerializeToString())


def test_a_network_that_fails_on_a_frame_makes_it_an_error_and_no_verdict() -> None:
    model = Model.from_bytes(tiny.model())
    with pytest.raises(FrameError, match="makes the network fail"):
        model.predict(np.zeros((1, 8, 8, 3), np.uint8))


def test_activations_that_are_smaller_than_the_file_says_end_in_an_error_for_the_frame() -> None:
    proto = onnx.load_from_string(tiny.model())
    outlined(["N", 16, 24, 1])(proto)
    loaded = Model.from_bytes(seal(proto.SerializeToString()))
    image = np.zeros((1, *loaded.input_hw, 3), np.uint8)
    with pytest.raises(FrameError, match="activations of another size than its fine map"):
        loaded.predict(image, -np.inf)


def test_an_operator_behind_an_over_long_tag_is_refused() -> None:
    """onnxruntime's reader cuts tags to 32 bits, and would run what other readers pass over."""
    hidden = onnx.GraphProto(node=[onnx.helper.make_node("Sin", ["image"], ["nowhere"])]).SerializeToString()
    tag = bytes([7 << 3 | 2 | 128, 128, 128, 128, 16])  # of `graph`, plus 2 ** 32
    data = onnx.load_from_string(tiny.model()).SerializeToString() + tag + bytes([len(hidden)]) + hidden
    with pytest.raises(ModelError, match="can't be parsed"):
        Model.from_bytes(seal(data))
