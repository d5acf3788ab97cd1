"""One function per mishap. Each returns what it counted; the caller says what is right."""

import functools
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.reliability.line import Frames, Line, audit, committed, fresh, heartbeat, put, until, watching
from edge_runtime.line.durable import write_bytes


def kills(folder: Path, model: Path, frames: Frames, count: int, times: int, seed: int = 0) -> dict[str, int]:
    """`kill -9` of all processes or of the worker alone, at random instants, again and again until all is done."""
    chance = random.Random(seed)
    fresh(folder)
    for number in range(count):
        put(folder / "frames", f"{number:06}.jpg", frames(number))
    arguments = ("frames", "-m", model, "-o", "out", "--no-check", "--save-for", "all")
    killed = 0
    while killed < times:
        line = Line(folder, *arguments)
        wanted = chance.randint(0, count // times // 3)
        for row, _ in enumerate(line.rows(), 1):
            if row >= wanted:
                break
        time.sleep(chance.uniform(0, 0.01))
        if line.process.poll() is not None:
            line.end()
            break
        (line.kill_all if killed % 3 else line.kill_worker)()
        killed += 1
        if killed % 3 == 1:
            time.sleep(chance.uniform(0, 0.1))
            line.kill_all()
    return {"kills": killed, "exit": Line(folder, *arguments).end(), **audit(folder / "out")}


def burst(folder: Path, model: Path, frames: Frames, count: int, rescan_s: float = 1.0) -> dict[str, float]:
    """Files arrive while nobody listens: both processes are paused, and the system's events overflow. `restarts`: workers that
    were replaced for it."""
    fresh(folder)
    pool = [frames(number) for number in range(10)]
    with watching(folder, model, "--rescan", rescan_s, "--save", "none") as line:
        worker = line.worker()
        assert worker is not None
        for process in (line.process.pid, worker):
            os.kill(process, signal.SIGSTOP)
        for number in range(count):
            put(folder / "cam", f"{number:06}.png", pool[number % 10])
        for process in (worker, line.process.pid):
            os.kill(process, signal.SIGCONT)
        went_on = time.monotonic()
        until(lambda: heartbeat(folder / "out")["seen"] >= count)
        found_s = time.monotonic() - went_on
        until(lambda: committed(folder / "out") >= count, 600)
        restarts = heartbeat(folder / "out")["worker_restarts"]
        code = line.stop()
    return {"found_s": found_s, "exit": code, "restarts": restarts, **audit(folder / "out")}


def terminations(folder: Path, model: Path, frames: Frames, times: int, seed: int = 0) -> dict[str, float]:
    """SIGTERM at random instants while frames arrive."""
    chance = random.Random(seed)
    fresh(folder)
    codes, slowest, number = [], 0.0, 0
    for _ in range(times):
        with watching(folder, model, "--no-check", "--save-for", "all") as line:
            for _ in range(20):
                put(folder / "cam", f"{number:06}.jpg", frames(number))
                number += 1
            time.sleep(chance.uniform(0, 0.5))
            asked = time.monotonic()
            codes.append(line.stop())
            slowest = max(slowest, time.monotonic() - asked)
    with watching(folder, model, "--no-check", "--save-for", "all") as line:
        until(lambda: committed(folder / "out") >= number)
        line.stop()
    return {"stopped": codes.count(0), "of": times, "slowest_s": slowest, "put": number, **audit(folder / "out")}


def overload(folder: Path, model: Path, frames: Frames, seconds: float, per_second: float) -> dict[str, int]:
    """More frames than can be judged, newest first: every one is accounted for, at every beat."""
    fresh(folder)
    pool = [frames(number) for number in range(10)]
    number, uneven, greatest_kb = 0, 0, 0
    with watching(folder, model, "--newest-first", "--skip-after", 0.5, "--save", "none") as line:
        started = time.monotonic()
        while time.monotonic() < started + seconds:
            while number < (time.monotonic() - started) * per_second:
                put(folder / "cam", f"{number:06}.png", pool[number % 10])
                number += 1
            beat = heartbeat(folder / "out")
            uneven += beat["seen"] != beat["done"] + beat["error"] + beat["skipped"] + beat["pending"]
            greatest_kb = max(greatest_kb, memory_kb(line.worker()))
        until(lambda: committed(folder / "out") >= number, 600)
        until(lambda: heartbeat(folder / "out")["pending"] == 0)
        beat = heartbeat(folder / "out")
        line.stop()
    return {
        "put": number,
        "seen": beat["seen"],
        "skipped": beat["skipped"],
        "uneven": uneven,
        "greatest_kb": greatest_kb,
        **audit(folder / "out"),
    }


def soak(
    folder: Path, model: Path, frames: Frames, count: int, warm_up: int, say: Callable[[str], None]
) -> dict[str, float]:
    """Many frames, one in a hundred of them bad: does anything grow? Frames are deleted once they are judged, as on a line."""
    fresh(folder)
    pool = [frames(number) for number in range(10)]
    samples, put_so_far = [], 0
    with watching(folder, model, "--incomplete-after", 0.2, "--settle-ms", 0, "--save-for", "all") as line:
        for number in range(count):
            if number % 100 == 7:
                write_bytes(folder / "cam" / f"{number:06}.jpg", b"\xff\xd8\xff\xe0 torn")
            else:
                put(folder / "cam", f"{number:06}.png", pool[number % 10])
            if number % 100 == 99:
                put_so_far = number + 1
                until(functools.partial(_has_rows, folder / "out", put_so_far))
                for old in (folder / "cam").iterdir():
                    old.unlink()
                worker = line.worker()
                samples.append((put_so_far, memory_kb(worker), descriptors(worker), threads(worker)))
                say(f"{put_so_far} frames, {samples[-1][1] / 1024:.1f} MB")
        code = line.stop()
    late = [sample for sample in samples if sample[0] > warm_up]
    slope = np.polyfit([sample[0] for sample in late], [sample[1] / 1024 for sample in late], 1)[0] * 1000
    return {
        "mb_per_1000": float(slope),
        "descriptors_more": late[-1][2] - late[0][2],
        "threads_more": late[-1][3] - late[0][3],
        "restarts": heartbeat(folder / "out")["worker_restarts"],
        "exit": code,
        **audit(folder / "out"),
    }


def _has_rows(out: Path, count: int) -> bool:
    return committed(out) >= count


def memory_kb(process: int | None) -> int:
    if process is None:
        return 0
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    return 0


def descriptors(process: int | None) -> int:
    return len(list(Path(f"/proc/{process}/fd").iterdir()))


def threads(process: int | None) -> int:
    return len(list(Path(f"/proc/{process}/task").iterdir()))
