"""What a person can do something about. The command line prints these as one line and exits 2."""

import importlib.util
import sys
from collections.abc import Callable
from types import TracebackType

INTERRUPTED = 130
"""What a shell says of a command that Ctrl-C has ended."""


class EdgeDetectError(Exception):
    """Base of every error that is meant for the user: the message says what, where and what to do."""


class FrameError(EdgeDetectError):
    """A frame can't be judged. The pipeline turns it into a result row with verdict `error`."""


class ModelError(EdgeDetectError):
    """A model file is refused: not ours, damaged, or inconsistent with what it says about itself."""


class OutputError(EdgeDetectError):
    """Results can't be written where they were asked for."""


class MixedResultsError(OutputError):
    """OUT holds results that were made in another way."""


class UsageError(EdgeDetectError):
    """The command was asked for something that can't be done as written."""


def first_line(err: BaseException) -> str:
    """What a foreign exception says, short enough to stand in one of our messages."""
    lines = str(err).strip().splitlines()
    return lines[0][:200] if lines else type(err).__name__


def require(*modules: str, extra: str = "export") -> None:
    """Raises UsageError where packages are not installed that inspecting does without. extra: of ours, that brings them."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f"{', '.join(missing)} not installed; this needs edge-detect[{extra}]: from a checkout {sys.executable} -m pip install -c constraints.txt "
            f"-e '.[{extra}]', from a folder of wheels {sys.executable} -m pip install --no-index --find-links FOLDER 'edge-detect[{extra}]'"
        )


def asked_wrongly(err: Exception, program: str) -> "UsageError":
    """What typer has to say of a command line, in one line as everything else is. Raises the error where it is another."""
    if not hasattr(err, "format_message"):
        raise err
    words = err.format_message().replace("Value error, ", "").rstrip(".")
    errors = getattr(err.__cause__ or err.__context__, "errors", None)
    found = errors() if errors else ()
    if found and found[0]["type"] != "value_error":
        words += f", got {found[0]['input']!r}"
    where = getattr(getattr(err, "ctx", None), "command_path", None) or program
    return UsageError(f"{words[:1].lower()}{words[1:]}; see {where} --help")


def run_command(command: Callable[[], object]) -> None:
    """Run a command line, such as a typer app that is not standalone; what a person can mend ends as one line on stderr and exit code 2. From
    here on Ctrl-C ends in one word, too, also while large libraries are still being loaded."""
    sys.excepthook = _without_traceback
    try:
        try:
            code = command()
        except Exception as err:
            if type(err).__name__ == "Abort":  # typer's word for Ctrl-C
                print("stopped", file=sys.stderr)
                sys.exit(INTERRUPTED)
            raise err if isinstance(err, EdgeDetectError) else asked_wrongly(err, "the command with") from None
    except EdgeDetectError as err:
        print(f"error: {err}", file=sys.stderr)
        sys.exit(2)
    if code:
        sys.exit(code if isinstance(code, int) else None)


def _without_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        print("stopped", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)
