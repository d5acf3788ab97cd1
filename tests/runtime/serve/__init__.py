"""The operator screen over HTTP, from a real server on a free port; what a browser makes of it is in tests/browser."""

import http.client
import json
from collections.abc import Callable
from contextlib import closing
from typing import Any

import httpx

from edge_runtime.line.record import Row
from edge_runtime.serve.server import Server

Commit = Callable[..., Row]
Serve = Callable[..., Server]
JPEG = b"\xff\xd8 stands for a picture \xff\xd9"


class States:
    """What a page receives. next(until) reads on until a state is as wanted."""

    def __init__(self, url: str, **options: Any) -> None:
        self._stream = httpx.stream("GET", f"{url}/api/events", timeout=30, **options)
        self._lines = self._stream.__enter__().iter_lines()

    def next(self, until: Callable[[dict[str, Any]], bool] = lambda _: True) -> dict[str, Any]:
        for line in self._lines:
            if line.startswith("data: "):
                state: dict[str, Any] = json.loads(line.removeprefix("data: "))
                if until(state):
                    return state
        raise AssertionError("the stream has ended")

    def close(self) -> None:
        self._stream.__exit__(None, None, None)


def states(url: str, **options: Any) -> "closing[States]":
    return closing(States(url, **options))


def mark(client: httpx.Client, number: int, **changes: Any) -> httpx.Response:
    return client.post(f"/api/frames/{number}/mark", json={"mark": "wrong", "who": "Asha"} | changes)


def raw(url: str, path: str, **headers: str) -> tuple[int, bytes]:
    """A request whose path and headers nobody tidies up."""
    with closing(http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)) as connection:
        connection.putrequest("GET", path, skip_host="Host" in headers)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read()
