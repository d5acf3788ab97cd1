"""`python -m train` as a user has it: killed, interrupted, repeated, and on another backend."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge_runtime.line.durable import hold
from tests.conftest import ROOT, Run

pytestmark = pytest.mark.xdist_group("train")
SMALL = [
    "--backbone",
    "vgg19-slim",
    "--width",
    "0.06",
    "--input-size",
    "32x48",
    "--batch-size",
    "8",
    "--validation",
    "0.3",
    "--warm-up",
    "0",
]


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Grey parts; an anomaly has a bright spot somewhere."""
    root, rng = tmp_path_factory.mktemp("frames"), np.random.default_rng(0)
    for label, kind in enumerate(("good", "anomaly")):
        (root / kind).mkdir()
        for index in range(24):
            image = rng.integers(90, 130, (48, 64, 3), np.uint8)
            if label:
                y, x = rng.integers(4, 36), rng.integers(4, 52)
                image[y : y + 8, x : x + 8] = 250
            cv2.imwrite(str(root / kind / f"{index}.png"), image)
    return root


def started(*args: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "train", *map(str, args)]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
    )


def stop_after(line: str, how: signal.Signals, process: subprocess.Popen[str]) -> tuple[str, str]:
    """Send the signal as soon as the line has been told; returns the rest of what the process printed."""
    assert process.stderr is not None
    for told in process.stderr:
        if told.startswith(line):
            break
    process.send_signal(how)
    return process.communicate(timeout=120)


def record(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "run.json").read_text())
    return found


def test_a_killed_training_goes_on_and_ends_like_one_that_was_not(frames: Path, module: Run, tmp_path: Path) -> None:
    options = [*SMALL, "--epochs", "3", "--warm-up", "1"]
    whole = module("train", frames, "-o", tmp_path / "whole", *options)
    assert whole.returncode == 0 and whole.stderr.startswith("training vgg19-slim"), whole.stderr
    killed = started(frames, "-o", tmp_path / "killed", *options)
    stop_after("epoch 1/3", signal.SIGKILL, killed)
    assert killed.returncode == -signal.SIGKILL and not (tmp_path / "killed" / "run.json").exists()

    other = module("train", frames, "-o", tmp_path / "killed", *options, "--seed", "5")
    assert other.returncode == 2 and "holds an unfinished training with other settings (seed 0 -> 5)" in other.stderr
    again = module("train", frames, "-o", tmp_path / "killed", *options)
    assert again.returncode == 0 and "going on with the training" in again.stderr, again.stderr
    assert "warm-up" not in again.stderr
    for name in ("history.json", "metrics.json", "split.json"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    assert record(tmp_path / "killed") | {"finished": ""} == record(tmp_path / "whole") | {"finished": ""}
    left = sorted(path.name for path in (tmp_path / "killed").iterdir())
    assert left == ["history.json", "metrics.json", "model.keras", "report.html", "run.json", "split.json"]
    finished = module("train", frames, "-o", tmp_path / "killed", *options)
    assert finished.returncode == 2 and "a training that is finished; export it" in finished.stderr

    typo = module("train", frames, "-o", tmp_path / "typo", *SMALL, "--weights", tmp_path / "whole" / "modell.keras")
    assert typo.returncode == 2 and "modell.keras: no such file" in typo.stderr, typo.stderr
    lost = module("train", frames, "-o", tmp_path / "lost", *SMALL, "--split", tmp_path / "nowhere.json")
    assert lost.returncode == 2 and "nowhere.json: can't be read: No such file" in lost.stderr, lost.stderr
    frozen = module("train", frames, "-o", tmp_path / "frozen", *SMALL, "--frozen-blocks", "2")
    assert frozen.returncode == 2 and "from scratch every block has to learn" in frozen.stderr, frozen.stderr

    used = module(
        "train",
        frames,
        "-o",
        tmp_path / "split",
        *SMALL,
        "--epochs",
        "1",
        "--seed",
        "9",
        "--split",
        tmp_path / "whole",
    )
    assert used.returncode == 0, used.stderr
    assert (tmp_path / "split" / "split.json").read_bytes() == (tmp_path / "whole" / "split.json").read_bytes()


def test_figures_of_frames_that_were_learned_from_before_are_doubted(frames: Path, module: Run, tmp_path: Path) -> None:
    assert module("train", frames, "-o", tmp_path / "first", *SMALL, "--epochs", "1").returncode == 0
    on = [*SMALL, "--epochs", "1", "--seed", "1", "--weights", tmp_path / "first"]
    doubted = module("train", frames, "-o", tmp_path / "second", *on)
    assert "of the frames that this model is validated on had been learned from" in doubted.stderr
    sides = [json.loads((tmp_path / name / "split.json").read_text()) for name in ("first", "second")]
    both = {one["sha256"] for one in sides[0]["train"]} & {one["sha256"] for one in sides[1]["validation"]}
    assert json.loads(doubted.stdout)["doubts"][0].startswith(f"{len(both)} of the frames")
    sound = module("train", frames, "-o", tmp_path / "third", *on, "--split", tmp_path / "first")
    assert record(tmp_path / "third")["audit"]["known_before"] == 0, sound.stderr
    on = [*SMALL, "--epochs", "1", "--seed", "2", "--weights", tmp_path / "second"]
    assert module("train", frames, "-o", tmp_path / "fourth", *on).returncode == 0
    learned = [{one["sha256"] for one in side["train"]} for side in sides]
    validated = {one["sha256"] for one in json.loads((tmp_path / "fourth" / "split.json").read_text())["validation"]}
    known = record(tmp_path / "fourth")["audit"]["known_before"]
    assert known == len(validated & (learned[0] | learned[1])) > len(validated & learned[1]), "by either training"


def test_two_trainings_never_share_a_folder(frames: Path, module: Run, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    lock = hold(tmp_path / "run")
    second = module("train", frames, "-o", tmp_path / "run", *SMALL, "--epochs", "1")
    lock.close()
    assert second.returncode == 2 and "another training is writing there" in second.stderr, second.stderr


def test_ctrl_c_keeps_what_was_learned_so_far(frames: Path, tmp_path: Path) -> None:
    training = started(frames, "-o", tmp_path / "run", *SMALL, "--epochs", "5000")
    stdout, stderr = stop_after("epoch 2/5000", signal.SIGINT, training)
    assert training.returncode == 0 and "stopped; keeping epoch" in stderr, stderr
    assert (tmp_path / "run" / "model.keras").exists() and json.loads(stdout)["best_epoch"] >= 1
    found = record(tmp_path / "run")
    assert 2 <= found["epochs"] < 5000
    assert found["settings"]["recipe"]["patience"] == 1667, "a third of the epochs, where it is not said"


def test_a_shortcut_is_told_before_and_in_the_report(frames: Path, module: Run, tmp_path: Path) -> None:
    confounded = tmp_path / "confounded"
    for kind, light in (("good", 0), ("anomaly", 40)):
        (confounded / kind).mkdir(parents=True)
        for file in sorted((frames / kind).iterdir()):
            image = cv2.imread(str(file))
            assert image is not None
            cv2.imwrite(str(confounded / kind / file.name), np.clip(image.astype(int) + light, 0, 255).astype(np.uint8))
    done = module("train", confounded, "-o", tmp_path / "run", *SMALL, "--epochs", "1")
    assert done.returncode == 0, done.stderr
    assert "WARNING: this model may be judging something else than the defect" in done.stderr
    assert done.stderr.index("WARNING") < done.stderr.index("training vgg19-slim")
    assert "brightness (AUROC 1.00)" in json.loads(done.stdout)["doubts"][0]
    page = (tmp_path / "run" / "report.html").read_text()
    assert (
        page.index("trust this model yet")
        < page.index("brightness (AUROC 1.00)")
        < page.index("What this model promises")
    )


def test_the_report_needs_nothing_but_itself(frames: Path, module: Run, tmp_path: Path) -> None:
    hostile = tmp_path / "<script>alert(1)</script>".replace("/", "_")
    hostile.mkdir()
    for kind in ("good", "anomaly"):
        (hostile / kind).symlink_to(frames / kind)
    done = module("train", hostile, "-o", tmp_path / "run", *SMALL, "--epochs", "2")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "run" / "report.html").read_text()
    links = re.findall(r'(?:src|href|url)\s*[=(]\s*["\']?([^"\')\s>]+)', page)
    assert links and all(link.startswith(("data:image/jpeg;base64,", "#")) for link in links)
    assert "<script" not in page and "&lt;script&gt;" in page
    assert page.count("<svg") == 3
    for said in (
        "No shortcut found",
        "at 95 % confidence",
        "keras 3",
        record(tmp_path / "run")["settings"]["data_sha256"],
    ):
        assert said in page


def test_the_same_training_runs_on_another_backend(frames: Path, tmp_path: Path) -> None:
    """jax is part of the [dev] extra. What it has trained is exported by TensorFlow, and inspects."""

    def run(module: str, *args: object, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", module, *map(str, args)]
        return subprocess.run(
            command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=600
        )

    jax = {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    options = [*SMALL, "--epochs", "2", "--warm-up", "1"]
    done = run("train", frames, "-o", tmp_path / "run", *options, **jax)
    assert done.returncode == 0, done.stderr
    assert record(tmp_path / "run")["epochs"] == 2
    exported = run("export", tmp_path / "run" / "model.keras", "-o", tmp_path / "part.onnx", **jax)
    assert exported.returncode == 0, exported.stderr
    assert run("edge_runtime", "check", tmp_path / "part.onnx").returncode == 0


def test_a_slim_network_starts_from_the_one_that_comes_along(module: Run, frames: Path, tmp_path: Path) -> None:
    small = ["--backbone", "vgg19-slim", "--input-size", "32x48", "--epochs", "1", "--validation", "0.3"]
    done = module("train", frames, "-o", tmp_path / "run", *small, "--precision", "bfloat16", "--head-epochs", "2")
    assert done.returncode == 0, done.stderr
    assert "\nhead 2/2 " in done.stderr and "\nepoch 3/3 " in done.stderr and record(tmp_path / "run")["epochs"] == 3
    exported = module("export", tmp_path / "run", "-o", tmp_path / "part.onnx")  # which compares with the float32 model
    assert exported.returncode == 0, exported.stderr
    settings = json.loads((tmp_path / "run" / "run.json").read_text())["settings"]
    assert settings["weights"].startswith("the bundled model, sha256 ") and settings["recipe"]["warm_up"] == 0
    assert [settings["recipe"][name] for name in ("head_epochs", "frozen_blocks", "precision")] == [2, 1, "bfloat16"]
    other = module("train", frames, "-o", tmp_path / "other", *small, "--weights", "bundled", "--width", "0.1")
    assert other.returncode == 2 and "width" in other.stderr and not (tmp_path / "other").exists()


def test_where_frames_abound_the_hardest_are_learned_from(module: Run, frames: Path, tmp_path: Path) -> None:
    small = ["--backbone", "vgg19-slim", "--input-size", "32x48", "--epochs", "1", "--validation", "0.25"]
    pairs = ["--group", r"(\d+)\.", "--hardest", "0.5"]
    done = module("train", frames, "-o", tmp_path / "run", *small, *pairs)
    assert done.returncode == 0, done.stderr
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert run["validation_counts"] == [8, 8] and run["train_counts"] == [
        9,
        9,
    ]  # of 16 pairs half, and a tenth of the rest
    split = json.loads((tmp_path / "run" / "split.json").read_text())
    assert [len(split[side]) for side in ("train", "left_out", "validation")] == [18, 14, 16]
    again = module("train", frames, "-o", tmp_path / "again", *small, "--split", tmp_path / "run" / "split.json")
    assert again.returncode == 0, again.stderr
    assert json.loads((tmp_path / "again" / "run.json").read_text())["train_counts"] == [16, 16]
    few = module("train", frames, "-o", tmp_path / "new", *small, *pairs[:3], "0.05")
    assert few.returncode == 2 and "ask for a larger share" in few.stderr and not (tmp_path / "new").exists()
    refused = module("train", frames, "-o", tmp_path / "new", *SMALL, *pairs)
    assert refused.returncode == 2 and "--weights" in refused.stderr and not (tmp_path / "new").exists()


def test_training_mistakes_get_one_clear_line(module: Run, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    for arguments, says in (
        ([tmp_path / "none", "-o", tmp_path / "run", "--backbone", "vgg19-slim"], "none: no such folder"),
        ([tmp_path, "-o", tmp_path / "run", "--backbone", "vgg19-slim"], "expected the folders good/ and anomaly/"),
        ([tmp_path, "-o", tmp_path / "run", "--backbone", "vgg19-slim", "--input-size", "100"], "multiple of 16"),
        ([tmp_path, "-o", tmp_path / "full", "--backbone", "vgg19-slim"], "not an empty folder"),
        (
            [tmp_path, "-o", tmp_path / "run", "--backbone", "vgg19-slim", "--weights", "imagenet"],
            "vgg19-slim has no published weights",
        ),
        (
            [tmp_path, "-o", tmp_path / "run", "--backbone", "vgg19-slim", "--weights", tmp_path / "full" / "file"],
            "is no weights file",
        ),
        ([tmp_path, "-o", tmp_path / "run", "--validation", "2"], "got '2'; see python -m train --help"),
        ([tmp_path, "-o", tmp_path / "run", "--backbone", "vgg19-slim", "--learning-rate", "-1"], "a number above 0"),
    ):
        done = module("train", *arguments)
        assert done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1, done.stderr
        assert done.stderr.startswith("error: ") and says in done.stderr
        assert not (tmp_path / "run").exists()


def test_weights_that_can_not_be_read_leave_nothing_behind(module: Run, frames: Path, tmp_path: Path) -> None:
    (tmp_path / "notop.h5").write_text("hello")
    done = module("train", frames, "-o", tmp_path / "run", "--weights", tmp_path / "notop.h5", "--input-size", "32")
    assert done.returncode == 2 and "expected the layout of vgg19_weights" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and not (tmp_path / "run").exists()


def test_ctrl_c_while_libraries_are_loaded_ends_in_one_word() -> None:
    """The commands of the workstation load them after this call."""
    loading = "from edge_runtime.errors import run_command; run_command(lambda: None); raise KeyboardInterrupt"
    done = subprocess.run([sys.executable, "-c", loading], capture_output=True, text=True, cwd=ROOT)
    assert done.stderr == "stopped\n" and done.returncode not in (0, 1)


def test_a_ctrl_c_that_gets_lost_ends_the_command_all_the_same() -> None:
    """Callbacks of JAX and TensorFlow swallow exceptions, as this does."""
    swallowed = """
import os, signal
from train.quiet import interruptible, leave_at_ctrl_c, leave_with
leave_at_ctrl_c("stopped; nothing was written")
leave_with("stopped; m.onnx is written")
with interruptible() as came:
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt:
        print("kept", came == [signal.SIGINT], flush=True)
try:
    os.kill(os.getpid(), signal.SIGINT)
except BaseException:
    pass
print("went on")
"""
    done = subprocess.run([sys.executable, "-c", swallowed], capture_output=True, text=True, cwd=ROOT)
    assert (done.stdout, done.stderr, done.returncode) == ("kept True\n", "\nstopped; m.onnx is written\n", 130)
