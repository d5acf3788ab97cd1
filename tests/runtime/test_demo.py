"""The bundled model keeps what the README promises of it, on frames it has never seen."""

from pathlib import Path

import pytest

from benchmarks.accuracy import judge, measure
from edge_runtime import demo
from edge_runtime.inspector import Inspector
from edge_runtime.model import Model
from train.bangles import generate

BUNDLED = Path(demo.__file__).parent / "model.onnx"


def test_the_bundled_model_is_small() -> None:
    assert BUNDLED.stat().st_size <= 3_000_000


@pytest.mark.xdist_group("demo")
def test_the_bundled_model_finds_defects_and_shows_where(tmp_path: Path) -> None:
    generate(tmp_path / "frames", good=60, anomaly=60, seed=4242)
    inspector = Inspector(Model.load(BUNDLED))
    figures = measure(
        judge(tmp_path / "frames", tmp_path / "frames" / "truth.json", inspector), inspector.model.input_hw
    )
    assert figures["image_auroc"] >= 0.88
    assert figures["peak_on_defect"] >= 0.75
    assert figures["boxes_per_good_frame_whatever_the_verdict"] <= 0.1
    assert figures["largest_residual"] <= 1e-3
