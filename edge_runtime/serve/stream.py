"""Server-sent events: the whole state, whenever it has changed. Nothing is queued, so a slow client only skips states."""

import asyncio
import time

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from edge_runtime.serve.live import Live

TICK_S = 0.2
"""At most five states a second: more, no eye can follow."""
BEAT_S = 2.0
"""A state at least this often, so that the page can tell silence from a dead line."""
STUCK_S = 30.0
"""A client that takes nothing for so long is given up."""
MAX_STREAMS = 64


class Streams:
    """How many clients listen, and whether they are to leave."""

    def __init__(self) -> None:
        self.open = 0
        self.closing = False


class Events(Response):
    def __init__(self, live: Live, since: str, camera: str | None, streams: Streams) -> None:
        super().__init__(media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
        self.live, self.since, self.camera, self.streams = live, since, camera, streams
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.streams.open += 1
        gone = asyncio.create_task(_until_gone(receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await self._send(send, "retry: 1000\n\n")
            await self._states(send, gone)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except (TimeoutError, OSError):
            pass  # the client has left without a word
        finally:
            gone.cancel()
            self.streams.open -= 1

    async def _states(self, send: Send, gone: asyncio.Task[None]) -> None:
        version, sent = -1, 0.0
        while not (gone.done() or self.streams.closing):
            if self.live.board.version != version or time.monotonic() - sent >= BEAT_S:
                version, text = await run_in_threadpool(self.live.text, self.since, self.camera)
                await self._send(send, f"data: {text}\n\n")
                sent = time.monotonic()
            await asyncio.wait({gone}, timeout=TICK_S)

    async def _send(self, send: Send, text: str) -> None:
        async with asyncio.timeout(STUCK_S):
            await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
