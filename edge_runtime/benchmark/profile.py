"""What `edge-detect benchmark --tune` found best for a model on this PC, in a file beside the model."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge_runtime.benchmark.hardware import hardware

SUFFIX = ".profile.json"
SCHEMA_VERSION = 2
"""Raised where the same numbers come to mean something else, as OpenVINO's threads did."""


@dataclass(frozen=True, slots=True)
class Profile:
    """jobs: frames in work at once. threads: for each. spinning: whether onnxruntime's wait
    busily, which is quicker and keeps the cores warm. provider: what runs the network."""

    jobs: int
    threads: int
    spinning: bool
    provider: str = "cpu"

    def __post_init__(self) -> None:
        if not (1 <= self.jobs <= 256 and 1 <= self.threads <= 256):
            raise ValueError(f"no such profile: {self}")

    @classmethod
    def default(cls, cores: int, live: bool = False) -> "Profile":
        """live: frames arrive one by one, and the sooner each is judged the better. Else a core for each frame: nothing waits for
        another thread, and decoding fills every core, too."""
        return cls(2, cores, spinning=False) if live else cls(cores, 1, spinning=False)

    def __str__(self) -> str:
        spinning = f", spinning {'on' if self.spinning else 'off'}" if self.provider == "cpu" else ""
        return f"jobs {self.jobs}, threads {self.threads}{spinning}, provider {self.provider}"


def path_of(model: Path) -> Path:
    return model.with_name(model.name + SUFFIX)


def to_json(inspect: Profile, watch: Profile, model_sha256: str) -> dict[str, Any]:
    """What the file holds: the profiles, and what they were measured on."""
    return {
        **_measured_on(model_sha256),
        "inspect": asdict(inspect),
        "watch": asdict(watch),
    }


def read(
    model: Path, model_sha256: str, live: bool = False, say: Callable[[str], None] = lambda words: None
) -> Profile | None:
    """The profile beside a model file, for `inspect` or, live, for `watch`; None where there is none.

    One that was measured on another model file or PC, or is damaged, is ignored, and `say` is told so.
    """
    path = path_of(model)
    again = f"edge-detect benchmark {model} --tune makes it anew"
    try:
        found = json.loads(path.read_bytes())
        was, now = {key: found[key] for key in _NAMES}, _measured_on(model_sha256)
        profile = Profile(**found["watch" if live else "inspect"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        say(f"note: {path} is no profile that can be read, and is ignored; {again}")
        return None
    if differing := [name for key, name in _NAMES.items() if was[key] != now[key]]:
        say(f"note: {path} was measured with another {' and another '.join(differing)}, and is ignored; {again}")
        return None
    return profile


_NAMES = {
    "schema": "version of edge-detect",
    "model_sha256": "model file",
    "cpu": "processor",
    "cores": "number of cores",
}


def _measured_on(model_sha256: str) -> dict[str, Any]:
    here = hardware()
    return {"schema": SCHEMA_VERSION, "model_sha256": model_sha256, "cpu": here.cpu, "cores": here.cores}
