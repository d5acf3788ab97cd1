"""What a training starts from: nothing, weights that others published, or a network that is there already."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from edge_runtime.benchmark.hardware import Hardware
from edge_runtime.errors import UsageError
from train import exported, run
from train.data import file_sha256
from train.recipe import Precision

Backbone = Literal["vgg19", "vgg19-slim"]
Wiring = Literal["exact", "full"]
SCRATCH_WIDTH = 0.25


@dataclass(frozen=True, slots=True)
class Network:
    """batch_norm: VGG19's own weights know none, export folds it away, and without it steps take half the time; from scratch,
    nothing is learned without."""

    backbone: Backbone
    width: float
    wiring: Wiring
    batch_norm: bool

    def __str__(self) -> str:
        return f"a {self.backbone} of width {self.width:g}, wiring {self.wiring}"


@dataclass(frozen=True, slots=True)
class Start:
    """weights: as RUN/settings.json says it. file: to go on from, a model.keras or an exported file; None where there is none.
    wider: than the network in the file."""

    network: Network
    weights: str
    file: Path | None = None
    wider: bool = False

    @property
    def published(self) -> bool:
        return self.file is None and self.weights != "none"

    @property
    def learning_rate(self) -> float:
        """The peak rate, where none is given. At 1e-3 a network without BatchNorm soon answers all frames alike; docs/experiments.md."""
        return 1e-3 if self.network.batch_norm else 1e-4

    @property
    def head_epochs(self) -> int:
        """How many epochs the dense layers learn alone, where it is not said: they know nothing yet, or other frames; docs/experiments.md."""
        return 0 if self.network.batch_norm else 3

    @property
    def frozen_blocks(self) -> int:
        """How many blocks keep their weights, where it is not said. The first one alone takes a quarter of a step's time."""
        return 3 if self.published else 0 if self.network.batch_norm or self.wider else 1

    def precision(self, hardware: Hardware) -> Precision:
        """What to compute in, where it is not said. With BatchNorm, which stays in float32, a third is gained instead of more than
        half, and nobody has measured what a training from scratch makes of it."""
        fast = os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow" and "BF16" in (hardware.features or ())
        return "bfloat16" if fast and not self.network.batch_norm else "float32"


def choose(weights: str, backbone: Backbone | None, width: float | None, wiring: Wiring | None) -> Start:
    """What --weights, --backbone, --width and --wiring come to; empty or None where they were not given. Raises UsageError."""
    if not weights:
        slim = backbone == "vgg19-slim"
        weights = "imagenet" if not slim else exported.BUNDLED if width is None and wiring != "full" else "none"
    origin, file = _earlier(weights)
    if file is None:
        return Start(_new(weights, backbone or "vgg19", width, wiring or "exact"), weights)
    if not file.is_file():
        raise UsageError(
            f"--weights {file}: no such file; expected the RUN/model.keras or the exported file of an earlier training"
        )
    is_exported = file.suffix.lower() == ".onnx"
    found = _exported(file) if is_exported else _trained(file)
    wider = is_exported and found.backbone == "vgg19-slim" and width is not None and width > found.width
    for option, asked, has in (
        ("--backbone", backbone, found.backbone),
        ("--width", None if wider else width, found.width),
        ("--wiring", wiring, found.wiring),
    ):
        if asked not in (None, has):
            raise UsageError(
                f"--weights {weights}: holds {found}, not what {option} {asked} asks for; leave that out, or train with --weights none"
            )
    network = replace(found, width=width) if wider and width else found
    return Start(network, f"{origin}, sha256 {file_sha256(file)}", file, wider)


def _earlier(weights: str) -> tuple[str, Path | None]:
    if weights == exported.BUNDLED:
        return "the bundled model", exported.BUNDLED_FILE
    file = Path(weights)
    if file.is_dir() and weights not in ("imagenet", "none"):
        file /= run.MODEL
    if file.suffix.lower() == ".onnx":
        return "an exported model", file
    return "an earlier training", file if file.suffix.lower() == ".keras" else None


def _new(weights: str, backbone: Backbone, width: float | None, wiring: Wiring) -> Network:
    if weights not in ("imagenet", "none") and not Path(weights).is_file():
        raise UsageError(
            f"--weights {weights}: no such file; expected imagenet, none, bundled, a notop weights file of Keras (.h5), the "
            "RUN/model.keras of an earlier training, or an exported file (.onnx)"
        )
    if weights not in ("imagenet", "none") and Path(weights).suffix.lower() not in (".h5", ".hdf5"):
        raise UsageError(
            f"--weights {weights}: is no weights file; expected imagenet, none, bundled, a notop weights file of Keras (.h5), the "
            "RUN/model.keras of an earlier training, or an exported file (.onnx)"
        )
    if backbone == "vgg19-slim" and weights != "none":
        raise UsageError(
            f"--weights {weights}: vgg19-slim has no published weights; train it with --weights bundled, none, or a file of an "
            "earlier training, or use --backbone vgg19"
        )
    if backbone == "vgg19" and width not in (None, 1.0):
        raise UsageError(f"--width {width:g}: vgg19 is full width; --backbone vgg19-slim is what has others")
    width = (width or SCRATCH_WIDTH) if backbone == "vgg19-slim" else 1.0
    return Network(backbone, width, wiring, batch_norm=weights == "none")


def _trained(file: Path) -> Network:
    settings = run.read(file.parent)[0].settings
    return Network(settings.backbone, settings.width, settings.wiring, settings.batch_norm)


def _exported(file: Path) -> Network:
    found = exported.read(file).manifest
    width = 1.0 if found.backbone == "vgg19" else found.width
    return Network(found.backbone, width, found.wiring, batch_norm=False)
