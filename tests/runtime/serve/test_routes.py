"""Results, pictures, marks, health and figures."""

import socket
import threading
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from edge_runtime.line.events import Status
from edge_runtime.line.record import Record
from edge_runtime.results import Verdict
from edge_runtime.serve import server
from edge_runtime.serve.board import Board
from edge_runtime.serve.server import start
from tests.runtime.serve import JPEG, Commit, Serve, mark, states


@pytest.mark.parametrize(
    ("worker", "status", "words"),
    [
        ("starting", 200, "ok"),
        ("running", 200, "ok"),
        ("restarting", 200, "ok"),
        ("failed: the disk is full: 0 bytes left", 503, "the inspection has failed: the disk is full: 0 bytes left"),
    ],
)
def test_health(client: httpx.Client, board: Board, worker: str, status: int, words: str) -> None:
    board.health(worker)
    answer = client.get("/healthz")
    assert (answer.status_code, answer.text) == (status, words)


def test_a_camera_folder_that_is_gone_stands_above_everything_else(board: Board) -> None:
    board.status(Status(0, 0, 0, 0, 0, 0.0, ["/cam2: is not there"]))
    assert board.view()["trouble"] == "Frames can't be looked for in /cam2: is not there"
    board.status(Status(0, 0, 0, 0, 0, 0.0))
    assert board.view()["trouble"] is None


def test_metrics(client: httpx.Client, board: Board, commit: Commit) -> None:
    for name, verdict in (("1.jpg", Verdict.GOOD), ("2.jpg", Verdict.ANOMALY), ("3.jpg", Verdict.ERROR)):
        board.done(commit(name, verdict, "left"))
    board.status(Status(seen=9, done=2, error=1, skipped=0, pending=6, lag_s=1.5))
    board.health("restarting")
    board.health("running")
    families = {one.name: one for one in text_string_to_metric_families(client.get("/metrics").text)}
    frames = {one.labels["verdict"]: one.value for one in families["edge_detect_frames"].samples}
    assert frames == {"good": 1, "anomaly": 1, "error": 1}
    assert [families[f"edge_detect_{name}"].samples[0].value for name in ("pending_frames", "lag_seconds", "up")] == [
        6,
        1.5,
        1,
    ]
    assert families["edge_detect_restarts"].samples[0].value == 1
    assert families["edge_detect_last_frame_timestamp_seconds"].samples[0].value > 1.7e9
    infer = [one for one in families["edge_detect_stage_seconds"].samples if one.labels["stage"] == "infer"]
    values = {(one.name.rpartition("_")[2], one.labels.get("le")): one.value for one in infer}
    assert values["bucket", "0.01"] == 0 and values["bucket", "0.025"] == 2 and values["count", None] == 2
    assert values["sum", None] == pytest.approx(0.025)


def test_a_result_with_its_neighbours(client: httpx.Client, commit: Commit) -> None:
    first, _, second, third = (commit(f"{n}.jpg", Verdict.GOOD if n == 1 else Verdict.ANOMALY) for n in range(4))
    answer = client.get(f"/api/frames/{second['id']}").json()
    assert (answer["older"], answer["newer"]) == (first["id"], third["id"])
    assert answer["row"]["account"] == {"fine_map": 3.0, "biases": -0.9, "offset": -0.1, "rounding": 0.0}
    assert client.get(f"/api/frames/{first['id']}").json()["older"] is None
    assert [client.get(f"/api/frames/{number}").status_code for number in ("99", "0", "9" * 30, "-1", "x")] == [404] * 5


def test_pictures_are_those_that_the_row_names(client: httpx.Client, board: Board, commit: Commit) -> None:
    row = commit("1.jpg", camera="left")
    got = client.get(f"/api/frames/{row['id']}/input")
    assert (got.content, got.headers["content-type"]) == (JPEG + b"input", "image/jpeg")
    again = client.get(f"/api/frames/{row['id']}/input", headers={"If-None-Match": got.headers["etag"]})
    assert again.status_code == 304
    assert client.get(f"/api/frames/{row['id']}/heat").status_code == 404
    assert client.get(f"/api/frames/{row['id']}/thumb").content == JPEG + b"overlay"
    assert client.get("/api/cameras/1/preview").status_code == 404
    board.preview(row, JPEG)
    assert client.get("/api/cameras/1/preview").content == client.get(f"/api/frames/{row['id']}/thumb").content == JPEG


def test_the_file_of_a_frame_that_could_not_be_judged_is_never_served(
    client: httpx.Client, board: Board, commit: Commit, tmp_path: Path
) -> None:
    row = commit("evil.jpg", Verdict.ERROR, error="error/evil.jpg")
    (tmp_path / "out" / "error").mkdir()
    (tmp_path / "out" / "error" / "evil.jpg").write_text("<script>alert(1)</script>")
    board.done(row)
    answers = [client.get(f"/api/frames/{row['id']}/{kind}") for kind in ("error", "thumb", "overlay")]
    assert [answer.status_code for answer in answers] == [404, 404, 404]
    assert not any("script" in answer.text for answer in answers)
    assert client.get(f"/api/frames/{row['id']}").json()["row"]["pictures"] == {"error": "error/evil.jpg"}
    assert board.view()["cameras"][0]["row"]["pictures"] == []


def test_a_mark_is_stored_with_who_and_when(client: httpx.Client, serve: Serve, tmp_path: Path, commit: Commit) -> None:
    row = commit("1.jpg")
    with states(str(client.base_url)) as stream:
        stream.next()
        assert mark(client, row["id"], who="  Asha  Rao ").json()["row"]["mark"]["who"] == "Asha Rao"
        seen = stream.next(lambda state: state["rejects"][0]["mark"])["rejects"][0]["mark"]
    assert mark(client, row["id"], mark="right", who="Björn").status_code == 200
    with Record(tmp_path / "out") as record:
        stored = record.row(row["id"])
    assert stored and (stored["mark"]["mark"], stored["mark"]["who"]) == ("right", "Björn")
    assert seen["mark"] == "wrong" and seen["at"].endswith("Z")
    assert httpx.get(f"{serve().url}/api/frames/{row['id']}").json()["row"]["mark"] == stored["mark"]


def test_what_is_no_mark_is_refused(client: httpx.Client, commit: Commit) -> None:
    row, torn = commit("1.jpg"), commit("torn.jpg", Verdict.ERROR)
    for changes in (
        {"mark": "maybe"},
        {"mark": None},
        {"who": ""},
        {"who": " "},
        {"who": "x" * 61},
        {"who": "a\x00b"},
        {"who": 7},
    ):
        assert mark(client, row["id"], **changes).status_code == 400, changes
    path, headers = f"/api/frames/{row['id']}/mark", {"Content-Type": "application/json"}
    for body in (b"", b"[]", b"null", b"{", b"\xff", b"[" * 4000):
        assert client.post(path, content=body, headers=headers).status_code == 400, body
    assert mark(client, row["id"], who="x" * 5000).status_code == 413
    assert client.post(path, content=iter([b"{}"]), headers=headers).status_code == 413
    assert mark(client, torn["id"]).status_code == 409
    assert mark(client, 99).status_code == 404


def test_it_stops_although_somebody_looks_and_starts_again_at_the_same_address(board: Board) -> None:
    server = start(board, "127.0.0.1", 0)
    with states(server.url) as stream:
        stream.next()
        server.stop()
        with pytest.raises((AssertionError, httpx.TransportError)):
            stream.next(lambda _: False)
    assert not any(thread.name == "operator screen" for thread in threading.enumerate())
    again = start(board, "127.0.0.1", int(server.url.rpartition(":")[2]))
    assert httpx.get(f"{again.url}/healthz").text == "ok"
    again.stop()


def test_who_only_connects_keeps_nobody_out(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither with a thousand connections, nor with one that asks for nothing; and who listens for long stays."""
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 20)
    monkeypatch.setattr(server, "IDLE_S", 0.3)
    url = serve().url
    host, _, port = url.removeprefix("http://").partition(":")
    with ExitStack() as open_ones:
        listening = open_ones.enter_context(httpx.stream("GET", f"{url}/api/events", timeout=30))
        events = (line for line in listening.iter_lines() if line.startswith("data:"))
        next(events)
        idle = [open_ones.enter_context(closing(socket.create_connection((host, int(port))))) for _ in range(60)]
        for half in idle[:3]:
            half.sendall(b"GET / HTTP/1.1\r\n")
        for one in idle:
            one.settimeout(30)
            with suppress(ConnectionError):
                assert one.recv(1) == b""  # let go
        assert httpx.get(f"{url}/healthz", timeout=30).text == "ok"
        assert next(events) and next(events)  # more than IDLE_S later


def test_a_number_of_any_length_is_no_defect(client: httpx.Client) -> None:
    assert client.get(f"/api/frames/{'9' * 5000}").status_code == 404
    assert client.get(f"/api/frames/{'9' * 19}").status_code == 404
