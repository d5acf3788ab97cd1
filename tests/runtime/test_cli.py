"""The command as a user has it: a process of its own, its exit code, what it prints and what it leaves behind."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from msgspec.structs import replace

from tests import tiny
from tests.conftest import UNPRIVILEGED, Run, obeying

BRIGHT, DARK = tiny.frame(), tiny.frame(None)


def rows(out: Path) -> dict[str, dict[str, Any]]:
    found = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    by_name = {row["frame"]: row for row in found}
    assert len(by_name) == len(found)
    return by_name


def test_a_folder_of_frames_becomes_rows_and_pictures(edge_detect: Run, tiny_model: Path, tmp_path: Path) -> None:
    large = tiny.frame((320, 160, 640, 480), size_wh=(960, 640))
    tiny.write_frames(
        tmp_path / "frames",
        {
            "a.png": BRIGHT,
            "line1/large.jpg": large,
            "line1/grey.png": BRIGHT[..., 0],
            "line1/alpha.png": np.dstack([BRIGHT, np.zeros_like(BRIGHT[..., 0])]),
            "line2/good.png": DARK,
        },
    )
    (tmp_path / "frames" / "text.jpg").write_text("hello")
    done = edge_detect("frames", "-m", tiny_model, "-o", "out")
    assert done.returncode == 2, done.stderr
    assert len(done.stdout.splitlines()) == 6
    table = [line.split() for line in done.stderr.splitlines()]
    assert table[:3] == [["verdict", "frames", "share"], ["good", "1", "16.67%"], ["anomaly", "4", "66.67%"]]
    assert table[3][:6] == ["error", "1", "16.67%", "1", "×", "is"]
    assert "6 frames in " in done.stderr and done.stderr.endswith(" frames/s. Results are in out\n")

    found = rows(tmp_path / "out")
    for name in ("a.png", "line1/grey.png", "line1/alpha.png"):
        assert found[name]["verdict"] == "anomaly"
        assert [defect["box_xyxy"] for defect in found[name]["defects"]] == [list(tiny.BOX)]
    (defect,) = found["line1/large.jpg"]["defects"]
    assert defect["box_xyxy"] == [10 * side for side in tiny.BOX] and found["line1/large.jpg"]["size_wh"] == [960, 640]
    assert 0 < defect["contribution"] <= 1 and defect["peak"] == pytest.approx(130, abs=1)
    for name in ("a.png", "line1/large.jpg"):
        assert sum(found[name]["account"].values()) == pytest.approx(found[name]["margin"], abs=1e-3)
        (whole,) = found[name]["defects"]
        assert whole["logits"] == pytest.approx(
            found[name]["account"]["fine_map"], rel=0.3
        )  # all of it lies in the square
    good, error = found["line2/good.png"], found["text.jpg"]
    assert (good["verdict"], good["defects"], good["error"]) == ("good", [], None) and good["score"] < good["threshold"]
    assert error["verdict"] == "error" and "text.jpg is no image" in error["error"] and error["score"] is None
    assert all(row["residual"] < 1e-3 for row in found.values() if row["error"] is None)
    pictures = sorted(
        path.relative_to(tmp_path / "out" / "overlay").as_posix()
        for path in (tmp_path / "out" / "overlay").rglob("*.jpg")
    )
    rejects = ["a.png", "line1/alpha.png", "line1/grey.png", "line1/large.jpg"]
    assert pictures == [f"{name[:-4]}.{found[name]['sha256'][:8]}.jpg" for name in rejects]


@pytest.mark.parametrize(
    ("frames", "options", "code"),
    [
        ({"a.png": DARK}, [], 0),
        ({"a.png": BRIGHT}, [], 1),
        ({"a.png": BRIGHT}, ["--exit-zero"], 0),
        ({"a.png": BRIGHT}, ["--threshold", "1"], 0),
    ],
)
def test_exit_codes(
    frames: dict[str, Any], options: list[str], code: int, edge_detect: Run, tiny_model: Path, tmp_path: Path
) -> None:
    tiny.write_frames(tmp_path / "frames", frames)
    assert edge_detect("inspect", "frames", "-m", tiny_model, "-o", "out", *options).returncode == code


def test_a_second_run_repeats_nothing_and_takes_up_what_is_new(
    edge_detect: Run, tiny_model: Path, tmp_path: Path
) -> None:
    tiny.write_frames(tmp_path / "frames", {"a.png": BRIGHT, "b.png": DARK})
    edge_detect("frames", "-m", tiny_model, "-o", "out")
    before = (tmp_path / "out" / "results.jsonl").read_bytes()
    again = edge_detect("frames", "-m", tiny_model, "-o", "out")
    assert (again.returncode, again.stdout) == (1, "") and "2 of them by an earlier run" in again.stderr
    assert (tmp_path / "out" / "results.jsonl").read_bytes() == before
    tiny.write_frames(tmp_path / "frames", {"b.png": BRIGHT})  # the same name with new content is a new frame
    edge_detect("frames", "-m", tiny_model, "-o", "out")
    lines = (tmp_path / "out" / "results.jsonl").read_text().splitlines()
    assert [(json.loads(line)["frame"], json.loads(line)["verdict"]) for line in lines] == [
        ("a.png", "anomaly"),
        ("b.png", "good"),
        ("b.png", "anomaly"),
    ]


def test_a_killed_run_loses_and_repeats_nothing(edge_detect: Run, tiny_model: Path, tmp_path: Path) -> None:
    tiny.write_frames(tmp_path / "frames", {f"{index:03}.png": BRIGHT for index in range(150)})
    command = [str(Path(sys.executable).with_name("edge-detect")), "frames", "-m", str(tiny_model), "-o", "out"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(20):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    torn = tmp_path / "out" / "results.jsonl"
    committed = len(torn.read_text().splitlines())
    assert 20 <= committed < 150
    torn.write_bytes(torn.read_bytes()[:-40])  # what a power cut can do to a file that is not synced
    edge_detect("frames", "-m", tiny_model, "-o", "out")
    assert len(rows(tmp_path / "out")) == 150
    assert all(
        cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR) is not None
        for path in (tmp_path / "out" / "overlay").iterdir()
    )
    assert len(list((tmp_path / "out" / "overlay").iterdir())) == 150


def test_json_on_stdout_is_what_is_stored(edge_detect: Run, tiny_model: Path, tmp_path: Path) -> None:
    tiny.write_frames(tmp_path / "frames", {"a.png": BRIGHT, "b.png": DARK})
    done = edge_detect("frames", "-m", tiny_model, "-o", "out", "--json")
    assert done.stdout == (tmp_path / "out" / "results.jsonl").read_text()
    assert all(set(row) == set(rows(tmp_path / "out")["a.png"]) for row in map(json.loads, done.stdout.splitlines()))


def test_every_picture_of_the_method_is_there_on_request(edge_detect: Run, tiny_model: Path, tmp_path: Path) -> None:
    tiny.write_frames(tmp_path / "frames", {"a.png": tiny.frame((320, 160, 640, 480), (960, 640)), "good.png": DARK})
    kinds = "input,coarse,heatmap,cutout,boxes,panel"
    edge_detect("frames", "-m", tiny_model, "-o", "out", "--save", kinds, "--save-for", "all")
    for kind in kinds.split(","):
        reject, good = sorted((tmp_path / "out" / kind).iterdir())
        assert reject.name.startswith("a.") and good.name.startswith("good.")
        picture = cv2.imread(str(reject))
        assert picture is not None and (kind == "panel" or picture.shape == (640, 960, 3))
    assert not (tmp_path / "out" / "overlay").exists()


def test_a_reject_is_judged_again_without_its_box(edge_detect: Run, tiny_model: Path, tmp_path: Path) -> None:
    tiny.write_frames(tmp_path / "frames", {"bright.png": tiny.frame((32, 16, 52, 36)), "dark.png": DARK})
    done = edge_detect("frames", "-m", tiny_model, "-o", "out", "--prove", "--threshold", "0.004")
    assert done.returncode == 1 and "1 of 1 rejects pass without their boxes" in done.stderr
    found = rows(tmp_path / "out")
    reject = found["bright.png"]
    assert reject["proof"]["without_boxes"]["flips"] and reject["defects"][0]["without_box"]["flips"]
    assert reject["proof"]["without_boxes"]["margin"] < reject["margin"] - 3
    assert not reject["proof"]["control"]["flips"] and reject["elapsed_ms"]["prove"] > 0
    assert found["dark.png"]["proof"] is None and found["dark.png"]["account"] is None
    done = edge_detect("frames", "-m", tiny_model, "-o", "out", "--threshold", "0.004")
    assert done.returncode == 2 and "--prove" in done.stderr


def test_good_frames_are_explained_where_asked_for(edge_detect: Run, tiny_model: Path, tmp_path: Path) -> None:
    tiny.write_frames(tmp_path / "frames", {"dark.png": DARK})
    done = edge_detect("frames", "-m", tiny_model, "-o", "out", "--explain", "all", "--save-for", "all")
    assert done.returncode == 0
    row = rows(tmp_path / "out")["dark.png"]
    assert row["defects"] == [] and sum(row["account"].values()) == pytest.approx(row["margin"], abs=1e-3)


@obeying
def test_an_out_that_may_not_be_entered_is_one_clear_line(edge_detect: Run, tiny_model: Path, tmp_path: Path) -> None:
    tiny.write_frames(tmp_path / "frames", {"dark.png": DARK})
    (tmp_path / "closed").mkdir(mode=0)
    for command in (("frames", "-m", tiny_model, "-o", "closed/out"), ("results", "closed/out")):
        done = edge_detect(*command, under=UNPRIVILEGED)
        assert done.returncode == 2 and done.stderr.startswith("error: closed/out: ") and done.stderr.count("\n") == 1


def test_results_get_a_folder_of_their_own(edge_detect: Run, tiny_model: Path, tmp_path: Path) -> None:
    tiny.write_frames(tmp_path / "frames", {"dark.png": DARK})
    (tmp_path / "linked").symlink_to("frames")
    for out in ("frames", "linked"):
        done = edge_detect("frames", "-m", tiny_model, "-o", out)
        assert done.returncode == 2 and f"{out}: frames lie there; results need another folder" in done.stderr
    tiny.write_frames(tmp_path / "frames" / "sub", {"dark.png": DARK})
    assert "frames lie there" in edge_detect("frames", "-m", tiny_model, "-o", "frames/sub").stderr
    assert "frames lie there" in edge_detect("fra*", "-m", tiny_model, "-o", "frames").stderr
    (tmp_path / "empty").mkdir()  # as a glob finds it
    assert edge_detect("frames", "empty", "-m", tiny_model, "-o", "empty").returncode == 0
    unset = edge_detect("frames", "-m", tiny_model, "-o", "")
    assert unset.returncode == 2 and "expected a folder, nothing came" in unset.stderr
    assert sorted(file.name for file in (tmp_path / "frames").iterdir()) == ["dark.png", "sub"]


def test_a_folder_asked_for_that_holds_results_is_told_of(edge_detect: Run, tiny_model: Path, tmp_path: Path) -> None:
    tiny.write_frames(tmp_path, {"1/a.png": DARK, "2/b.png": DARK})
    assert edge_detect("2", "-m", tiny_model, "-o", "1/results").returncode == 0
    done = edge_detect("2", "1/results", "-m", tiny_model, "-o", "out")
    assert done.returncode == 0 and set(rows(tmp_path / "out")) == {"2/b.png"}
    assert f"note: {tmp_path / '1' / 'results'} holds results, and pictures there are no frames" in done.stderr
    again = edge_detect("2", "out", "-m", tiny_model, "-o", "out")  # as a glob finds it
    assert again.returncode == 0 and "note" not in again.stderr


def test_only_the_pinned_file_runs(edge_detect: Run, tiny_model: Path, tmp_path: Path) -> None:
    import hashlib

    tiny.write_frames(tmp_path / "frames", {"dark.png": DARK})
    right = hashlib.sha256(tiny_model.read_bytes()).hexdigest()
    assert edge_detect("frames", "-m", tiny_model, "-o", "out", "--require-sha256", right.upper()).returncode == 0
    done = edge_detect("frames", "-m", tiny_model, "-o", "other", "--require-sha256", "0" * 64)
    assert done.returncode == 2 and f"has the sha256 {right}; {'0' * 64} is required" in done.stderr
    assert (
        edge_detect("check", tiny_model, "--require-sha256", f"sha256:{right}").returncode == 0
    )  # as it stands in rows
    for unset in ("", right[:8]):
        done = edge_detect("check", tiny_model, "--require-sha256", unset)
        assert done.returncode == 2 and "64 hex digits" in done.stderr
    assert not (tmp_path / "other").exists()


def test_an_execution_provider_that_is_not_there_is_named(edge_detect: Run, tiny_model: Path, tmp_path: Path) -> None:
    tiny.write_frames(tmp_path / "frames", {"dark.png": DARK})
    done = edge_detect("frames", "-m", tiny_model, "-o", "out", "--provider", "abacus")
    assert done.returncode == 2 and "--provider abacus: not in the installed onnxruntime" in done.stderr
    assert "cpu" in done.stderr and done.stderr.count("\n") == 1


def test_a_file_that_answers_differently_here_inspects_nothing(edge_detect: Run, tmp_path: Path) -> None:
    drifted = replace(tiny.golden(), logits=(0.0, 3.0))
    (tmp_path / "part.onnx").write_bytes(tiny.model(tiny.manifest(golden=(drifted,))))
    tiny.write_frames(tmp_path / "frames", {"dark.png": DARK})
    done = edge_detect("frames", "-m", "part.onnx", "-o", "out")
    assert done.returncode == 2 and "other answers than the export" in done.stderr and not (tmp_path / "out").exists()
    assert edge_detect("frames", "-m", "part.onnx", "-o", "out", "--no-check").returncode == 0


def test_one_box_around_all_defects(edge_detect: Run, tiny_model: Path, tmp_path: Path) -> None:
    two = BRIGHT.copy()
    two[48:64, 80:96] = 255
    tiny.write_frames(tmp_path / "frames", {"a.png": two})
    edge_detect("frames", "-m", tiny_model, "-o", "several")
    edge_detect("frames", "-m", tiny_model, "-o", "single", "--single-box")
    first, second = (defect["box_xyxy"] for defect in rows(tmp_path / "several")["a.png"]["defects"])
    assert first == list(tiny.BOX) and 80 <= second[0] < second[2] <= 96 and 48 <= second[1] < second[3] <= 64
    (single,) = (defect["box_xyxy"] for defect in rows(tmp_path / "single")["a.png"]["defects"])
    assert single == [*first[:2], *second[2:]]


def test_results_made_in_different_ways_are_not_mixed(edge_detect: Run, tiny_model: Path, tmp_path: Path) -> None:
    tiny.write_frames(tmp_path, {"frames/a.png": BRIGHT, "others/a.png": DARK})
    (tmp_path / "other.onnx").write_bytes(tiny.model(tiny.manifest(product="other")))
    assert edge_detect("frames", "-m", tiny_model, "-o", "out").returncode == 1
    for arguments, what in (
        (["frames", "-m", "other.onnx"], "model"),
        (["frames", "-m", tiny_model, "--threshold", "1"], "threshold"),
        (["frames", "-m", tiny_model, "--single-box"], "--single-box"),
        (["others", "-m", tiny_model], "folder of frames"),
    ):
        done = edge_detect(*arguments, "-o", "out")
        assert done.returncode == 2 and f"holds results made with another {what}" in done.stderr
    assert len(rows(tmp_path / "out")) == 1


def test_an_output_folder_has_one_writer(edge_detect: Run, tiny_model: Path, tmp_path: Path) -> None:
    tiny.write_frames(tmp_path / "frames", {f"{index:03}.png": BRIGHT for index in range(200)})
    command = [str(Path(sys.executable).with_name("edge-detect")), "frames", "-m", str(tiny_model), "-o", "out"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        first.stdout.readline()
        first.send_signal(signal.SIGSTOP)  # in the middle of its work
        second = edge_detect("frames", "-m", tiny_model, "-o", "out")
        first.send_signal(signal.SIGCONT)
        first.stdout.read()
    assert second.returncode == 2 and "another edge-detect is writing there" in second.stderr
    assert first.returncode == 1 and len(rows(tmp_path / "out")) == 200


def test_a_frame_written_again_keeps_the_pictures_of_both(edge_detect: Run, tiny_model: Path, tmp_path: Path) -> None:
    for square in ((32, 16, 64, 48), (0, 0, 32, 32)):
        tiny.write_frames(tmp_path / "frames", {"a.jpg": tiny.frame(square)})
        edge_detect("frames", "-m", tiny_model, "-o", "out")
    hashes = [json.loads(line)["sha256"][:8] for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    names = {path.name for path in (tmp_path / "out" / "overlay").iterdir()}
    assert names == {f"a.{hash_}.jpg" for hash_ in hashes} and len(names) == 2


def test_frames_that_are_awkward_to_draw_are_drawn(edge_detect: Run, tiny_model: Path, tmp_path: Path) -> None:
    long = "ä" * 120 + ".png"
    tiny.write_frames(tmp_path / "frames", {"strip.png": np.full((40, 4000, 3), 250, np.uint8), long: BRIGHT})
    tiny.write_frames(tmp_path / "frames", {"pole.png": np.full((70_000, 8, 3), 250, np.uint8)})
    done = edge_detect("frames", "-m", tiny_model, "-o", "out", "--save", "overlay,panel", "--save-for", "all")
    assert done.returncode == 1, done.stderr
    assert len(list((tmp_path / "out" / "panel").iterdir())) == 3


@pytest.mark.parametrize(
    ("model", "says"), [(".", "is no regular file; expected a model file"), ("none.onnx", "No such file")]
)
def test_a_model_that_is_none_gets_one_line(model: str, says: str, edge_detect: Run, tmp_path: Path) -> None:
    tiny.write_frames(tmp_path / "frames", {"a.png": DARK})
    done = edge_detect("frames", "-m", model, "-o", "out")
    assert done.returncode == 2 and done.stderr.startswith("error: ") and says in done.stderr
    assert done.stderr.count("\n") == 1 and done.stdout == ""


@pytest.mark.parametrize("save_for", ["anomaly", "error", "all"])
def test_the_file_of_a_frame_that_cannot_be_judged_is_kept_where_asked_for(
    save_for: str, edge_detect: Run, tiny_model: Path, tmp_path: Path
) -> None:
    tiny.write_frames(tmp_path / "frames", {"bad.png": BRIGHT, "good.png": DARK})
    (tmp_path / "frames" / "page.jpg").write_text("<script>alert(1)</script>")
    edge_detect("frames", "-m", tiny_model, "-o", "out", "--save-for", save_for)
    found = rows(tmp_path / "out")
    kept = found["page.jpg"]["pictures"]
    if save_for == "anomaly":
        assert kept == {} and not (tmp_path / "out" / "error").exists()
    else:
        assert kept == {"error": f"error/page.{found['page.jpg']['sha256'][:8]}.jpg"}
        assert (tmp_path / "out" / kept["error"]).read_text() == "<script>alert(1)</script>"
    drawn = {name for name, row in found.items() if "overlay" in row["pictures"]}
    assert drawn == ({"bad.png", "good.png"} if save_for == "all" else {"bad.png"})


def test_ctrl_c_keeps_what_is_committed(tiny_model: Path, tmp_path: Path) -> None:
    tiny.write_frames(tmp_path / "frames", {f"{index:03}.png": BRIGHT for index in range(300)})
    command = [str(Path(sys.executable).with_name("edge-detect")), "frames", "-m", str(tiny_model), "-o", "out"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        words = process.stderr.read()
        process.wait(timeout=60)
    judged = len(rows(tmp_path / "out"))
    assert process.returncode == 130 and words.strip().splitlines()[-1].startswith("stopped; what was judged is kept")
    assert 1 <= judged < 300 and f"{judged} frame" in words
    assert re.search(rf"^anomaly +{judged} +100.00%", words, re.MULTILINE)


def test_info_tells_people_and_programs(edge_detect: Run, tiny_model: Path) -> None:
    assert "the heatmap is exact" in edge_detect("info", tiny_model).stdout
    told = json.loads(edge_detect("info", tiny_model, "--json").stdout)
    assert told["calibration"]["threshold"] == 0.5 and len(told["sha256"]) == 64


def test_check_passes_here_and_refuses_a_file_that_answers_differently(
    edge_detect: Run, tiny_model: Path, tmp_path: Path
) -> None:
    done = edge_detect("check", tiny_model)
    assert done.returncode == 0 and done.stdout.startswith("ok ")
    wrong = replace(tiny.golden(), logits=(0.0, 1.0))
    (tmp_path / "drifted.onnx").write_bytes(tiny.model(tiny.manifest(golden=(wrong,))))
    done = edge_detect("check", "drifted.onnx")
    assert done.returncode == 2 and "other answers than the export" in done.stderr
