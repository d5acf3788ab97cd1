"""docs/python.md does what it says, as it stands there."""

import re
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge_runtime import demo
from tests import bundled

DOC = Path(__file__).parents[2] / "docs" / "python.md"
FRAMES = Path(demo.__file__).parent / "frames"


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the page's code defines, run where a part.onnx lies."""
    shutil.copy(bundled.FILE, tmp_path / "part.onnx")
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", DOC.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    return names


def test_the_page_judges_pictures_in_memory(said: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    for path in sorted(FRAMES.glob("*.jpg")):
        image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
        assert said["judge"](image, path.name) == path.name.startswith("good")
        assert ("Box(" in capsys.readouterr().out) == path.name.startswith("anomaly")


def test_what_cannot_be_judged_does_not_pass(said: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert said["judge"](np.zeros((600, 800, 3), np.uint8), "dark.png") is False
    assert capsys.readouterr().out.startswith("dark.png looks like no frame")
