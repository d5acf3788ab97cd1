"""An OUT with rows, a board, and a server on a free port."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from edge_runtime.line.ledger import Ledger
from edge_runtime.line.record import Row
from edge_runtime.results import Account, Box, Defect, Inspection, Verdict
from edge_runtime.serve.board import Board
from edge_runtime.serve.server import Server, start
from tests.runtime.serve import JPEG, Commit, Serve


def inspection(name: str, verdict: Verdict = Verdict.ANOMALY, sha256: str = "") -> Inspection:
    if verdict in (Verdict.ERROR, Verdict.SKIPPED):
        return Inspection(name, None, None, verdict, error=f"{name}: is no image")
    bad = verdict is Verdict.ANOMALY
    return Inspection(
        name,
        sha256 or f"{abs(hash(name)):064x}",
        (640, 480),
        verdict,
        score=0.9 if bad else 0.1,
        margin=2.0 if bad else -2.0,
        threshold=0.5,
        defects=(Defect(Box(10, 20, 60, 70), 0.7, 1.5, 9.0, "fine"),) if bad else (),
        account=Account(3.0, -0.9, -0.1, 0.0) if bad else None,
        elapsed_ms={"read": 0.4, "infer": 12.5},
    )


@pytest.fixture
def commit(tmp_path: Path) -> Iterator[Commit]:
    """Writes rows to OUT, as a worker does; rejects get an overlay and an input."""
    with Ledger(tmp_path / "out", {"model": "ab" * 32}) as ledger:

        def one(name: str, verdict: Verdict = Verdict.ANOMALY, camera: str | None = None, **pictures: str) -> Row:
            if verdict is Verdict.ANOMALY and not pictures:
                for kind in ("overlay", "input"):
                    (ledger.out / kind).mkdir(exist_ok=True)
                    (ledger.out / kind / "1.jpg").write_bytes(JPEG + kind.encode())
                    pictures[kind] = f"{kind}/1.jpg"
            return ledger.commit(inspection(name, verdict), camera, pictures) | {"mark": None}

        yield one


@pytest.fixture
def board(tmp_path: Path) -> Board:
    made = Board(tmp_path / "out", "ball screw")
    made.ready("", "cd" * 32, [])
    return made


@pytest.fixture
def serve(board: Board) -> Iterator[Serve]:
    running = []

    def up(host: str = "127.0.0.1", token: str | None = None) -> Server:
        running.append(start(board, host, 0, token))
        return running[-1]

    yield up
    for server in running:
        server.stop()


@pytest.fixture
def client(serve: Serve) -> Iterator[httpx.Client]:
    server = serve()
    with httpx.Client(base_url=server.url, headers={"Origin": server.url}, timeout=30) as client:
        yield client
