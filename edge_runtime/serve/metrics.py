"""The board's figures for Prometheus."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from edge_runtime.serve.board import Board
from edge_runtime.serve.tally import BOUNDS_MS

BOUNDS_S = [str(ms / 1e3) for ms in BOUNDS_MS] + ["+Inf"]


class BoardCollector(Collector):
    def __init__(self, board: Board) -> None:
        self.board = board

    def collect(self) -> Iterator[Metric]:
        now = self.board.figures()
        about = InfoMetricFamily("edge_detect", "What is inspected, and with which model file.")
        about.add_metric([], {"product": self.board.product, "model_sha256": self.board.model_sha256})
        yield about
        frames = CounterMetricFamily(
            "edge_detect_frames", "Frames that got a result since the start.", labels=["camera", "verdict"]
        )
        for (camera, verdict), count in sorted(now["frames"].items()):
            frames.add_metric([camera, verdict], count)
        yield frames
        yield GaugeMetricFamily("edge_detect_pending_frames", "Frames that wait.", now["pending"])
        yield GaugeMetricFamily(
            "edge_detect_lag_seconds", "Age of the oldest frame that waits, or is not whole yet.", now["lag_s"]
        )
        yield GaugeMetricFamily("edge_detect_up", "1 while frames are being inspected.", float(now["up"]))
        yield CounterMetricFamily(
            "edge_detect_restarts", "Restarts of the inspection since the start.", now["restarts"]
        )
        yield GaugeMetricFamily(
            "edge_detect_unsearched_folders", "Folders in which frames can't be looked for.", now["unsearched"]
        )
        last = GaugeMetricFamily(
            "edge_detect_last_frame_timestamp_seconds",
            "When a camera's last result was there; of several cameras, 0 before the first.",
            labels=["camera"],
        )
        for camera, at in sorted(now["last"].items()):
            last.add_metric([camera], at)
        yield last
        stages = HistogramMetricFamily("edge_detect_stage_seconds", "Time per frame and stage.", labels=["stage"])
        for stage, (cumulative, sum_ms) in sorted(now["stages"].items()):
            buckets = list(zip(BOUNDS_S, map(float, cumulative), strict=True))
            stages.add_metric([stage], buckets, sum_value=sum_ms / 1e3)
        yield stages


def exposition(board: Board) -> bytes:
    """The text format of Prometheus."""
    registry = CollectorRegistry()
    registry.register(BoardCollector(board))
    return generate_latest(registry)
