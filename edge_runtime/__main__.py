"""Entry point of `edge-detect`, and of `python -m edge_runtime`: what can't wait for the command line's own libraries."""

import signal
import sys

WITHOUT_WORKER = frozenset({"results", "report", "info", "check", "evaluate", "benchmark", "help"})
"""What needs none, of the commands that commands/ has."""


def main() -> None:
    """Start loading what a run will need, then read the command line."""
    signal.signal(signal.SIGINT, _stop)
    if _wants_worker(sys.argv[1:]):
        from edge_runtime.line import process

        process.start_ahead()
    from edge_runtime import cli

    cli.main()


def _wants_worker(words: list[str]) -> bool:
    """As far as can be told by looking. Where it is wrong, a process is started for nothing, or a little later."""
    return (
        bool(words)
        and not words[0].startswith("-")
        and words[0] not in WITHOUT_WORKER
        and not {"-h", "--help"} & {*words}
    )


def _stop(*_: object) -> None:
    print("\nstopped", file=sys.stderr)
    raise SystemExit(130)


if __name__ == "__main__":
    main()
