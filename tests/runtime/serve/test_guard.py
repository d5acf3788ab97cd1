"""Who may ask for what, and that names and paths do no harm."""

import re
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from edge_runtime.errors import UsageError
from edge_runtime.line.record import Record
from edge_runtime.serve import board as boards
from edge_runtime.serve.board import Board
from edge_runtime.serve.server import start
from tests.runtime.serve import JPEG, Commit, Serve, raw, states

STATIC = Path(boards.__file__).parent / "static"
HOSTILE = (
    "<img src=x onerror=alert(1)>.png",
    "\"'`;--.jpg",
    "two\nlines\r\n\r\ndata: {}.jpg",
    "..%2f..%2fetc%2fpasswd",
    "../../etc/passwd",
    "\u202egnp.exe \u0000 \u2028 \x1b[31m.jpg",
    "${alert(1)}{{7*7}}.jpg",
)


def test_with_a_token_nobody_else_gets_in(serve: Serve, commit: Commit) -> None:
    number = commit("1.jpg")["id"]
    url = serve(token="s3cret & more").url
    for path in (
        "/",
        "/healthz",
        "/metrics",
        "/api/events",
        f"/api/frames/{number}",
        f"/api/frames/{number}/input",
        "/static/app.js",
    ):
        for options in (
            {},
            {"params": {"token": "s3cret"}},
            {"headers": {"Authorization": "Bearer nö".encode()}},
            {"cookies": {"token": "x"}},
        ):
            assert httpx.get(url + path, **options).status_code == 401, (path, options)
    by_header = {"Authorization": "Bearer s3cret & more"}
    assert httpx.get(f"{url}/metrics", headers=by_header).status_code == 200
    assert (
        httpx.post(f"{url}/api/frames/{number}/mark", headers=by_header, json={"mark": "right", "who": "A"}).status_code
        == 200
    )


def test_a_link_with_the_token_is_needed_once(serve: Serve) -> None:
    with httpx.Client(base_url=serve(token="s3cret").url) as browser:
        given = browser.get("/", params={"token": "s3cret"}).headers["set-cookie"]
        assert "HttpOnly" in given and "SameSite=Strict" in given and "s3cret" not in given
        assert browser.get("/").status_code == 200
        assert "set-cookie" not in browser.get("/").headers


def test_without_a_token_only_this_computer_is_served(board: Board) -> None:
    with pytest.raises(UsageError, match=r"--serve 0\.0\.0\.0:0: other computers could open this.* token"):
        start(board, "0.0.0.0", 0)
    server = start(board, "0.0.0.0", 0, "s3cret")
    server.stop()
    assert "0.0.0.0" not in server.url


def test_host_names_of_others_are_refused(client: httpx.Client, serve: Serve) -> None:
    """A foreign page that lets its own name point here (DNS rebinding) asks with that name."""
    url = str(client.base_url)
    for host in (
        "evil.example",
        "evil.example:8080",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "10.0.0.1",
        "",
        "[",
        "[::1",
    ):
        assert raw(url, "/", Host=host)[0] == 421, host
    for host in ("localhost", "LOCALHOST:80", "127.0.0.1", "127.0.0.2:99", "[::1]:8080"):
        assert raw(url, "/", Host=host)[0] == 200, host
    assert raw(serve(token="s3cret").url, "/", Host="pc7.factory", Authorization="Bearer s3cret")[0] == 200


def test_an_address_that_is_taken(board: Board, serve: Serve) -> None:
    port = int(serve().url.rpartition(":")[2])
    with pytest.raises(UsageError, match=rf"--serve 127\.0\.0\.1:{port}: the address can't be taken"):
        start(board, "127.0.0.1", port)
    with pytest.raises(UsageError, match="no such address"):
        start(board, "no.such.host.invalid", 0)


def test_other_pages_can_not_mark(client: httpx.Client, tmp_path: Path, commit: Commit) -> None:
    path, body = f"/api/frames/{commit('1.jpg')['id']}/mark", b'{"mark": "wrong", "who": "Mallory"}'
    own, as_json = str(client.base_url).rstrip("/"), {"Content-Type": "application/json"}
    for origin in ("http://evil.example", "null", "", own.replace("127.0.0.1", "localhost")):
        assert client.post(path, content=body, headers=as_json | {"Origin": origin}).status_code == 403, origin
    assert httpx.post(own + path, content=body, headers=as_json).status_code == 403
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        assert client.post(path, content=body, headers={"Content-Type": kind}).status_code == 415, kind
    assert client.get(path).status_code == 404
    with Record(tmp_path / "out") as record:
        assert [row["mark"] for row in record.rows()] == [None]


def test_nothing_but_the_mark_can_be_written(client: httpx.Client, commit: Commit) -> None:
    number = commit("1.jpg")["id"]
    for path in ("/", "/healthz", "/metrics", "/api/events", f"/api/frames/{number}", f"/api/frames/{number}/input"):
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            assert client.request(method, path).status_code == 405, (method, path)


def test_no_path_leads_out_of_the_folder(client: httpx.Client, tmp_path: Path, commit: Commit) -> None:
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (tmp_path / "out" / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    row = commit(
        "1.jpg", overlay="../secret.jpg", input=str(tmp_path / "secret.jpg"), heat="link.jpg", panel="ledger.sqlite"
    )
    url, frame = str(client.base_url), f"/api/frames/{row['id']}"
    for kind in (
        "overlay",
        "input",
        "heat",
        "panel",
        "thumb",
        "../secret.jpg",
        "..%2fsecret.jpg",
        "%2e%2e%2fsecret.jpg",
    ):
        assert raw(url, f"{frame}/{kind}")[0] == 404, kind
    for path in (
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e/app.py",
        "/static//etc/passwd",
        "/../../etc/passwd",
    ):
        assert raw(url, path)[0] == 404, path


@pytest.mark.parametrize("name", HOSTILE)
def test_names_may_hold_anything(client: httpx.Client, board: Board, commit: Commit, name: str) -> None:
    row = commit(name, camera=name)
    board.done(row)
    board.preview(row, JPEG)
    with states(str(client.base_url)) as stream:
        state = stream.next()
        assert (
            state["cameras"][0]["name"] == state["cameras"][0]["row"]["frame"] == state["rejects"][0]["frame"] == name
        )
    answer = client.get(f"/api/frames/{row['id']}")
    assert answer.json()["row"]["frame"] == name and answer.headers["content-type"] == "application/json"
    assert client.get(f"/api/cameras/{state['cameras'][0]['key']}/preview").content == JPEG
    frames = [
        one for one in text_string_to_metric_families(client.get("/metrics").text) if one.name == "edge_detect_frames"
    ]
    assert frames[0].samples[0].labels["camera"] == name


def test_page_brings_all_it_needs_and_nothing_runs_inline(client: httpx.Client) -> None:
    page = client.get("/")
    assert page.status_code == 200
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"
    needed = set(re.findall(r'(?:src|href)="(/[^"#]+)"', page.text))
    modules = {path.name for path in STATIC.glob("*.js")}
    imported = {name for path in STATIC.glob("*.js") for name in re.findall(r'from "\./([^"]+)"', path.read_text())}
    assert imported | {"app.js"} == modules
    for path in needed | {f"/static/{name}" for name in modules}:
        assert client.get(path).status_code == 200, path
    assert not re.search(r"<script(?! type=\"module\" src=)|<style|\sstyle=|\son\w+=", page.text)


def test_nothing_is_fetched_from_elsewhere_and_no_text_becomes_markup() -> None:
    for path in STATIC.iterdir():
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text and "https://" not in text and "url(//" not in text, path
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text), (
            path
        )
