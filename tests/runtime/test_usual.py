"""Lamp out, cap on, nothing there: such a frame is an error and never a pass."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime import usual
from edge_runtime.benchmark.material import bundled
from edge_runtime.errors import FrameError
from edge_runtime.manifest import Usual
from edge_runtime.preprocess import prepare
from edge_runtime.results import Image
from tests import bundled as bundle
from tests import tiny
from tests.conftest import Run

PARTS = np.stack([prepare(frame, (192, 256)) for frame in bundled()])
FRAME = PARTS[0]
NOISE = np.random.default_rng(0).normal(0, 6, FRAME.shape)


@pytest.mark.parametrize("number", range(len(PARTS)))
def test_a_frame_like_the_others_is_judged(number: int) -> None:
    usual.refuse_unusual(PARTS[number], usual.limits(np.delete(PARTS, number, axis=0)))


@pytest.mark.parametrize("gain", [0.6, 1.3])
def test_some_more_or_less_light_is_usual(gain: float) -> None:
    usual.refuse_unusual(cv2.convertScaleAbs(FRAME, alpha=gain), usual.limits(PARTS))


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (np.zeros_like(FRAME), "too little contrast: 0, too little sharpness: 0"),
        (np.full_like(FRAME, 255), "too little contrast: 0, too little sharpness: 0"),
        (np.clip(110 + NOISE, 0, 255).astype(np.uint8), "too little contrast"),
        (FRAME // 12, "too little contrast"),
        (cv2.GaussianBlur(FRAME, (0, 0), 15), "too little sharpness"),
    ],
    ids=["lamp out", "overexposed", "empty table", "nearly dark", "out of focus"],
)
def test_a_frame_that_shows_no_part_can_not_be_judged(frame: Image, says: str) -> None:
    with pytest.raises(FrameError, match=rf"looks like no frame that the model was made with \(.*{says}"):
        usual.refuse_unusual(frame, usual.limits(PARTS))


def test_frames_without_any_contrast_have_limits_too() -> None:
    flat = np.full((3, 32, 48, 3), 90, np.uint8)
    usual.refuse_unusual(flat[0], usual.limits(flat))


def test_limits_that_are_upside_down_are_no_limits() -> None:
    with pytest.raises(ValueError, match="upside down"):
        Usual(brightness=(9, 3), contrast=(1, 2), sharpness=(1, 2))


def test_the_line_gets_an_error_and_the_model_file_says_so(edge_detect: Run, tmp_path: Path) -> None:
    manifest = tiny.manifest(usual=usual.limits(tiny.frame()[np.newaxis]))
    (tmp_path / "part.onnx").write_bytes(tiny.model(manifest))
    tiny.write_frames(tmp_path / "frames", {"dark.png": np.zeros((64, 96, 3), np.uint8)})
    done = edge_detect("frames", "-m", "part.onnx", "-o", "out")
    assert (
        done.returncode == 2
        and "dark.png looks like no frame that the model was made with (too little brightness: 0," in done.stdout
    )
    assert "others are errors" in edge_detect("info", "part.onnx").stdout


def test_the_bundled_model_refuses_darkness(edge_detect: Run, tmp_path: Path) -> None:
    tiny.write_frames(tmp_path / "frames", {"dark.png": np.zeros((480, 640, 3), np.uint8)})
    done = edge_detect("frames", "-m", bundle.FILE, "-o", "out", "--no-check")
    assert done.returncode == 2 and done.stdout.startswith("error")
