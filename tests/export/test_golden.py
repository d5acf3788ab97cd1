"""Frames that travel in the file."""

from pathlib import Path

import numpy as np

from edge_runtime.frames import FrameFile, decode
from export.golden import MOST_BYTES, as_it_came, choose
from tests import tiny


def test_the_last_one_chosen_is_the_plainest_anomaly() -> None:
    assert choose([-3.0, -9.0, -2.0, 4.0, 1.0, 9.0], [0, 0, 0, 1, 1, 1]) == [0, 3, 5]
    assert choose([-3.0, 4.0], [0, 1]) == [0, 1]


def test_a_frame_travels_as_the_camera_wrote_it_unless_it_is_large(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (900, 1000, 3), np.uint8)
    tiny.write_frames(tmp_path, {"small.jpg": tiny.frame(), "large.png": noise})
    small, large = (FrameFile(tmp_path / name, name) for name in ("small.jpg", "large.png"))
    assert as_it_came(small) == small.path.read_bytes()
    assert large.path.stat().st_size > MOST_BYTES > len(as_it_came(large))
    assert decode(as_it_came(large)).shape == noise.shape
