"""The bundled model keeps what the README promises of it, on frames it has never seen."""

import json
from pathlib import Path

import pytest

from tests import bundled
from tests.conftest import Run
from train.bangles import generate


def test_the_bundled_model_is_small() -> None:
    assert bundled.FILE.stat().st_size <= 5_000_000


@pytest.mark.xdist_group("demo")
def test_the_bundled_model_finds_defects_and_shows_where(edge_detect: Run, tmp_path: Path) -> None:
    generate(tmp_path / "frames", good=60, anomaly=60, seed=4242)
    done = edge_detect("evaluate", "frames", "-m", bundled.FILE, "-o", "out", "--truth", "frames/truth.json", "--json")
    figures = json.loads(done.stdout)
    assert figures["image"]["auroc"] >= 0.975
    assert figures["localisation"]["pointing"]["fine_peak"] >= 0.93
    assert figures["localisation"]["box_iou"]["0.3"]["ours"] >= 0.70
    assert figures["localisation"]["boxes_per_good_frame"]["whatever_the_verdict"] <= 0.08
    assert figures["largest_residual"] <= 1e-3
