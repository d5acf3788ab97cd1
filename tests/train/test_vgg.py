from pathlib import Path

import h5py
import keras
import msgspec
import numpy as np
import pytest

from edge_runtime import cam
from edge_runtime.errors import UsageError
from edge_runtime.head import Head
from edge_runtime.manifest import Quantisation
from edge_runtime.onnx_file import seal
from export.convert import fold, head_weights, with_manifest
from export.parity import ask_file, ask_keras
from tests import tiny
from tests.export.runs import described, graph
from train import exported, vgg, weights
from train.place import with_cells

HW = (32, 64)
IMAGES = np.random.default_rng(0).integers(0, 256, (3, *HW, 3), np.uint8)


def randomised(
    wiring: vgg.Wiring, batch_norm: bool, sign: int = 1, seed: int = 0, hw: tuple[int, int] = HW
) -> keras.Model:
    """A slim net with random weights and statistics, as if trained, and a head whose v1 - v0 has the given sign."""
    keras.utils.set_random_seed(seed)
    model = vgg.build(hw, 0.05, wiring, batch_norm)
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
    v0 = rng.normal()
    model.get_layer("dense").set_weights(
        [rng.normal(size=weight.shape) for weight in model.get_layer("dense").get_weights()]
    )
    model.get_layer("logits").set_weights([np.array([[v0, v0 + sign * rng.uniform(0.5, 2)]]), rng.normal(size=2)])
    return model


def test_the_layers_are_those_of_vgg19() -> None:
    published = keras.applications.VGG19(include_top=False, weights=None, input_shape=(*HW, 3))
    ours = vgg.build(HW, 1.0, "full", batch_norm=False)
    expected = {layer.name: [weight.shape for weight in layer.weights] for layer in published.layers if layer.weights}
    found = {layer.name: [weight.shape for weight in layer.weights] for layer in ours.layers if layer.weights}
    assert {name: shapes for name, shapes in found.items() if name.startswith("block")} == expected
    assert [tuple(shape) for shape in found["dense"] + found["logits"]] == [(512, 1), (1,), (1, 2), (2,)]


def test_the_exact_wiring_ends_at_the_layer_the_map_is_made_of() -> None:
    exact, full = (vgg.build(HW, 0.25, wiring, batch_norm=True) for wiring in ("exact", "full"))
    assert exact.get_layer("pool").input is vgg.tap(exact)
    assert full.get_layer("pool").input is full.get_layer("block5_pool").output
    assert tuple(vgg.tap(exact).shape) == tuple(vgg.tap(full).shape) == (None, 2, 4, 128)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_map_is_the_margin_in_keras_in_onnx_and_in_the_runtime(sign: int, batch_norm: bool, seed: int) -> None:
    from edge_runtime.model import Model

    model = randomised("exact", batch_norm, sign, seed)
    head = Head.fold(**head_weights(model))
    assert np.sign(head.direction).tolist() == np.sign(sign * model.get_layer("dense").get_weights()[0][:, 0]).tolist()
    keras_says = ask_keras(model, IMAGES, batch=3)
    run = described(HW, width=0.05, wiring="exact")
    runtime = Model.from_bytes(with_manifest(graph(fold(model, run), "block3_conv4"), tiny.manifest(input_hw=HW)))
    onnx_says = ask_file(runtime, IMAGES, batch=1)
    for says, used in ((keras_says, head), (onnx_says, runtime.head)):
        for map_, margin in zip(says.cams, says.margins, strict=True):
            assert cam.residual(map_, used, float(margin)) < 1e-4 * max(1, abs(float(margin)))
    assert np.allclose(keras_says.cams, onnx_says.cams, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("wiring", ["exact", "full"])
def test_the_cells_are_the_margin_spread_over_the_picture(wiring: vgg.Wiring) -> None:
    model = randomised(wiring, True)
    answers = with_cells(model).predict_on_batch(IMAGES.astype(np.float32))
    logits, offset = np.asarray(answers["logits"]), Head.fold(**head_weights(model)).offset
    found = np.asarray(answers["cells"]).mean(axis=(1, 2)) + offset
    assert np.allclose(found, logits[:, 1] - logits[:, 0], rtol=1e-4, atol=1e-4)


def published_file(path: Path, wrong: str = "", scale: float = 1.0) -> dict[str, list[np.typing.NDArray[np.float32]]]:
    """A weights file in the layout of the one Keras publishes, with random numbers; returns them by layer."""
    rng = np.random.default_rng(5)
    layers = {"input_1": []} | {
        layer.name: [rng.normal(0, scale, weight.shape).astype(np.float32) for weight in layer.weights]
        for layer in keras.applications.VGG19(include_top=False, weights=None).layers[1:]
    }
    if wrong == "shape":
        layers["block3_conv2"][0] = layers["block3_conv2"][0][..., :7]
    if wrong == "layers":
        del layers["block4_conv1"]
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in layers]
        file.attrs["backend"], file.attrs["keras_version"] = b"tensorflow", b"1.2.2"
        for name, weights in layers.items():
            group = file.create_group(name)
            labels = [f"{name}_{kind}_1:0" for kind in ("W", "b")][: len(weights)]
            group.attrs["weight_names"] = [label.encode() for label in labels]
            for label, weight in zip(labels, weights, strict=True):
                group[label] = weight
    return layers


def test_the_weights_file_that_keras_publishes_is_read(tmp_path: Path) -> None:
    stored = published_file(tmp_path / "notop.h5")
    model = vgg.build(HW, 1.0, "exact", batch_norm=False)
    weights.load_backbone_weights(model, str(tmp_path / "notop.h5"))
    for name in ("block1_conv1", "block3_conv4", "block5_conv3"):
        assert all(
            np.array_equal(ours, theirs)
            for ours, theirs in zip(model.get_layer(name).get_weights(), stored[name], strict=True)
        )


@pytest.mark.parametrize("wrong", ["shape", "layers", "text", "missing"])
def test_another_file_is_refused_with_what_was_expected(wrong: str, tmp_path: Path) -> None:
    path = tmp_path / "notop.h5"
    if wrong in ("shape", "layers"):
        published_file(path, wrong)
    elif wrong == "text":
        path.write_text("hello")
    with pytest.raises(UsageError, match=r"expected the layout of vgg19_weights_tf_dim_ordering_tf_kernels_notop\.h5"):
        weights.load_backbone_weights(vgg.build(HW, 1.0, "exact", batch_norm=False), str(path))


def test_without_internet_the_imagenet_weights_are_asked_for_as_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise OSError("URL fetch failure: name or service not known")

    monkeypatch.setattr("keras.src.applications.vgg19.file_utils.get_file", offline)
    with pytest.raises(UsageError, match="pass the file with --weights FILE"):
        weights.load_backbone_weights(vgg.build(HW, 1.0, "exact", batch_norm=False), "imagenet")


def test_a_training_goes_on_from_an_earlier_one_of_the_same_shape(tmp_path: Path) -> None:
    earlier = randomised("exact", True, seed=4)
    earlier.save(tmp_path / "model.keras")
    model = vgg.build(HW, 0.05, "exact", batch_norm=True)
    weights.load_earlier(model, tmp_path / "model.keras")
    assert all(
        np.array_equal(ours, theirs) for ours, theirs in zip(model.get_weights(), earlier.get_weights(), strict=True)
    )
    for other in (vgg.build(HW, 0.1, "exact", batch_norm=True), vgg.build(HW, 0.05, "full", batch_norm=True)):
        with pytest.raises(UsageError, match="same backbone, width and wiring"):
            weights.load_earlier(other, tmp_path / "model.keras")


@pytest.mark.parametrize("wiring", ["exact", "full"])
@pytest.mark.parametrize("width", [0.05, 0.08])
def test_a_training_goes_on_from_an_exported_file_and_first_answers_as_it_does(
    wiring: vgg.Wiring, width: float, tmp_path: Path
) -> None:
    trained = randomised(wiring, True, seed=5)
    proto = graph(fold(trained, described(HW, width=0.05, wiring=wiring)), "block3_conv4")
    says = {"wiring": wiring, "explanation": "exact" if wiring == "exact" else "approximate"}
    file = tmp_path / "part.onnx"
    file.write_bytes(with_manifest(proto, tiny.manifest(input_hw=HW, **says)))
    model = vgg.build(HW, width, wiring, batch_norm=False)
    weights.load_exported(model, exported.read(file))
    frames = IMAGES.astype(np.float32)
    assert np.allclose(model(frames, training=True), trained.predict(frames, verbose=0), rtol=1e-4, atol=1e-4)
    seen = np.asarray(keras.Model(model.input, vgg.tap(model))(frames))
    known = round(512 * 0.05)
    assert seen[..., :known].any() and seen[..., known:].any() == (width > 0.05)  # what is new sees something, too


def test_in_bfloat16_the_same_weights_answer_nearly_alike() -> None:
    plain = randomised("exact", False, seed=6)
    half = vgg.build(HW, 0.05, "exact", batch_norm=False, precision="bfloat16")
    half.set_weights(plain.get_weights())
    frames = IMAGES.astype(np.float32)
    answers, expected = half.predict(frames, verbose=0), plain.predict(frames, verbose=0)
    assert answers.dtype == np.float32 and not np.array_equal(answers, expected)
    assert np.abs(answers - expected).max() < 0.05 * np.ptp(expected)


def test_a_file_that_training_can_not_go_on_from_is_refused_in_words(tmp_path: Path) -> None:
    whole, costs = tiny.model(), dict.fromkeys(Quantisation.__struct_fields__, 0) | {"scheme": "minmax"}
    bad = {
        "other layers": whole,
        "No such file": None,
        "is damaged": whole[:1000] + b"x" + whole[1001:],
        "was not exported by edge-detect": whole[: -len(seal(b""))],
        "INT8 file": tiny.model(tiny.manifest(precision="int8", quantisation=msgspec.convert(costs, Quantisation))),
    }
    for words, data in bad.items():
        file = tmp_path / "part.onnx"
        file.unlink(missing_ok=True)
        if data is not None:
            file.write_bytes(data)
        with pytest.raises(UsageError, match=words):
            exported.read(file)
