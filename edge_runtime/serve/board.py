"""What the operator screen shows of the running inspection. In memory, bounded, and safe to use from several threads."""

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from edge_runtime.line.events import Status
from edge_runtime.line.record import Row
from edge_runtime.serve.tally import Histogram, Rate
from edge_runtime.views import PICTURES

MAX_THUMBS = 24
MAX_BOXES = 50


@dataclass(slots=True)
class Camera:
    """The last of one camera. key: stands for it in addresses, as its name may hold anything. Times are of time.monotonic(), but
    for `last`, seconds since 1970, 0 where there was none yet."""

    key: int
    row: Row | None = None
    at: float = 0.0
    last: float = 0.0
    reject: Row | None = None
    rejected_at: float = 0.0
    jpeg: bytes = b""
    pictured: Row | None = None
    pictures: int = 0


class Board:
    """Fed by the supervisor's thread, read by the server's. No method waits for anything but a short lock."""

    def __init__(self, out: Path, product: str = "") -> None:
        self.out, self.product, self.model_sha256 = out, product, ""
        self.version = 0
        self._lock = threading.Lock()
        self._rate = Rate(time.monotonic())
        self._cameras: dict[str, Camera] = {}
        self._keys = count(1)
        self._thumbs: OrderedDict[int, bytes] = OrderedDict()
        self._frames: Counter[tuple[str, str]] = Counter()
        self._stages: dict[str, Histogram] = {}
        self._status = Status(0, 0, 0, 0, 0, 0.0)
        self._worker, self._reason = "starting", ""
        self._restarts = 0

    def ready(self, product: str, model_sha256: str, cameras: Sequence[str]) -> None:
        """What is inspected. cameras: all that are watched, so that one which has been silent from the start is missed."""
        with self._lock:
            self.product, self.model_sha256 = product or self.product, model_sha256 or self.model_sha256
            for name in cameras:
                self._camera(name)
                for verdict in ("good", "anomaly", "error"):
                    self._frames[name, verdict] += 0
            self.version += 1

    def done(self, row: Row) -> None:
        """A frame has got its row."""
        now = time.monotonic()
        with self._lock:
            camera = self._camera(name_of(row))
            camera.row, camera.at, camera.last = brief(row), now, time.time()
            if row["verdict"] == "anomaly":
                camera.reject, camera.rejected_at = camera.row, now
            self._rate.add(now)
            self._frames[name_of(row), row["verdict"]] += 1
            for stage, ms in row["elapsed_ms"].items():
                self._stages.setdefault(stage, Histogram()).add(ms)
            self.version += 1

    def status(self, status: Status) -> None:
        with self._lock:
            self._status = status
            for name in (*status.away, *status.not_whole):
                self._camera(name)
            self.version += 1

    def preview(self, row: Row, jpeg: bytes) -> None:
        """A small picture of a camera's newest frame."""
        with self._lock:
            camera = self._camera(name_of(row))
            camera.jpeg, camera.pictured = jpeg, {"id": row["id"], "verdict": row["verdict"], "frame": row["frame"]}
            camera.pictures += 1
            if row["verdict"] == "anomaly":
                self._thumbs[row["id"]] = jpeg
                if len(self._thumbs) > MAX_THUMBS:
                    self._thumbs.popitem(last=False)
            self.version += 1

    def health(self, worker: str) -> None:
        """worker: starting, running, restarting, or `failed: reason`."""
        state, _, reason = worker.partition(":")
        with self._lock:
            self._worker, self._reason = state.strip(), reason.strip()
            self._restarts += self._worker == "restarting"
            self.version += 1

    def changed(self) -> None:
        """Something beside the board has changed, a mark for instance: everybody is to look again."""
        with self._lock:
            self.version += 1

    def trouble(self) -> str | None:
        """Why nothing is inspected, or None while it is."""
        with self._lock:
            if self._worker != "failed":
                return None
            return "the inspection has failed" + (f": {self._reason}" if self._reason else "")

    def picture(self, key: int) -> bytes | None:
        """JPEG of a camera's last preview."""
        with self._lock:
            return next((camera.jpeg for camera in self._cameras.values() if camera.key == key and camera.jpeg), None)

    def thumb(self, number: int) -> bytes | None:
        """JPEG of a recent reject."""
        with self._lock:
            return self._thumbs.get(number)

    def view(self) -> dict[str, Any]:
        """Everything as JSON types. Ages in seconds, so that it does not matter whether clocks agree."""
        now = time.monotonic()
        with self._lock:
            return {
                "product": self.product,
                "trouble": _without(self._status.unsearched),
                "model": self.model_sha256,
                "worker": {"state": self._worker, "reason": self._reason, "restarts": self._restarts},
                "status": {"pending": self._status.pending, "lag_s": self._status.lag_s, "seen": self._status.seen},
                "per_second": round(self._rate.per_second(now), 2),
                "cameras": [
                    _seen(name, camera, now)
                    | {"away": self._status.away.get(name), "not_whole_s": self._status.not_whole.get(name, 0.0)}
                    for name, camera in sorted(self._cameras.items())
                ],
            }

    def figures(self) -> dict[str, Any]:
        """What /metrics says. frames: (camera, verdict) -> rows since the start."""
        with self._lock:
            return {
                "frames": dict(self._frames),
                "stages": {stage: (kept.cumulative(), kept.sum_ms) for stage, kept in self._stages.items()},
                "pending": self._status.pending,
                "lag_s": max([self._status.lag_s, *self._status.not_whole.values()]),
                "restarts": self._restarts,
                "up": self._worker == "running",
                "last": {name: camera.last for name, camera in self._cameras.items()},
                "unsearched": len(self._status.unsearched),
            }

    def _camera(self, name: str) -> Camera:
        return self._cameras.get(name) or self._cameras.setdefault(name, Camera(next(self._keys)))


def name_of(row: Row) -> str:
    return row["camera"] or ""


def brief(row: Row) -> Row:
    """The part of a row that the live page shows."""
    kept = ("id", "frame", "camera", "verdict", "score", "margin", "threshold", "size_wh", "error", "inspected_at")
    return {
        **{key: row[key] for key in kept},
        "defects": [
            {"box_xyxy": defect["box_xyxy"], "contribution": defect["contribution"]}
            for defect in row["defects"][:MAX_BOXES]
        ],
        "pictures": [kind for kind in PICTURES if kind in row["pictures"]],
        "ms": round(sum(row["elapsed_ms"].values()), 1),
        "mark": row.get("mark"),
    }


def _without(unsearched: list[str]) -> str | None:
    return f"Frames can't be looked for in {'; '.join(unsearched)}" if unsearched else None


def _seen(name: str, camera: Camera, now: float) -> dict[str, Any]:
    return {
        "key": camera.key,
        "name": name,
        "row": camera.row,
        "age_s": camera.row and round(now - camera.at, 2),
        "reject": camera.reject,
        "reject_age_s": camera.reject and round(now - camera.rejected_at, 2),
        "preview": camera.pictured and {**camera.pictured, "number": camera.pictures},
    }
