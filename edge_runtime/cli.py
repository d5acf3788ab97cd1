"""The command `edge-detect`: its parts stand in commands/, one file each. Heavy imports wait until one needs them."""

import os
import signal
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from edge_runtime import __version__
from edge_runtime.commands import benchmark, console, demo, evaluate, inspect, model_file, report, results, watch
from edge_runtime.commands.options import Exit
from edge_runtime.errors import UsageError, run_command


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


for command in (
    inspect.inspect,
    watch.watch,
    results.results,
    report.report,
    model_file.info,
    model_file.check,
    evaluate.evaluate,
    benchmark.benchmark,
    demo.demo,
):
    app.command()(command)


def main() -> None:
    """Entry point. Whatever a person can mend ends as one line; a defect of ours as a traceback, and never with the
    exit code that means "anomalies found"."""
    signal.signal(signal.SIGINT, lambda *_: console.stop())
    nowhere = open(os.devnull, "w")  # noqa: SIM115  # for what is started without a console
    sys.stdout, sys.stderr = sys.stdout or nowhere, sys.stderr or nowhere
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # file names in old code pages
    try:
        run_command(app)
    except Exception:
        import traceback

        traceback.print_exc()
        raise SystemExit(Exit.NOT_DONE) from None


if __name__ == "__main__":
    main()
