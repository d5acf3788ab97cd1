"""What a worker tells its supervisor: JSON lines through a pipe."""

import json
from dataclasses import dataclass, field, fields
from typing import Any

from edge_runtime.line.record import Row


@dataclass(frozen=True, slots=True)
class Ready:
    """The model is loaded, OUT is open. total: frames that were found, None for a folder that is watched. earlier: rows
    per verdict of frames that are as an earlier run has judged them. passed_over: folders asked for that hold results.
    product, model: of the model file, the latter its sha256. cameras: that are watched, by name; none for a single folder."""

    total: int | None
    earlier: dict[str, int]
    passed_over: list[str] = field(default_factory=list)
    product: str = ""
    model: str = ""
    cameras: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Alive:
    """Something is going on that may take long, before the first frame."""


@dataclass(frozen=True, slots=True)
class Began:
    """A frame is being worked on, or still is; until it is done, it is to blame for a crash."""

    source: str


@dataclass(frozen=True, slots=True)
class PutOff:
    """A frame that can't be read yet goes back into the queue."""

    source: str


@dataclass(frozen=True, slots=True)
class Done:
    """A frame has its row, with `id`. repeated: an earlier run made it."""

    row: Row
    repeated: bool


@dataclass(frozen=True, slots=True)
class Status:
    """Of a watched folder, since this worker's start: seen = done + error + skipped + pending. lag_s: age of the oldest
    frame that waits to be read. not_whole: camera -> age of its oldest frame that was read in vain, as it is not whole yet. unsearched: the folders in which frames can't be looked for, each with the reason. away: the same of cameras
    whose whole folder can't be searched. Cameras are named; a single folder's is ""."""

    seen: int
    done: int
    error: int
    skipped: int
    pending: int
    lag_s: float
    unsearched: list[str] = field(default_factory=list)
    away: dict[str, str] = field(default_factory=dict)
    not_whole: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Preview:
    """The last frame, small, with its heat and boxes. jpeg: base64."""

    row: Row
    jpeg: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The worker gives up, or is gone without a message. lasting: the same would happen again, however often it is started."""

    message: str
    lasting: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """The worker has done what it was asked for."""


Event = Ready | Alive | Began | PutOff | Done | Status | Preview | Failed | Ended
_KINDS: dict[str, Any] = {
    kind.__name__: kind for kind in (Ready, Alive, Began, PutOff, Done, Status, Preview, Failed, Ended)
}


def encode(event: Event) -> str:
    return json.dumps([type(event).__name__, {one.name: getattr(event, one.name) for one in fields(event)}])


def decode(line: str | bytes) -> Event:
    kind, values = json.loads(line)
    made: Event = _KINDS[kind](**values)
    return made
