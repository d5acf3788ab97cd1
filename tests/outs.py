"""Output folders as `inspect` and `watch` leave them, made through the ledger itself, without a network to run."""

import json
import sqlite3
from pathlib import Path

import cv2
import numpy as np

from edge_runtime.line.ledger import Ledger
from edge_runtime.line.record import LEDGER
from edge_runtime.results import Account, Box, Defect, Inspection, Proof, Verdict, Without

MODEL = "ab" * 32
IDENTITY = {"model": MODEL, "threshold": "0.5", "folder of frames": "/data/line-4"}
HOSTILE = (
    "<img src=x onerror=alert(1)>.jpg",
    "</script><script>alert(1)</script>.jpg",
    '"><b onmouseover=alert(1)>.jpg',
    "' onfocus='alert(1)' autofocus '.jpg",
    "=cmd|' /C calc'!A0.jpg",
    "a\n=HYPERLINK(1).jpg",
    "a\r=HYPERLINK(2).jpg",
    "+1+1.jpg",
    "-2+3.jpg",
    "@SUM(A1).jpg",
    "\tTab.jpg",
    "two\nlines, and a comma.jpg",
    "{{ 7 * 7 }}{% raw %}.jpg",
    "javascript:alert(1)//.jpg",
    "ünï ✓ 100%?#&.jpg",
)
STAGES = {"read": 1.0, "decode": 2.0, "prepare": 0.5, "infer": 20.0, "explain": 0.25, "write": 4.0}


def good(name: str, score: float = 0.1, sha256: str = "c" * 64) -> Inspection:
    return Inspection(
        *(name, sha256, (640, 480), Verdict.GOOD),
        score=score,
        margin=-2.0,
        threshold=0.5,
        residual=1e-6,
        elapsed_ms=STAGES,
    )


def reject(name: str, score: float = 0.9, proved: bool | None = None, sha256: str = "d" * 64) -> Inspection:
    """Two boxes. proved: whether it passes without them."""
    boxes = Box(100, 50, 140, 110), Box(0, 0, 640, 48)
    defects = tuple(Defect(box, share, 2.0, 3.0, "fine") for box, share in zip(boxes, (0.62, 0.2), strict=True))
    one = Without(-1.0, bool(proved), False)
    return Inspection(
        *(name, sha256, (640, 480), Verdict.ANOMALY),
        score=score,
        margin=3.0,
        threshold=0.5,
        defects=defects,
        residual=1e-6,
        account=Account(2.0, 0.5, 0.5, 0.0),
        proof=None if proved is None else Proof((one, one), one, Without(2.0, False, False)),
        elapsed_ms=STAGES,
    )


def error(name: str, reason: str = "is empty (0 bytes)") -> Inspection:
    return Inspection(name, None, None, Verdict.ERROR, elapsed_ms={"read": 0.1}, error=f"{name} {reason}")


def skipped(name: str) -> Inspection:
    return Inspection(name, None, None, Verdict.SKIPPED, error=f"{name} waited 12.5 s")


def make(out: Path, *inspections: Inspection, camera: str | None = None, pictures: bool = False) -> Path:
    """Commit them; with pictures, those of rejects stand where `inspect` puts them."""
    with Ledger(out, IDENTITY) as ledger:
        for number, inspection in enumerate(inspections):
            kinds: dict[str, str] = {}
            if pictures and inspection.verdict is Verdict.ANOMALY:
                kinds = {"overlay": f"overlay/{number}, 100%.jpg"}
                write_picture(out / kinds["overlay"], number)
            ledger.commit(inspection, camera, kinds)
    return out


def write_picture(path: Path, seed: int) -> None:
    """640 x 514 pixels that look like no other's."""
    noise = np.random.default_rng(seed).integers(0, 256, (32, 40, 3), np.uint8)
    _, data = cv2.imencode(".jpg", cv2.resize(noise, (640, 514)))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.tobytes())


def set_times(out: Path, times: list[str]) -> None:
    """As if the rows had been committed then."""
    with sqlite3.connect(out / LEDGER) as db:
        for number, at in enumerate(times, 1):
            (text,) = db.execute("SELECT row FROM inspections WHERE id = ?", (number,)).fetchone()
            row = json.dumps({**json.loads(text), "inspected_at": at})
            db.execute("UPDATE inspections SET row = ?, inspected_at = ? WHERE id = ?", (row, at, number))
    db.close()
