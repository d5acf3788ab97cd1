"""`edge-detect report` and `results` on a period, and the times that they show."""

import json
import os
from pathlib import Path

import pytest

from tests import outs
from tests.conftest import Run
from tests.report_page import Page, page


@pytest.fixture
def three_days(tmp_path: Path) -> Path:
    """A pass, a reject and an error, two of the first day's, with the reject on the last moment before the third."""
    out = outs.make(tmp_path / "OUT", outs.good("a.jpg"), outs.reject("b.jpg"), outs.error("c.jpg"), outs.good("d.jpg"))
    outs.set_times(
        out,
        [
            "2026-11-22T23:59:59.999Z",
            "2026-11-23T00:00:00.000Z",
            "2026-11-24T23:59:59.999Z",
            "2026-11-25T00:00:00.000Z",
        ],
    )
    return out


@pytest.mark.parametrize(
    ("period", "name", "within", "frames"),
    [
        ("--since 2026-11-23 --until 2026-11-24", "from-2026-11-23-to-2026-11-24",
         "from 2026-11-23 00:00 on and before 2026-11-25 00:00", "bc"),
        ("--since 2026-11-23 --until 2026-11-23", "from-2026-11-23-to-2026-11-23",
         "from 2026-11-23 00:00 on and before 2026-11-24 00:00", "b"),
        ("--since 2026-11-24T23:59:59.999", "from-2026-11-24T235959999", "from 2026-11-24 23:59:59 on", "cd"),
        ("--until 2026-11-23T02:00+02:00", "to-2026-11-23T0200+0200", "before 2026-11-23 00:00", "a"),
    ],
)  # fmt: skip
def test_a_period_has_a_page_of_its_own(
    three_days: Path, edge_detect: Run, period: str, name: str, within: str, frames: str
) -> None:
    """A day is in it from its beginning to its end, a time with --until is not: what begins then belongs to the next page."""
    whole = page(three_days).source
    made = edge_detect("report", "OUT", *period.split(), env=os.environ | {"TZ": "UTC"})
    assert (made.returncode, made.stderr) == (0, "")
    assert made.stdout.strip() == str(Path(f"OUT/report-{name}.html"))
    shown = Page(three_days / f"report-{name}.html")
    assert f"Only results {within}." in shown.says
    assert f"{len(frames)} result" in shown.says and shown.all("title")[0]["text"].endswith(f", {within}")
    assert {card["data-name"] for card in shown.all("article")} == {f"{each}.jpg" for each in frames} & {
        "b.jpg",
        "c.jpg",
    }
    found = edge_detect("results", "OUT", *period.split(), env=os.environ | {"TZ": "UTC"}).stdout.splitlines()
    assert [json.loads(line)["frame"] for line in found] == [f"{each}.jpg" for each in frames]
    assert (three_days / "report.html").read_text("utf-8") == whole and "Only results" not in whole


def test_a_period_without_results_says_so(three_days: Path, edge_detect: Run) -> None:
    made = edge_detect("report", "OUT", "--since", "2026-12-01", "-o", "december.html")
    assert made.returncode == 0 and made.stdout.strip() == "december.html"
    assert made.stderr == "OUT: nothing was inspected in this period, and the page says so\n"
    says = Page(three_days.parent / "december.html").says
    assert "Nothing was inspected in this period." in says and "yet" not in says


@pytest.mark.parametrize("command", ["report", "results"])
@pytest.mark.parametrize(
    ("period", "said"),
    [
        ("--since yesterday", "--since yesterday: no time; expected ISO 8601, such as 2026-11-24 or 2026-11-24T06:00Z"),
        ("--until 2026-11-31", "--until 2026-11-31: no time; expected ISO 8601"),
        ("--until 2026-W48", "--until 2026-W48: no time; expected ISO 8601"),
        ("--since 2026-W48", "--since 2026-W48: no time; expected ISO 8601"),
        ("--until 9999-12-31", "--until 9999-12-31: no time; expected ISO 8601"),
        ("--since 2026-11-24 --until 2026-11-23", "--until 2026-11-23: is not after --since 2026-11-24; expected a later day"),
        ("--since 2026-11-24T06:00 --until 2026-11-24T06:00", "--until 2026-11-24T06:00: is not after --since"),
    ],
)  # fmt: skip
def test_what_is_no_period_is_told_in_one_line(
    three_days: Path, edge_detect: Run, command: str, period: str, said: str
) -> None:
    refused = edge_detect(command, "OUT", *period.split())
    assert refused.returncode == 2 and said in refused.stderr and len(refused.stderr.splitlines()) == 1
    assert refused.stdout == "" and not list(three_days.glob("*.html"))


@pytest.mark.skipif(os.name == "nt", reason="NOT RUN: Windows takes no time zone from the environment")
def test_each_time_is_that_of_the_clock_at_that_moment(tmp_path: Path, edge_detect: Run) -> None:
    """Summer ended on 25 October, at 01:00 UTC; then somebody set the clock back by days, so that the last row is not the latest."""
    out = outs.make(tmp_path / "OUT", *(outs.reject(f"{number}.jpg") for number in range(4)))
    outs.set_times(
        out,
        [
            "2026-10-10T22:30:00.000Z",
            "2026-10-25T00:30:00.000Z",
            "2026-10-31T22:30:00.000Z",
            "2026-10-12T10:00:00.000Z",
        ],
    )
    made = edge_detect(
        *("report", "OUT", "--since", "2026-10-10", "--until", "2026-10-31"), "-o", "page.html",
        env=os.environ | {"TZ": "CET-1CEST,M3.5.0,M10.5.0/3"},
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    shown = Page(tmp_path / "page.html")
    assert "from 2026-10-10 00:00 on and before 2026-11-01 00:00" in shown.says
    assert "2026-10-11 00:30 to 2026-10-31 23:30. Times are local (UTC+01:00 and UTC+02:00)" in shown.says
    for at in ("2026-10-11 00:30:00", "2026-10-25 02:30:00", "2026-10-31 23:30:00", "2026-10-12 12:00:00"):
        assert f"{at}, margin" in shown.says
    days = [
        title["text"].partition(" 00:00: ")[0] for title in shown.all("title") if title["text"].endswith(" anomaly")
    ]
    assert days == ["2026-10-11", "2026-10-12", "2026-10-25", "2026-10-31"]


@pytest.mark.parametrize("limit", ["--since=0001-01-03", "--until=9999-12-30", "--since=0001-01-01T14:00+14:00"])
@pytest.mark.parametrize("zone", ["XXX-14", "XXX+12"])
def test_a_period_may_reach_as_far_as_times_do(three_days: Path, edge_detect: Run, limit: str, zone: str) -> None:
    made = edge_detect("report", "OUT", limit, env=os.environ | {"TZ": zone})
    assert (made.returncode, made.stderr) == (0, "")
