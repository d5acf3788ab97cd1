"""Keras model -> ONNX bytes that keep the contract of docs/architecture.md."""

from typing import Any

import keras
import numpy as np
import onnx
import tensorflow as tf
import tf2onnx
from onnx import helper, numpy_helper

from edge_runtime.errors import UsageError, first_line
from edge_runtime.head import Head
from edge_runtime.manifest import METADATA_KEY, Manifest
from edge_runtime.model import HEAD_OUTPUTS
from edge_runtime.onnx_file import seal
from edge_runtime.stored import to_json
from export import fine, stem
from train import vgg
from train.run import Settings

OPSET = 17
"""At 18 GlobalAveragePool turns into ReduceMean, which onnxruntime's quantiser has no entry for."""


def load(path: Any, settings: Settings) -> keras.Model:
    """The trained model. Raises UsageError for a file that is none, or is not the one RUN/run.json speaks of."""
    try:
        model = keras.models.load_model(path, compile=False)
    except Exception as err:  # Keras raises whatever zip, JSON and HDF5 readers raise
        raise UsageError(f"{path}: is no Keras model that can be loaded ({first_line(err)})") from None
    expected = vgg.build(settings.input_hw, settings.width, settings.wiring, settings.batch_norm)
    if model.input_shape != expected.input_shape or shapes(model) != shapes(expected):
        raise UsageError(f"{path}: is a Keras model, but not the one that run.json beside it describes")
    return model


def shapes(model: keras.Model) -> list[tuple[str, list[tuple[int, ...]]]]:
    return [(layer.name, [tuple(weight.shape) for weight in layer.weights]) for layer in model.layers]


def head_weights(model: keras.Model) -> dict[str, Any]:
    """The dense layers' weights under the names they have in the file, float32."""
    values = [*model.get_layer("dense").get_weights(), *model.get_layer("logits").get_weights()]
    return {name: np.asarray(value, np.float32) for name, value in zip(HEAD_OUTPUTS, values, strict=True)}


def fold(model: keras.Model, settings: Settings) -> keras.Model:
    """The same function as a plain VGG19: every BatchNorm folded into its convolution, in float64."""
    plain = vgg.build(settings.input_hw, settings.width, settings.wiring, batch_norm=False)
    norms = {layer.name: layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)}
    for layer in plain.layers:
        trained = model.get_layer(layer.name) if layer.weights else None
        if trained is None:
            continue
        norm = norms.get(f"{layer.name}_bn")
        layer.set_weights(trained.get_weights() if norm is None else _folded(trained, norm))
    return plain


def _folded(convolution: keras.layers.Layer, norm: keras.layers.BatchNormalization) -> list[Any]:
    (kernel,) = convolution.get_weights()
    gamma, beta, mean, variance = (np.asarray(value, np.float64) for value in norm.get_weights())
    scale = gamma / np.sqrt(variance + norm.epsilon)
    return [(kernel * scale).astype(np.float32), (beta - mean * scale).astype(np.float32)]


def forward(plain: keras.Model) -> onnx.ModelProto:
    """A folded model -> what every frame needs: uint8 BGR frames in; logits and block5_conv3 out."""
    both = keras.Model(plain.input, {"logits": plain.output, vgg.TAP: vgg.tap(plain)})
    signature = [tf.TensorSpec((None, *plain.input_shape[1:]), tf.uint8, name="image")]

    def network(image: Any) -> Any:
        return both(tf.cast(image, tf.float32), training=False)

    traced = tf.function(network, input_signature=signature)
    converted = tf2onnx.convert.from_function(traced, input_signature=signature, opset=OPSET)
    proto: onnx.ModelProto = converted[0]
    names = [value.name for value in proto.graph.input]
    if names != ["image"]:
        raise RuntimeError(f"the converted graph has the inputs {names}; expected only `image`")
    for opset in [opset for opset in proto.opset_import if opset.domain]:
        proto.opset_import.remove(opset)  # tf2onnx declares ai.onnx.ml, which VGG19 has no use for
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    _restore_shapes(proto, plain)
    onnx.checker.check_model(proto, full_check=True)
    return proto


def explained(proto: onnx.ModelProto, plain: keras.Model, fine_layer: str) -> onnx.ModelProto:
    """The forward graph, in float or quantised, with the fine map and the dense weights as outputs; in place."""
    head = head_weights(plain)
    fine.add_fine_map(proto, Head.fold(**head), plain.input_shape[1:3], fine_layer)
    stem.quicken(proto)
    for name, weights in head.items():
        proto.graph.node.append(
            helper.make_node("Constant", [], [name], name=name, value=numpy_helper.from_array(weights, name))
        )
        proto.graph.output.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, weights.shape))
    onnx.checker.check_model(proto, full_check=True)
    return proto


def _restore_shapes(proto: onnx.ModelProto, plain: keras.Model) -> None:
    """tf2onnx leaves some output sizes open; the contract names them all but the batch."""
    sizes = {"logits": (2,), vgg.TAP: tuple(vgg.tap(plain).shape[1:])}
    for value in proto.graph.output:
        for dim, size in zip(value.type.tensor_type.shape.dim[1:], sizes[value.name], strict=True):
            dim.Clear()
            dim.dim_value = size


def with_manifest(proto: onnx.ModelProto, manifest: Manifest) -> bytes:
    del proto.metadata_props[:]
    proto.metadata_props.add(key=METADATA_KEY, value=to_json(manifest))
    return seal(proto.SerializeToString())
