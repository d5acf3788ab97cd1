"""What all benchmarks share: turns instead of blocks, ratios with their spread, and one kind of result."""

import itertools
import json
import os
import statistics
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from edge_runtime.benchmark.hardware import hardware, versions
from edge_runtime.errors import require, run_command
from edge_runtime.line.durable import write_bytes

Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")]
Quick = Annotated[bool, typer.Option("--quick", help="A tenth of the samples: does it run? Its figures mean nothing.")]
OUT = Path("runs/benchmarks")
MORE = ("openvino", "nncf", "tensorflow", "keras", "torch")


@dataclass(frozen=True, slots=True)
class Spread:
    """A median with the least and the greatest of its samples."""

    median: float
    least: float
    greatest: float

    @classmethod
    def of(cls, samples: Sequence[float]) -> "Spread":
        return cls(statistics.median(samples), min(samples), max(samples))

    @classmethod
    def of_ratios(cls, slow: Sequence[float], fast: Sequence[float]) -> "Spread":
        """How many times slower, turn by turn: what slows the whole PC down for a while falls out."""
        return cls.of([a / b for a, b in zip(slow, fast, strict=True)])

    def __str__(self) -> str:
        return f"{short(self.median)} ({short(self.least)} to {short(self.greatest)})"

    def to_json(self) -> dict[str, float]:
        return {"median": self.median, "least": self.least, "greatest": self.greatest}


def short(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def in_turns(contenders: Mapping[str, Callable[[], float]], rounds: int, warm_up: int = 1) -> dict[str, list[float]]:
    """Measure A B C A B C ... and return the figures of each; the first ones are thrown away."""
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(rounds + warm_up):
        for name, measure in contenders.items():
            told(f"round {turn + 1} of {rounds + warm_up}: {name}")
            figure = measure()
            if turn >= warm_up:
                found[name].append(figure)
    told("")
    return found


def told(words: str) -> None:
    """A line that is written over, where somebody watches."""
    if sys.stderr.isatty():
        print(f"\r\033[K{words}", end="", file=sys.stderr, flush=True)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Markdown."""
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    return "\n".join(lines + [f"| {' | '.join(map(str, row))} |" for row in rows])


@dataclass(slots=True)
class Result:
    """One benchmark's figures, its Markdown, and what it was measured on. more: versions measured elsewhere."""

    name: str
    figures: dict[str, Any] = field(default_factory=dict)
    parts: list[str] = field(default_factory=list)
    more: dict[str, str] = field(default_factory=dict)

    def say(self, *parts: str) -> None:
        self.parts.extend(parts)

    def write(self, out: Path, bars: Mapping[str, Mapping[str, float]] | None = None, unit: str = "") -> None:
        """OUT/<name>.md, .json and .png, and the Markdown on stdout. bars: group -> label -> value, for the plot."""
        out.mkdir(parents=True, exist_ok=True)
        here = {**versions(*MORE), **self.more}
        load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
        measured_on = f"{hardware()}; {', '.join(f'{name} {version}' for name, version in here.items())}"
        when = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        text = "\n\n".join([f"# {self.name}", f"{measured_on}; {when}{load}", *self.parts])
        whole = {"name": self.name, "at": when, "hardware": hardware().to_json(), "versions": here, **self.figures}
        write_bytes(out / f"{self.name}.md", f"{text}\n".encode())
        write_bytes(out / f"{self.name}.json", f"{json.dumps(whole, indent=1)}\n".encode())
        if bars:
            plot(out / f"{self.name}.png", bars, unit, f"{self.name}: {hardware()}")
        print(text)


def plot(path: Path, bars: Mapping[str, Mapping[str, float]], unit: str, title: str) -> None:
    """Horizontal bars, a panel per group."""
    require("matplotlib", extra="train")
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    tallest = max(len(group) for group in bars.values())
    figure, axes = pyplot.subplots(1, len(bars), figsize=(5 * len(bars), 1.2 + 0.35 * tallest), squeeze=False)
    for panel, (group, values) in zip(itertools.chain(*axes), bars.items(), strict=True):
        drawn = panel.barh(list(values)[::-1], list(values.values())[::-1], color="#007a7d")
        panel.bar_label(drawn, fmt="%.3g", padding=3)
        panel.set_xlabel(unit)
        panel.set_title(group, fontsize=10)
        panel.margins(x=0.15)
    figure.suptitle(title, fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def command(main: Callable[..., None]) -> None:
    """Run a benchmark's main as a command."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command()(main)
    run_command(lambda: app(standalone_mode=False))
