"""What `--output` names: any place of the user's, but nothing that the results themselves live on."""

import os
from collections.abc import Iterable
from pathlib import Path

from edge_runtime.errors import OutputError, UsageError
from edge_runtime.line import heartbeat
from edge_runtime.line.durable import LOCK, write_bytes
from edge_runtime.line.ledger import LINES
from edge_runtime.line.record import LEDGER


def write(target: Path, out: Path, data: Iterable[bytes], model: Path | None = None) -> None:
    """Write a file as a whole (the one that a link leads to), a pipe or a device as it comes.

    out: the folder of results that the data come from. Raises UsageError for a file that is part of them, or the model;
    OutputError.
    """
    real = Path(os.path.realpath(target))
    own = [out / name for name in (LEDGER, f"{LEDGER}-wal", f"{LEDGER}-shm", LOCK, LINES, heartbeat.NAME)]
    if any(real == Path(os.path.realpath(file)) for file in (*own, model) if file):
        raise UsageError(f"--output {target}: is one of the files that this is made from; choose another name")
    if target.absolute().is_relative_to("/dev") and os.path.isfile(real):
        raise UsageError(f"--output {target}: leave it out to write to stdout")
    if os.path.isfile(real) or not os.path.exists(target):
        write_bytes(real, data)
        return
    try:
        with open(target, "wb") as stream:
            stream.writelines(data)
    except OSError as err:
        raise OutputError(f"{target}: can't be written: {err.strerror}") from None
