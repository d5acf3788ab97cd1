"""python -m benchmarks.peers --size 1920x1080: the same frames and the same VGG19, through what people use and through us.

Every contender is a process of its own and takes its turn: A B C A B C ... A turn is as many frames as take about one and a
half seconds. All decode the same JPEGs, shrink them by averaging areas to 224x224, run the same weights and find a box; in a second pass
each writes a picture per frame, too. Peers judge in memory; ours also commits every row to its ledger.
"""

import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import typer

from benchmarks.common import OUT, Out, Quick, Result, Spread, command, in_turns, table
from benchmarks.models import FULL, SLIM, make
from benchmarks.peers.contender import Contender, start
from edge_runtime.benchmark.material import make_frames, parse_size
from edge_runtime.errors import UsageError


@dataclass(frozen=True, slots=True)
class Entry:
    """module: of this package; precision: what it is told; family: whose Python runs it (--python)."""

    module: str
    precision: str
    family: str = ""
    width: float = FULL


ENTRIES = {
    "keras": Entry("with_keras", "predict"),
    "keras-function": Entry("with_keras", "function"),
    "torch": Entry("with_torch", "fp32", "torch"),
    "torch-bf16": Entry("with_torch", "bf16", "torch"),
    "onnxruntime": Entry("with_onnxruntime", "fp32"),
    "onnxruntime-int8": Entry("with_onnxruntime", "int8"),
    "openvino": Entry("with_openvino", "fp32", "openvino"),
    "openvino-int8": Entry("with_openvino", "int8", "openvino"),
    "openvino-int8-reduced": Entry("with_openvino", "int8-reduced", "openvino"),
    "ours": Entry("ours", "fp32"),
    "ours-int8": Entry("ours", "int8"),
    "ours-int8-whole": Entry("ours", "int8-whole"),
    "ours-int8-rejects": Entry("ours", "int8-rejects"),
    "ours-int8-openvino": Entry("ours", "int8-openvino", "ours-openvino"),
    "ours-slim": Entry("ours", "fp32", width=SLIM),
    "ours-slim-int8": Entry("ours", "int8", width=SLIM),
}
OURS = "ours-int8"
REQUESTS: dict[str, dict[str, Any]] = {
    "verdict and box": {"pictures": False},
    "with a picture per frame": {"pictures": True},
    "network only": {"network": True},
}


def main(
    size: Annotated[str, typer.Option(help="Of the frames: WIDTHxHEIGHT.")] = "1920x1080",
    out: Out = OUT,
    only: Annotated[str, typer.Option(help=f"Comma-separated, of: {', '.join(ENTRIES)}.")] = "",
    python: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PATH",
            help="Python that has openvino, torch, or (ours-openvino) edge-detect with onnxruntime-openvino; may be repeated.",
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each.")] = 5,
    seconds: Annotated[float, typer.Option(help="A turn takes about so long.")] = 1.5,
    network: Annotated[bool, typer.Option(help="Time the network by itself, too; frames don't matter to it.")] = True,
    quick: Quick = False,
) -> None:
    """Print milliseconds per frame, and how many times slower than ours each is."""
    rounds, seconds = (1, 0.1) if quick else (rounds, seconds)
    chosen = [name.strip() for name in only.split(",") if name.strip()] or list(ENTRIES)
    if unknown := sorted(set(chosen) - set(ENTRIES)):
        raise UsageError(f"--only {', '.join(unknown)}: there are {', '.join(ENTRIES)}")
    size_wh = parse_size(size)
    frames = make_frames(out / "frames" / size, size_wh, 16)
    with ExitStack() as stack:
        contenders = _started(chosen, out / "models", _pythons(python or []), stack)
        found = {
            key: in_turns(
                {one.name: _turn(one, key, request, frames, seconds) for one in contenders},
                rounds,
            )
            for key, request in REQUESTS.items()
            if network or "network" not in request
        }
        _told(size, out, found, contenders)


def _pythons(given: list[str]) -> dict[str, str]:
    """`openvino=ov/bin/python` -> whose Python runs what. Raises UsageError."""
    families = sorted({entry.family for entry in ENTRIES.values() if entry.family})
    split = [one.partition("=") for one in given]
    for name, _, path in split:
        if name not in families or not Path(path).is_file():
            raise UsageError(
                f"--python {name}={path}: expected NAME=PATH of a Python, with NAME of {', '.join(families)}"
            )
    return {name: path for name, _, path in split}


def _turn(one: Contender, key: str, request: dict[str, Any], frames: list[Path], seconds: float) -> Callable[[], float]:
    return partial(one.ms_per_frame, key, request, frames, seconds)


def _started(chosen: list[str], models: Path, pythons: dict[str, str], stack: ExitStack) -> list[Contender]:
    """One after the other, so that none is tuned while another loads."""
    made = {one.width: one for one in make(models, (FULL, 224), (SLIM, 224))}
    found = []
    for name in chosen:
        entry = ENTRIES[name]
        python = pythons.get(entry.family, sys.executable)
        one = start(name, entry.module, python, made[entry.width].stem, entry.precision, models)
        if one is not None:
            stack.callback(one.close)
            found.append(one)
    return found


def _told(size: str, out: Path, found: dict[str, dict[str, list[float]]], contenders: list[Contender]) -> None:
    memory = {one.name: one.peak_mib for one in contenders}
    margins = {one.name: one.margins for one in contenders}
    versions = {key: text for one in contenders for key, text in one.versions.items()}
    figures = {"ms_per_frame": found, "peak_mib": memory, "margins": margins}
    result = Result(f"peers-{size}", figures, more=versions)
    for key, times in found.items():
        against = times.get(OURS)
        rows = [
            (name, Spread.of(ms), Spread.of_ratios(ms, against) if against else "", _mib(memory[name]))
            for name, ms in times.items()
        ]
        result.say(f"## {size}, {key}", table(("", "ms per frame", f"times {OURS}", "peak MiB"), rows))
    result.say(
        "Medians of all turns (least to greatest); ratios are of turns that followed one another. "
        "Ours and openvino-int8-reduced decode large JPEGs at a reduced size; ours draws its pictures at that size, too. "
        "ours-int8-whole and all others decode and draw every pixel."
    )
    if any(margins.values()):
        told = ", ".join(f"{name} {fmean(said):.2f}" for name, said in margins.items() if said)
        result.say(f"The same network? Mean margin of the same images, in logits (slim is another network): {told}.")
    medians = {key: {name: Spread.of(ms).median for name, ms in times.items()} for key, times in found.items()}
    result.write(out, medians, "ms per frame")


def _mib(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"


if __name__ == "__main__":
    command(main)
