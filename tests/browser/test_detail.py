"""A reject in detail: layers, account, marks, keys; and what the screen is like for everybody's eyes and hands."""

import re
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.line.ledger import Ledger
from edge_runtime.line.record import Record
from edge_runtime.serve.board import Board
from edge_runtime.serve.server import start
from tests import outs
from tests.browser import Watch
from tests.browser.conftest import AXE, NO_AXE, Start
from tests.browser.test_live import expect


@pytest.fixture
def reject(page: Any, watch: Start) -> Any:
    """A line with a reject, a good frame, an error and another reject; the page shows the first reject."""
    line = watch()
    for name, bad, data in (
        ("1.png", True, None),
        ("2.png", False, None),
        ("3.png", False, b"none"),
        ("4.png", True, None),
    ):
        line.put(name, bad, data=data)
    page.goto(line.url)
    expect(page.locator(".strip-item")).to_have_count(2)
    expect(page.locator(".figure-unjudged .figure-value")).to_have_text("1")
    page.locator(".strip-item").last.click()
    expect(page.locator(".detail-word")).to_have_text("REJECT")
    return line


def views(line: Watch) -> dict[str, str]:
    """Addresses within the page, and what each shows."""
    with Record(line.folder / "out") as record:
        kinds = {"1.png": "reject", "3.png": "error"}
        details = {row["id"]: kinds[row["frame"]] for row in record.rows() if row["frame"] in kinds}
    shown = {f"#/frame/{number}": f".detail-word[data-kind={kind}]" for number, kind in details.items()}
    return {"#/": ".verdict-word", **shown}


def test_heat_and_boxes_lie_over_the_frame(page: Any, reject: Any) -> None:
    heat, slider = page.locator(".frame-heat"), page.get_by_label("Heat")
    expect(heat).to_have_css("opacity", "0.6")
    slider.fill("30")
    expect(heat).to_have_css("opacity", "0.3")
    expect(page.locator("output")).to_have_text("30 %")
    page.reload()
    expect(heat).to_have_css("opacity", "0.3")
    layers = page.evaluate("[...document.querySelectorAll('.frame-layer')].map((layer) => layer.naturalWidth > 0)")
    assert layers == [True, True]
    expect(page.locator(".frame-boxes .box")).to_have_count(1)
    expect(page.locator(".box-label")).to_have_text(re.compile(r"^\d\d %$"))
    page.get_by_label("Boxes").uncheck()
    expect(page.locator(".box-label")).to_be_hidden()


def test_the_account_adds_up_and_the_proof_is_told(page: Any, reject: Any) -> None:
    numbers = [
        float(text.replace("−", "-").replace("=", "")) for text in page.locator(".account .number").all_text_contents()
    ]
    assert sum(numbers[:-1]) == pytest.approx(numbers[-1], abs=0.03)
    expect(page.locator(".boxes tbody tr")).to_have_count(1)
    expect(page.get_by_text("Without its boxes")).to_be_visible()
    expect(page.get_by_alt_text("Input, coarse map")).to_be_visible()


def test_a_mark_survives_a_restart(page: Any, reject: Any, complaints: list[str]) -> None:
    page.get_by_role("button", name="This reject was wrong").click()
    expect(page.get_by_role("alert").filter(has_text="Enter your name")).to_be_visible()
    page.get_by_label("Your name", exact=True).fill("Asha")
    page.get_by_label("Your name", exact=True).press("Enter")
    state = page.locator(".mark-state")
    expect(state).to_have_text(re.compile("✗ wrong, says Asha"))
    reject.kill()
    expect(page.locator("#live-pill")).to_have_text("Live: NO CONNECTION")
    page.get_by_role("button", name="This reject was right").click()
    expect(page.get_by_role("alert").filter(has_text="not stored: no connection")).to_be_visible()
    reject.start()
    expect(page.locator("#live-pill")).to_have_text("Live: WAITING")
    page.reload()
    expect(state).to_have_text(re.compile("✗ wrong, says Asha"))
    expect(page.get_by_role("button", name="This reject was wrong")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_label("Your name", exact=True)).to_have_value("Asha")
    with Record(reject.folder / "out") as record:
        marks = {row["frame"]: row["mark"] and (row["mark"]["mark"], row["mark"]["who"]) for row in record.rows()}
    assert marks["1.png"] == ("wrong", "Asha") and marks["4.png"] is None
    page.keyboard.press("Escape")
    expect(page.locator(".strip-item").last).to_have_text(re.compile("✗ wrong"))
    assert all("net::ERR" in words for words in complaints)
    complaints.clear()


def pass_with_a_live_picture(page: Any, line: Watch) -> str:
    """A frame that comes within 0.4 s of another has none."""
    from playwright.sync_api import TimeoutError

    for name in ("5.png", "6.png"):
        line.put(name)
        try:
            page.get_by_alt_text(f"PASS: {name}").wait_for(timeout=5_000)
        except TimeoutError:
            continue
        return name
    raise AssertionError("no live picture")


def test_a_pass_can_be_marked_as_a_miss(page: Any, reject: Any) -> None:
    page.keyboard.press("Escape")
    name = pass_with_a_live_picture(page, reject)
    page.locator(".tile-caption a", has_text=name).click()
    expect(page.locator(".detail-word")).to_have_text("PASS")
    expect(page.get_by_alt_text(f"PASS: {name}")).to_be_visible()  # nothing is stored, but it is the last one
    for expected in [f"{number}.png" for number in range(int(name[0]) - 1, 4, -1)] + ["2.png"]:
        page.get_by_role("link", name="older").click()
        expect(page.locator(".detail-title")).to_have_text(expected)
    page.get_by_label("Your name", exact=True).fill("Asha")
    page.get_by_role("button", name="This pass was wrong").click()
    expect(page.locator(".mark-state")).to_have_text(re.compile("✗ wrong, says Asha"))
    with Record(reject.folder / "out") as record:
        assert [(row["frame"], row["verdict"], row["mark"]["mark"]) for row in record.marked()] == [
            ("2.png", "good", "wrong")
        ]


def test_everything_can_be_done_with_keys(page: Any, reject: Any) -> None:
    title = page.locator(".detail-title")
    page.keyboard.press("ArrowRight")
    expect(title).to_have_text("4.png")
    page.keyboard.press("ArrowLeft")
    expect(title).to_have_text("1.png")
    page.keyboard.press("r")
    expect(page.get_by_label("Your name", exact=True)).to_be_focused()
    page.keyboard.type("Ravi Wrr")  # letters that are typed mark nothing
    page.keyboard.press("Tab")
    page.keyboard.press("r")
    expect(page.locator(".mark-state")).to_have_text(re.compile("✓ right, says Ravi Wrr"))
    page.keyboard.press("w")
    expect(page.locator(".mark-state")).to_have_text(re.compile("✗ wrong"))
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.get_by_role("button", name="Close").press("Enter")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(title).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".tile")).to_be_visible()
    page.keyboard.press("ArrowLeft")
    expect(title).to_have_text("4.png")


@pytest.mark.parametrize("size", [(390, 844), (768, 1024), (1280, 720), (1920, 1080)])
def test_nothing_is_cut_off(page: Any, reject: Any, size: tuple[int, int]) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    for address, shows in views(reject).items():
        page.evaluate(f"location.hash = '{address}'")
        expect(page.locator(shows)).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0], address
        word = page.locator(shows)
        assert word.evaluate(
            "(node) => node.scrollWidth <= node.clientWidth && node.getBoundingClientRect().right <= innerWidth"
        )
    if size[0] >= 1280:
        page.keyboard.press("Escape")
        expect(page.locator(".tile")).to_be_visible()
        bottom = page.locator(".strip-item").last.evaluate("(node) => node.getBoundingClientRect().bottom")
        assert bottom <= size[1]  # the live page fits without scrolling


@pytest.mark.skipif(AXE is None, reason=NO_AXE)
def test_nobody_is_kept_out(page: Any, reject: Any, complaints: list[str]) -> None:
    assert AXE is not None and AXE.origin is not None
    page.evaluate(Path(AXE.origin).with_name("axe.min.js").read_text())
    for address, shows in (views(reject) | {"#/frame/999": ".detail-missing", "?": "dialog"}).items():
        if address == "?":
            page.keyboard.press("?")
        else:
            page.evaluate(f"location.hash = '{address}'")
        expect(page.locator(shows)).to_be_visible()
        found = page.evaluate("axe.run()")["violations"]
        grave = [
            (one["id"], [node["target"] for node in one["nodes"]])
            for one in found
            if one["impact"] in ("serious", "critical")
        ]
        assert grave == [], address
    assert len(complaints) == 1 and "404" in complaints.pop()  # of the result that does not exist


def test_why_nothing_is_inspected(page: Any, tmp_path: Path) -> None:
    board = Board(tmp_path)
    server = start(board, "127.0.0.1", 0)
    page.goto(server.url)
    expect(page.locator(".verdict-why")).to_have_text("the model is being loaded")
    for health, word, why in (
        ("restarting", "RESTARTING", "the inspection comes back by itself"),
        ("failed: <b>the disk</b> is full", "FAILED", "<b>the disk</b> is full"),
    ):
        board.health(health)
        expect(page.locator(".verdict-word")).to_have_text(word)
        expect(page.locator(".verdict-why")).to_have_text(why)
    page.goto("about:blank")
    server.stop()


def test_what_was_not_stored_is_said(page: Any, tmp_path: Path) -> None:
    """Of a run without --serve; and of a frame that could not be judged only where its file is, never the file."""
    out = outs.make(tmp_path / "OUT", outs.reject("reject.jpg"), outs.good("good.jpg"), pictures=True)
    with Ledger(out, outs.IDENTITY) as ledger:
        ledger.commit(outs.error("<b>evil.jpg"), None, {"error": "error/<b>evil.dddddddd.jpg"})
    server = start(Board(out), "127.0.0.1", 0)
    page.goto(f"{server.url}/#/frame/1")
    said = page.locator(".detail-main .hint")
    expect(said).to_have_text(
        re.compile(
            "^No heat slider, no five steps: .* --serve and no frame waits to be judged, or with --save input,heat,panel.$"
        )
    )
    expect(page.get_by_label("Heat")).to_have_count(0)
    page.evaluate("location.hash = '#/frame/2'")
    expect(said).to_have_text(re.compile("of good frames only with --save-for all.$"))
    page.evaluate("location.hash = '#/frame/3'")
    expect(page.get_by_text("Its file is kept in the results: error/<b>evil.dddddddd.jpg")).to_be_visible()
    expect(page.locator(".frame-note")).to_have_text("no picture of this frame was stored")
    expect(said).to_have_count(0)
    expect(page.locator("img[src*=frames], a[href*='error/']")).to_have_count(0)
    page.goto("about:blank")
    server.stop()


def test_the_token_leaves_the_address_bar(page: Any, tmp_path: Path, complaints: list[str]) -> None:
    server = start(Board(tmp_path), "127.0.0.1", 0, "s3cret")
    page.goto(server.url)
    expect(page.locator("body")).to_have_text(re.compile("This screen needs its token"))
    page.goto(f"{server.url}/?token=s3cret")
    expect(page.locator(".verdict-word")).to_have_text("STARTING")
    assert page.url == f"{server.url}/"
    page.reload()
    expect(page.locator(".verdict-word")).to_have_text("STARTING")
    page.goto("about:blank")
    server.stop()
    assert complaints and all("401" in words for words in complaints)  # of the first look, without the token
    complaints.clear()
