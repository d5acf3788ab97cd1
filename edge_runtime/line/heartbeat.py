"""Signs of life of a watch, for whoever looks after the PC: OUT/heartbeat.json, and systemd's notifications."""

import json
import os
import socket
import time
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from edge_runtime.line.events import Status
from edge_runtime.line.record import stamp

NAME = "heartbeat.json"
EVERY_S = 2.0


class Heartbeat:
    """Beats only while the worker answers: a beat that is old says that inspection stands still, whatever the reason."""

    def __init__(self, out: Path) -> None:
        self._path = out / NAME
        self._last = -EVERY_S

    def ready(self) -> None:
        notify("READY=1")

    def beat(self, status: Status, restarts: int) -> None:
        """status: of all workers of this run together."""
        if time.monotonic() < self._last + EVERY_S:
            return
        self._last = time.monotonic()
        at = stamp(datetime.now(UTC), "seconds")
        self._write({"at": at, "pid": os.getpid(), **asdict(status), "worker_restarts": restarts})
        notify(f"WATCHDOG=1\nSTATUS={status.done} judged, {status.error} errors, {status.pending} waiting")

    def stopping(self) -> None:
        notify("STOPPING=1")

    def _write(self, values: dict[str, object]) -> None:
        temporary = self._path.with_suffix(".part")
        with suppress(OSError):  # a full disk: a beat that stays out says so
            temporary.write_text(f"{json.dumps(values)}\n")
            os.replace(temporary, self._path)


def notify(message: str) -> None:
    """Tell systemd, where it runs us (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as wire:
            wire.sendto(message.encode(), f"\0{address[1:]}" if address.startswith("@") else address)
