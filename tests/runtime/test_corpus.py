"""Every hostile frame of tests/corpus.py has its documented outcome, at the door and through the command."""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from edge_runtime import frames
from edge_runtime.errors import FrameError
from tests import corpus, truncations
from tests.conftest import Run
from tests.formats import WHOLE

TIMES = ("elapsed_ms", "inspected_at")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[corpus.Case]]:
    folder = tmp_path_factory.mktemp("corpus") / "frames"
    made, missing = corpus.write(folder)
    print(f"not possible on this machine: {missing}", file=sys.stderr)
    return folder, made


def test_the_corpus_is_large_and_complete(written: tuple[Path, list[corpus.Case]]) -> None:
    _, made = written
    assert len(made) >= 60
    assert sys.platform != "linux" or len(made) == len(corpus.cases())


@pytest.mark.parametrize("number", range(len(corpus.cases())))
def test_each_case_has_its_outcome_at_the_door(number: int, written: tuple[Path, list[corpus.Case]]) -> None:
    folder, made = written
    case = corpus.cases()[number]
    if case.name not in {one.name for one in made}:
        pytest.skip(f"this machine can't hold the case {case.name!a}")
    try:
        image = frames.decode(frames.read_bytes(folder / case.name))
    except FrameError as err:
        assert case.outcome != "judged", err
        assert case.says in str(err)
    else:
        assert case.outcome == "judged" and image.size


def test_the_command_gives_each_case_one_row_and_the_frame_among_them_the_result_of_a_clean_run(
    edge_detect: Run, tiny_model: Path, tmp_path: Path, written: tuple[Path, list[corpus.Case]]
) -> None:
    folder, made = written
    (tmp_path / "clean").mkdir()
    (tmp_path / "clean" / "good.png").write_bytes(WHOLE["png"])
    done = edge_detect("inspect", folder, "-m", tiny_model, "-o", "out")
    clean = edge_detect("inspect", "clean", "-m", tiny_model, "-o", "clean-out")
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert clean.returncode == 1, clean.stderr
    (alone,) = results(tmp_path / "clean-out")
    rows = results(tmp_path / "out")
    expected = {frames.printable(case.name): case for case in made if case.outcome != "passed over"}
    assert Counter(row["frame"] for row in rows) == Counter([*expected, "good.png"])
    for row in rows:
        if row["frame"] == "good.png":
            assert {**row, **dict.fromkeys(TIMES)} == {**alone, **dict.fromkeys(TIMES)}
        elif expected[row["frame"]].outcome == "error":
            assert row["verdict"] == "error" and row["score"] is None
            assert expected[row["frame"]].says in row["error"]
        else:
            assert row["verdict"] in ("good", "anomaly"), row["error"]


def results(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "results.jsonl").read_bytes().splitlines()]


def test_no_frame_that_ends_early_is_given_a_verdict() -> None:
    assert truncations.read_all_the_same(1000, seed=7) == []
