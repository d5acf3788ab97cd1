"""The command `edge-detect`: parse, wire, exit codes. No algorithms; heavy imports wait until a command needs them."""

import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from edge_runtime import __version__
from edge_runtime.errors import OutputError, UsageError, require, run_command

if TYPE_CHECKING:
    from edge_runtime.pipeline import Outcome


class Exit(IntEnum):
    """As linters have them; 130 is what shells give for Ctrl-C."""

    NOTHING_FOUND = 0
    ANOMALIES_FOUND = 1
    NOT_DONE = 2
    INTERRUPTED = 130


class Explain(StrEnum):
    ANOMALY = "anomaly"
    ALL = "all"


class SaveFor(StrEnum):
    ANOMALY = "anomaly"
    ALL = "all"


class InspectByDefault(TyperGroup):
    """`edge-detect FRAMES ...` means `edge-detect inspect FRAMES ...`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        own = {"--help", "--version", "--install-completion", "--show-completion"}
        if args[:1] == ["help"]:
            args = ["--help"]
        if args and args[0] not in own and args[0] not in self.commands:
            self._refuse_typo(args[0])
            args = ["inspect", *args]
        return list(super().parse_args(ctx, args))

    def _refuse_typo(self, word: str) -> None:
        from difflib import get_close_matches

        near = get_close_matches(word, list(self.commands), n=1)
        if near and not os.path.lexists(word):
            raise UsageError(f"{word}: no such file or folder; did you mean the command `{near[0]}`?")


app = typer.Typer(
    cls=InspectByDefault,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Inspect camera frames with a model file: good or anomaly, where, and why.",
    epilog="edge-detect FRAMES -m part.onnx -o OUT is short for edge-detect inspect. "
    "Exit codes: 0 no anomaly, 1 anomalies found, 2 something could not be done, 130 stopped with Ctrl-C.",
)

ModelFile = Annotated[Path, typer.Argument(metavar="MODEL", help="Model file written by python -m export.")]
Threads = Annotated[int, typer.Option(min=0, max=256, help="Threads for the network; 0 takes every core.")]

Provider = Annotated[
    str, typer.Option(help="What runs the network: cpu, or openvino with the onnxruntime that has it.", metavar="NAME")
]
RequiredSha256 = Annotated[
    str, typer.Option("--require-sha256", metavar="HEX", help="Refuse any other model file than this one.")
]


def _print_version(asked: bool) -> None:
    if asked:
        print(f"edge-detect {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    del version


@app.command()
def inspect(
    frames: Annotated[
        list[str],
        typer.Argument(
            metavar="FRAMES...", help="Folders, image files, globs, list files (.txt), or - for a list on stdin."
        ),
    ],
    model: Annotated[Path, typer.Option("--model", "-m", help="Model file written by python -m export.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for the results; an earlier run there is continued.")
    ],
    save: Annotated[
        str,
        typer.Option(help="Pictures, comma-separated: overlay, panel, input, coarse, heatmap, cutout, boxes; or none."),
    ] = "overlay",
    save_for: Annotated[SaveFor, typer.Option(help="Which frames get pictures.")] = SaveFor.ANOMALY,
    threshold: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Score from which on a frame is an anomaly. Default: the model file's own."),
    ] = None,
    single_box: Annotated[bool, typer.Option(help="One box around all defects of a frame.")] = False,
    explain: Annotated[
        Explain, typer.Option(help="Which frames get the fine map; good ones need it for their pictures only.")
    ] = Explain.ANOMALY,
    prove: Annotated[
        bool, typer.Option("--prove", help="Judge every reject again without its boxes: would it pass then? Slow.")
    ] = False,
    check_first: Annotated[
        bool,
        typer.Option("--check/--no-check", help="Replay the file's golden frames first, as edge-detect check does."),
    ] = True,
    require_sha256: RequiredSha256 = "",
    provider: Provider = "cpu",
    threads: Threads = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the new result rows instead of a line per new frame.")
    ] = False,
    exit_zero: Annotated[bool, typer.Option(help="Exit 0 also when anomalies were found.")] = False,
) -> None:
    """Judge frames: verdict, score, boxes with what each contributes, pictures. [dim](default command)[/]

    Example: edge-detect inspect line1/ -m part.onnx -o results --save overlay,panel
    """
    from edge_runtime import frames as frame_files
    from edge_runtime import overlay
    from edge_runtime.golden import replay
    from edge_runtime.inspector import Inspector
    from edge_runtime.ledger import Ledger
    from edge_runtime.model import Model
    from edge_runtime.pipeline import Pictures, run

    kinds = tuple(dict.fromkeys(kind.strip() for kind in save.split(",") if kind.strip() not in ("", "none")))
    unknown = sorted(set(kinds) - set(overlay.PICTURES))
    if unknown:
        raise UsageError(f"--save {','.join(unknown)}: no such picture; there are {', '.join(overlay.PICTURES)}")
    found = frame_files.find(frames)
    loaded = Model.load(model, threads, provider, require_sha256)
    if check_first:
        for _ in replay(loaded):
            pass
    inspector = Inspector(loaded, threshold, single_box, prove, explain is Explain.ALL)
    pictures = Pictures(kinds, for_all=save_for is SaveFor.ALL)
    with Ledger(out, {**inspector.identity, "folder of frames": frame_files.printable(str(found.base))}) as ledger:
        outcomes = run(found.files, inspector, ledger, pictures)
        counts = _show(_progress(outcomes, len(found.files)), as_json)
    _summarise(counts, out)
    raise typer.Exit(_exit_code(counts, exit_zero))


def _show(outcomes: "Iterable[Outcome]", as_json: bool) -> Counter[str]:
    """Print a line per new row, and count the verdicts of all."""
    counts: Counter[str] = Counter()
    for outcome in outcomes:
        row = outcome.row
        if row.get("proof"):
            counts["proved"] += 1
            counts["explained"] += row["proof"]["without_boxes"]["flips"]
        counts[row["verdict"]] += 1
        counts["repeated"] += outcome.repeated
        if not outcome.repeated:
            _print(json.dumps(row) if as_json else _line(row))
    return counts


def _print(line: str) -> None:
    try:
        print(line, flush=True)
    except OSError as err:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise OutputError(
            f"stdout can't be written: {err.strerror}; what is in --out is kept, and the same command continues"
        ) from None


def _line(row: dict[str, Any]) -> str:
    if row["error"] is not None:
        return f"{'error':8} {'-':>6}  {row['error']}"
    boxes = "  ".join(
        f"[{','.join(map(str, defect['box_xyxy']))}] {defect['contribution']:.0%}" for defect in row["defects"]
    )
    return f"{row['verdict']:8} {row['score']:6.3f}  {row['frame']}  {boxes}".rstrip()


def _progress(outcomes: "Iterator[Outcome]", total: int) -> "Iterator[Outcome]":
    """A bar on stderr, unless the lines on stdout already show on the same terminal."""
    if not sys.stderr.isatty() or sys.stdout.isatty():
        yield from outcomes
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as bar:
        yield from bar.track(outcomes, total=total, description="inspecting")


@contextmanager
def _bar(what: str) -> "Iterator[Callable[[int, int], None]]":
    """A bar on stderr where that is a terminal; yields what to tell it: done, total."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(what)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _summarise(counts: Counter[str], out: Path) -> None:
    verdicts = ("good", "anomaly", "error")
    judged = ", ".join(f"{counts[verdict]} {verdict}" for verdict in verdicts)
    total = sum(counts[verdict] for verdict in verdicts)
    earlier = ""
    if counts["repeated"]:
        earlier = f" ({counts['repeated']} of them by an earlier run: no new rows and no new pictures)"
    print(f"{total} frame{'' if total == 1 else 's'}: {judged}{earlier}. Results are in {out}", file=sys.stderr)
    if counts["proved"]:
        print(f"{counts['explained']} of {counts['proved']} rejects pass without their boxes", file=sys.stderr)


def _exit_code(counts: Counter[str], exit_zero: bool) -> Exit:
    if counts["error"]:
        return Exit.NOT_DONE
    return Exit.ANOMALIES_FOUND if counts["anomaly"] and not exit_zero else Exit.NOTHING_FOUND


@app.command()
def info(
    model: ModelFile, as_json: Annotated[bool, typer.Option("--json", help="The whole manifest as JSON.")] = False
) -> None:
    """Show what a model file says about itself."""
    from edge_runtime.describe import described
    from edge_runtime.model import Model, available_providers

    loaded = Model.load(model)
    if as_json:
        print(json.dumps({"sha256": loaded.sha256, **loaded.manifest.model_dump()}))
        return
    told = {"file": f"sha256 {loaded.sha256}", **described(loaded.manifest)}
    told["providers"] = f"{', '.join(available_providers())} (of the onnxruntime installed here)"
    for name, value in told.items():
        print(f"{name:14} {value}")


@app.command()
def evaluate(
    frames: Annotated[
        Path,
        typer.Argument(
            metavar="FRAMES", help="Folder with good/ and anomaly/, or the same under test/, or the MVTec layout."
        ),
    ],
    model: Annotated[Path, typer.Option("--model", "-m", help="Model file written by python -m export.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for evaluation.json, frames.jsonl and the worst.")],
    truth: Annotated[
        Path | None,
        typer.Option(help="Where the defects are: a truth.json, or a folder of masks. Adds how well they are located."),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Score from which on a frame is an anomaly. Default: the model file's own."),
    ] = None,
    prove: Annotated[
        bool, typer.Option("--prove", help="Judge every reject again without its boxes: would it pass then? Slow.")
    ] = False,
    threads: Threads = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print evaluation.json instead of the table.")] = False,
) -> None:
    """Measure a model file on frames with known classes: escapes, false rejects, and what they promise.

    Example: edge-detect evaluate test/ -m part.onnx -o evaluation --truth test/truth.json
    """
    require("sklearn", extra="evaluate")
    from edge_runtime.evaluation import evaluate as evaluation
    from edge_runtime.inspector import Inspector
    from edge_runtime.model import Model

    inspector = Inspector(Model.load(model, threads), threshold, prove=prove, explain_all=truth is not None)
    evaluation.prepare_out(out, frames)
    signal.signal(signal.SIGINT, lambda *_: _stop("stopped; nothing was written"))
    with _bar("evaluating") as progress:
        found = evaluation.evaluate(frames, inspector, truth, progress)
    evaluation.write(out, found, inspector)
    _print(json.dumps(found.figures) if as_json else evaluation.table(found.figures))
    for error in found.errors:
        print(f"error: {error}", file=sys.stderr)
    raise typer.Exit(Exit.NOT_DONE if found.errors else Exit.NOTHING_FOUND)


@app.command()
def check(
    model: ModelFile, require_sha256: RequiredSha256 = "", provider: Provider = "cpu", threads: Threads = 0
) -> None:
    """Replay the golden frames inside a model file on this PC; exit 2 where its answers have drifted."""
    from edge_runtime.golden import replay
    from edge_runtime.model import Model

    loaded = Model.load(model, threads, provider, require_sha256)
    for line in replay(loaded):
        print(line)


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")] = Path("edge-detect-demo"),
) -> None:
    """Inspect the bundled frames with the bundled model and leave pictures to look at."""
    from edge_runtime import frames as frame_files
    from edge_runtime.inspector import Inspector
    from edge_runtime.ledger import Ledger
    from edge_runtime.model import Model
    from edge_runtime.pipeline import Pictures, run

    bundled = Path(__file__).parent / "demo"
    inspector = Inspector(Model.load(bundled / "model.onnx"))
    failed = False
    with Ledger(out, {**inspector.identity, "folder of frames": "the bundled ones"}) as ledger:
        bundled_frames = frame_files.find([str(bundled / "frames")]).files
        for outcome in run(bundled_frames, inspector, ledger, Pictures(("overlay", "panel"), for_all=True)):
            _print(_line(outcome.row))
            failed = failed or outcome.row["verdict"] == "error"
    print(
        f"\nLook at the pictures in {out / 'overlay'} and the method's five steps in {out / 'panel'}.", file=sys.stderr
    )
    raise typer.Exit(Exit.NOT_DONE if failed else Exit.NOTHING_FOUND)


def _stop(said: str = "stopped; what was judged is kept, and the same command continues") -> None:
    """Ctrl-C: typer would end with 1, which means "anomalies found" here."""
    print(f"\n{said}", file=sys.stderr)
    raise SystemExit(Exit.INTERRUPTED)


def main() -> None:
    """Entry point. Whatever a person can mend ends as one line; a defect of ours as a traceback, and never with the
    exit code that means "anomalies found"."""
    signal.signal(signal.SIGINT, lambda *_: _stop())
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # file names in old code pages
    try:
        run_command(app)
    except Exception:
        import traceback

        traceback.print_exc()
        raise SystemExit(Exit.NOT_DONE) from None


if __name__ == "__main__":
    main()
