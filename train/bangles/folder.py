"""Write frames, masks and truth to a folder."""

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from train.bangles.fields import HEIGHT, WIDTH, Array
from train.bangles.picture import Defect, Picture, render, render_untouched

JPEG_QUALITY = 92

Truth = dict[str, Any]


def generate(out: Path, good: int, anomaly: int, seed: int, pairs: bool = False) -> None:
    """Write `good` + `anomaly` frames, masks and truth.json to `out`, which must be new or empty.

    pairs: good frame n is anomaly n before it was damaged, to the last speck of dust.

    Raises FileExistsError if `out` holds anything, NotADirectoryError if it is a file, ValueError for a
    negative number.
    """
    if min(good, anomaly, seed) < 0:
        raise ValueError("the counts and the seed must not be negative")
    if out.exists() and not out.is_dir():
        raise NotADirectoryError(f"{out} is not a folder")
    if out.exists() and any(out.iterdir()):
        raise FileExistsError(f"{out} is there already and not empty; name a new folder")
    for name in ("good", "anomaly", "masks"):
        (out / name).mkdir(parents=True, exist_ok=True)
    jobs = [(out, seed, i, False, pairs) for i in range(good)] + [(out, seed, i, True, pairs) for i in range(anomaly)]
    truth: dict[str, Truth] = {}
    # Threads will do: nearly all the work is numpy's and OpenCV's, which let go of the interpreter.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done, entry in enumerate(pool.map(_write, jobs), start=1):
            truth |= entry
            _report(done, len(jobs))
    (out / "truth.json").write_text(json.dumps(truth, separators=(",", ":")))


def _report(done: int, total: int) -> None:
    """Progress for somebody who looks on; a log file gets nothing."""
    if sys.stderr.isatty():
        print(f"\r{done}/{total} frames", end="\n" if done == total else "", file=sys.stderr, flush=True)


def _write(job: tuple[Path, int, int, bool, bool]) -> dict[str, Truth]:
    """Write one frame; returns its truth entry, none for a good frame."""
    out, seed, index, anomaly, pairs = job
    picture = Picture(render_untouched(seed, index), ()) if pairs and not anomaly else render(seed, index, anomaly)
    kind = "anomaly" if anomaly else "good"
    name = f"{kind}/{kind}_{index:05d}.jpg"
    _save(out / name, picture.image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not anomaly:
        return {}
    union = np.any([d.mask for d in picture.defects], axis=0)
    _save(out / "masks" / f"{kind}_{index:05d}.png", union.astype(np.uint8) * 255, [])
    return {name: _truth(picture.defects)}


def _save(path: Path, image: Array, options: list[int]) -> None:
    # Not cv2.imwrite: it answers False instead of saying what went wrong.
    ok, data = cv2.imencode(path.suffix, image, options)
    if not ok:
        raise OSError(f"{path}: could not be encoded")
    path.write_bytes(data.tobytes())


def _truth(defects: tuple[Defect, ...]) -> Truth:
    return {
        "size_wh": [WIDTH, HEIGHT],
        "boxes_xyxy": [[float(side) for side in d.box] for d in defects],
        "polygons": [_polygon(d.mask) for d in defects],
        "kinds": [d.kind for d in defects],
    }


def _polygon(mask: Array) -> list[list[float]]:
    """Outline of a mask as [[x, y], ...] px; the hull if the mask is in several pieces."""
    pieces, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    outline = pieces[0] if len(pieces) == 1 else cv2.convexHull(np.concatenate(pieces))
    return [[float(x), float(y)] for x, y in outline.reshape(-1, 2)]
