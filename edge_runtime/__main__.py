"""Entry point of `edge-detect`, and of `python -m edge_runtime`: what can't wait for the command line's own libraries."""

import os
import signal
import sys

WITH_WORKER = ("inspect", "watch", "demo")


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
    named = words[:1] and (words[0] in WITH_WORKER or os.path.lexists(words[0]))
    return bool(named) and not {"-h", "--help"} & {*words}


def _stop(*_: object) -> None:
    print("\nstopped", file=sys.stderr)
    raise SystemExit(130)


if __name__ == "__main__":
    main()
