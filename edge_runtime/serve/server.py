"""Runs the operator screen in a thread of its own."""

import asyncio
import errno
import socket
import threading

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from edge_runtime.errors import UsageError
from edge_runtime.serve.app import application
from edge_runtime.serve.board import Board
from edge_runtime.serve.guard import Guard, is_loopback
from edge_runtime.serve.stream import Streams

START_S = 20.0
STOP_S = 5.0
MAX_CONNECTIONS = 256
"""At once. They use up what this process may open, and it is the one that looks after the inspection."""
IDLE_S = 10.0
"""For which a connection may ask for nothing."""


class Server:
    """A screen that is up. url: where to open it, without the token."""

    def __init__(self, board: Board, listener: socket.socket, host: str, token: str | None) -> None:
        address, port = listener.getsockname()[:2]
        shown = host if not is_unspecified(address) else socket.gethostname()
        self.url = f"http://{f'[{shown}]' if ':' in shown else shown}:{port}"
        self._streams = Streams()
        self._server = _Uvicorn(
            uvicorn.Config(
                Guard(application(board, self._streams), host, port, token),
                log_config=None,
                access_log=False,
                lifespan="off",
                ws="none",
                http=_Connection,
                loop="asyncio",
                server_header=False,
                timeout_graceful_shutdown=1,
            )
        )
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listener]}, name="operator screen", daemon=True
        )
        self._thread.start()
        if not self._server.up.wait(START_S):
            raise UsageError(f"--serve: the screen did not come up within {START_S:.0f} s")

    def stop(self) -> None:
        self._streams.closing = True
        self._server.should_exit = True
        self._thread.join(STOP_S)


class _Connection(H11Protocol):
    """Is closed where there are too many, or where it holds its place and asks for nothing: whoever asks needs no token for that."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.abort()
        else:
            self._look_again()

    def _look_again(self) -> None:
        self.loop.call_later(IDLE_S, self._look, self.cycle)

    def _look(self, before: object) -> None:
        """before: what it had asked for when it was last looked at."""
        answering = self.cycle is not None and not self.cycle.response_complete
        if self.cycle is before and not answering and not self.transport.get_write_buffer_size():
            self.transport.abort()
        elif not self.transport.is_closing():
            self._look_again()


class _Uvicorn(uvicorn.Server):
    """Says when it is up."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()


def start(board: Board, host: str, port: int, token: str | None = None) -> Server:
    """Show the board. port: 0 takes a free one. Returns once it can be opened.

    Raises UsageError where the address can't be taken, or others could reach it and there is no token.
    """
    listener = _bind(host, port)
    if not is_loopback(listener.getsockname()[0]) and not token:
        listener.close()
        raise UsageError(
            f"--serve {host}:{port}: other computers could open this and mark results; "
            "give it a token (--serve-token, or EDGE_DETECT_TOKEN in the environment), or use 127.0.0.1"
        )
    listener.listen(128)
    return Server(board, listener, host, token or None)


def _bind(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, OverflowError, UnicodeError) as err:
        raise UsageError(f"--serve {host}:{port}: no such address: {err}") from None
    try:
        if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listener.setsockopt(
                socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
            )  # a restart need not wait for old connections
        listener.bind(address)
    except OSError as err:
        listener.close()
        hint = "; is another screen running there?" if err.errno == errno.EADDRINUSE else "; is it one of this PC?"
        raise UsageError(f"--serve {host}:{port}: the address can't be taken: {err.strerror}{hint}") from None
    return listener


def is_unspecified(address: str) -> bool:
    return address in ("0.0.0.0", "::")
