"""OUT/report.html: one page, for people, that needs nothing else: no server, no network, no other file."""

import base64
import hashlib
import heapq
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2

from edge_runtime import __version__
from edge_runtime.benchmark.statistics import needed
from edge_runtime.describe import counted, described
from edge_runtime.errors import UsageError
from edge_runtime.line.lines import CHECKPOINT
from edge_runtime.line.record import Record, Row
from edge_runtime.manifest import Manifest
from edge_runtime.views import output, report_charts, report_pictures
from edge_runtime.views.clock import Clock
from edge_runtime.views.formats import ALL, Choice, rows
from edge_runtime.views.report_numbers import QUANTILES, Numbers, percent

NAME = "report.html"
REJECTS = 3000
"""As many, those with the highest scores, get a card each; more would make a page that no browser likes."""
HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Card:
    """One frame of the gallery. at: local time. small: its picture, in this page. pictures: (kind, address) of the full ones. kept: where
    in OUT the file of a frame lies that could not be judged. marks: (mark, by whom and when), the one that counts first."""

    row: Row
    at: str
    small: report_pictures.Thumbnail | None
    pictures: list[tuple[str, str]]
    kept: str | None
    marks: list[tuple[str, str]]


def write(out: Path, page: Path, model: Path | None, choice: Choice = ALL) -> int:
    """choice: the period. Returns how many results are in it. Raises UsageError where OUT has no results or they are another
    model's, OutputError where the page can't be written."""
    with Record(out) as record:
        manifest = _manifest(record, model)
        content = _content(record, page, manifest, choice)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), autoescape=True, undefined=jinja2.StrictUndefined
    )
    text = environment.get_template("report.html.j2").render(content)
    output.write(page, out, [text.encode(errors="backslashreplace")], model)
    total: int = content["numbers"].total
    return total


def _manifest(record: Record, path: Path | None) -> Manifest | None:
    if path is None:
        return None
    from edge_runtime.model import Model

    model = Model.load(path, threads=1)
    if model.sha256 != record.meta["model"]:
        raise UsageError(f"{path}: did not make these results; they are of the model sha256 {record.meta['model']}")
    return model.manifest


def _content(record: Record, page: Path, manifest: Manifest | None, choice: Choice) -> dict[str, Any]:
    clock = Clock()
    numbers = Numbers(clock)
    for row in rows(record, choice):
        numbers.add(row)
    rejects = _rejects(record, choice, numbers.last)
    pictured = report_pictures.thumbnails(record.out, rejects)
    shown = [*rejects, *(row for kept in numbers.newest.values() for row in reversed(kept))]
    cards = [_card(record, page, clock, row, pictured.get(row["id"])) for row in shown]
    script = (HERE / "report.js").read_text("utf-8")
    folder = Path(record.meta.get("folder of frames", record.out.resolve().name)).name
    return {
        "product": manifest.product if manifest else folder,
        "model": record.meta["model"],
        "counted": manifest and counted(manifest.calibration),
        "own_threshold": manifest is None or numbers.threshold in (None, manifest.calibration.threshold),
        "told": described(manifest) if manifest else {},
        "doubts": manifest.training.doubts if manifest else (),
        "meta": {name: value for name, value in record.meta.items() if name not in ("schema", CHECKPOINT)},
        "version": __version__,
        "numbers": numbers,
        "names": record.names(numbers.last, choice.since, choice.until),
        "judged_later": record.judged_later(numbers.last, choice.since, choice.until),
        **_period(choice, clock),
        "span": numbers.span and [clock.says(moment) for moment in numbers.span],
        "made": clock.says(datetime.now(UTC)),
        "clock": clock,
        "charts": report_charts.charts(numbers),
        "plot": report_charts,
        "percentiles": {percent: needed(percent) for percent in QUANTILES},
        "cards": cards,
        "listed": len(rejects),
        "pictured": len(pictured),
        "script": script,
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        "style": (HERE / "report.css").read_text("utf-8"),
        "percent": percent,
    }


def _card(record: Record, page: Path, clock: Clock, row: Row, small: report_pictures.Thumbnail | None) -> Card:
    marks = record.marks(row["id"]) if row["mark"] else []
    return Card(
        row,
        clock.says(row["inspected_at"]),
        small,
        report_pictures.links(record.out, page, row),
        report_pictures.kept(record.out, row),
        [(mark["mark"], f"{mark['who'] or 'someone'}, {clock.says(mark['at'])}") for mark in marks],
    )


def _rejects(record: Record, choice: Choice, last: int) -> list[Row]:
    """Highest score first. last: rows that came since the others were counted are left out."""
    found = (row for row in rows(record, choice) if row["verdict"] == "anomaly" and row["id"] <= last)
    return heapq.nlargest(REJECTS, found, key=lambda row: (float(row["score"]), float(row["margin"]), int(row["id"])))


def _period(choice: Choice, clock: Clock) -> dict[str, str]:
    """within: in words, in local time. options: that choose the same for edge-detect results. Both are empty for all there is."""
    asked = {"since": choice.since, "until": choice.until}
    limits = {name: at for name, at in asked.items() if at}
    words = {"since": "from {} on", "until": "before {}"}
    local = {name: clock.says(at).removesuffix(":00") for name, at in limits.items()}
    return {
        "within": " and ".join(words[name].format(at) for name, at in local.items()),
        "options": "".join(f" --{name} {at}" for name, at in limits.items()),
    }
