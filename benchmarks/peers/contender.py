"""A contender's process, from our side."""

import json
import math
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_runtime.benchmark.hardware import peak_mib
from edge_runtime.errors import EdgeDetectError

FEWEST = 4


@dataclass(slots=True)
class Contender:
    """A process that answers a line with a line. pace: milliseconds per frame, by what was asked; it says how many frames a
    turn is made of. margins: what its network says of the first images, in logits."""

    name: str
    process: "subprocess.Popen[str]"
    versions: dict[str, str]
    pace: dict[str, float] = field(default_factory=dict)
    margins: list[float] = field(default_factory=list)

    def ms_per_frame(self, key: str, request: dict[str, Any], frames: list[Path], seconds: float) -> float:
        """Milliseconds per frame over a turn of about so many seconds. key: names the request. frames: taken in turns."""
        count = max(FEWEST, math.ceil(seconds * 1e3 / self.pace[key])) if key in self.pace else FEWEST
        if "pictures" in request:
            request = request | {"frames": [str(frames[number % len(frames)]) for number in range(count)]}
        else:
            request = {"network": count}
        answer = self._ask(request)
        self.margins = answer.get("margins", self.margins)
        self.pace[key] = float(answer["seconds"]) / count * 1e3
        return self.pace[key]

    @property
    def peak_mib(self) -> float | None:
        return peak_mib(self.process.pid)

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{json.dumps(request)}\n")
        self.process.stdin.flush()
        return _answer(self.name, self.process)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


def start(name: str, module: str, python: str, stem: Path, precision: str, keep: Path) -> Contender | None:
    """None, and a word on stderr, where something it needs is not installed. Raises EdgeDetectError."""
    command = [python, "-m", f"benchmarks.peers.{module}", str(stem), precision, str(keep)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    words: list[str] = []
    threading.Thread(target=_collect, args=(process, words), daemon=True).start()
    try:
        ready = _answer(name, process)
    except EdgeDetectError:
        process.kill()
        process.wait()
        print("".join(words[-12:]), file=sys.stderr)
        raise
    if "missing" in ready:
        process.kill()
        process.wait()
        print(f"{name}: left out, {ready['missing']} is not installed in {python}", file=sys.stderr)
        return None
    return Contender(name, process, ready["versions"])


def _collect(process: "subprocess.Popen[str]", words: list[str]) -> None:
    """What frameworks chat; shown only where one fails."""
    assert process.stderr is not None
    words.extend(process.stderr)


def _answer(name: str, process: "subprocess.Popen[str]") -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise EdgeDetectError(f"{name}: its process has ended; what it said stands above")
    answer: dict[str, Any] = json.loads(line)
    return answer
