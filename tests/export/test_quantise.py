"""INT8: the maps of a quantised graph, and the gate in front of it."""

import json
import math
from pathlib import Path

import numpy as np
import onnx
import pytest
from msgspec.structs import replace
from onnx import numpy_helper
from onnxruntime.quantization.calibrate import HistogramCollector

from edge_runtime import cam
from edge_runtime.errors import UsageError
from edge_runtime.manifest import Quantisation
from edge_runtime.model import Model
from export.convert import explained, fold, forward, with_manifest
from export.gate import Limits, adjusted, correlation
from export.quantise import Scheme, most_sensitive, quantise
from tests import tiny
from tests.conftest import Run
from tests.export.runs import described
from tests.export.test_export import bangles, runs, trained
from tests.train.test_vgg import randomised
from train import vgg

__all__ = ["bangles", "runs"]  # fixtures
HW = (64, 96)
ANYTHING = "auroc_drop=1,missed=99,flips=1,cam_correlation=-1,box_iou=0,fine_residual=1,speedup=0"
TOO_FAST = f"{ANYTHING},speedup=1000"


def frames(count: int, seed: int = 0) -> np.typing.NDArray[np.uint8]:
    """Smooth blobs: noise would let a random network's margins cancel out."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, 4, 6, 3), np.uint8)
    return np.kron(coarse, np.ones((1, 16, 16, 1), np.uint8))


@pytest.mark.parametrize("wiring", ["exact", "full"])
@pytest.mark.parametrize("layer", ["block3_conv4", "block4_conv2"])
def test_the_maps_of_a_quantised_graph_add_up(wiring: vgg.Wiring, layer: str) -> None:
    plain = fold(randomised(wiring, True, hw=HW), described(HW, 0.05, wiring))
    manifest = tiny.manifest(
        input_hw=HW, wiring=wiring, explanation="exact" if wiring == "exact" else "approximate", fine_layer=layer
    )
    graph = quantise(forward(plain), frames(16), Scheme())
    small = Model.from_bytes(with_manifest(explained(graph, plain, layer), manifest))
    assert {"QuantizeLinear", "DequantizeLinear"} <= {node.op_type for node in graph.graph.node}
    assert not any(node.op_type == "Relu" for node in graph.graph.node)
    for prediction in small.predict(frames(4, seed=1), -math.inf):
        margin = float(prediction.logits[1] - prediction.logits[0])
        assert prediction.fine is not None
        if wiring == "exact":
            coarse = cam.class_activation_map(prediction.activations, small.head)
            assert cam.residual(coarse, small.head, margin) < 1e-4 * max(1, abs(margin))
        size = cam.evidence(prediction.fine.cam, margin)
        assert cam.residual(prediction.fine.cam, small.head, margin - prediction.fine.bias) < 0.05 * size


def test_activations_of_one_frame_at_a_time_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the full VGG19 on 128 frames have 19 GB."""
    collect, held = HistogramCollector.collect, []

    def watched(self: HistogramCollector, activations: dict[str, list[np.typing.NDArray[np.float32]]]) -> None:
        held.append(max(len(found) for found in activations.values()))
        collect(self, activations)

    monkeypatch.setattr(HistogramCollector, "collect", watched)
    plain = fold(randomised("exact", True, hw=HW), described(HW, 0.05, "exact"))
    quantise(forward(plain), frames(5), Scheme("percentile 99.99"))
    assert held == [1] * 5


def test_convolutions_can_be_kept_in_float_and_the_most_sensitive_are_found() -> None:
    plain = fold(randomised("exact", True, hw=HW), described(HW, 0.05, "exact"))
    graph = forward(plain)
    untouched = graph.SerializeToString()
    ranked = most_sensitive(graph, frames(8), Scheme())
    convolutions = {node.name for node in graph.graph.node if node.op_type == "Conv"}
    assert set(ranked) <= convolutions and len(ranked) >= len(convolutions) - 2
    mixed = quantise(graph, frames(8), Scheme(floating=tuple(ranked[:2])))
    assert graph.SerializeToString() == untouched
    small = Model.from_bytes(with_manifest(explained(mixed, plain, "block3_conv4"), tiny.manifest(input_hw=HW)))
    floating = [
        tensor
        for tensor in mixed.graph.initializer
        if len(tensor.dims) == 4 and tensor.data_type == onnx.TensorProto.FLOAT
    ]
    assert len(floating) == 2
    (prediction,) = small.predict(frames(1, seed=1), -math.inf)
    assert prediction.fine is not None and np.isfinite(prediction.fine.cam).all()


@pytest.mark.parametrize(
    "kept", [["block3_conv4"], ["block4_conv1"], ["block3_conv4", "block4_conv1"], ["block4_conv4", "block5_conv1"]]
)
def test_around_a_pooling_either_side_may_stay_in_float(kept: list[str]) -> None:
    """The greatest of four is found whether it, they or neither were rounded."""
    plain = fold(randomised("exact", True, hw=HW), described(HW, 0.05, "exact"))
    graph = forward(plain)
    floating = tuple(
        node.name for node in graph.graph.node if node.op_type == "Conv" and any(name in node.name for name in kept)
    )
    assert len(floating) == len(kept)
    mixed = explained(quantise(graph, frames(16), Scheme(floating=floating)), plain, "block3_conv4")
    small = Model.from_bytes(with_manifest(mixed, tiny.manifest(input_hw=HW)))
    for prediction in small.predict(frames(4, seed=1), -math.inf):
        margin = float(prediction.logits[1] - prediction.logits[0])
        assert prediction.fine is not None
        size = cam.evidence(prediction.fine.cam, margin)
        assert cam.residual(prediction.fine.cam, small.head, margin - prediction.fine.bias) < 0.05 * size


FINE = Quantisation(
    scheme="minmax",
    frames=9,
    auroc_drop=0.0,
    missed=0,
    flips=0.0,
    cam_correlation=1.0,
    box_iou=1.0,
    fine_residual=0.01,
    speedup=2.0,
)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({}, []),
        ({"auroc_drop": -0.1}, []),
        ({"auroc_drop": 0.0031}, ["auroc drop 0.0031 (at most 0.003)"]),
        ({"missed": 1}, ["missed 1 (at most 0)"]),
        ({"flips": 0.006}, ["flips 0.006 (at most 0.005)"]),
        ({"cam_correlation": 0.97}, ["cam correlation 0.97 (at least 0.98)"]),
        ({"box_iou": 0.79}, ["box iou 0.79 (at least 0.8)"]),
        ({"fine_residual": 0.06}, ["fine residual 0.06 (at most 0.05)"]),
        ({"speedup": 0.9}, ["speedup 0.9 (at least 1)"]),
    ],
)
def test_each_limit_of_the_gate_holds_by_itself(change: dict[str, float], says: list[str]) -> None:
    assert Limits().breaches(replace(FINE, **change)) == says


def test_a_map_that_went_flat_is_no_map_that_agrees() -> None:
    map_ = np.arange(12, dtype=np.float32).reshape(3, 4)
    flat = np.zeros((3, 4), np.float32)
    broken = np.full((3, 4), np.nan, np.float32)
    assert correlation(map_, 3 * map_ + 1) == pytest.approx(1) and correlation(map_, -map_) == pytest.approx(-1)
    assert correlation(flat, flat) == 1
    assert correlation(map_, flat) == correlation(flat, map_) == correlation(map_, broken) == 0


def test_limits_are_the_users() -> None:
    assert adjusted("flips=0.01,speedup=1.5") == Limits(flips=0.01, speedup=1.5)
    for wrong in ("flip=1", "flips", "flips=much"):
        with pytest.raises(UsageError, match=r"expected NAME=NUMBER, of auroc_drop=0\.003, missed=0"):
            adjusted(wrong)


@pytest.mark.xdist_group("export")
def test_int8_ships_only_through_the_gate(
    bangles: Path, runs: Path, module: Run, edge_detect: Run, tmp_path: Path
) -> None:
    run, part = trained("slim", bangles, runs, module), tmp_path / "part.onnx"
    done = module("export", run, "-o", part, "--precision", "int8", "--gate", TOO_FAST)
    assert done.returncode == 2 and not part.exists()
    assert "no way to quantise passes the gate; nothing was written" in done.stderr and "Traceback" not in done.stderr

    done = module("export", run, "-o", part, "--precision", "auto", "--gate", TOO_FAST)
    assert done.returncode == 0 and json.loads(done.stdout)["precision"] == "fp32"
    page = (run / "export-report.html").read_text()
    assert "FP32 ships." in page and "speedup" in page and page.count('class="breach"') == 5
    in_float = part.stat().st_size

    done = module("export", run, "-o", part, "--precision", "int8", "--gate", ANYTHING)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    manifest = Model.load(part).manifest
    assert manifest.precision == told["precision"] == "int8" and part.stat().st_size < in_float
    assert manifest.quantisation is not None and manifest.quantisation.frames > 0
    assert "INT8 ships." in (run / "export-report.html").read_text()
    assert edge_detect("check", part).returncode == 0
    assert "int8 (minmax" in edge_detect("info", part).stdout
    done = edge_detect(bangles / "good", bangles / "anomaly", "-m", part, "-o", "out", "--exit-zero")
    assert done.returncode == 0, done.stderr


@pytest.mark.xdist_group("export")
def test_ranges_are_not_measured_on_the_frames_the_gate_judges(
    bangles: Path, runs: Path, module: Run, tmp_path: Path
) -> None:
    run = trained("slim", bangles, runs, module)
    done = module("export", run, "-o", tmp_path / "part.onnx", "--precision", "int8", "--calibration", bangles / "good")
    assert done.returncode == 2 and "is the validation frame good/" in done.stderr, done.stderr
    assert not (tmp_path / "part.onnx").exists()


def test_the_way_back_in_integers_is_the_one_in_floats_but_for_a_rounding() -> None:
    """Of the same quantised network, once with its kernels written out as floats, which are then multiplied as such."""
    plain = fold(randomised("exact", True, hw=HW), described(HW, 0.05, "exact"))
    quantised = quantise(forward(plain), frames(16), Scheme())
    written_out = with_kernels_written_out(quantised)
    maps = {}
    for name, graph, operator in (("integers", quantised, "MatMulInteger"), ("floats", written_out, "Conv")):
        done = explained(graph, plain, "block3_conv4")
        (branch,) = [node for node in done.graph.node if node.op_type == "If"]
        used = {node.op_type for attribute in branch.attribute for node in attribute.g.node}
        assert used & {"MatMulInteger", "Conv"} == {operator}
        model = Model.from_bytes(with_manifest(done, tiny.manifest(input_hw=HW)))
        maps[name] = [one.fine.cam for one in model.predict(frames(4, seed=1), -math.inf) if one.fine is not None]
    for found, exact in zip(maps["integers"], maps["floats"], strict=True):
        assert np.abs(found - exact).max() < 0.05 * np.abs(exact).max()
        assert np.corrcoef(found.ravel(), exact.ravel())[0, 1] > 0.999


def with_kernels_written_out(quantised: onnx.ModelProto) -> onnx.ModelProto:
    """The same network: what onnxruntime would make of the integers as it loads the file."""
    proto = onnx.ModelProto()
    proto.CopyFrom(quantised)
    constants = {one.name: numpy_helper.to_array(one) for one in proto.graph.initializer}
    kernels = {node.input[1] for node in proto.graph.node if node.op_type == "Conv"}
    for node in [node for node in proto.graph.node if node.output[0] in kernels]:
        integers, scale = constants[node.input[0]], constants[node.input[1]]
        floats = integers.astype(np.float32) * scale.reshape(-1, 1, 1, 1)
        proto.graph.initializer.append(numpy_helper.from_array(floats, node.output[0]))
        proto.graph.node.remove(node)
    return proto


def test_a_fine_map_does_not_depend_on_the_other_frames_of_its_batch() -> None:
    plain = fold(randomised("exact", True, hw=HW), described(HW, 0.05, "exact"))
    graph = quantise(forward(plain), frames(16), Scheme())
    model = Model.from_bytes(with_manifest(explained(graph, plain, "block3_conv4"), tiny.manifest(input_hw=HW)))
    images = np.concatenate([frames(2, seed=1), frames(1, seed=2) // 16])  # the last one nearly black
    together = model.predict(images, -math.inf)
    for image, one in zip(images, together, strict=True):
        (alone,) = model.predict(image[np.newaxis], -math.inf)
        assert alone.fine is not None and one.fine is not None
        assert np.allclose(alone.fine.cam, one.fine.cam, rtol=1e-4, atol=1e-4 * np.abs(alone.fine.cam).max())
