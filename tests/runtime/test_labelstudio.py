"""What Label Studio's own library says of `edge-detect results --format labelstudio` and of the configuration in docs/report.md.

It brings half a gigabyte and an OpenCV of its own, so that no extra of ours installs it:
`pip install label-studio-sdk` in an environment made for this test alone.
"""

import importlib.util
import json
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.line.record import Record
from edge_runtime.results import Box, Defect, Inspection, Verdict
from edge_runtime.views.formats import Choice, coco, labelstudio
from tests import outs
from tests.conftest import ROOT

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("label_studio_sdk") is None,
    reason="NOT RUN: Label Studio's library has not checked the tasks: no label-studio-sdk",
)
CONFIGURATION = re.findall(r"```xml\n(.*?)```", (ROOT / "docs" / "report.md").read_text(), re.DOTALL)[0]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Frames of every verdict and with every kind of name; boxes at every edge of sizes that do not divide evenly."""
    edges = [reject(f"{side}.jpg", side) for side in (7, 97, 641, 1366)]
    named = map(outs.reject, outs.HOSTILE)
    return outs.make(
        tmp_path / "OUT", outs.good("good.jpg"), *edges, *named, outs.error("error.jpg"), outs.skipped("skipped.jpg")
    )


def reject(name: str, side: int) -> Inspection:
    boxes = (Box(0, 0, side, side), Box(side - 3, side - 3, side, side), Box(2, 1, side, 2), Box(0, 0, 1, 1))
    return Inspection(
        *(name, "f" * 64, (side, side), Verdict.ANOMALY),
        score=1.0,
        margin=9.0,
        threshold=0.5,
        defects=tuple(Defect(box, 0.25, 1.0, 2.0, "fine") for box in boxes),
    )


def tasks(out: Path) -> list[dict[str, Any]]:
    with Record(out) as record:
        found: list[dict[str, Any]] = json.loads("".join(labelstudio(record, Choice())))
    return found


def test_label_studio_takes_the_configuration_and_every_task(out: Path) -> None:
    interface = import_module("label_studio_sdk.label_interface").LabelInterface(CONFIGURATION)
    interface.validate()
    found = tasks(out)
    assert len(found) == 1 + 4 + len(outs.HOSTILE)
    for task in found:
        assert interface.validate_task({"data": task["data"]})
        (prediction,) = task["predictions"]
        assert interface.validate_prediction(prediction, return_errors=True) == []
    prediction["result"][0]["value"]["rectanglelabels"] = ["scratch"]
    assert not interface.validate_prediction(prediction)


def test_boxes_come_back_from_label_studio_as_they_were(out: Path, tmp_path: Path) -> None:
    """Somebody accepts every prediction, and exports COCO."""
    with Record(out) as record:
        ours = json.loads("".join(coco(record, Choice())))
    accepted = [
        {
            "id": number,
            "data": task["data"],
            "annotations": [{"id": number, "completed_by": {"email": "asha@line"}, "result": result["result"]}],
        }
        for number, task in enumerate(tasks(out))
        for result in task["predictions"]
    ]
    (tmp_path / "export.json").write_text(json.dumps(accepted))
    library = import_module("label_studio_sdk.converter")
    converter = library.Converter(CONFIGURATION, project_dir=None, download_resources=False)
    converter.convert_to_coco(str(tmp_path / "export.json"), str(tmp_path / "coco"), is_dir=False)
    back = json.loads((tmp_path / "coco" / "result.json").read_text())
    assert [category["name"] for category in back["categories"]] == ["defect"]
    theirs = [one["bbox"] for one in back["annotations"]]
    assert len(theirs) == len(ours["annotations"])
    assert all(box == pytest.approx(one["bbox"]) for box, one in zip(theirs, ours["annotations"], strict=True))
