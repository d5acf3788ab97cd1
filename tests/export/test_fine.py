"""The fine map: the margin at a layer below block5_conv3, on every frame and for every net."""

import json
import math
from pathlib import Path

import keras
import numpy as np
import onnxruntime as ort
import pytest
import tensorflow as tf
from msgspec.structs import replace

from edge_runtime import cam
from edge_runtime.model import Model
from export.convert import explained, fold, forward, with_manifest
from export.quantise import Scheme, quantise
from tests import tiny
from tests.export.runs import described, graph
from tests.train.test_vgg import randomised
from train import vgg

LAYERS = [
    "block5_conv2",
    "block4_conv4",
    "block4_conv2",
    "block3_conv4",
    "block3_conv1",
    "block2_conv2",
    "block1_conv2",
]


def exported(model: keras.Model, wiring: vgg.Wiring, hw: tuple[int, int], layer: str) -> Model:
    plain = tiny.manifest()
    manifest = tiny.manifest(
        input_hw=hw,
        fine_layer=layer,
        wiring=wiring,
        explanation="exact" if wiring == "exact" else "approximate",
        calibration=replace(plain.calibration, boxes=replace(plain.calibration.boxes, outline=0.5)),
    )
    return Model.from_bytes(with_manifest(graph(fold(model, described(hw, 0.05, wiring)), layer), manifest))


def frames(hw: tuple[int, int], flat: bool = False) -> np.typing.NDArray[np.uint8]:
    """Noise, or a picture of few grey levels, where many neighbours are equal and every pooling has ties."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (3, *hw, 3), np.uint8)
    return noise // 128 * 200 if flat else noise


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("wiring", ["exact", "full"])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_fine_map_adds_up_to_the_margin(layer: str, wiring: vgg.Wiring, sign: int) -> None:
    hw = (48, 64)  # 48 halves to an odd 3 before the last pooling of the full wiring
    runtime = exported(randomised(wiring, True, sign, hw=hw), wiring, hw, layer)
    for images in (frames(hw), frames(hw, flat=True)):
        for prediction in runtime.predict(images, -math.inf):
            margin, fine = float(prediction.logits[1] - prediction.logits[0]), prediction.fine
            assert fine is not None
            assert cam.residual(fine.cam, runtime.head, margin - fine.bias) < 1e-4 * max(1, abs(margin))


@pytest.mark.parametrize("wiring", ["exact", "full"])
def test_the_fine_map_is_gradient_times_activation_and_the_activations_come_along(wiring: vgg.Wiring) -> None:
    """Against automatic differentiation, which shares no code with it."""
    hw, layer = (32, 64), "block3_conv4"
    model = randomised(wiring, False, seed=3)
    (prediction,) = exported(model, wiring, hw, layer).predict(frames(hw)[:1], -math.inf)
    assert prediction.fine is not None
    both = keras.Model(model.input, [model.get_layer(layer).output, model.output])
    with tf.GradientTape() as tape:
        image = tf.constant(frames(hw)[:1], tf.float32)
        tape.watch(image)
        activations, logits = both(image)
        margin = logits[0, 1] - logits[0, 0]
    product = np.asarray(tape.gradient(margin, activations) * activations)[0].sum(axis=-1)
    assert np.allclose(
        prediction.fine.cam, product * product.size, rtol=1e-3, atol=1e-4 * np.abs(product * product.size).max()
    )
    assert prediction.fine.activations is not None
    assert np.allclose(prediction.fine.activations, activations[0], rtol=1e-3, atol=1e-4)


def test_at_the_layer_the_pooling_reads_it_would_be_the_coarse_map() -> None:
    hw = (32, 64)
    runtime = exported(randomised("exact", True), "exact", hw, "block5_conv2")
    images = frames(hw)
    for prediction in runtime.predict(images, -math.inf):
        coarse, fine = cam.class_activation_map(prediction.activations, runtime.head), prediction.fine
        assert fine is not None
        assert fine.cam.shape == coarse.shape
        assert fine.cam.mean() + fine.bias == pytest.approx(coarse.mean(), rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_good_frame_does_not_pay_for_it(precision: str, tmp_path: Path) -> None:
    """By onnxruntime's own profile: below `explain_from` no node of the way back is executed, no integers are put in another order
    for it, and what depends on no frame is worked out once, while the file is loaded."""
    hw = (32, 64)
    plain = fold(randomised("exact", True), described(hw, 0.05, "exact"))
    graph = forward(plain) if precision == "fp32" else quantise(forward(plain), frames(hw), Scheme())
    file = with_manifest(explained(graph, plain, "block3_conv4"), tiny.manifest(input_hw=hw))
    for explain_from, walked_back in ((math.inf, False), (-math.inf, True)):
        options = ort.SessionOptions()
        options.enable_profiling, options.profile_file_prefix = True, str(tmp_path / "profile")
        session = ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        session.run(None, {"image": frames(hw), "explain_from": np.array([explain_from], np.float32)})
        events = json.loads(Path(session.end_profiling()).read_text())
        nodes = [event for event in events if event.get("cat") == "Node"]
        executed = {event["name"] for event in nodes}
        reordered = [event for event in nodes if event["args"].get("op_name") == "Transpose" and precision == "int8"]
        assert any(name.startswith("fine/Cast") for name in executed) == walked_back
        assert walked_back or len(reordered) <= 1  # where the integers become floats again
        assert not any(name.startswith("fine/once") for name in executed)


def test_frames_are_explained_from_the_margin_that_was_asked_for() -> None:
    hw = (32, 64)
    runtime = exported(randomised("exact", True), "exact", hw, "block3_conv4")
    (plain,) = runtime.predict(frames(hw)[:1])
    margin = float(plain.logits[1] - plain.logits[0])
    assert plain.fine is None
    assert runtime.predict(frames(hw)[:1], margin + 0.01)[0].fine is None
    assert runtime.predict(frames(hw)[:1], margin - 0.01)[0].fine is not None
