"""`edge-detect results`: what other tools get."""

import contextlib
import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import jsonschema
import pytest
from pycocotools.coco import COCO

from edge_runtime.errors import UsageError
from edge_runtime.line.ledger import Ledger
from edge_runtime.line.record import Record
from edge_runtime.views import output
from edge_runtime.views.formats import FORMATS, Choice
from tests import outs
from tests.conftest import ROOT, UNPRIVILEGED, Run, obeying

SCHEMA = json.loads((ROOT / "docs" / "row.schema.json").read_text())
ROW = jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.FormatChecker())


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A frame of each kind; one that was an error at first; a marked reject."""
    folder = outs.make(
        tmp_path / "OUT",
        outs.good("line1/a.jpg"),
        outs.reject("line1/b.jpg", proved=True),
        outs.error("line1/late.jpg"),
        outs.skipped("line1/s.jpg"),
        outs.reject("line1/late.jpg", sha256="e" * 64),
    )
    with Record(folder) as record:
        record.mark(2, "wrong", "Petra")
    return folder


def written(out: Path, form: str, choice: Choice | None = None) -> str:
    with Record(out) as record:
        return "".join(f"{line}\n" for line in FORMATS[form](record, choice or Choice()))


def table(out: Path, choice: Choice | None = None) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(written(out, "csv", choice), newline="")))


def rows(out: Path) -> list[dict[str, Any]]:
    with Record(out) as record:
        return list(record.rows())


def test_jsonl_gives_every_row_back_as_it_was_committed(out: Path) -> None:
    back = [json.loads(line) for line in written(out, "jsonl").splitlines()]
    assert back == rows(out)
    assert [row["id"] for row in back] == [1, 2, 3, 4, 5]
    assert back[1]["mark"]["mark"] == "wrong" and back[1]["mark"]["who"] == "Petra" and back[0]["mark"] is None
    kept = [{key: row[key] for key in row if key not in ("id", "mark")} for row in back]
    assert kept == [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]


def test_the_published_schema_describes_rows_of_every_verdict(out: Path) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert {row["verdict"] for row in rows(out)} == {"good", "anomaly", "error", "skipped"}
    for line in [*written(out, "jsonl").splitlines(), *(out / "results.jsonl").read_text().splitlines()]:
        ROW.validate(json.loads(line))


@pytest.mark.parametrize(
    "wrong",
    [
        {"verdict": "fine"},
        {"score": None},
        {"score": 1.5},
        {"error": "a judged frame has none"},
        {"size_wh": [640]},
        {"model": "abc"},
        {"inspected_at": "yesterday"},
        {"mark": {"mark": "maybe", "who": "", "at": "2026-11-24T00:00:00Z"}},
        {"surprise": 1},
    ],
)
def test_the_published_schema_refuses_what_is_no_row(out: Path, wrong: dict[str, Any]) -> None:
    assert not ROW.is_valid({**rows(out)[1], **wrong})


@pytest.mark.parametrize("key", SCHEMA["required"])
def test_the_published_schema_refuses_a_row_without(out: Path, key: str) -> None:
    row = rows(out)[1]
    del row[key]
    assert not ROW.is_valid(row)


def test_csv_has_a_line_per_row_with_the_box_that_contributes_most(out: Path) -> None:
    lines = table(out)
    assert [line["frame"] for line in lines] == [row["frame"] for row in rows(out)]
    bad = lines[1]
    assert [int(bad[key]) for key in ("width", "height", "boxes", "x0", "y0", "x1", "y1")] == [
        640,
        480,
        2,
        100,
        50,
        140,
        110,
    ]
    assert (float(bad["score"]), float(bad["contribution"]), float(bad["total_ms"])) == (0.9, 0.62, 27.75)
    assert (bad["mark"], bad["marked_by"], bad["sha256"]) == ("wrong", "Petra", "d" * 64)
    assert (lines[0]["boxes"], lines[0]["x0"], lines[0]["mark"]) == ("0", "", "")
    assert lines[2]["error"] == "line1/late.jpg is empty (0 bytes)" and lines[2]["score"] == lines[2]["width"] == ""


def test_csv_tells_whose_a_row_is_and_when_it_was_marked(out: Path, edge_detect: Run) -> None:
    """The columns are those that the documentation names, in its order: rows can be found again, beside another model's."""
    told = (ROOT / "docs" / "report.md").read_text("utf-8").partition("The columns of `csv`")[2].partition("\n\n")[0]
    printed = edge_detect("results", out, "--format", "csv").stdout.splitlines()
    assert printed[0].split(",") == re.findall(r"`(\w+)`", told)
    assert printed[0].endswith(",sha256,id,model,marked_at")
    lines = list(csv.DictReader(printed))
    assert [int(line["id"]) for line in lines] == [row["id"] for row in rows(out)]
    assert {line["model"] for line in lines} == {f"sha256:{outs.MODEL}"}
    assert [line["marked_at"] for line in lines] == ["", rows(out)[1]["mark"]["at"], "", "", ""]
    (after,) = map(json.loads, edge_detect("results", out, "--after", lines[3]["id"]).stdout.splitlines())
    assert after["frame"] == lines[4]["frame"]


def test_csv_keeps_hostile_names_in_their_cell_and_gives_a_spreadsheet_no_formula(tmp_path: Path) -> None:
    out = outs.make(tmp_path / "OUT", *map(outs.reject, outs.HOSTILE), *map(outs.error, outs.HOSTILE), camera="=1+1")
    with Record(out) as record:
        record.mark(1, "right", "@petra")
    lines = table(out)
    assert [line["frame"].removeprefix("'") for line in lines] == [*outs.HOSTILE, *outs.HOSTILE]
    cells = [cell for line in lines for cell in line.values()]
    assert not [cell for cell in cells if re.match(r"[=+\-@\t\r\n]", cell) and not re.fullmatch(r"-?[\d.]+", cell)]
    assert lines[0]["camera"] == "'=1+1" and lines[0]["marked_by"] == "'@petra"
    assert lines[0]["frame"] == outs.HOSTILE[0]


def test_output_goes_where_its_name_leads_and_never_onto_what_it_is_made_from(
    out: Path, tmp_path: Path, edge_detect: Run
) -> None:
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    (tmp_path / "linked").symlink_to(out / "ledger.sqlite")
    for file in [*out.iterdir(), tmp_path / "linked"]:
        refused = edge_detect("results", out, "-o", file)
        assert refused.returncode == 2 and "choose another name" in refused.stderr, file
    model = tmp_path / "part.onnx"
    model.write_bytes(b"model")
    with pytest.raises(UsageError, match="choose another name"):
        output.write(model, out, [b"page"], model)
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before and model.read_bytes() == b"model"

    (tmp_path / "today.csv").write_text("yesterday's")
    (tmp_path / "latest.csv").symlink_to("today.csv")
    assert edge_detect("results", out, "--format", "csv", "-o", tmp_path / "latest.csv").returncode == 0
    assert (tmp_path / "latest.csv").is_symlink() and (tmp_path / "today.csv").read_text() == written(out, "csv")


@pytest.mark.skipif(os.name == "nt", reason="has no named pipes among its files")
def test_output_into_a_pipe_is_what_its_reader_gets(out: Path, tmp_path: Path, edge_detect: Run) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE, text=True) as reader:
        assert edge_detect("results", out, "-o", pipe).returncode == 0
        assert reader.communicate()[0] == written(out, "jsonl")
    assert pipe.is_fifo()


@obeying
def test_results_at_rest_are_read_where_they_can_not_be_written(out: Path, edge_detect: Run) -> None:
    expected = edge_detect("results", out).stdout
    for path in (*out.iterdir(), out):
        path.chmod(0o555)
    done = edge_detect("results", out, under=UNPRIVILEGED)
    out.chmod(0o755)
    assert done.returncode == 0 and done.stdout == expected and len(expected.splitlines()) == 5


def test_coco_loads_with_its_own_library(out: Path, tmp_path: Path) -> None:
    (tmp_path / "coco.json").write_text(written(out, "coco"))
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(tmp_path / "coco.json"))
    images = coco.loadImgs(coco.getImgIds())
    assert [(image["file_name"], image["width"], image["height"]) for image in images] == [
        ("line1/a.jpg", 640, 480),
        ("line1/b.jpg", 640, 480),
        ("line1/late.jpg", 640, 480),
    ]
    assert [category["name"] for category in coco.loadCats(coco.getCatIds())] == ["defect"]
    assert coco.getAnnIds(imgIds=[images[0]["id"]]) == []
    found = coco.loadAnns(coco.getAnnIds(imgIds=[images[1]["id"]]))
    assert [(one["bbox"], one["area"], one["iscrowd"], one["score"]) for one in found] == [
        ([100, 50, 40, 60], 2400, 0, 0.9),
        ([0, 0, 640, 48], 30720, 0, 0.9),
    ]
    assert len(coco.getAnnIds()) == 4 and images[1]["mark"]["mark"] == "wrong"


def check_task(task: dict[str, Any]) -> None:
    """What Label Studio's documentation asks of a task with pre-annotations, for the configuration in docs/report.md."""
    assert isinstance(task["data"]["image"], str) and isinstance(task["meta"], dict)
    for prediction in task["predictions"]:
        assert isinstance(prediction["model_version"], str) and 0 <= prediction["score"] <= 1
        for region in prediction["result"]:
            value = region["value"]
            assert (region["type"], region["from_name"], region["to_name"]) == ("rectanglelabels", "label", "image")
            assert (region["original_width"], region["original_height"], region["image_rotation"]) == (640, 480, 0)
            assert value["rectanglelabels"] == ["defect"] and value["rotation"] == 0
            assert all(0 <= value[side] <= 100 for side in ("x", "y", "width", "height"))
            assert value["x"] + value["width"] <= 100.001 and value["y"] + value["height"] <= 100.001
    ids = [region["id"] for prediction in task["predictions"] for region in prediction["result"]]
    assert len(set(ids)) == len(ids)


def test_labelstudio_gets_tasks_with_the_boxes_as_predictions(out: Path) -> None:
    tasks = json.loads(written(out, "labelstudio"))
    for task in tasks:
        check_task(task)
    assert [task["data"]["image"] for task in tasks] == [
        f"/data/local-files/?d=line1/{name}.jpg" for name in ("a", "b", "late")
    ]
    first = tasks[1]["predictions"][0]
    assert first["score"] == 0.9 and first["model_version"] == f"sha256:{outs.MODEL}"
    box = first["result"][0]["value"]
    assert [box[side] for side in ("x", "y", "width", "height")] == pytest.approx(
        [15.625, 10.4167, 6.25, 12.5], abs=1e-3
    )
    assert tasks[1]["meta"]["mark"]["who"] == "Petra" and tasks[1]["data"]["mark"] == "wrong"
    assert tasks[0]["meta"] == {} and tasks[0]["predictions"][0]["result"] == []


@pytest.mark.parametrize("prefix", ["/data/local-files/?d=", "https://nas/frames/", "s3://bucket/frames/"])
def test_labelstudio_finds_frames_of_any_name(tmp_path: Path, prefix: str) -> None:
    out = outs.make(tmp_path / "OUT", *map(outs.good, outs.HOSTILE))
    addresses = [task["data"]["image"] for task in json.loads(written(out, "labelstudio", Choice(images=prefix)))]
    names = [address.removeprefix(prefix) for address in addresses]
    assert (names if prefix.startswith("s3") else list(map(unquote, names))) == list(outs.HOSTILE)
    assert prefix.startswith("s3") or not re.search(r"[\s<>\"'#?&]", "".join(names))


def test_verdict_and_since_choose(out: Path) -> None:
    outs.set_times(out, [f"2026-11-24T0{hour}:00:00.000Z" for hour in (1, 2, 3, 4, 5)])
    assert [line["frame"] for line in table(out, Choice("anomaly"))] == ["line1/b.jpg", "line1/late.jpg"]
    late = Choice(since="2026-11-24T03:00:00.000Z")
    assert [line["verdict"] for line in table(out, late)] == ["error", "skipped", "anomaly"]
    assert [task["data"]["frame"] for task in json.loads(written(out, "labelstudio", late))] == ["line1/late.jpg"]
    images = json.loads(written(out, "coco", Choice("good")))["images"]
    assert [image["file_name"] for image in images] == ["line1/a.jpg"]


def test_who_asks_again_gets_what_is_new(out: Path, edge_detect: Run) -> None:
    assert [line["frame"] for line in table(out, Choice(after=3))] == ["line1/s.jpg", "line1/late.jpg"]
    done = edge_detect("results", out, "--after", "4")
    (row,) = map(json.loads, done.stdout.splitlines())
    assert (row["id"], row["frame"]) == (5, "line1/late.jpg")
    assert edge_detect("results", out, "--after", "5").stdout == ""


def test_where_a_content_comes_back_its_row_counts(tmp_path: Path) -> None:
    with Ledger(tmp_path / "OUT", outs.IDENTITY) as ledger:
        ledger.commit(outs.good("latest.jpg"), None, {}, "state 1")
        ledger.commit(outs.reject("latest.jpg"), None, {}, "state 2")
        assert ledger.find("latest.jpg", "c" * 64, "state 3")
    (image,) = json.loads(written(tmp_path / "OUT", "coco"))["images"]
    assert image["verdict"] == "good"
    with Record(tmp_path / "OUT") as record:
        row = record.of("latest.jpg")
        assert row is not None and row["verdict"] == "good" and record.of("other.jpg") is None


def test_a_frame_whose_last_row_says_good_is_no_reject_any_more(tmp_path: Path) -> None:
    out = outs.make(tmp_path / "OUT", outs.reject("a.jpg"), outs.good("a.jpg"))
    assert json.loads(written(out, "coco", Choice("anomaly")))["annotations"] == []
    assert len(table(out)) == 2


@pytest.mark.parametrize("inspections", [[], [outs.error("a.jpg"), outs.skipped("b.jpg")]])
def test_nothing_to_show_is_still_valid(tmp_path: Path, inspections: list[Any]) -> None:
    out = outs.make(tmp_path / "OUT", *inspections)
    assert len(written(out, "jsonl").splitlines()) == len(table(out)) == len(inspections)
    assert json.loads(written(out, "labelstudio")) == []
    coco = json.loads(written(out, "coco"))
    assert (coco["images"], coco["annotations"], len(coco["categories"])) == ([], [], 1)


def test_more_rows_than_are_looked_up_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_runtime.views.formats.AT_ONCE", 2)
    out = outs.make(tmp_path / "OUT", *(outs.good(f"{number}.jpg") for number in range(5)))
    assert [row["frame"] for row in map(json.loads, written(out, "jsonl").splitlines())] == [
        f"{n}.jpg" for n in range(5)
    ]


def test_the_command_writes_what_it_prints_and_refuses_what_is_no_time(out: Path, edge_detect: Run) -> None:
    printed = edge_detect("results", out, "--format", "csv", "--verdict", "anomaly")
    assert printed.returncode == 0 and len(printed.stdout.splitlines()) == 3, printed.stderr
    saved = edge_detect("results", out, "--format", "csv", "--verdict", "anomaly", "-o", "found.csv")
    assert saved.returncode == 0 and saved.stdout == ""
    assert (out.parent / "found.csv").read_text() == printed.stdout
    assert edge_detect("results", out, "--since", "2100-01-01").stdout == ""
    assert len(edge_detect("results", out, "--since", "2000-01-01T06:00+02:00").stdout.splitlines()) == 5
    for args in ((out, "--since", "yesterday"), (out, "--since", "0001-01-01T00:00+05:00"), (out.parent / "nothing",)):
        refused = edge_detect("results", *args)
        assert refused.returncode == 2 and len(refused.stderr.splitlines()) == 1, refused.stderr


def test_it_reads_while_another_process_holds_the_folder(out: Path, edge_detect: Run) -> None:
    with Ledger(out, outs.IDENTITY) as ledger:
        ledger.commit(outs.good("new.jpg"), None, {})
        shown = edge_detect("results", out)
        assert shown.returncode == 0 and json.loads(shown.stdout.splitlines()[-1])["frame"] == "new.jpg"


@pytest.mark.skipif(os.name == "nt", reason="NOT RUN: Windows has no broken pipes as POSIX has them")
def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    out = outs.make(tmp_path / "OUT", *(outs.reject(f"{number}.jpg") for number in range(500)))
    command = [str(Path(sys.executable).with_name("edge-detect")), "results", str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None and running.stderr is not None
        first = running.stdout.readline()
        running.stdout.close()
        complaint = running.stderr.read()
    assert json.loads(first)["frame"] == "0.jpg"
    assert (running.returncode, complaint) == (0, "")
