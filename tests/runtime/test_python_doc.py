"""docs/python.md does what it says, as it stands there."""

import re
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge_runtime import demo
from edge_runtime.results import Image
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


def picture(path: Path) -> Image:
    return np.asarray(cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR), np.uint8)


def test_the_page_judges_pictures_in_memory(said: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    for path in sorted(FRAMES.glob("*.jpg")):
        image = picture(path)
        assert said["judge"](image, path.name) == path.name.startswith("good")
        assert ("Box(" in capsys.readouterr().out) == path.name.startswith("anomaly")


def test_views_are_taken_and_what_is_not_whole_does_not_pass(said: dict[str, Any]) -> None:
    image = picture(FRAMES / "good_00000.jpg")
    red_first = image[:, :, ::-1].copy()
    assert said["judge"](red_first[:, :, ::-1], "view.png") is True
    assert said["judge"](image[:120], "cut.png") is False


@pytest.mark.parametrize("pixels", [(480, 640), (480, 640, 4), (480, 640, 3)])
def test_what_is_no_picture_of_ours_is_an_error(said: dict[str, Any], pixels: tuple[int, ...]) -> None:
    dtype = np.float32 if pixels == (480, 640, 3) else np.uint8
    with pytest.raises(ValueError, match="expected pixels as"):
        said["judge"](np.full(pixels, 0.5, dtype), "wrong.png")


def test_what_cannot_be_judged_does_not_pass(said: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert said["judge"](np.zeros((480, 640, 3), np.uint8), "dark.png") is False
    assert capsys.readouterr().out.startswith("dark.png looks like no frame")
