"""What lies in a folder like a frame and is none, or is one that can't be read or lies elsewhere."""

import os
import socket
from pathlib import Path

from tests.formats import WHOLE


def linked(path: Path) -> None:
    """A link to a frame beside the folder."""
    outside = path.parent.parent / f"{path.parent.name}-linked.png"
    outside.write_bytes(WHOLE["png"])
    path.symlink_to(outside)


def locked(path: Path) -> None:
    path.write_bytes(WHOLE["png"])
    path.chmod(0)


def listening(path: Path) -> None:
    """A socket. Its path may have 107 bytes only, so it is made from within its folder."""
    here = os.getcwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(path.name)
    finally:
        os.chdir(here)
