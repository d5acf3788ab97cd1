"""What a training starts from, as the command line asks for it."""

import shutil
from pathlib import Path

import pytest

from edge_runtime.benchmark.hardware import Hardware
from edge_runtime.errors import UsageError
from tests import tiny
from train import exported
from train.exported import BUNDLED_FILE, Exported
from train.start import Network, Start, choose

BUNDLED = Network("vgg19-slim", 0.25, "exact", batch_norm=False)
FAST = Hardware("A", ("AVX2", "BF16"), 2, None, "Linux x86_64")
SLOW = Hardware("A", ("AVX2",), 2, None, "Linux x86_64")


def test_defaults() -> None:
    assert choose("", None, None, None) == Start(Network("vgg19", 1.0, "exact", batch_norm=False), "imagenet")
    assert choose("none", None, None, None) == Start(Network("vgg19", 1.0, "exact", batch_norm=True), "none")
    scratch = choose("", "vgg19-slim", 0.5, None)
    assert scratch == Start(Network("vgg19-slim", 0.5, "exact", batch_norm=True), "none") and not scratch.published
    assert choose("", "vgg19-slim", None, "full").network == Network("vgg19-slim", 0.25, "full", batch_norm=True)
    assert choose("imagenet", "vgg19", None, "full").published


@pytest.mark.parametrize("weights", ["", "bundled", str(BUNDLED_FILE)])
def test_a_file_says_what_network_it_holds(weights: str) -> None:
    begun = choose(weights, None if weights else "vgg19-slim", None, None)
    assert begun.network == BUNDLED and begun.file == BUNDLED_FILE and not begun.published
    assert begun.weights.startswith("an exported model" if weights.endswith("onnx") else "the bundled model")


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        (("bundled", "vgg19", None, None), "--backbone vgg19"),
        (("bundled", None, 0.1, None), "--width 0.1"),
        (("bundled", None, None, "full"), "--wiring full"),
        (("imagenet", "vgg19-slim", None, None), "no published weights"),
        (("", "vgg19", 0.5, None), "--width 0.5"),
        (("nowhere.onnx", None, None, None), "no such file"),
        (("nowhere.keras", None, None, None), "no such file"),
        (("nowhere.h5", None, None, None), "no such file"),
        (("NOWHERE.ONNX", None, None, None), "no such file"),
        ((str(Path(__file__).parent), None, None, None), "model.keras: no such file"),
    ],
)
def test_what_does_not_fit_is_said(asked: tuple[str, None, None, None], word: str) -> None:
    with pytest.raises(UsageError, match=word):
        choose(*asked)


def test_a_wider_network_can_go_on_from_an_exported_one() -> None:
    begun = choose("bundled", None, 0.5, None)
    assert begun.network == Network("vgg19-slim", 0.5, "exact", batch_norm=False) and begun.file == BUNDLED_FILE
    assert (begun.learning_rate, begun.frozen_blocks) == (1e-4, 0)


def test_a_full_vgg19_goes_on_from_its_exported_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    described = tiny.manifest(backbone="vgg19", width=1.0)
    shutil.copy(BUNDLED_FILE, tmp_path / "part.onnx")
    bundled = exported.read(BUNDLED_FILE)
    found = Exported(described, bundled.convolutions, bundled.dense, bundled.logits)
    monkeypatch.setattr(exported, "read", lambda _: found)
    begun = choose(str(tmp_path / "part.onnx"), None, None, None)
    assert begun.network == Network("vgg19", 1.0, "exact", batch_norm=False)
    assert (begun.learning_rate, begun.frozen_blocks) == (1e-4, 1)


@pytest.mark.parametrize(
    ("weights", "backbone", "learning_rate", "head_epochs", "frozen_blocks", "precision"),
    [
        ("imagenet", None, 1e-4, 3, 3, "bfloat16"),
        ("bundled", None, 1e-4, 3, 1, "bfloat16"),
        ("none", "vgg19-slim", 1e-3, 0, 0, "float32"),
    ],
)
def test_the_recipe_follows_from_the_start(
    weights: str,
    backbone: None,
    learning_rate: float,
    head_epochs: int,
    frozen_blocks: int,
    precision: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    begun = choose(weights, backbone, None, None)
    assert (begun.learning_rate, begun.head_epochs, begun.frozen_blocks, begun.precision(FAST)) == (
        learning_rate,
        head_epochs,
        frozen_blocks,
        precision,
    )
    assert begun.precision(SLOW) == "float32"
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert begun.precision(FAST) == "float32"


def test_an_earlier_training_goes_on_as_it_was() -> None:
    plain = Start(Network("vgg19", 1.0, "exact", batch_norm=False), "an earlier training", Path("RUN/model.keras"))
    with_norms = Start(
        Network("vgg19-slim", 0.25, "exact", batch_norm=True), "an earlier training", Path("model.keras")
    )
    assert (plain.learning_rate, plain.frozen_blocks) == (1e-4, 1)
    assert (with_norms.learning_rate, with_norms.frozen_blocks) == (1e-3, 0)
