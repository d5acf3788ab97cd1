"""Results in the forms that other tools read. jsonl and csv are written row by row, in constant memory."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any
from urllib.parse import quote

from edge_runtime import __version__
from edge_runtime.line.record import Record, Row

Lines = Iterator[str]

AT_ONCE = 1000
"""Rows per look: a reader that dawdles, such as `less`, must not keep the ledger's log from being tidied."""

# fmt: off
COLUMNS = (
    "frame", "camera", "verdict", "score", "margin", "threshold", "width", "height",
    "boxes", "x0", "y0", "x1", "y1", "contribution",
    "error", "mark", "marked_by", "inspected_at", "total_ms", "sha256",
    "id", "model", "marked_at",
)
# fmt: on
"""People have scripts: a new one comes last."""
ARMED = ("=", "+", "-", "@", "\t", "\r", "\n", "'")
LABEL = "defect"


@dataclass(frozen=True, slots=True)
class Choice:
    """Which rows, and how. verdict: None for all. since, until: the first moment and the first one after the last, UTC, as in
    `inspected_at`; empty for no limit. after: id of the last row that is known already. images: what stands before a frame's
    name in an address of Label Studio."""

    verdict: str | None = None
    since: str = ""
    until: str = ""
    after: int = 0
    images: str = "/data/local-files/?d="

    def takes(self, row: Row) -> bool:
        at = row["inspected_at"]
        return self.verdict in (None, row["verdict"]) and self.since <= at and (not self.until or at < self.until)


ALL = Choice()


def rows(record: Record, choice: Choice = ALL) -> Iterator[Row]:
    """The rows that are asked for, looked up a few at a time."""
    last = choice.after
    while some := list(islice(record.rows(last), AT_ONCE)):
        yield from filter(choice.takes, some)
        last = some[-1]["id"]


def jsonl(record: Record, choice: Choice) -> Lines:
    """A row per line, with its `id` and `mark`; docs/row.schema.json."""
    return map(json.dumps, rows(record, choice))


def table(record: Record, choice: Choice) -> Lines:
    """CSV with a heading, a line per row. Where there are several boxes, the one that contributes most stands in it."""
    text = io.StringIO()
    writer = csv.DictWriter(
        text, COLUMNS, lineterminator="\r\n"
    )  # csv quotes the line breaks that stand there, and no others
    writer.writeheader()
    yield _taken(text)
    for row in rows(record, choice):
        writer.writerow({column: _unarmed(value) for column, value in _cells(row).items()})
        yield _taken(text)


def _cells(row: Row) -> dict[str, Any]:
    best = max(row["defects"], key=lambda defect: float(defect["contribution"]), default=None)
    mark = row["mark"] or {"mark": None, "who": None, "at": None}
    return {
        **{column: row[column] for column in COLUMNS if column in row},
        **dict(zip(("width", "height"), row["size_wh"] or (), strict=False)),
        "boxes": len(row["defects"]),
        **(dict(zip(("x0", "y0", "x1", "y1"), best["box_xyxy"], strict=True)) if best else {}),
        "contribution": best and best["contribution"],
        "mark": mark["mark"],
        "marked_by": mark["who"],
        "marked_at": mark["at"],
        "total_ms": round(sum(row["elapsed_ms"].values()), 2) if row["elapsed_ms"] else None,
    }


def _unarmed(value: Any) -> Any:
    """Text that a spreadsheet would take for a formula gets an apostrophe before it: anyone can name a file. So does text
    with an apostrophe of its own; taking one away always gives the text back."""
    return f"'{value}" if isinstance(value, str) and value.startswith(ARMED) else value


def _taken(text: io.StringIO) -> str:
    line = text.getvalue().removesuffix("\r\n")
    text.seek(0)
    text.truncate()
    return line


def last_rows(record: Record, choice: Choice) -> Iterator[Row]:
    """The row that counts for each frame name, if it is one of those asked for, in the order of their commits."""
    counts = record.counting()
    return (row for row in rows(record, choice) if counts.get(row["frame"]) == row["id"])


def coco(record: Record, choice: Choice) -> Lines:
    """One COCO detection file: frames that could be decoded, and their boxes; `score` is that of the frame."""
    images: list[Row] = []
    annotations: list[Row] = []
    for row in last_rows(record, choice):
        if row["size_wh"] is None:
            continue
        width, height = row["size_wh"]
        told = {key: row[key] for key in ("verdict", "score", "sha256", "mark")}
        image = {"id": row["id"], "file_name": row["frame"], "width": width, "height": height}
        images.append({**image, "date_captured": row["inspected_at"], **told})
        for defect in row["defects"]:
            x0, y0, x1, y1 = defect["box_xyxy"]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": row["id"],
                    "category_id": 1,
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "area": (x1 - x0) * (y1 - y0),
                    "segmentation": [],
                    "iscrowd": 0,
                    "score": row["score"],
                    "contribution": defect["contribution"],
                }
            )
    info = {"description": f"Results of edge-detect {__version__}", "version": __version__}
    yield json.dumps(
        {
            "info": info | {"model": f"sha256:{record.meta['model']}"},
            "licenses": [],
            "images": images,
            "annotations": annotations,
            "categories": [{"id": 1, "name": LABEL, "supercategory": ""}],
        }
    )


def labelstudio(record: Record, choice: Choice) -> Lines:
    """Tasks for Label Studio, the boxes as predictions that a person can accept or correct."""
    start = "["
    for row in last_rows(record, choice):
        if row["size_wh"] is not None:
            yield start + json.dumps(_task(row, choice.images))
            start = ","
    yield "]" if start == "," else "[]"


def _task(row: Row, images: str) -> dict[str, Any]:
    """A frame that nobody judged has no prediction."""
    told = {key: row[key] for key in ("frame", "camera", "verdict", "score", "inspected_at", "sha256")}
    mark = row["mark"]
    prediction = {
        "model_version": row["model"],
        "score": row["score"],
        "result": [_region(row, number) for number in range(len(row["defects"]))],
    }
    return {
        "data": {"image": images + _address(row["frame"], images), **told, "mark": mark and mark["mark"]},
        "meta": {"mark": mark} if mark else {},
        "predictions": [] if row["score"] is None else [prediction],
    }


def _region(row: Row, number: int) -> dict[str, Any]:
    """A box in percent of the frame."""
    (width, height), defect = row["size_wh"], row["defects"][number]
    x0, y0, x1, y1 = defect["box_xyxy"]
    value = {"x": x0 / width, "y": y0 / height, "width": (x1 - x0) / width, "height": (y1 - y0) / height}
    return {
        "id": f"{row['id']}-{number + 1}",
        "type": "rectanglelabels",
        "from_name": "label",
        "to_name": "image",
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "score": defect["contribution"],
        "value": {**{side: 100 * share for side, share in value.items()}, "rotation": 0, "rectanglelabels": [LABEL]},
    }


def _address(frame: str, images: str) -> str:
    """Names in a bucket (s3://, gs://, ...) stand as they are, those in an address of the web escaped."""
    return frame if "://" in images and not images.startswith("http") else quote(frame)


FORMATS: dict[str, Callable[[Record, Choice], Lines]] = {
    "jsonl": jsonl,
    "csv": table,
    "coco": coco,
    "labelstudio": labelstudio,
}
