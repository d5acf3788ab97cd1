"""python -m benchmarks.training DATA TEST -o OUT: which way of training finds defects, and shows them?

Every variant is trained with every seed by the real commands, exported, and evaluated on frames that nothing was tuned on.
Run again, it goes on where it was stopped.
"""

import json
import subprocess
import sys
from pathlib import Path
from statistics import mean
from typing import Annotated, Any

import typer

from benchmarks.common import command, table
from edge_runtime.errors import EdgeDetectError, UsageError

VARIANTS = {
    "exact": ["--wiring", "exact", "--paste", "0", "--warm-up", "0"],
    "full": ["--wiring", "full", "--paste", "0", "--warm-up", "0"],
    "exact-paste": ["--wiring", "exact", "--paste", "0.3", "--warm-up", "0"],
    "exact-warm": ["--wiring", "exact", "--paste", "0", "--warm-up", "12"],
    "exact-paste-warm": ["--wiring", "exact", "--paste", "0.1", "--warm-up", "12"],
}
COLUMNS = {
    "validation AUROC": ("validation_auroc",),
    "test AUROC": ("image", "auroc"),
    "escapes at 2 % false rejects": ("image", "escapes_at", "0.02", "share"),
    "coarse peak": ("localisation", "pointing", "coarse_peak"),
    "coarse centre of mass": ("localisation", "pointing", "coarse_centre_of_mass"),
    "fine peak": ("localisation", "pointing", "fine_peak"),
    "box IoU ≥ 0.3": ("localisation", "box_iou", "0.3", "ours"),
    "coarse pixel AUROC": ("localisation", "pixels", "coarse_auroc"),
}


def main(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Frames to train on, as for python -m train.")],
    test: Annotated[Path, typer.Argument(metavar="TEST", help="Frames to evaluate on, with good/ and anomaly/.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for all runs and results.json.")],
    truth: Annotated[Path, typer.Option(help="truth.json or masks of TEST.")],
    options: Annotated[str, typer.Option(help="Options for every python -m train, in one string.")] = "",
    variants: Annotated[str, typer.Option(help="Comma-separated.")] = ",".join(VARIANTS),
    seeds: Annotated[int, typer.Option(min=1, help="Trainings per variant.")] = 3,
) -> None:
    """Train every variant with every seed; print a Markdown table with the mean and the range over the seeds."""
    chosen = variants.split(",")
    if unknown := sorted(set(chosen) - set(VARIANTS)):
        raise UsageError(f"--variants {','.join(unknown)}: there are {', '.join(VARIANTS)}")
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in chosen}
    for seed in range(seeds):
        for name in chosen:
            asked = [*options.split(), *VARIANTS[name], "--seed", str(seed)]
            results[name].append(_one(data, test, truth, out / f"{name}-{seed}", asked))
            (out / "results.json").write_text(json.dumps(results, indent=1))
    print(compared(results))


def _one(data: Path, test: Path, truth: Path, folder: Path, options: list[str]) -> dict[str, Any]:
    """Train, export and evaluate; what exists already is kept."""
    run, part, evaluation = folder / "run", folder / "part.onnx", folder / "evaluation"
    python, edge_detect = sys.executable, str(Path(sys.executable).with_name("edge-detect"))
    for made, asked in (
        (run / "run.json", [python, "-m", "train", data, "-o", run, "--backbone", "vgg19-slim", *options]),
        (part, [python, "-m", "export", run / "model.keras", "-o", part]),
        (
            evaluation / "evaluation.json",
            [edge_detect, "evaluate", test, "-m", part, "-o", evaluation, "--truth", truth],
        ),
    ):
        if made.exists():
            continue
        folder.mkdir(parents=True, exist_ok=True)
        print(f"{folder.name}: {made.name} ...", file=sys.stderr, flush=True)
        done = subprocess.run(list(map(str, asked)), capture_output=True, text=True)
        if done.returncode:
            raise EdgeDetectError(f"{' '.join(map(str, asked))} failed: {done.stderr.strip().splitlines()[-1]}")
    found: dict[str, Any] = json.loads((evaluation / "evaluation.json").read_text())
    return found | {"validation_auroc": json.loads((run / "run.json").read_text())["validation_auroc"]}


def compared(results: dict[str, list[dict[str, Any]]]) -> str:
    """Markdown: a row per variant, `mean (least to greatest)` over its seeds."""
    rows = []
    for name, runs in results.items():
        values = [[float(_at(run, path)) for run in runs] for path in COLUMNS.values()]
        rows.append((name, *(f"{mean(one):.3f} ({min(one):.3f} to {max(one):.3f})" for one in values)))
    return table(("", *COLUMNS), rows)


def _at(tree: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        tree = tree[key]
    return tree


if __name__ == "__main__":
    command(main)
