"""`python -m benchmarks.reliability`: the long runs behind docs/reliability.md; a table, and exit code 1 where a promise is broken.

Takes an hour and a half with the defaults, with --quick two minutes.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.reliability import scenarios
from edge_runtime.benchmark.hardware import hardware, versions
from tests import tiny, truncations

RESCAN_S = 5.0
"""As `watch` has it by default; a burst is found within two of them."""
WHOLE = ("twice", "torn", "missing", "lines")


def frames(number: int) -> npt.NDArray[np.uint8]:
    """Each with a content of its own; every other one has a defect."""
    image = tiny.frame() if number % 2 else tiny.frame(None)
    image[:2, :2] = (number % 256, number // 256 % 256, number // 65536)
    return image


def whole(found: dict[str, Any], rows: int) -> bool:
    return found["rows"] == rows and not any(found[what] for what in WHOLE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", "-o", type=Path, default=Path("runs/benchmarks/reliability"))
    parser.add_argument("--quick", action="store_true", help="a hundredth: does it run?")
    parser.add_argument("--only", default="", help="names, comma-separated")
    asked = parser.parse_args()
    share = 100 if asked.quick else 1
    asked.out.mkdir(parents=True, exist_ok=True)
    model = (asked.out / "tiny.onnx").resolve()
    model.write_bytes(tiny.model())
    folder = (asked.out / "line").resolve()
    kills, terminations, seconds = max(3, 300 // share), max(3, 100 // share), max(4, 300 // share)
    soaked = max(6000, 100_000 // share)

    def say(words: str) -> None:
        print(f"\r{words}   ", end="", file=sys.stderr, flush=True)

    runs: dict[str, tuple[Callable[[], dict[str, Any]], Callable[[dict[str, Any]], bool]]] = {
        "kills": (
            lambda: scenarios.kills(folder, model, frames, count=kills * 10, times=kills),
            lambda found: whole(found, kills * 10),
        ),
        "burst": (
            lambda: scenarios.burst(folder, model, frames, count=50_000 // share, rescan_s=RESCAN_S),
            lambda found: whole(found, 50_000 // share) and not found["restarts"] and found["found_s"] <= 2 * RESCAN_S,
        ),
        "terminations": (
            lambda: scenarios.terminations(folder, model, frames, times=terminations),
            lambda found: whole(found, found["put"]) and found["stopped"] == found["of"] and found["slowest_s"] <= 5,
        ),
        "overload": (
            lambda: scenarios.overload(folder, model, frames, seconds=seconds, per_second=800),
            lambda found: found["seen"] == found["rows"] == found["put"] and not found["uneven"],
        ),
        "soak": (
            lambda: scenarios.soak(folder, model, frames, soaked, max(3000, soaked // 5), say),
            lambda found: (
                whole(found, soaked)
                and found["mb_per_1000"] <= (1.0 if asked.quick else 0.1)
                and found["descriptors_more"] <= 1
            ),
        ),
        "truncations": (
            lambda: {"judged": len(truncations.read_all_the_same(20_000 // share, seed=1)), "of": 20_000 // share},
            lambda found: not found["judged"],
        ),
        "fuzzing": (
            lambda: {
                "exit": subprocess.run([sys.executable, "-m", "tests.fuzz", "--seconds", str(3600 // share)]).returncode
            },
            lambda found: found["exit"] == 0,
        ),
    }
    wanted = asked.only.split(",") if asked.only else list(runs)
    kept, lines = {}, ["| run | promise | counted |", "|---|---|---|"]
    for name in wanted:
        run, promised = runs[name]
        found = run()
        kept[name] = {"kept": promised(found), **found}
        counted = ", ".join(f"{what} {round(count, 3)}" for what, count in found.items())
        lines.append(f"| {name} | {'kept' if kept[name]['kept'] else '**BROKEN**'} | {counted} |")
        print(lines[-1], file=sys.stderr)
    record = {"hardware": asdict(hardware()), "versions": versions(), "runs": kept}
    (asked.out / "reliability.json").write_text(json.dumps(record, indent=1, default=str))
    print("\n".join(lines))
    sys.exit(not all(one["kept"] for one in kept.values()))


if __name__ == "__main__":
    main()
