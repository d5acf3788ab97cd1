"""edge-detect itself: the pipeline of `inspect`, committed rows and all.

precision: fp32 or int8; with `-rejects` every frame is rejected, so that each gets its fine map and boxes; with `-whole` JPEGs are
decoded at their full size, as by the others; with `-openvino` the network runs under `--provider openvino`.
"""

import json
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from msgspec import structs

from benchmarks.peers.plain import margin
from benchmarks.peers.protocol import Images, Peer, serve
from edge_runtime.benchmark.hardware import available_cores
from edge_runtime.benchmark.profile import Profile
from edge_runtime.frames import FrameFile
from edge_runtime.inspector import Inspector
from edge_runtime.line.ledger import Ledger
from edge_runtime.line.pictures import Pictures
from edge_runtime.line.pipeline import Pipeline, Work
from edge_runtime.model import Model, available_providers


class Ours:
    def __init__(self, stem: Path, precision: str) -> None:
        self.setup = Profile.default(available_cores())
        precision, _, way = precision.partition("-")
        provider = "openvino" if way == "openvino" else "cpu"
        if provider not in available_providers():
            raise ImportError("no OpenVINO", name="onnxruntime-openvino")
        self.packages = ("edge-detect", "onnxruntime" if provider == "cpu" else "onnxruntime-openvino")
        model = Model.load(Path(f"{stem}-{precision}.onnx"), self.setup.threads, provider, spinning=self.setup.spinning)
        if way == "whole":
            model = replace(model, manifest=structs.replace(model.manifest, resize="stretch-area"))
        self.inspector = Inspector(model, 0.0 if way == "rejects" else None)

    def end_to_end(self, frames: Sequence[Path], pictures: Path | None) -> None:
        kinds = Pictures(("overlay",) if pictures else (), for_all=True)
        with (
            tempfile.TemporaryDirectory(dir=pictures) as out,
            Ledger(Path(out, "out"), self.inspector.identity) as ledger,
        ):
            work = (Work(FrameFile(path, f"{number:06}-{path.name}")) for number, path in enumerate(frames))
            for outcome in Pipeline(self.inspector, ledger, kinds, self.setup.jobs).run(work):
                assert outcome.row is not None and outcome.row["error"] is None, json.dumps(outcome.row)

    def network(self, images: Images) -> list[float]:
        with ThreadPoolExecutor(self.setup.jobs) as pool:
            return list(pool.map(lambda image: margin(self.inspector.model.predict(image[None])[0].logits), images))


def load(stem: Path, precision: str, keep: Path) -> Peer:
    del keep
    return Ours(stem, precision)


if __name__ == "__main__":
    serve(load)
