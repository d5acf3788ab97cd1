"""A straightforward script around onnxruntime, as its documentation shows. precision: fp32 or int8."""

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.plain import Head, Script
from benchmarks.peers.protocol import Images, Peer, serve


def load(stem: Path, precision: str, keep: Path) -> Peer:
    del keep
    import onnxruntime

    session = onnxruntime.InferenceSession(f"{stem}-{precision}-forward.onnx")

    def ask(image: Images) -> tuple[Any, Any]:
        logits, activations = session.run(["logits", "block5_conv3"], {"image": image[np.newaxis]})
        return logits[0], activations[0]

    return Script(("onnxruntime",), Head.load(stem), ask)


if __name__ == "__main__":
    serve(load)
