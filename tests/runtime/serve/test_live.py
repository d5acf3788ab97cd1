"""What a page is told, and that nobody slows anybody down."""

import asyncio
import json
import os
import socket
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from edge_runtime.line import record
from edge_runtime.line.events import Status
from edge_runtime.line.ledger import Ledger
from edge_runtime.line.record import Row
from edge_runtime.results import Verdict
from edge_runtime.serve import board as boards
from edge_runtime.serve.board import Board
from edge_runtime.serve.live import Latest, Live
from edge_runtime.serve.stream import Events, Streams
from edge_runtime.serve.tally import Histogram, Rate
from tests.runtime.serve import JPEG, Commit, states
from tests.runtime.serve.conftest import inspection


def test_first_state_is_complete_and_the_next_comes_by_itself(
    client: httpx.Client, board: Board, commit: Commit
) -> None:
    for number in range(15):
        commit(f"{number}.jpg")
    commit("torn.jpg", Verdict.ERROR)
    board.done(commit("good.jpg", Verdict.GOOD, "left"))
    with states(str(client.base_url)) as stream:
        state = stream.next()
        assert [row["frame"] for row in state["rejects"]] == [f"{number}.jpg" for number in range(14, 2, -1)]
        assert [row["error"] for row in state["unjudged"]] == ["torn.jpg: is no image"]
        assert state["counts"] == {"good": 1, "anomaly": 15, "error": 1}
        assert (state["product"], state["model"], state["worker"]["state"]) == ("ball screw", "cd" * 32, "starting")
        assert [(one["name"], one["row"]["verdict"]) for one in state["cameras"]] == [("left", "good")]
        board.health("running")
        board.done(commit("new.jpg", camera="left"))
        state = stream.next(lambda state: state["cameras"][0]["row"]["frame"] == "new.jpg")
        assert state["rejects"][0]["frame"] == "new.jpg" and state["worker"]["state"] == "running"
        assert state["cameras"][0]["reject"]["defects"] == [{"box_xyxy": [10, 20, 60, 70], "contribution": 0.7}]


def test_a_camera_that_was_silent_from_the_start_is_missed(client: httpx.Client, board: Board, commit: Commit) -> None:
    board.ready("ball screw", "ab", ["left", "right"])
    board.done(commit("good.jpg", Verdict.GOOD, "left"))
    with states(str(client.base_url)) as stream:
        cameras = stream.next()["cameras"]
        assert [(one["name"], one["row"] is not None) for one in cameras] == [("left", True), ("right", False)]
    assert 'edge_detect_frames_total{camera="right",verdict="good"} 0.0' in client.get("/metrics").text


def test_each_camera_is_counted_and_may_be_asked_for_alone(client: httpx.Client, board: Board, commit: Commit) -> None:
    board.ready("ball screw", "ab", ["left", "right"])
    for number in range(3):
        commit(f"left/{number}.jpg", camera="left")
        commit(f"right/{number}.jpg", Verdict.GOOD, "right")
    commit("right/reject.jpg", camera="right")
    commit("right/torn.jpg", Verdict.ERROR, "right")
    counts = {"left": {"anomaly": 3}, "right": {"good": 3, "anomaly": 1, "error": 1}}
    for asked, rejects, unjudged in (
        ({}, ["right/reject.jpg", "left/2.jpg", "left/1.jpg", "left/0.jpg"], ["right/torn.jpg"]),
        ({"camera": "left"}, ["left/2.jpg", "left/1.jpg", "left/0.jpg"], []),
        ({"camera": "right"}, ["right/reject.jpg"], ["right/torn.jpg"]),
        ({"camera": "nobody"}, [], []),
    ):
        with states(str(client.base_url), params=asked) as stream:
            state = stream.next()
            assert [row["frame"] for row in state["rejects"]] == rejects
            assert [row["frame"] for row in state["unjudged"]] == unjudged
            assert state["counts"] == {"good": 3, "anomaly": 4, "error": 1}
            assert {one["name"]: one["counts"] for one in state["cameras"]} == counts
    with states(str(client.base_url)) as stream:
        stream.next()
        board.done(commit("left/3.jpg", camera="left"))
        state = stream.next(lambda state: state["counts"]["anomaly"] == 5)
        assert [one["counts"].get("anomaly") for one in state["cameras"]] == [4, 1]


def test_a_long_record_is_counted_in_parts_and_told_when_all_are(
    client: httpx.Client, commit: Commit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "COUNTED", 2)
    for number in range(5):
        commit(f"{number}.jpg")
    with states(str(client.base_url)) as stream:
        assert [stream.next()["counts"] for _ in range(3)] == [None, None, {"anomaly": 5}]
        commit("new.jpg")
        assert stream.next(lambda state: state["counts"] != {"anomaly": 5})["counts"] == {"anomaly": 6}


def test_another_ledger_in_the_same_place_is_counted_from_its_beginning(
    client: httpx.Client, board: Board, commit: Commit, tmp_path: Path
) -> None:
    board.ready("ball screw", "ab", ["left", "right"])
    for number in range(5):
        commit(f"left/{number}.jpg", camera="left")
    with states(str(client.base_url), params={"camera": "left"}) as stream:
        assert stream.next()["counts"] == {"anomaly": 5}
        os.rename(tmp_path / "out", tmp_path / "old")
        with Ledger(tmp_path / "out", {"model": "ab" * 32}) as ledger:
            ledger.commit(inspection("left/new.jpg"), "left", {})
            state = stream.next(lambda state: bool(state["rejects"]) and state["rejects"][0]["frame"] == "left/new.jpg")
            assert state["counts"] == {"anomaly": 1} and len(state["rejects"]) == 1


def test_a_reject_that_comes_while_one_looks_is_there_once(
    commit: Commit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit("left/1.jpg", camera="left")
    latest = Latest()
    monkeypatch.setattr(record.Record, "last_id", 0)  # as it was a moment before
    with record.Record(tmp_path / "out") as reading:
        for _ in range(2):
            assert [row["frame"] for row in latest.of(reading, "anomaly", "left")] == ["left/1.jpg"]


def test_a_frame_that_is_not_whole_yet_is_told_of_at_its_camera(client: httpx.Client, board: Board) -> None:
    board.status(Status(1, 0, 0, 0, 1, 0.5, not_whole={"left": 7.5}))
    with states(str(client.base_url)) as stream:
        (left,) = stream.next()["cameras"]
        assert (left["name"], left["not_whole_s"], left["row"]) == ("left", 7.5, None)
    assert "edge_detect_lag_seconds 7.5" in client.get("/metrics").text


def test_a_camera_without_its_folder_is_known_to_be_away(client: httpx.Client, board: Board) -> None:
    board.ready("ball screw", "ab", ["left", "right"])
    board.status(Status(0, 0, 0, 0, 0, 0.0, ["/line/left: is not there"], {"left": "is not there"}))
    with states(str(client.base_url)) as stream:
        state = stream.next()
        assert {one["name"]: one["away"] for one in state["cameras"]} == {"left": "is not there", "right": None}
        assert state["trouble"] == "Frames can't be looked for in /line/left: is not there"


def test_states_come_although_nothing_happens(client: httpx.Client) -> None:
    with states(str(client.base_url)) as stream:
        assert stream.next()["cameras"] == stream.next()["cameras"] == []


def test_only_rows_since_the_shift_began_are_counted(client: httpx.Client, commit: Commit) -> None:
    commit("1.jpg")
    for since, counts in (("2020-01-01T06:00:00+02:00", {"anomaly": 1}), ("2999-01-01T06:00:00Z", {})):
        with states(str(client.base_url), params={"since": since}) as stream:
            assert stream.next()["counts"] == counts
    for wrong in ("'; drop table marks", "0001-01-01T00:00:00+10:00"):
        assert client.get("/api/events", params={"since": wrong}).status_code == 400


def test_screen_is_up_before_the_first_result(client: httpx.Client) -> None:
    with states(str(client.base_url)) as stream:
        assert stream.next()["rejects"] == []
    assert client.get("/api/frames/1").status_code == 404


def test_a_client_that_reads_nothing_holds_up_nobody(client: httpx.Client, board: Board, commit: Commit) -> None:
    rows = [commit(f"{'x' * 200}{number}.jpg", camera=f"{number}") for number in range(40)]
    with closing(socket.create_connection((client.base_url.host, client.base_url.port or 0))) as stuck:
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        stuck.sendall(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for _ in range(50):
            for row in rows:
                board.done(row)
        with states(str(client.base_url)) as stream:
            stream.next()
            board.done(commit("last.jpg", camera="last"))
            stream.next(lambda state: any(one["name"] == "last" for one in state["cameras"]))


def test_a_slow_client_skips_states(board: Board, commit: Commit) -> None:
    rows = [commit(f"{number}.jpg", Verdict.GOOD) for number in range(100)]
    received: list[dict[str, Any]] = []

    async def slow() -> None:
        takes_on, gone = asyncio.Event(), asyncio.Event()

        async def send(message: Any) -> None:
            if message.get("body", b"").startswith(b"data: "):
                received.append(json.loads(message["body"].removeprefix(b"data: ")))
                await takes_on.wait()

        async def receive() -> Any:
            await gone.wait()
            return {"type": "http.disconnect"}

        events = asyncio.create_task(Events(Live(board), "", None, Streams())({"type": "http"}, receive, send))
        while not received:
            await asyncio.sleep(0)
        for row in rows:
            board.done(row)
        takes_on.set()
        while not received[-1]["cameras"]:
            await asyncio.sleep(0)
        gone.set()
        await events

    asyncio.run(slow())
    assert [state["cameras"] and state["cameras"][0]["row"]["frame"] for state in received] == [[], "99.jpg"]


def test_the_board_does_not_grow(board: Board) -> None:
    kept = ("frame", "score", "margin", "threshold", "size_wh", "error", "inspected_at")
    boxes = [{"box_xyxy": [0, 0, 1, 1], "contribution": 0.1}] * 999
    row: Row = {**dict.fromkeys(kept), "model": "sha256:ab", "verdict": "anomaly", "pictures": {}, "defects": boxes}
    for number in range(1000):
        now = row | {"id": number, "camera": f"{number % 70}", "elapsed_ms": {"infer": 1.0}}
        board.done(now)
        board.preview(now, JPEG)
    view, figures = board.view(), board.figures()
    assert {one["name"] for one in view["cameras"]} == {
        str(number) for number in range(70)
    }  # none makes room for others
    assert len(view["cameras"][0]["row"]["defects"]) == boards.MAX_BOXES
    assert (len(figures["frames"]), len(figures["stages"])) == (70, 1)
    assert sum(board.thumb(number) is not None for number in range(1000)) == boards.MAX_THUMBS


def test_frames_per_second_of_the_last_minute() -> None:
    rate = Rate(now=1000.0)
    for tenth in range(1200):  # ten a second for two minutes
        rate.add(1000 + tenth / 10)
    assert rate.per_second(1119.9) == pytest.approx(10)
    assert rate.per_second(1149.9) == pytest.approx(5)
    assert rate.per_second(1300.0) == 0
    young = Rate(now=0.0)
    young.add(1.0)
    assert young.per_second(2.0) == pytest.approx(0.5)


def test_times_in_buckets() -> None:
    times = Histogram()
    for ms in (0.5, 1.0, 1.1, 99_999.0):
        times.add(ms)
    assert times.cumulative()[:2] == [2, 3] and times.cumulative()[-2:] == [3, 4]
    assert times.sum_ms == pytest.approx(100_001.6)
