"""How a contender, a process of its own, talks: a line of JSON for each thing it is asked. Only numpy, so that any environment will do."""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

Images = npt.NDArray[np.uint8]


class Peer(Protocol):
    """One way to inspect frames."""

    @property
    def packages(self) -> tuple[str, ...]:
        """Whose versions matter."""

    def end_to_end(self, frames: Sequence[Path], pictures: Path | None) -> None:
        """Verdict and box of every frame, and with `pictures` a picture of each in that folder."""

    def network(self, images: Images) -> list[float]:
        """images: (n, h, w, 3) uint8 BGR at input size; the network alone, on each. Margins in logits, in order."""


def serve(load: Callable[[Path, str, Path], Peer]) -> None:
    """load: of (models' folder and the stem of their names, precision, folder for what may be kept)."""
    parser = argparse.ArgumentParser()
    parser.add_argument("stem", type=Path)
    parser.add_argument("precision")
    parser.add_argument("keep", type=Path)
    asked = parser.parse_args()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # frameworks chat on standard output
    try:
        peer = load(asked.stem, asked.precision, asked.keep)
    except ImportError as err:
        print(json.dumps({"missing": err.name}), file=answers)
        return
    with np.load(f"{asked.stem}.npz") as arrays:
        images = arrays["images"]
    print(json.dumps({"versions": {name: version(name) for name in peer.packages}}), file=answers)
    for line in sys.stdin:
        print(json.dumps(_answer(peer, json.loads(line), images)), file=answers)


def _answer(peer: Peer, request: dict[str, object], images: Images) -> dict[str, object]:
    """Seconds for what is asked: {"frames": [...], "pictures": bool}, or {"network": how many} with the margins of the first."""
    if "network" in request:
        some = np.resize(images, (int(str(request["network"])), *images.shape[1:]))
        started = time.perf_counter()
        margins = peer.network(some)
        return {"seconds": time.perf_counter() - started, "margins": margins[: len(images)]}
    frames = [Path(str(frame)) for frame in request["frames"]]  # type: ignore[attr-defined]
    folder = Path(tempfile.mkdtemp(prefix="edge-detect-peer-"))
    try:
        started = time.perf_counter()
        peer.end_to_end(frames, folder if request["pictures"] else None)
        return {"seconds": time.perf_counter() - started}
    finally:
        shutil.rmtree(folder)
