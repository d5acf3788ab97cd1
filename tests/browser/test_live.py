"""The live page: what is seen while frames arrive, and when they don't."""

import re
from typing import Any

import pytest

from tests.browser.conftest import Start

PASS, REJECT = re.compile("PASS"), re.compile("REJECT")


def expect(what: Any) -> Any:
    from playwright.sync_api import expect

    expect.set_options(timeout=20_000)
    return expect(what)


def test_frames_appear_and_verdicts_change(page: Any, watch: Start) -> None:
    line = watch()
    page.goto(line.url)
    word = page.locator(".verdict-word")
    expect(word).to_have_text("WAITING")
    line.put("1.png")
    expect(word).to_have_text("PASS")
    expect(page.locator(".tile[data-kind=pass] .shape[data-kind=pass]")).to_be_visible()
    expect(page.get_by_alt_text("PASS: 1.png")).to_be_visible()
    line.put("2.png", bad=True)
    expect(word).to_have_text("REJECT")
    expect(page.locator(".tile[data-kind=reject] .shape[data-kind=reject]")).to_be_visible()
    expect(page.locator(".tile .gauge-words")).to_have_text(re.compile(r"score 1\.000 ≥ limit 0\.500"))
    expect(page.locator(".strip-item")).to_have_count(1)
    expect(page.locator("#announcer")).to_have_text(REJECT)
    line.put("3.png", data=b"no picture at all")
    expect(word).to_have_text("ERROR")
    expect(page.locator(".frame-note")).to_have_text(re.compile(r"3\.png"))
    for figure, count in (("good", "1"), ("anomaly", "1"), ("unjudged", "1")):
        expect(page.locator(f".figure-{figure} .figure-value")).to_have_text(count)
    page.get_by_role("button", name="Not judged").click()
    page.locator(".strip-item", has_text="ERROR").click()
    expect(page.locator(".detail-reason")).to_have_text(re.compile(r"3\.png"))


def test_what_is_said_depends_on_how_long_ago_things_happened(page: Any, watch: Start) -> None:
    page.goto(watch().url)
    row = {"id": 2, "verdict": "good", "error": None}
    camera = {"row": row, "age_s": 0.5, "reject": row | {"id": 1, "verdict": "anomaly"}, "reject_age_s": 1.0}

    def said(silence: float) -> tuple[str, int, str]:
        judge = "async ([camera, silence]) => (await import('/static/verdict.js')).judge(camera, silence)"
        verdict = page.evaluate(judge, [camera, silence])
        return verdict["word"], verdict["row"]["id"], verdict["held"]

    assert said(0) == said(1.9) == ("REJECT", 1, "stays 3 s; the newest frame is PASS")
    assert said(2.1) == said(29) == ("PASS", 2, "")
    assert said(30) == ("NO NEW FRAME", 2, "")
    camera["away"] = "is not there"
    assert said(0) == said(1.9) == ("REJECT", 1, "stays 3 s; the newest frame is PASS")
    assert said(2.4) == ("PASS", 2, "")
    assert said(2.6) == ("NO FOLDER", 2, "")
    camera |= {"away": None, "not_whole_s": 5.5}
    assert said(4) == ("PASS", 2, "")  # what can't be read came before it
    assert said(5.1) == ("NOT READ YET", 2, "")


def test_the_page_recovers_by_itself_when_the_server_is_back(page: Any, watch: Start, complaints: list[str]) -> None:
    line = watch()
    page.goto(line.url)
    line.put("1.png")
    expect(page.locator(".verdict-word")).to_have_text("PASS")
    line.kill()
    expect(page.locator(".verdict-word")).to_have_text("NO CONNECTION")
    expect(page.locator(".health")).to_have_text("no connection")
    assert page.locator("[data-kind=pass]:visible").count() == 0
    line.start()
    expect(page.locator(".verdict-word")).to_have_text("WAITING")
    line.put("2.png", bad=True)
    expect(page.locator(".verdict-word")).to_have_text("REJECT")
    expect(page.locator(".figure-good .figure-value")).to_have_text("1")
    assert all("Failed to load resource" in words or "net::ERR" in words for words in complaints)
    complaints.clear()


def test_an_old_verdict_goes_grey(page: Any, watch: Start) -> None:
    line = watch()
    page.add_init_script("localStorage.setItem('edge-detect staleAfter', '1')")
    page.goto(line.url)
    line.put("1.png")
    expect(page.locator(".verdict-word")).to_have_text("NO NEW FRAME")
    expect(page.locator(".verdict-why")).to_have_text(re.compile(r"for \d+ s; the last was PASS"))
    assert page.locator("[data-kind=pass]:visible").count() == 0


def test_a_page_that_hangs_does_not_look_alive(page: Any, watch: Start) -> None:
    page.clock.install()
    page.goto(watch().url)
    deadman = page.locator("#deadman")
    expect(page.locator(".verdict-word")).to_have_text("WAITING")
    expect(deadman).to_have_css("opacity", "0")
    page.clock.pause_at("2099-01-01")  # no timer fires any more
    expect(deadman).to_have_css("opacity", "1")
    page.clock.resume()
    expect(deadman).to_have_css("opacity", "0")


def test_every_camera_has_its_own_verdict(page: Any, watch: Start) -> None:
    line = watch("left", "right")
    page.goto(line.url)
    line.put("1.png", camera=0)
    line.put("2.png", bad=True, camera=1)
    expect(page.get_by_role("region", name="Camera left").locator(".verdict-word")).to_have_text("PASS")
    expect(page.get_by_role("region", name="Camera right").locator(".verdict-word")).to_have_text("REJECT")
    expect(page.locator("#live-pill")).to_be_hidden()
    expect(page.locator(".figure-speed dt")).to_have_text("Speed")
    page.get_by_role("link", name="left", exact=True).click()
    expect(page.locator(".tile")).to_have_count(1)
    expect(page.locator(".verdict-word")).to_have_text("PASS")
    expect(page.locator(".figure-speed dt")).to_have_text("Speed (all)")
    expect(page.locator(".figure-good .figure-value")).to_have_text("1")
    expect(page.locator(".figure-anomaly .figure-value")).to_have_text("0")
    expect(page.locator(".strip-item")).to_have_count(0)
    expect(page.locator("#live-pill")).to_be_visible()
    expect(page.locator("#live-pill")).to_have_text("REJECT: right")
    page.get_by_role("link", name=re.compile("1.png")).click()
    expect(page.locator(".detail-title")).to_have_text("1.png")
    page.get_by_role("link", name="Live", exact=False).first.click()
    page.reload()
    expect(page.locator(".tile")).to_have_count(1)
    page.get_by_role("link", name="All cameras").click()
    expect(page.locator(".tile")).to_have_count(2)
    expect(page.locator(".strip-item")).to_have_text(re.compile("right"))
    (line.cameras[0]).rename(line.folder / "away")
    left = page.get_by_role("region", name="Camera left")
    expect(left.locator(".verdict-word")).to_have_text("NO FOLDER")
    expect(left.locator(".verdict-why")).to_have_text("its folder: is not there; the last was PASS")
    page.locator(".strip-item").click()
    expect(page.locator(".detail-where")).to_have_text(re.compile(r"right\W+\d"))
    expect(page.locator("#live-pill")).to_have_text("REJECT: right")  # an idle camera hides no other


def test_what_is_worst_is_in_sight_also_on_a_phone(page: Any, watch: Start) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    line = watch("left", "middle", "right")
    page.goto(line.url)
    pill = page.locator("#live-pill")
    expect(pill).to_have_text("WAITING: all")
    line.cameras[1].rename(line.folder / "away")
    expect(pill).to_have_text("NO FOLDER: middle")
    (line.folder / "away").rename(line.cameras[1])
    expect(pill).to_have_text("WAITING: all")
    for camera in (0, 2):
        line.put("1.png", bad=True, camera=camera)
    expect(pill).to_have_text("REJECT: 2 of 3")
    expect(pill).to_be_visible()
    for address in ("#/", "#/frame/1", "#/camera/middle"):
        page.goto(f"{line.url}/{address}")
        expect(pill).to_have_text("REJECT: 2 of 3")
        assert page.evaluate("document.documentElement.scrollWidth") == 390


@pytest.mark.parametrize(
    "name", ["<img src=x onerror=hit=1>.png", "'\"><script>hit=1<\\script>.png", "two\nlines.png", "x..%2f..%2fx.png"]
)
def test_names_of_files_stay_text(page: Any, watch: Start, name: str) -> None:
    line = watch()
    page.goto(line.url)
    line.put(name, bad=True)
    expect(page.locator(".verdict-word")).to_have_text("REJECT")
    assert name in page.locator(".tile-caption").text_content()
    page.locator(".strip-item").click()
    expect(page.locator(".detail-word")).to_have_text("REJECT")
    expect(page.locator(".detail .frame-layer").first).to_have_attribute("alt", f"REJECT: {name}")
    assert page.locator(".detail-title").text_content() == name
    assert page.evaluate("typeof hit") == "undefined"
    page.goto(f"{line.url}/#/camera/{'%E0%A4%A'}")
    expect(page.locator(".verdict-word")).to_have_text("WAITING")
