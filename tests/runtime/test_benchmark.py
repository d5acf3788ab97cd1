"""`edge-detect benchmark`: figures that can be trusted, comparisons of like with like, and nothing left behind."""

import hashlib
import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.common import Spread, in_turns
from benchmarks.reliability.line import until
from edge_runtime.benchmark import measure, profile
from edge_runtime.benchmark.compare import changes, refuse_unlike
from edge_runtime.benchmark.hardware import hardware, peak_mib
from edge_runtime.benchmark.material import make_frames
from edge_runtime.benchmark.paced import Arrivals, miss_rate
from edge_runtime.benchmark.profile import Profile
from edge_runtime.benchmark.statistics import needed, percentile, slope, summary
from edge_runtime.benchmark.trial import Trial
from edge_runtime.benchmark.tune import candidates, for_inspect, for_watch, timed
from edge_runtime.errors import UsageError
from edge_runtime.frames import FrameFile
from tests import tiny
from tests.conftest import Run

QUICK = ("--size", "96x64", "--seconds", "0.5", "--save", "none")


@pytest.mark.parametrize(("percent", "samples"), [(50, 11), (90, 64), (95, 130), (99, 662)])
def test_a_percentile_needs_two_samples_beyond_it_with_99_percent_confidence(percent: int, samples: int) -> None:
    def one_or_none_beyond(count: int) -> float:
        share = 1 - percent / 100
        return sum(math.comb(count, k) * share**k * (1 - share) ** (count - k) for k in (0, 1))

    assert needed(percent) == samples
    assert one_or_none_beyond(samples) <= 0.01 < one_or_none_beyond(samples - 1)


def test_percentiles_are_left_out_rather_than_guessed() -> None:
    found = summary([float(value) for value in range(100, 0, -1)])
    assert found == {"mean": 50.5, "p50": 50.0, "p90": 90.0, "p95": None, "p99": None, "max": 100.0}
    assert percentile(range(63), 90) is None
    assert percentile(range(662), 99) == 655  # seven of 662 are greater


def test_slope_of_a_leak() -> None:
    assert slope([0, 100, 200, 300], [50, 51, 52, 53]) == pytest.approx(0.01)
    assert slope([5, 5], [1, 2]) == 0


class Time:
    """A clock that moves when somebody sleeps or works."""

    def __init__(self) -> None:
        self.now = 100.0

    def pass_by(self, seconds: float) -> None:
        self.now += seconds


def test_a_slow_pipeline_does_not_slow_the_camera_down() -> None:
    """Frames are due every 50 ms although each takes 150 ms: the tenth is 900 ms behind, and that is its latency."""
    time = Time()
    latency: list[float] = []
    arrivals = Arrivals([Path("a.jpg")], fps=20, seconds=0, count=10, clock=lambda: time.now, sleep=time.pass_by)
    for file in arrivals:
        assert file is not None or not latency, "behind from the first frame on, there is nothing to wait for"
        if file is not None:
            time.pass_by(0.15)
            latency.append((time.now - arrivals.due[file.source]) * 1e3)
    assert latency == pytest.approx([150 + 100 * number for number in range(10)])
    assert miss_rate(latency, 400) == 0.7


def test_a_fast_pipeline_waits_for_the_camera_with_nothing_in_work() -> None:
    time = Time()
    arrivals = Arrivals([Path("a.jpg")], fps=20, seconds=0.2, count=0, clock=lambda: time.now, sleep=time.pass_by)
    taken = list(arrivals)
    assert [one is None for one in taken] == [False, True, False, True, False, True, False]
    assert list(arrivals.due.values()) == pytest.approx([100, 100.05, 100.1, 100.15])
    assert len({one.source for one in taken if isinstance(one, FrameFile)}) == 4, "each arrival is a frame of its own"


def test_setups_that_are_tried() -> None:
    assert candidates(1, ["cpu"]) == [Profile(1, 1, False), Profile(2, 1, False)]
    tried = candidates(8, ["cpu"])
    assert {(one.jobs, one.threads) for one in tried} == {
        (1, 4),
        (1, 8),
        (2, 2),
        (2, 4),
        (4, 1),
        (4, 2),
        (8, 1),
        (9, 1),
    }
    assert not any(one.spinning for one in tried if one.threads == 1)
    both = candidates(8, ["cpu", "openvino"])
    assert [one for one in both if one.provider == "cpu"] == tried
    other = [one for one in both if one.provider == "openvino"]
    assert [(one.jobs, one.threads) for one in other] == [(one.jobs, one.threads) for one in tried if not one.spinning]


def test_the_best_setup_is_the_fastest_and_among_equals_the_smallest() -> None:
    milliseconds = {
        Profile(1, 1, False): [90.0, 90, 90],
        Profile(1, 2, False): [50.0, 51, 300],  # whatever else the PC did in the third round
        Profile(1, 2, True): [45.2, 45.2, 45.2],
        Profile(2, 1, False): [45.0, 45, 45],
        Profile(3, 1, False): [44.9, 44.9, 44.9],
    }
    left = {setup: iter(ms) for setup, ms in milliseconds.items()}
    times = timed(list(milliseconds), lambda setup: next(left[setup]), rounds=3)
    assert for_inspect(times) == Profile(1, 2, True)
    assert for_watch(times, cores=2) == Profile(2, 2, False), "nothing spins while no frame arrives"


def test_a_profile_of_another_model_or_pc_is_ignored_with_a_word(tmp_path: Path) -> None:
    model, said = tmp_path / "part.onnx", list[str]()
    assert profile.read(model, "aa", say=said.append) is None and not said
    written = profile.to_json(Profile(4, 1, False), Profile(2, 4, False), "aa")
    profile.path_of(model).write_text(json.dumps(written))
    assert profile.read(model, "aa", say=said.append) == Profile(4, 1, False) and not said
    assert profile.read(model, "aa", live=True, say=said.append) == Profile(2, 4, False) and not said
    assert profile.read(model, "bb", say=said.append) is None and "another model file" in said.pop()
    profile.path_of(model).write_text(json.dumps(written | {"schema": 1}))
    assert profile.read(model, "aa", say=said.append) is None and "another version of edge-detect" in said.pop()
    profile.path_of(model).write_text(json.dumps(written | {"cpu": "Z80", "cores": 1}))
    assert profile.read(model, "aa", say=said.append) is None
    assert "another processor and another number of cores" in said.pop()
    for damaged in ("", "[]", json.dumps(written | {"inspect": {"jobs": 0, "threads": 1, "spinning": False}})):
        profile.path_of(model).write_text(damaged)
        assert profile.read(model, "aa", say=said.append) is None and "ignored" in said.pop()


def report(**changed: Any) -> dict[str, Any]:
    return {
        "schema": 1,
        "hardware": {"cpu": "A", "features": ["VNNI"], "cores": 2},
        "model": {"sha256": "m"},
        "frames": {"sha256": "f"},
        "pictures": {"kinds": [], "for_all": False},
        "pace": None,
        "throughput_fps": 20.0,
        "latency_ms": {"p50": 100.0, "p90": 110.0, "p99": None},
        "cold_start_ms": {"median": 500.0},
        "peak_mib": None,
        **changed,
    }


def test_comparison_says_what_became_worse_and_by_how_much() -> None:
    base = report()
    now = report(throughput_fps=16.0, latency_ms={"p50": 90.0, "p90": 110.0, "p99": 200.0}, peak_mib=100.0)
    found = {change.what: change.worse for change in changes(base, now)}
    assert found == pytest.approx({"throughput": 0.25, "latency p50": -0.1, "latency p90": 0.0, "cold start": 0.0})
    refuse_unlike(base, now)


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"hardware": {"cpu": "B", "features": ["VNNI"], "cores": 2}}, "processor"),
        ({"hardware": {"cpu": "A", "features": ["VNNI"], "cores": 4}}, "cores"),
        ({"model": {"sha256": "n"}}, "model file"),
        ({"frames": {"sha256": "g"}}, "frames"),
        ({"pace": {"fps": 20, "deadline_ms": 50}}, "pace"),
        ({"schema": 0}, "of this version"),
    ],
)
def test_unlike_is_not_compared(changed: dict[str, Any], word: str) -> None:
    with pytest.raises(UsageError, match=word):
        refuse_unlike(report(**changed), report())


def test_generated_frames_are_the_same_every_time_and_no_two_alike(tmp_path: Path) -> None:
    first = [path.read_bytes() for path in make_frames(tmp_path / "a", (64, 48), 12)]
    again = [path.read_bytes() for path in make_frames(tmp_path / "b", (64, 48), 12)]
    assert first == again and len(set(first)) == 12


def test_turns_alternate_and_ratios_are_turn_by_turn() -> None:
    order: list[str] = []

    def contender(name: str, ms: float) -> float:
        order.append(name)
        return ms * len(order)  # the PC becomes slower and slower

    found = in_turns({"a": lambda: contender("a", 2.0), "b": lambda: contender("b", 1.0)}, rounds=2, warm_up=1)
    assert order == ["a", "b"] * 3 and found == {"a": [6.0, 10.0], "b": [4.0, 6.0]}
    ratio = Spread.of_ratios(found["a"], found["b"])
    assert (ratio.median, ratio.least, ratio.greatest) == pytest.approx((19 / 12, 3 / 2, 5 / 3))


def benchmark(edge_detect: Run, model: Path, scratch: Path, *options: object) -> dict[str, Any]:
    done = edge_detect("benchmark", model, *options, "--scratch", scratch, "--json")
    assert done.returncode == 0, done.stderr
    assert not list(scratch.iterdir()), "nothing may be left behind"
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_benchmark_measures_the_real_pipeline(edge_detect: Run, tiny_model: Path, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    found = benchmark(edge_detect, tiny_model, scratch, *QUICK)
    assert found["samples"] == sum(found["verdicts"].values()) > 0
    assert found["throughput_fps"] == pytest.approx(found["samples"] / found["seconds"])
    assert {"read", "decode", "prepare", "infer", "explain", "write"} <= set(found["stages_ms"])
    assert found["latency_ms"]["max"] >= found["stages_ms"]["infer"]["max"]
    assert (found["latency_ms"]["p99"] is None) == (found["samples"] < 662)
    assert found["cold_start_ms"]["median"] > 0 and len(found["cold_start_ms"]["all"]) == 3
    assert found["hardware"]["cpu"] == hardware().cpu and "onnxruntime" in found["versions"]
    assert found["frames"]["size_wh"] == [96, 64]
    if sys.platform == "linux":
        assert found["peak_mib"] > 30


def test_paced_frames_arrive_when_they_are_due(edge_detect: Run, tiny_model: Path, tmp_path: Path) -> None:
    tiny.write_frames(tmp_path / "line", {"bright.png": tiny.frame(), "dark.png": tiny.frame(None)})
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    found = benchmark(
        edge_detect, tiny_model, scratch, tmp_path / "line", "--fps", 20, "--deadline-ms", 60_000, "--seconds", 1
    )
    assert found["samples"] == 20 and found["misses"] == 0 and found["pace"] == {"fps": 20, "deadline_ms": 60_000}
    assert found["verdicts"] == {"anomaly": 10, "good": 10} and found["frames"]["count"] == 2


def test_slower_than_before_exits_1(edge_detect: Run, tiny_model: Path, tmp_path: Path) -> None:
    scratch, base = tmp_path / "scratch", tmp_path / "base.json"
    scratch.mkdir()
    found = benchmark(edge_detect, tiny_model, scratch, *QUICK)
    base.write_text(
        json.dumps(
            found
            | {"throughput_fps": found["throughput_fps"] / 1e6, "latency_ms": {}, "peak_mib": None, "cold_start_ms": {}}
        )
    )
    faster = edge_detect("benchmark", tiny_model, *QUICK, "--compare", base)
    assert faster.returncode == 0 and "better" in faster.stderr, faster.stderr
    assert "throughput" in faster.stdout and "peak memory" in faster.stdout
    base.write_text(json.dumps(found | {"throughput_fps": found["throughput_fps"] * 1e6}))
    slower = edge_detect("benchmark", tiny_model, *QUICK, "--compare", base, "--max-regress", "50%")
    assert slower.returncode == 1 and "SLOWER  throughput" in slower.stderr, slower.stderr
    other = edge_detect("benchmark", tiny_model, *QUICK[2:], "--size", "97x64", "--compare", base)
    assert other.returncode == 2 and "another frames" in other.stderr, other.stderr


def test_tuning_writes_a_profile_beside_the_model(edge_detect: Run, tmp_path: Path) -> None:
    model = tmp_path / "part.onnx"
    model.write_bytes(tiny.model())
    done = edge_detect("benchmark", model, *QUICK, "--seconds", "0.1", "--tune")
    assert done.returncode == 0, done.stderr
    written = json.loads(profile.path_of(model).read_text())
    assert f"inspect takes {Profile(**written['inspect'])}" in done.stderr
    assert f"setup        {Profile(**written['inspect'])}" in done.stdout, "what was found is what is measured"
    assert profile.read(model, written["model_sha256"]) == Profile(**written["inspect"])


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--deadline-ms", "50"], "--fps"),
        (["--size", "big"], "WIDTHxHEIGHT"),
        (["--max-regress", "much"], "such as 10%"),
        (["--compare", "nowhere.json"], "can't be read"),
        (["nowhere/"], "no such file"),
        (["--save", "oil"], "no such picture"),
    ],
)
def test_what_cannot_be_measured_is_said_in_one_line(
    edge_detect: Run, tiny_model: Path, options: list[str], word: str
) -> None:
    done = edge_detect("benchmark", tiny_model, *options)
    assert done.returncode == 2 and word in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("error:")]) == 1
    assert "Traceback" not in done.stderr


def test_what_is_no_model_is_told_before_anything_is_made_for_it(edge_detect: Run, tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("hello")
    done = edge_detect("benchmark", "text.onnx")
    assert done.returncode == 2 and done.stderr.startswith("error: text.onnx: is no ONNX model"), done.stderr


def test_frames_that_cannot_be_judged_are_refused(edge_detect: Run, tiny_model: Path, tmp_path: Path) -> None:
    tiny.write_frames(tmp_path / "line", {"a.png": tiny.frame()})
    (tmp_path / "line" / "b.jpg").write_bytes(b"no image")
    done = edge_detect("benchmark", tiny_model, tmp_path / "line", "--seconds", "0.5")
    assert done.returncode == 2 and "b.jpg" in done.stderr and "Traceback" not in done.stderr, done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="NOT TESTED on Windows: Ctrl-C can't be sent to one process there")
def test_ctrl_c_ends_it_at_once_and_leaves_nothing(tiny_model: Path, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    command = [Path(sys.executable).with_name("edge-detect"), "benchmark", tiny_model, *QUICK, "--seconds", "600"]
    with subprocess.Popen(
        [*map(str, command), "--scratch", str(scratch)], stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("measuring"):
                break
        os.killpg(process.pid, signal.SIGINT)
        words = process.stderr.read()
        assert process.wait(60) == 130, words
    assert "stopped" in words and "Traceback" not in words
    assert not list(scratch.iterdir())

    def is_gone() -> bool:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return True
        return False

    until(is_gone)  # a process that was just being started ends when it finds that nobody tells it what to do


def test_memory_of_a_process_that_is_gone_is_not_measured() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert peak_mib(process.pid) is None


def test_a_profile_whose_provider_is_gone_is_ignored_with_a_word(
    edge_detect: Run, tiny_model: Path, tmp_path: Path
) -> None:
    """Somebody tuned with OpenVINO, and somebody else has swapped the wheels."""
    model = tmp_path / "part.onnx"
    model.write_bytes(tiny_model.read_bytes())
    gone = Profile(1, 1, False, "abacus")
    written = profile.to_json(gone, gone, hashlib.sha256(model.read_bytes()).hexdigest())
    profile.path_of(model).write_text(json.dumps(written))
    tiny.write_frames(tmp_path / "frames", {"a.png": tiny.frame()})
    done = edge_detect("frames", "-m", model, "-o", "out")
    assert done.returncode == 1 and "asks for abacus, which is gone; ignored" in done.stderr


def test_nothing_to_tune_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "_answers_alike", lambda *_: False)
    with pytest.raises(UsageError, match=r"--tune: nothing that was asked for \(openvino\) runs this model"):
        measure.tuning(Trial("m.onnx", (), "out", Profile.default(2, live=False)), 2, ["openvino"], tmp_path, print)
