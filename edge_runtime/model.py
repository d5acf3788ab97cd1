"""One ONNX file, checked and ready to run."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from edge_runtime import onnx_file
from edge_runtime.benchmark.hardware import available_cores
from edge_runtime.errors import FrameError, ModelError, UsageError, first_line
from edge_runtime.head import Head
from edge_runtime.manifest import METADATA_KEY, Manifest, parse
from edge_runtime.mirrors import AXES, mean, mirrored
from edge_runtime.onnx_file import EXPORTED
from edge_runtime.onnx_forward import forward_only
from edge_runtime.results import Array, Fine, Image, Prediction
from edge_runtime.saturation import saturates

HEAD_OUTPUTS = ("dense_weights", "dense_bias", "output_weights", "output_bias")
FORWARD_OUTPUTS = ("logits", "block5_conv3")
PER_FRAME_OUTPUTS = (*FORWARD_OUTPUTS, "fine_cam", "fine_bias")
FOR_OUTLINES = "fine_activations"
"""Asked for only where boxes follow outlines; files of earlier versions lack it."""
MAX_BYTES = 1024**3
MAX_MANIFEST = 64 * 1024**2
PROVIDERS = {"cpu": "CPUExecutionProvider", "openvino": "OpenVINOExecutionProvider"}


@dataclass(frozen=True, slots=True)
class Model:
    """sha256: of the file's bytes, hex. head: the dense layers, folded. session: onnxruntime's own kernels, which explain and
    are what the golden frames were made with. forward: another engine's, for the frames that pass; None without one."""

    manifest: Manifest
    sha256: str
    head: Head
    session: ort.InferenceSession
    forward: ort.InferenceSession | None = None

    @classmethod
    def load(
        cls, path: Path, threads: int = 0, provider: str = "cpu", sha256: str = "", spinning: bool = True
    ) -> "Model":
        """Read, check and start a model file. threads: for each frame; 0 takes every core this process may use. provider: of PROVIDERS.
        sha256: hex, what the file must have; empty for any. spinning: whether its threads wait for work awake: quicker, at full load.

        The bytes that are hashed are the bytes that are run. Raises ModelError, UsageError for a file that can't be read and a provider
        that is not there.
        """
        try:
            if not path.is_file() and path.exists():
                raise ModelError(f"{path}: is no regular file; {EXPORTED}")
            size = path.stat().st_size
            if size > MAX_BYTES:
                raise ModelError(f"{path}: has {size:,} bytes; a model has at most {MAX_BYTES:,}")
            data = path.read_bytes()
        except OSError as err:
            raise UsageError(f"{path}: can't be read: {err.strerror}") from None  # a share may be away
        try:
            return cls.from_bytes(data, threads, provider, sha256, spinning)
        except ModelError as err:
            raise ModelError(f"{path}: {err}") from None

    @classmethod
    def from_bytes(
        cls, data: bytes, threads: int = 0, provider: str = "cpu", sha256: str = "", spinning: bool = True
    ) -> "Model":
        chosen = execution_provider(provider)
        found, sealed = onnx_file.fingerprint(data, sha256)
        operators = onnx_file.check(data)
        manifest = _read_manifest(data)
        if not sealed:
            raise ModelError("has no seal at its end: it was cut off, or changed after its export; export it again")
        seven_bits = manifest.quantisation is not None and manifest.quantisation.reduced_range
        cut_off = "QuantizeLinear" in operators and not seven_bits and saturates()
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads or available_cores()
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning)))
        options.add_session_config_entry(
            "session.load_model_format", "ONNX"
        )  # what was checked, whatever it looks like
        if cut_off:  # exact sums, for half a second of the start
            options.add_session_config_entry("session.x64quantprecision", "1")
        options.log_severity_level = 4  # what goes wrong is raised, and told once
        try:
            session = ort.InferenceSession(data, options, providers=[PROVIDERS["cpu"]])
        except Exception as err:  # onnxruntime raises a dozen unrelated classes for a bad file
            raise ModelError(f"is no ONNX model that can be run ({first_line(err)})") from None
        _check_interface(session, manifest)
        head, forward = _read_head(session, manifest), None
        if chosen != PROVIDERS["cpu"]:
            if cut_off:
                raise ModelError(
                    f"has 8-bit weights, with which {provider} computes wrong sums on this processor, as it has no VNNI; use "
                    "--provider cpu, or export the model with --reduce-range"
                )
            forward = _started(forward_only(data, FORWARD_OUTPUTS), chosen, options.intra_op_num_threads)
        return cls(manifest, found, head, session, forward)

    @property
    def input_hw(self) -> tuple[int, int]:
        return self.manifest.input_hw

    def predict(
        self, images: Image, explain_from: float = math.inf, alive: Callable[[], None] = lambda: None
    ) -> list[Prediction]:
        """images: (N, h, w, 3) uint8 BGR at input size. One Prediction per image, in order.

        explain_from: margin in logits; where one of the batch reaches it, all of the batch come with a fine map. alive:
        called after each mirror image. Raises FrameError.
        """
        all_axes = AXES[self.manifest.mirrors]
        if len(all_axes) == 1:
            return self._ask(images, explain_from)
        found = []
        for axes in all_axes:
            found.append(self._ask(mirrored(images, axes), explain_from))
            alive()
        margins = np.mean([[one.logits[1] - one.logits[0] for one in answers] for answers in found], axis=0)
        with_fine = bool((margins >= explain_from).any())
        if with_fine:
            for at, axes in enumerate(all_axes):
                if any(one.fine is None for one in found[at]):
                    found[at] = self._ask(mirrored(images, axes), -math.inf)
                    alive()
        return [mean(answers, all_axes, with_fine) for answers in zip(*found, strict=True)]

    def _ask(self, images: Image, explain_from: float) -> list[Prediction]:
        if self.forward is not None and explain_from > -math.inf:
            logits, activations = _answers(self.forward, FORWARD_OUTPUTS, {"image": images})
            if (logits[:, 1] - logits[:, 0] < explain_from).all():
                return [Prediction(one, cells) for one, cells in zip(logits, activations, strict=True)]
        feed = {"image": images, "explain_from": np.array([explain_from], np.float32)}
        logits, activations, *explained = _answers(self.session, _per_frame(self.manifest), feed)
        if {len(logits), len(activations)} != {len(images)} or {len(one) for one in explained} not in (
            {0},
            {len(images)},
        ):
            raise FrameError("gets answers for another number of frames from the model; export the model again")
        fine: list[Fine | None] = [
            Fine(map_, float(bias[0]), *below) for map_, bias, *below in zip(*explained, strict=True)
        ]
        if any(one and one.activations is not None and one.activations.shape[:-1] != one.cam.shape for one in fine):
            raise FrameError(
                "gets activations of another size than its fine map from the model; export the model again"
            )
        return [
            Prediction(one, cells, below)
            for one, cells, below in zip(logits, activations, fine or [None] * len(images), strict=True)
        ]


def _read_manifest(data: bytes) -> Manifest:
    text = onnx_file.metadata(data, METADATA_KEY, MAX_MANIFEST)
    if text is None:
        raise ModelError(
            "is an ONNX model, but was not exported by edge-detect: it has no manifest. Make one with python -m export"
        )
    return parse(text)


def _per_frame(manifest: Manifest) -> tuple[str, ...]:
    return (*PER_FRAME_OUTPUTS, FOR_OUTLINES) if manifest.calibration.boxes.outline else PER_FRAME_OUTPUTS


def _answers(session: ort.InferenceSession, outputs: Sequence[str], feed: dict[str, Any]) -> list[Array]:
    try:
        return [np.asarray(value) for value in session.run(outputs, feed)]
    except Exception as err:  # onnxruntime raises a dozen unrelated classes, also where memory runs out
        raise FrameError(f"makes the network fail ({first_line(err)})") from None


def _started(data: bytes, provider: str, threads: int) -> ort.InferenceSession:
    """Under OpenVINO, whose threads are in streams: as many streams as the cores hold, each of which works on a frame."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    streams = {"num_streams": str(max(1, available_cores() // threads))}
    try:
        return ort.InferenceSession(data, options, providers=[(provider, streams)])
    except Exception as err:  # as in from_bytes
        raise ModelError(f"can't be run by {provider} ({first_line(err)})") from None


def available_providers() -> list[str]:
    """Those of PROVIDERS that the installed onnxruntime has."""
    there = ort.get_available_providers()
    return [name for name, provider in PROVIDERS.items() if provider in there]


def execution_provider(name: str) -> str:
    """Raises UsageError for one that the installed onnxruntime lacks."""
    if name not in available_providers():
        raise UsageError(
            f"--provider {name}: not in the installed onnxruntime {ort.__version__}, which has "
            f"{', '.join(available_providers())}; docs/install.md says how to get others"
        )
    return PROVIDERS[name]


def _check_interface(session: ort.InferenceSession, manifest: Manifest) -> None:
    height, width = manifest.input_hw
    inputs = {node.name: (node.type, node.shape[1:]) for node in session.get_inputs()}
    if inputs != {"image": ("tensor(uint8)", [height, width, 3])}:
        raise ModelError(f"its inputs are {inputs}; expected one `image`, uint8 (N, {height}, {width}, 3)")
    if [node.name for node in session.get_overridable_initializers()] != ["explain_from"]:
        raise ModelError("it lacks the optional input `explain_from`")
    outputs = {node.name: node for node in session.get_outputs()}
    missing = {*HEAD_OUTPUTS, *_per_frame(manifest)} - outputs.keys()
    if missing:
        raise ModelError(f"it lacks the outputs {', '.join(sorted(missing))}")
    unknown = outputs.keys() - {*HEAD_OUTPUTS, *PER_FRAME_OUTPUTS, FOR_OUTLINES}
    if unknown:
        raise ModelError(f"it has outputs that no model of ours has: {', '.join(sorted(unknown))[:80]}")
    channels = outputs["block5_conv3"].shape[-1:]
    expected = {
        "logits": [2],
        "block5_conv3": [height // 16, width // 16, *channels],
        "fine_cam": list(manifest.fine_hw),
        "fine_bias": [1],
        **({FOR_OUTLINES: [*manifest.fine_hw, *outputs[FOR_OUTLINES].shape[-1:]]} if FOR_OUTLINES in outputs else {}),
        "dense_weights": [*channels, 1],
        "dense_bias": [1],
        "output_weights": [1, 2],
        "output_bias": [2],
    }
    for name, shape in expected.items():
        found = outputs[name].shape if name in HEAD_OUTPUTS else outputs[name].shape[1:]
        if found != shape or outputs[name].type != "tensor(float)":
            raise ModelError(f"its output `{name}` is {outputs[name].type} {found}; expected tensor(float) {shape}")


def _read_head(session: ort.InferenceSession, manifest: Manifest) -> Head:
    try:
        no_frame = np.zeros((0, *manifest.input_hw, 3), np.uint8)  # the network runs, but has nothing to do
        weights: list[Array] = [np.asarray(value) for value in session.run(HEAD_OUTPUTS, {"image": no_frame})]
    except Exception as err:  # as in predict
        raise ModelError(f"can't be run ({first_line(err)})") from None
    if not all(np.isfinite(value).all() for value in weights):
        raise ModelError("its dense weights are not all finite numbers; export it again")
    return Head.fold(*weights)
