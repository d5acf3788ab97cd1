"""A short run of tests/fuzz.py; the long one is `python -m tests.fuzz --seconds 3600`."""

import os
from typing import Any

from tests import fuzz


def test_changed_frames_and_manifests_are_read_or_refused_and_nothing_else() -> None:
    report = fuzz.run(examples=3000, seed=20)
    assert report.failures == ()
    assert report.examples == 3000
    assert report.accepted > 100 and report.refused > 1000  # else the changes are too rude, or too mild


def dies_twice(seed: int, first: int, until: float, last: int, log: str, shared: Any) -> None:
    for number in range(first, last):
        shared[0] = number
        if number in (3, 7):
            os.abort()
        shared[1] += 1


def test_a_crash_costs_one_example_and_is_reported_with_its_number() -> None:
    report = fuzz.run(examples=10, seed=20, work=dies_twice)
    assert [line.split(" ended")[0] for line in report.failures] == ["seed 20 example 3", "seed 20 example 7"]
    assert report.accepted == 8
