"""`edge-detect report`: the page, as a browser reads it."""

import base64
import hashlib
import importlib.util
import os
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from edge_runtime.errors import UsageError
from edge_runtime.line.ledger import Ledger, to_row
from edge_runtime.line.record import LEDGER, Record
from edge_runtime.results import Inspection
from edge_runtime.views import report, report_charts, report_pictures
from edge_runtime.views.clock import Clock
from edge_runtime.views.report_numbers import Numbers, percent
from tests import outs, tiny
from tests.conftest import Run
from tests.report_page import Page, page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
BROWSER = importlib.util.find_spec("playwright") is not None and CHROMIUM is not None


def tallied(*inspections: Inspection, times: list[datetime] | None = None, zone: tzinfo = UTC) -> Numbers:
    numbers = Numbers(Clock(zone))
    for number, inspection in enumerate(inspections):
        row = {"id": number + 1, **to_row(inspection, outs.MODEL, None, {}), "mark": None}
        numbers.add(row | ({"inspected_at": times[number].isoformat()} if times else {}))
    return numbers


def test_the_page_needs_no_other_file_and_no_network(tmp_path: Path) -> None:
    shown = page(outs.make(tmp_path / "OUT", outs.reject("a.jpg"), outs.good("b.jpg"), pictures=True))
    addresses = [
        found[key] for _, found in shown.elements for key in ("src", "href", "srcset", "action") if key in found
    ]
    assert addresses and all(re.match(r"data:image/jpeg;base64,|#|overlay/", address) for address in addresses)
    assert not {tag for tag, _ in shown.elements} & {"link", "iframe", "object", "embed", "base"}
    assert (
        "@import" not in shown.source
        and "url(" not in shown.source
        and "http" not in re.sub("http-equiv", "", shown.source)
    )
    (policy,) = shown.all("meta", **{"http-equiv": "Content-Security-Policy"})
    (script,) = shown.all("script")
    text = shown.source.partition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    assert script and f"script-src 'sha256-{digest}'" in policy["content"] and "default-src 'none'" in policy["content"]


def test_hostile_names_are_shown_and_nothing_else(tmp_path: Path) -> None:
    harmless = page(
        outs.make(tmp_path / "A", *(outs.reject(f"{n}.jpg") for n in range(len(outs.HOSTILE))), outs.error("e"))
    )
    failing = "could not <script>alert(1)</script>"
    out = outs.make(
        tmp_path / "B",
        *map(outs.reject, outs.HOSTILE),
        outs.error(outs.HOSTILE[0], failing),
        camera="<svg onload=alert(1)>",
        pictures=True,
    )
    with Record(out) as record:
        record.mark(1, "right", "<script>alert(1)</script>")
    shown = page(out)
    names = {card["data-name"] for card in shown.all("article")}
    assert names == {name.replace("\r", "\n") for name in outs.HOSTILE}  # as HTML takes line breaks
    assert len(shown.all("script")) == len(shown.all("style")) == 1 and not shown.all("svg", onload="alert(1)")
    assert {tag for tag, _ in shown.elements} <= {tag for tag, _ in harmless.elements} | {"img", "a"}
    assert not [name for _, found in shown.elements for name in found if name.startswith("on")]
    assert "49.jpg" not in shown.says and "{{ 7 * 7 }}" in shown.source
    assert "marked right by &lt;script&gt;alert(1)&lt;/script&gt;" in shown.source


def test_the_file_of_a_frame_that_could_not_be_judged_is_named_and_nothing_more(tmp_path: Path) -> None:
    out = outs.make(tmp_path / "OUT")
    kept = "error/<b>evil.dddddddd.html"
    (out / kept).parent.mkdir()
    (out / kept).write_text("<script>alert(1)</script>")
    with Ledger(out, outs.IDENTITY) as ledger:
        ledger.commit(outs.error("<b>evil.html"), None, {"error": kept})
        ledger.commit(outs.reject("odd.jpg"), None, {"error": kept})
    shown = page(out)
    assert "Its file is kept: error/&lt;b&gt;evil.dddddddd.html" in shown.source
    assert not shown.all("a", href="error/%3Cb%3Eevil.dddddddd.html") and not shown.all("img")
    assert [found["href"] for found in shown.all("a") if not found["href"].startswith("#")] == []
    assert "alert" not in shown.source


def test_rejects_come_by_score_with_their_pictures_boxes_and_marks(tmp_path: Path) -> None:
    out = outs.make(
        tmp_path / "OUT",
        outs.reject("low.jpg", 0.6),
        outs.reject("high.jpg", 0.99, proved=True),
        outs.good("good.jpg"),
        outs.reject("mid.jpg", 0.8, proved=False),
        pictures=True,
    )
    with Record(out) as record:
        record.mark(1, "wrong", "Petra")
        record.mark(4, "right", "Ahmed")
    shown = page(out)
    cards = shown.all("article")
    assert [card["data-name"] for card in cards] == ["high.jpg", "mid.jpg", "low.jpg"]
    assert [card["data-mark"] for card in cards] == ["none", "right", "wrong"]
    for small in shown.all("img"):
        data = base64.b64decode(small["src"].partition(",")[2])
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert image is not None and image.shape[:2] == (257, 320) == (int(small["height"]), int(small["width"]))
        assert small["loading"] == "lazy" and small["alt"].startswith("Overlay of ")
    assert "62 % 40 × 60 px at 100, 50" in shown.says and "marked wrong by Petra" in shown.says
    assert "1 of 2 marked rejects were wrong" in shown.says
    assert "50 % of the 2 rejects that were judged again pass once what is in their boxes is replaced" in shown.says


def test_a_mark_that_was_changed_is_shown_with_what_it_was_and_when(tmp_path: Path, edge_detect: Run) -> None:
    outs.make(tmp_path / "OUT", outs.reject("a.jpg"), outs.good("b.jpg"), outs.reject("c.jpg"))
    for mark, who, *frames in (
        ("right", "Bob", "a.jpg", "b.jpg"),
        ("wrong", "<b>Ann", "a.jpg"),
        ("wrong", "Cem", "a.jpg"),
    ):
        assert edge_detect("mark", "OUT", mark, *frames, "--who", who).returncode == 0
    with closing(sqlite3.connect(tmp_path / "OUT" / LEDGER, isolation_level=None)) as db:
        db.execute("UPDATE marks SET at = '2026-11-30T11:00:0' || id || 'Z'")
    assert edge_detect("report", "OUT", env=os.environ | {"TZ": "UTC"}).returncode == 0
    shown = Page(tmp_path / "OUT" / "report.html")
    assert [found["text"] for found in shown.all("p") if "mark " in found.get("class", "")] == [
        "✕ marked wrong by Cem, 2026-11-30 11:00:04",
        "✓ marked right by Bob, 2026-11-30 11:00:02",
    ]
    assert [found["text"] for found in shown.all("p") if found["text"].startswith("before: ")] == [
        "before: wrong by <b>Ann, 2026-11-30 11:00:03",
        "before: right by Bob, 2026-11-30 11:00:01",
    ]
    assert "1 of 1 marked rejects were wrong" in shown.says  # the last one counts


def test_a_good_frame_that_somebody_marked_is_in_the_gallery(tmp_path: Path) -> None:
    out = outs.make(tmp_path / "OUT", outs.good("escaped.jpg"), outs.good("fine.jpg"))
    with Record(out) as record:
        record.mark(1, "wrong", "Petra")
    shown = page(out)
    assert [card["data-name"] for card in shown.all("article")] == ["escaped.jpg"]
    assert "1 of 1 marked passes were wrong" in shown.says and "marked rejects" not in shown.says


@pytest.mark.parametrize("where", ["OUT/report.html", "page.html", "sub/folder/page.html"])
def test_pictures_open_in_full_from_wherever_the_page_lies(tmp_path: Path, where: str) -> None:
    out = outs.make(tmp_path / "OUT", outs.reject("a.jpg"), pictures=True)
    path = tmp_path / where
    (link,) = page(out, path).all("a", **{"class": "picture"})
    assert (path.parent / unquote(link["href"])).resolve() == (out / "overlay" / "0, 100%.jpg").resolve()


def test_a_picture_that_is_gone_or_damaged_leaves_a_card(tmp_path: Path) -> None:
    out = outs.make(tmp_path / "OUT", outs.reject("a.jpg", 0.9), outs.reject("b.jpg", 0.8), pictures=True)
    (out / "overlay" / "0, 100%.jpg").unlink()
    (out / "overlay" / "1, 100%.jpg").write_bytes(b"no picture")
    shown = page(out)
    assert len(shown.all("article")) == 2 and not shown.all("img")
    assert "No pictures of them were saved, or they are gone." in shown.says


def test_what_does_not_fit_is_left_out_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = outs.make(tmp_path / "OUT", *(outs.reject(f"{n}.jpg", 0.6 + n / 100) for n in range(30)), pictures=True)
    full = page(out)
    budget = sum(len(small["src"]) for small in full.all("img")) // 3
    monkeypatch.setattr(report_pictures, "BUDGET", budget)
    monkeypatch.setattr(report, "REJECTS", 25)
    shown = page(out)
    kept = [int(card["data-name"].removesuffix(".jpg")) for card in shown.all("article")]
    assert kept == list(range(29, 4, -1))
    assert sum(len(small["src"]) for small in shown.all("img")) <= budget
    assert int(shown.all("img")[0]["width"]) < int(full.all("img")[0]["width"])
    assert "The 25 with the highest scores are listed, of 30;" in shown.says
    assert len(shown.all("img")) == 25 or f"{len(shown.all('img'))} have their picture in this page" in shown.says


def test_errors_stand_together_by_reason(tmp_path: Path) -> None:
    cut = [outs.error(f"cut{n}.jpg", f"ends after {n},204 bytes without a JPEG end marker") for n in range(3)]
    shown = page(outs.make(tmp_path / "OUT", outs.error("empty.jpg"), *cut, outs.skipped("s.jpg"), outs.good("g.jpg")))
    assert re.findall(
        r"(\d) (ends after … bytes[^<]*?|is empty \(0 bytes\)|waited 12.5 s) \w+\d?\.jpg", shown.says
    ) == [
        ("3", "ends after … bytes without a JPEG end marker"),
        ("1", "is empty (0 bytes)"),
        ("1", "waited 12.5 s"),
    ]
    assert "0 of 1 frame rejected, 0 %." in shown.says and "4 frames could not be judged" in shown.says
    assert {card["data-verdict"] for card in shown.all("article")} == {"error", "skipped"}


@pytest.mark.parametrize(
    ("inspections", "headline"),
    [
        ([], "Nothing was inspected yet."),
        ([outs.error("a.jpg"), outs.error("b.jpg")], "No frame could be judged. 2 frames could not be judged"),
        ([outs.skipped("a.jpg")], "No frame could be judged. 1 frame came too fast"),
        ([outs.good("a.jpg")], "0 of 1 frame rejected, 0 %."),
        ([outs.reject("a.jpg")], "1 of 1 frame rejected, 100 %."),
    ],
)
def test_a_folder_with_little_in_it_has_a_page_too(
    tmp_path: Path, inspections: list[Inspection], headline: str
) -> None:
    assert headline in page(outs.make(tmp_path / "OUT", *inspections)).says


@pytest.mark.parametrize(("frames", "percentiles"), [(10, 0), (11, 1), (63, 1), (64, 2), (661, 2), (662, 3)])
def test_percentiles_are_told_only_where_there_are_frames_enough(frames: int, percentiles: int) -> None:
    told = {stage: found for stage, found, _ in tallied(*[outs.good("a.jpg")] * frames).latency()}
    assert list(told) == ["read", "decode", "prepare", "infer", "explain", "write", "total"]
    assert [ms for ms in told["infer"] if ms is not None] == [20.0] * percentiles
    assert told["total"][0] == (27.75 if percentiles else None)


@pytest.mark.parametrize(
    ("count", "total", "said"),
    [
        (0, 0, "-"),
        (0, 9, "0 %"),
        (9, 9, "100 %"),
        (1, 10**6, "< 0.01 %"),
        (10**6 - 1, 10**6, "> 99.9 %"),
        (1, 30, "3.33 %"),
    ],
)
def test_no_share_is_rounded_to_nothing_or_all(count: int, total: int, said: str) -> None:
    assert percent(count, total) == said


@given(
    st.lists(st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)), min_size=1, max_size=30),
    st.integers(-12, 14).map(lambda hours: timezone(timedelta(hours=hours))),
    st.floats(0.001, 0.999),
)
def test_charts_count_every_frame_once_and_stay_within_their_frame(
    times: list[datetime], zone: timezone, score: float
) -> None:
    kinds = [outs.good("a"), outs.reject("a"), outs.error("a"), outs.skipped("a")]
    found = [kinds[number % 4] for number in range(len(times))]
    numbers = tallied(*found, times=[time.replace(tzinfo=UTC) for time in times], zone=zone)
    numbers.threshold = score
    drawn = report_charts.charts(numbers)
    for chart in drawn:
        for bar in chart.bars:
            assert bar.x >= report_charts.LEFT and bar.x + bar.width <= report_charts.RIGHT + 2
            assert bar.y >= report_charts.TOP - 1e-6 and bar.y + bar.height <= report_charts.BOTTOM + 1e-6
            assert bar.height >= 0 and bar.width > 0
    spans = {bar.x: bar.says for bar in drawn[0].bars}
    assert len(spans) <= report_charts.MAX_BARS
    counted = sum(
        int(count.replace(",", "")) for says in spans.values() for count in re.findall(r"([\d,]+) [a-z]", says)
    )
    assert counted == len(times)
    if len(drawn) == 3:
        assert sum(int(bar.says.split()[-2].replace(",", "")) for bar in drawn[2].bars) == numbers.judged


def test_bars_begin_at_round_local_times() -> None:
    times = [datetime(2026, 11, 20, 22, 30, tzinfo=UTC) + timedelta(days=day) for day in range(40)]
    first, rates = report_charts.charts(
        tallied(*[outs.reject("a.jpg", 0.5)] * 40, times=times, zone=timezone(timedelta(hours=2)))
    )[:2]
    assert first.title == "Results per day" and first.bars[0].says == "2026-11-21 00:00: 1 anomaly"
    assert len(first.bars) == 40 and rates.bars[0].says.endswith("1 of 1 rejected, 100 %")


def test_the_model_says_what_it_promises_and_another_one_is_refused(tmp_path: Path, edge_detect: Run) -> None:
    doubted = structs.replace(tiny.manifest().training, doubts=("brightness alone tells <good> from anomaly",))
    (tmp_path / "part.onnx").write_bytes(tiny.model(tiny.manifest(training=doubted)))
    (tmp_path / "other.onnx").write_bytes(tiny.model())
    tiny.write_frames(tmp_path / "frames", {"bad.png": tiny.frame(), "good.png": tiny.frame(None)})
    (tmp_path / "frames" / "empty.png").write_bytes(b"")
    edge_detect("frames", "-m", "part.onnx", "-o", "OUT")
    made = edge_detect("report", "OUT", "-m", "part.onnx")
    assert made.returncode == 0 and made.stdout.strip() == str(Path("OUT/report.html")), made.stderr
    shown = Page(tmp_path / "OUT" / "report.html")
    assert "tiny: inspection report" in shown.says and "Brightness alone tells &lt;good&gt; from anomaly." in shown.says
    assert "escapes 0 of 10 (up to 25.9 % at 95 % confidence), false rejects 0 of 10 (up to 25.9 %" in shown.says
    assert "results.jsonl is right" not in shown.says
    assert "1 of 2 frames rejected, 50 %." in shown.says and len(shown.all("img")) == 1
    assert hashlib.sha256((tmp_path / "part.onnx").read_bytes()).hexdigest() in shown.says
    refused = edge_detect("report", "OUT", "-m", "other.onnx")
    assert refused.returncode == 2 and "did not make these results" in refused.stderr
    with pytest.raises(UsageError, match="holds no results"):
        page(tmp_path / "frames")


def test_results_are_not_called_frames_where_a_frame_has_several(tmp_path: Path, edge_detect: Run) -> None:
    """Three frames: one written again, one completed later, one passed over and judged later; a fourth was never whole."""
    outs.make(
        tmp_path / "OUT",
        outs.good("again.jpg"),
        outs.error("late.jpg"),
        outs.error("torn.jpg"),
        outs.skipped("fast.jpg"),
        outs.reject("again.jpg"),
        outs.good("late.jpg"),
        outs.good("fast.jpg"),
    )
    assert edge_detect("report", "OUT").returncode == 0
    shown = Page(tmp_path / "OUT" / "report.html")
    assert "1 reject among 4 verdicts, 25 %. 7 results of 4 frames: one that was written again" in shown.says
    assert "2 times a frame could not be judged; why. Judged later: 1." in shown.says
    assert "1 time a frame came too fast to be judged; which. Judged later: 1." in shown.says
    assert "7 results" in " ".join(shown.says.split("Judged later: 1.")[2].split()[:2])
    assert "inspected" not in shown.says and not re.search(r"\d frames? (rejected|could)|Frames per", shown.says)


def test_where_each_frame_has_one_result_they_are_frames(tmp_path: Path) -> None:
    says = page(outs.make(tmp_path / "OUT", outs.good("a.jpg"), outs.reject("b.jpg"), outs.error("c.jpg"))).says
    assert "1 of 2 frames rejected, 50 %. 1 frame could not be judged; why. 3 results 1 passed" in says
    assert "Judged later" not in says and "verdicts" not in says


def test_cameras_have_figures_of_their_own(tmp_path: Path, edge_detect: Run) -> None:
    strange = "<svg onload=alert(1)>"
    found = {
        "cam1": [outs.good("cam1/a"), outs.good("cam1/b"), outs.reject("cam1/c"), outs.error("cam1/d")],
        strange: [outs.reject(f"{strange}/a"), outs.skipped(f"{strange}/b")],
    }
    with Ledger(tmp_path / "OUT", outs.IDENTITY) as ledger:
        for camera, inspections in found.items():
            for inspection in inspections:
                ledger.commit(inspection, camera, {})
    with Record(tmp_path / "OUT") as record:
        record.mark(1, "wrong", "Petra")
        record.mark(3, "right", "Petra")
    assert edge_detect("report", "OUT").returncode == 0
    shown = Page(tmp_path / "OUT" / "report.html")
    table = re.search(r'<table class="count cameras">.*?</table>', shown.source, re.DOTALL)
    assert table is not None
    cells = [re.findall(r"<t[hd]>(.*?)</t[hd]>", line) for line in table[0].split("<tr>")[1:]]
    assert cells == [
        ["camera", "judged", "passed", "rejected", "share", "errors", "skipped", "marked wrong"],
        ["&lt;svg onload=alert(1)&gt;", "1", "0", "1", "100 %", "0", "1", "0"],
        ["cam1", "3", "2", "1", "33.3 %", "1", "0", "1"],
    ]
    assert "<svg onload" not in shown.source


def test_a_single_camera_needs_no_table(tmp_path: Path) -> None:
    assert "Cameras" not in page(outs.make(tmp_path / "OUT", outs.good("a.jpg"), camera="cam1")).says


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as engine:
        running = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.mark.skipif(not BROWSER, reason="THE REPORT'S FILTERS WERE NOT TESTED: that needs playwright and Chromium")
@pytest.mark.parametrize("width", [390, 1920])
def test_filters_and_sorting_work_in_a_browser_from_a_file(tmp_path: Path, browser: Any, width: int) -> None:
    many = [outs.reject(f"cam/{n:03}.jpg", 0.5 + n / 400) for n in range(130)]
    out = outs.make(tmp_path / "OUT", *many, outs.error("cam/empty.jpg"), pictures=True)
    with Ledger(out, outs.IDENTITY) as ledger:
        ledger.commit(outs.good("right-hand-side/a.jpg"), "right-hand-side", {})
    with Record(out) as record:
        record.mark(130, "wrong", "Petra")
    report.write(out, out / report.NAME, None)
    tab = browser.new_page(viewport={"width": width, "height": 900})
    complaints: list[str] = []
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda err: complaints.append(str(err)))
    tab.on("request", lambda request: complaints.append(request.url) if request.url.startswith("http") else None)
    tab.goto((out / report.NAME).as_uri())

    def names() -> list[str]:
        return [str(name) for name in tab.locator(".card h3").all_text_contents()]

    at_once = len(names())
    assert names()[0] == "129.jpg" and 0 < at_once < 130
    tab.get_by_role("button", name="Show").press("Enter")
    assert len(names()) == min(2 * at_once, 130) and "shown" in tab.inner_text("#shown")
    assert tab.evaluate("document.activeElement.closest('.card').dataset.name") == f"cam/{129 - at_once:03}.jpg"
    tab.get_by_label("Sort by").select_option("lowest score")
    assert names()[0] == "000.jpg"
    tab.get_by_label("Name contains").fill("12")
    assert names() == ["012.jpg", "112.jpg", *(f"{n}.jpg" for n in range(120, 130))]
    tab.get_by_label("Marks").select_option("unmarked")
    assert len(names()) == 11 and "129.jpg" not in names()
    tab.get_by_label("Name contains").fill("")
    tab.get_by_label("Marks").select_option("marked wrong")
    assert names() == ["129.jpg"]
    tab.get_by_label("Marks").select_option("all")
    tab.get_by_label("Show").select_option("error")
    assert names() == ["empty.jpg"] and tab.text_content(".card").strip().startswith("cam/empty.jpg is empty")
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    cameras = "document.querySelector('.cameras')"
    assert tab.evaluate(f"{cameras}.offsetWidth <= {cameras}.parentElement.clientWidth")
    assert complaints == []
    tab.close()
