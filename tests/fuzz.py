"""Mutation fuzzing of what reads foreign bytes: the door for frames, the manifest reader.

`python -m tests.fuzz --seconds 3600`: whole files with bits flipped, lengths blown up, parts cut out, doubled and
mixed. Only FrameError and ModelError may come out. The work is done in a process of its own, so that a crash or a
hang costs one example and is reported with its number: `--only N` repeats it.
"""

import argparse
import copy
import json
import multiprocessing
import os
import random
import resource
import struct
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_runtime import frames, manifest
from edge_runtime.errors import FrameError, ModelError
from edge_runtime.stored import to_json
from tests import corpus, tiny

Work = Callable[[int, int, float, int, str, Any], None]
HANG_S = 20.0
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1e308,
    float("nan"),
    10**40,
    "",
    "\udcff",
    "\0",
    [],
    {},
    [[]] * 99,
    "9" * 5000,
)


@dataclass(frozen=True, slots=True)
class Report:
    """accepted, refused: of all examples. failures: a line for each crash, hang and exception of another kind."""

    accepted: int
    refused: int
    slowest_ms: float
    peak_mb: float
    failures: tuple[str, ...]

    @property
    def examples(self) -> int:
        return self.accepted + self.refused + len(self.failures)


def mutate(data: bytes, other: bytes, dice: random.Random) -> bytes:
    """One to eight changes; most keep the length, because a cut alone is refused at once."""
    changed = bytearray(data)
    for _ in range(dice.randint(1, 8)):
        at = dice.randrange(len(changed) + 1) if dice.random() < 0.5 else dice.randrange(min(len(changed), 64) + 1)
        size = dice.choice((1, 2, 4, 8, 64))
        match dice.randrange(9):
            case 0 | 1 | 2:
                changed[at : at + 1] = bytes((dice.randrange(256),))
            case 3 | 4:
                number = dice.choice(EXTREMES)
                changed[at : at + 4] = struct.pack(dice.choice("<>") + "I", number)
            case 5:
                changed[at : at + 2] = struct.pack(dice.choice("<>") + "H", dice.choice(EXTREMES) & 0xFFFF)
            case 6:
                del changed[at : at + size]
            case 7:
                changed[at:at] = changed[at : at + size] * dice.choice((1, 2, 30))
            case 8:
                start = dice.randrange(len(other) + 1)
                changed[at : at + size] = other[start : start + size]
    return bytes(changed)


def with_checksums(data: bytes) -> bytes:
    """A PNG whose chunks fit their checksums again: else no change would come further than to those."""
    changed, at = bytearray(data), 8
    while at + 12 <= len(changed):
        end = at + 12 + int.from_bytes(changed[at : at + 4], "big")
        if end > len(changed):
            break
        changed[end - 4 : end] = zlib.crc32(changed[at + 4 : end - 4]).to_bytes(4, "big")
        at = end
    return bytes(changed)


def _frame(seeds: list[bytes], dice: random.Random) -> None:
    data = mutate(dice.choice(seeds), dice.choice(seeds), dice)
    if data.startswith(b"\x89PNG") and dice.random() < 0.9:
        data = with_checksums(data)
    frames.decode(data)


def _manifest(text: str, dice: random.Random) -> None:
    if dice.random() < 0.5:
        tree = json.loads(text)
        for _ in range(dice.randint(1, 4)):
            _twist(tree, dice)
        changed = json.dumps(tree, ensure_ascii=dice.random() < 0.5)
    else:
        errors = dice.choice(("replace", "surrogateescape"))
        changed = mutate(text.encode(), text.encode(), dice).decode(errors=errors)
    manifest.parse(changed)


def _twist(tree: Any, dice: random.Random) -> None:
    """Puts something odd somewhere into parsed JSON, or takes something out."""
    while True:
        keys = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
        if not keys:
            return
        key = dice.choice(keys)
        if not isinstance(tree[key], dict | list) or dice.random() < 0.3:
            break
        tree = tree[key]
    if dice.random() < 0.2:
        del tree[key]
    else:
        tree[key] = copy.deepcopy(dice.choice(ODD))


def _work(seed: int, first: int, until: float, last: int, log: str, shared: Any) -> None:
    """shared: [number of the example, accepted, refused, slowest ms, peak MB]."""
    native = os.open(log, os.O_RDWR | os.O_APPEND)  # libjpeg speaks on stderr, and so does Python when it dies
    os.dup2(native, 2)
    seeds, text = _seeds(), to_json(tiny.manifest())
    for number in range(first, last):
        if time.monotonic() > until:
            return
        os.ftruncate(native, 0)
        shared[0] = number
        dice = random.Random(f"{seed} {number}")
        example: Callable[[], None] = (
            (lambda: _manifest(text, dice)) if number % 5 == 0 else lambda: _frame(seeds, dice)  # noqa: B023
        )
        started = time.perf_counter()
        try:
            example()
            shared[1] += 1
        except (FrameError, ModelError):
            shared[2] += 1
        shared[3] = max(shared[3], (time.perf_counter() - started) * 1e3)
        shared[4] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _seeds() -> list[bytes]:
    """The cases of the corpus that are small enough to be changed quickly."""
    with tempfile.TemporaryDirectory() as folder:
        made, _ = corpus.write(Path(folder, "frames"))
        paths = [Path(folder, "frames", case.name) for case in made if case.outcome != "passed over"]
        whole = {path.read_bytes() for path in paths if path.is_file() and path.stat().st_size < 40_000}
        return sorted(whole - {b""})


def run(
    seconds: float = 3600.0, examples: int = sys.maxsize, seed: int = 0, first: int = 0, work: Work | None = None
) -> Report:
    """Until either is used up. The same seed always gives the same examples, in the same order."""
    context = multiprocessing.get_context("spawn")
    shared: Any = context.Array("d", 5, lock=False)
    until, failures, number = time.monotonic() + seconds, [], first
    with tempfile.NamedTemporaryFile("r") as log:
        while number < first + examples and time.monotonic() < until:
            shared[0] = number
            worker = context.Process(
                target=work or _work, args=(seed, number, until, first + examples, log.name, shared)
            )
            worker.start()
            hung = _watch(worker, shared)
            if not hung and worker.exitcode == 0:
                break
            number = int(shared[0])
            said = Path(log.name).read_text(errors="replace").strip().splitlines()[-1:]
            what = "hung" if hung else f"ended with {worker.exitcode}"
            failures.append(f"seed {seed} example {number} {what}: {said}")
            number += 1
    return Report(int(shared[1]), int(shared[2]), shared[3], shared[4], tuple(failures))


def _watch(worker: Any, shared: Any) -> bool:
    """Waits for the worker's end. Returns whether it stood still for HANG_S and had to be ended."""
    before = -1.0
    while worker.is_alive():
        worker.join(HANG_S)
        if worker.is_alive() and shared[0] == before:
            worker.kill()
            worker.join()
            return True
        before = shared[0]
    return False


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="number of one example")
    chosen = parser.parse_args()
    one = chosen.only is not None
    report = run(chosen.seconds, 1 if one else sys.maxsize, chosen.seed, chosen.only or 0)
    print(
        f"{report.examples:,} examples: {report.accepted:,} accepted, {report.refused:,} refused, "
        f"{len(report.failures)} failures; slowest {report.slowest_ms:.0f} ms, peak {report.peak_mb:.0f} MB"
    )
    print(*report.failures, sep="\n")
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
