"""What benchmarks/reliability does at length, shortened: the real command, real processes, real kills."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.reliability import scenarios
from tests import tiny

WHOLE = {"twice": 0, "torn": 0, "missing": 0, "lines": 0}


def frames(number: int) -> npt.NDArray[np.uint8]:
    """Each with a content of its own; every other one has a defect."""
    image = tiny.frame() if number % 2 else tiny.frame(None)
    image[:2, :2] = (number % 256, number // 256, 7)
    return image


def test_kills_at_random_instants_lose_and_repeat_nothing(tiny_model: Path, tmp_path: Path) -> None:
    found = scenarios.kills(tmp_path / "line", tiny_model, frames, count=400, times=40)
    assert found == {"kills": 40, "exit": 1, "rows": 400, "frames": 400, **WHOLE}


def test_a_burst_that_nobody_listened_to_is_found(tiny_model: Path, tmp_path: Path) -> None:
    found = scenarios.burst(tmp_path / "line", tiny_model, frames, count=5000)
    del found["found_s"]  # benchmarks/reliability says how soon
    assert found == {"exit": 0, "restarts": 0, "rows": 5000, "frames": 5000, **WHOLE}


def test_a_stop_at_a_random_instant_is_clean(tiny_model: Path, tmp_path: Path) -> None:
    found = scenarios.terminations(tmp_path / "line", tiny_model, frames, times=30)
    del found["slowest_s"]
    assert found == {"stopped": 30, "of": 30, "put": 600, "rows": 600, "frames": 600, **WHOLE}


def test_under_overload_every_frame_is_accounted_for_at_every_beat(tiny_model: Path, tmp_path: Path) -> None:
    found = scenarios.overload(tmp_path / "line", tiny_model, frames, seconds=5, per_second=800)
    assert found["seen"] == found["rows"] == found["frames"] == found["put"] > 1000
    assert found["skipped"] > 0 and found["uneven"] == 0 and found["lines"] == 0


def test_nothing_grows(tiny_model: Path, tmp_path: Path) -> None:
    found = scenarios.soak(tmp_path / "line", tiny_model, frames, count=3000, warm_up=2000, say=print)
    assert found["mb_per_1000"] <= 1.0
    assert found["descriptors_more"] <= 1 and found["threads_more"] == 0 and found["restarts"] == 0
    assert {key: found[key] for key in ("exit", "rows", *WHOLE)} == {"exit": 0, "rows": 3000, **WHOLE}
