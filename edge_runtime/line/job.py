"""What a worker is asked to do. Passes from process to process as a line of JSON."""

import json
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True, slots=True)
class Watching:
    """Of folders that frames arrive in. Seconds, unless said otherwise.

    settle_s: a file that nobody closed is ready when it has not changed for so long. incomplete_s: a file that can't be
    decoded and has not changed for so long becomes `error`. rescan_s: between two looks at all files. poll: only look, for
    network shares that send no events. newest_first: newest frame first; one that waits longer than skip_after_s is
    `skipped`. keep_days, max_gb: pictures beyond are deleted; 0 keeps all.
    """

    settle_s: float = 0.5
    incomplete_s: float = 10.0
    rescan_s: float = 5.0
    poll: bool = False
    newest_first: bool = False
    skip_after_s: float = 10.0
    keep_days: float = 0.0
    max_gb: float = 0.0


@dataclass(frozen=True, slots=True)
class Job:
    """inputs: folders, files, globs or lists; listed: what came on stdin, for `-`. kinds: pictures; save_for: `anomaly`,
    `error` (the files of frames that could not be judged, too) or `all`. jobs, threads: 0 chooses, and so does an empty provider. screen: whether an
    operator screen wants pictures of its own. crashed: frame -> how many workers died over it."""

    inputs: tuple[str, ...]
    model: str
    out: str
    listed: str = ""
    kinds: tuple[str, ...] = ("overlay",)
    save_for: str = "anomaly"
    threshold: float | None = None
    single_box: bool = False
    explain_all: bool = False
    prove: bool = False
    check_first: bool = True
    sha256: str = ""
    provider: str = ""
    jobs: int = 0
    threads: int = 0
    screen: bool = False
    watching: Watching | None = None
    crashed: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> "Job":
        values = json.loads(text)
        watching = values.pop("watching")
        for name in ("inputs", "kinds"):
            values[name] = tuple(values[name])
        return cls(**values, watching=watching and Watching(**watching))
