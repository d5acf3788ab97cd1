"""The way this method is usually run: imread, Keras, NumPy, imwrite. precision: `predict`, or `function` for a tf.function."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.plain import Head, Script
from benchmarks.peers.protocol import Images, Peer, serve


def load(stem: Path, precision: str, keep: Path) -> Peer:
    del keep
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras
    import tensorflow as tf

    model = keras.models.load_model(f"{stem}.keras", compile=False)
    both = keras.Model(model.input, [model.output, model.get_layer("block5_conv3").output])
    traced = tf.function(lambda images: both(images, training=False), reduce_retracing=True)

    def ask(image: Images) -> tuple[Any, Any]:
        images = image[np.newaxis].astype(np.float32)
        logits, activations = both.predict(images, verbose=0) if precision == "predict" else traced(images)
        return np.asarray(logits)[0], np.asarray(activations)[0]

    return Script(("tensorflow", "keras"), Head.load(stem), ask)


if __name__ == "__main__":
    serve(load)
