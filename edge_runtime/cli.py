"""The command `edge-detect`: its parts stand in commands/, one file each. Heavy imports wait until one needs them."""

import os
import signal
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from edge_runtime import __version__
from edge_runtime.commands import benchmark, console, demo, evaluate, inspect, marks, model_file, report, results, watch
from edge_runtime.commands.options import Exit
from edge_runtime.errors import EdgeDetectError, UsageError, asked_wrongly


class InspectByDefault(TyperGroup):
    """`edge-detect FRAMES ...` means `edge-detect inspect FRAMES ...`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        own = ["--help", "-h", "--version", "--install-completion", "--show-completion"]
        if not args or args[0] == "help":
            args = [*args[1:2], "--help"]
        if args[0] not in own and args[0] not in self.commands:
            if not ctx.resilient_parsing:
                self._refuse_typo(args[0], own)
            args = ["inspect", *args]
        return list(super().parse_args(ctx, args))

    def _refuse_typo(self, word: str, options: list[str]) -> None:
        """What can be neither frames nor a command gets no complaint about what inspect lacks."""
        from difflib import get_close_matches

        near = get_close_matches(word, options if word.startswith("-") else list(self.commands), n=1, cutoff=0.65)
        if word.startswith("-"):
            if near and word.startswith("--"):
                raise UsageError(f"{word}: no such option; did you mean {near[0]}?")
        elif not os.path.lexists(word) and not set(word) & set("*?[/\\."):
            mend = f"did you mean the command `{near[0]}`?" if near else "edge-detect --help lists the commands"
            raise UsageError(f"{word}: no such command, file or folder; {mend}")


app = typer.Typer(
    cls=InspectByDefault,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Inspect camera frames with a model file: good or anomaly, where, and why.",
    epilog="`edge-detect FRAMES -m part.onnx -o OUT` is short for `edge-detect inspect FRAMES ...`. `edge-detect COMMAND "
    "--help` has the options of each. Exit codes: 0 no anomaly, 1 anomalies found, 2 something could not be done, 130 "
    "stopped with Ctrl-C.",
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
    marks.mark,
    marks.collect,
    model_file.info,
    model_file.check,
    evaluate.evaluate,
    benchmark.benchmark,
    demo.demo,
):
    app.command()(command)


def _run() -> None:
    try:
        code = app(standalone_mode=False)
    except console.ReaderGone:
        code = Exit.READER_GONE
    except EdgeDetectError:
        raise
    except Exception as err:
        raise asked_wrongly(err, "edge-detect") from None
    raise SystemExit(code)


def main() -> None:
    """Whatever a person can mend ends as one line; a defect of ours as a traceback, and never with the
    exit code that means "anomalies found"."""
    signal.signal(signal.SIGINT, lambda *_: console.stop())
    nowhere = open(os.devnull, "w")  # noqa: SIM115  # for what is started without a console
    sys.stdout, sys.stderr = sys.stdout or nowhere, sys.stderr or nowhere
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # file names in old code pages
    try:
        _run()
    except EdgeDetectError as err:
        console.say(f"error: {console.one_line(str(err))}")
        raise SystemExit(Exit.NOT_DONE) from None
    except Exception as err:
        import traceback

        traceback.print_exc()
        if str(err).startswith("DLL load failed"):
            console.say("error: Windows lacks a library that this needs; docs/install.md tells which there may be")
        raise SystemExit(Exit.NOT_DONE) from None


if __name__ == "__main__":
    main()
