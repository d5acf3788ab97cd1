"""A process that works on several frames at once is set up for it."""

import platform
from pathlib import Path

import cv2
import pytest

from edge_runtime.inspector import Inspector
from edge_runtime.line.ledger import Ledger
from edge_runtime.line.pictures import Pictures
from edge_runtime.line.pipeline import Pipeline
from edge_runtime.line.process_wide import keep_memory
from edge_runtime.model import Model
from tests import bundled


def test_jobs_share_the_cores(tmp_path: Path) -> None:
    cv2.setNumThreads(2)
    inspector = Inspector(Model.load(bundled.FILE))
    with Ledger(tmp_path / "out", inspector.identity) as ledger:
        assert list(Pipeline(inspector, ledger, Pictures(())).run([])) == []
    assert cv2.getNumThreads() == 1


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_glibc_takes_the_advice() -> None:
    assert keep_memory()
