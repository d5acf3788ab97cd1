"""The routes of the operator screen. Read-only, except for the mark."""

import json
import mimetypes
import os
from pathlib import Path
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.convertors import IntegerConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from edge_runtime.errors import OutputError, UsageError
from edge_runtime.line.record import MAX_NAME, Record, Row, as_stored, named
from edge_runtime.serve.board import Board
from edge_runtime.serve.guard import same_origin
from edge_runtime.serve.live import Live
from edge_runtime.serve.metrics import exposition
from edge_runtime.serve.stream import MAX_STREAMS, Events, Streams
from edge_runtime.views import PICTURES


class RowId(IntegerConvertor):
    """What SQLite can have numbered; Python refuses to read thousands of digits."""

    regex = "[0-9]{1,18}"


register_url_convertor("row", RowId())

STATIC = Path(__file__).parent / "static"
MAX_MARK_BYTES = 4096
TYPES = {".jpg": "image/jpeg", ".png": "image/png"}
ASSETS = {".css": "text/css", ".html": "text/html", ".js": "text/javascript", ".svg": "image/svg+xml"}
for suffix, kind in ASSETS.items():
    mimetypes.add_type(kind, suffix)  # Windows has them in its registry, where other programs leave them wrong


def application(board: Board, streams: Streams) -> Starlette:
    live = Live(board)

    def index(_: Request) -> Response:
        return FileResponse(STATIC / "index.html")

    async def events(request: Request) -> Response:
        if streams.open >= MAX_STREAMS:
            raise HTTPException(503, f"{MAX_STREAMS} screens are open already")
        try:
            since = as_stored(request.query_params.get("since", ""))
        except ValueError:
            raise HTTPException(400, "since: a time like 2026-11-24T06:00:00Z was expected") from None
        return Events(live, since, request.query_params.get("camera"), streams)

    def preview(request: Request) -> Response:
        return jpeg(board.picture(request.path_params["key"]))

    def frame(request: Request) -> Response:
        with record(board) as reading:
            row = row_of(reading, request)
            older, newer = reading.beside(row["id"], row["verdict"], row["camera"])
        return as_json({"row": row, "older": older, "newer": newer})

    def picture(request: Request) -> Response:
        with record(board) as reading:
            row = row_of(reading, request)
        return stored(board.out, row, request)

    def thumb(request: Request) -> Response:
        small = board.thumb(request.path_params["id"])
        if small is not None:
            return jpeg(small)
        with record(board) as reading:
            row = row_of(reading, request)
        kind = next((kind for kind in ("overlay", "input") if kind in row["pictures"]), "overlay")
        return stored(board.out, row, request, kind)

    async def mark(request: Request) -> Response:
        asked = await mark_asked(request)
        row = await run_in_threadpool(store_mark, board, request, **asked)
        board.changed()
        return as_json({"row": row})

    def healthz(_: Request) -> Response:
        trouble = board.trouble()
        return PlainTextResponse(trouble or "ok", 200 if trouble is None else 503)

    def metrics(_: Request) -> Response:
        return Response(exposition(board), media_type=CONTENT_TYPE_LATEST)

    return Starlette(
        routes=[
            Route("/", index),
            Route("/healthz", healthz),
            Route("/metrics", metrics),
            Route("/api/events", events),
            Route("/api/cameras/{key:row}/preview", preview),
            Route("/api/frames/{id:row}", frame),
            Route("/api/frames/{id:row}/mark", mark, methods=["POST"]),
            Route("/api/frames/{id:row}/thumb", thumb),
            Route("/api/frames/{id:row}/{kind}", picture),
            Mount("/static", Revalidated(directory=STATIC)),
        ],
        exception_handlers={HTTPException: in_words},
    )


class Revalidated(StaticFiles):
    """Browsers may keep the page's files, but ask each time: after an update nobody sees the old ones."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        return response


def in_words(_: Request, err: Exception) -> Response:
    assert isinstance(err, HTTPException)
    return PlainTextResponse(err.detail, err.status_code)


def as_json(value: object) -> Response:
    return Response(json.dumps(value), media_type="application/json")


def jpeg(data: bytes | None) -> Response:
    if data is None:
        raise HTTPException(404, "no picture yet")
    return Response(data, media_type="image/jpeg")


def record(board: Board) -> Record:
    try:
        return Record(board.out)
    except UsageError as err:
        raise HTTPException(404, str(err)) from None


def row_of(reading: Record, request: Request) -> Row:
    number = request.path_params["id"]
    row = reading.row(number)
    if row is None:
        raise HTTPException(404, f"no result has the id {number}")
    return row


def stored(out: Path, row: Row, request: Request, kind: str | None = None) -> Response:
    """A picture that the row names. Only its kind comes from the address, never a path."""
    kind = kind or request.path_params["kind"]
    missing = HTTPException(404, f"result {row['id']} has no picture {kind!r}")
    if kind not in PICTURES or kind not in row["pictures"]:  # kept files of frames that could not be judged are foreign
        raise missing
    root, path = (out / kind).resolve(), (out / row["pictures"][kind]).resolve()  # a link may lead to a larger disk
    if not path.is_relative_to(root) or path.suffix not in TYPES or not os.path.isfile(path):
        raise missing
    info = os.stat(path)
    tag = {"ETag": f'"{info.st_mtime_ns:x}-{info.st_size:x}"', "Cache-Control": "private, no-cache"}
    if request.headers.get("if-none-match") == tag["ETag"]:
        return Response(status_code=304, headers=tag)
    return FileResponse(path, media_type=TYPES[path.suffix], headers=tag)


async def mark_asked(request: Request) -> dict[str, Any]:
    """The body of a mark, checked: {"mark": "right" | "wrong", "who": NAME}."""
    if not same_origin(request.headers):
        raise HTTPException(403, "marks are taken from this screen only, not from other pages")
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "a mark is sent as application/json")
    length = request.headers.get("content-length", "")
    if not (length.isascii() and length.isdigit() and int(length) <= MAX_MARK_BYTES):
        raise HTTPException(413, f"a mark has at most {MAX_MARK_BYTES} bytes, and says how many")
    try:
        asked = json.loads(await request.body())
        mark, who = asked["mark"], named(asked["who"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        mark = who = ""
    if mark not in ("right", "wrong"):
        raise HTTPException(
            400, f'a mark is {{"mark": "right" or "wrong", "who": a name of at most {MAX_NAME} characters}}'
        )
    return {"mark": mark, "who": who}


def store_mark(board: Board, request: Request, mark: Any, who: str) -> Row:
    with record(board) as writing:
        row = row_of(writing, request)
        if row["score"] is None:
            raise HTTPException(409, f"result {row['id']} has no verdict that could be right or wrong")
        try:
            return writing.mark(row["id"], mark, who)
        except OutputError as err:
            raise HTTPException(503, str(err)) from None
