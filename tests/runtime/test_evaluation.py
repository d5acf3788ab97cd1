"""`edge-detect evaluate`: figures that a hand count confirms."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from edge_runtime.errors import UsageError
from edge_runtime.evaluation import image_level
from edge_runtime.evaluation.evaluate import evaluate
from edge_runtime.evaluation.localisation import Case, iou, measure
from edge_runtime.evaluation.truth import (
    MaskFolder,
    Rectangle,
    TruthFile,
    fingerprint,
    labelled,
    refuse_shared,
    shrink,
)
from edge_runtime.inspector import Inspector
from edge_runtime.model import Model
from edge_runtime.results import Array
from tests import tiny
from tests.conftest import Run
from tests.tiny import write_frames

HW = (224, 224)
TRUE = (96.0, 96.0, 128.0, 128.0)


def blob(*boxes: Rectangle) -> Array:
    """A map that is hot in the boxes."""
    map_ = np.zeros(HW, np.float32)
    for x0, y0, x1, y1 in boxes:
        map_[int(y0) : int(y1), int(x0) : int(x1)] = 10
    return map_


def case(truth: tuple[Rectangle, ...], drawn: tuple[Rectangle, ...], hot: tuple[Rectangle, ...] = ()) -> Case:
    map_ = blob(*(hot or drawn))
    return Case.of(bool(truth), (224, 224), truth, drawn, drawn, map_, map_, map_, blob(*truth) > 0 if truth else None)


GOOD = case((), ())


def test_boxes_on_the_defects_find_them_and_the_same_boxes_elsewhere_do_not() -> None:
    corner = (10.0, 10.0, 42.0, 42.0)
    figures = measure([case((corner,), (corner,)), GOOD])
    assert figures["pointing"]["fine_peak"] == figures["pointing"]["coarse_centre_of_mass"] == 1
    assert figures["pointing"]["centre"] == 0 and 0 < figures["pointing"]["chance"] < 0.1
    for limit in ("0.3", "0.5", "0.7"):
        assert figures["box_iou"][limit]["ours"] == figures["defect_recall"][limit]["ours"] == 1
        assert figures["box_iou"][limit]["centre"] == figures["defect_recall"][limit]["centre"] == 0
        assert figures["box_iou"][limit]["chance"] < 0.1
    assert figures["pixels"]["fine_auroc"] == 1 and figures["pixels"]["fine_aupro"] > 0.99


def test_a_defect_in_the_middle_is_found_by_the_centre_baseline_too() -> None:
    figures = measure([case((TRUE,), (TRUE,)), GOOD])
    assert figures["box_iou"]["0.7"]["centre"] == figures["pointing"]["centre"] == 1


def test_an_escape_is_a_miss() -> None:
    escape = case((TRUE,), (), hot=((0.0, 0.0, 8.0, 8.0),))
    figures = measure([case((TRUE,), (TRUE,)), escape, GOOD])
    assert figures["box_iou"]["0.3"]["ours"] == figures["defect_recall"]["0.3"]["ours"] == 0.5
    assert figures["pointing"]["fine_peak"] == 0.5


def test_one_box_around_two_defects_finds_at_most_one() -> None:
    left, right = (40.0, 90.0, 80.0, 130.0), (84.0, 90.0, 124.0, 130.0)
    around = (40.0, 90.0, 124.0, 130.0)
    figures = measure([case((left, right), (around,)), GOOD])
    assert figures["defect_recall"]["0.3"]["ours"] == 0.5
    both = measure([case((left, right), (left, right)), GOOD])
    assert both["defect_recall"]["0.7"]["ours"] == 1


def test_between_two_defects_no_centre_of_mass_can_hit() -> None:
    left, right = (10.0, 90.0, 40.0, 120.0), (180.0, 90.0, 210.0, 120.0)
    one, perfect = case((TRUE,), (TRUE,)), case((left, right), (left, right))
    pointing = measure([one, perfect, GOOD])["pointing"]
    assert pointing["coarse_centre_of_mass"] == pointing["true_centre_of_mass"] == 0.5


def test_pointing_forgives_seven_pixels_of_an_input_of_224() -> None:
    def peak_at(x: float) -> float:
        hit = case((TRUE,), (TRUE,), hot=((x, 110.0, x + 1, 111.0),))
        return float(measure([hit, GOOD])["pointing"]["fine_peak"])

    assert [peak_at(x) for x in (96 - 7, 96 - 8, 128 + 6, 128 + 7)] == [1, 0, 1, 0]


def test_boxes_in_good_frames_are_counted() -> None:
    figures = measure([case((TRUE,), (TRUE,)), case((), (TRUE, (0.0, 0.0, 9.0, 9.0))), GOOD])
    assert figures["boxes_per_good_frame"]["drawn"] == 1


def test_random_heat_is_worth_what_chance_is() -> None:
    rng = np.random.default_rng(0)

    def noise(bad: bool) -> Case:
        mask = blob(TRUE) > 0 if bad else None
        coarse, fine = rng.random((2, *HW)).astype(np.float32)
        return Case.of(bad, (224, 224), (TRUE,) * bad, (), (), fine, coarse, fine, mask)

    figures = measure([noise(bad) for bad in (True, False) * 10])["pixels"]
    assert figures["fine_auroc"] == pytest.approx(figures["chance_auroc"], abs=0.02)
    assert figures["fine_aupro"] == pytest.approx(figures["chance_aupro"], abs=0.02)


boxes = st.tuples(*[st.floats(0, 100)] * 2, *[st.floats(1, 100)] * 2).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)


@given(a=boxes, b=boxes)
def test_the_overlap_is_symmetric_and_one_only_for_itself(a: Rectangle, b: Rectangle) -> None:
    assert iou(a, b) == pytest.approx(iou(b, a)) and 0 <= iou(a, b) <= 1 + 1e-9
    assert iou(a, a) == pytest.approx(1)


@given(seed=st.integers(0, 500), cap=st.sampled_from([0.0, 0.02, 0.05]))
def test_escapes_at_a_share_of_false_rejects_are_what_the_best_threshold_gives(seed: int, cap: float) -> None:
    rng = np.random.default_rng(seed)
    labels = np.array([0] * 100 + [1] * 30)
    margins = np.round(rng.normal(labels * 1.5, 1), 1).astype(np.float32)  # ties, too
    found = image_level._escapes_at(cap, margins[labels == 0], margins[labels == 1])
    allowed = [t for t in [*np.unique(margins), np.inf] if (margins[labels == 0] >= t).mean() <= cap]
    assert found.count == (margins[labels == 1] < min(allowed)).sum()


def test_image_figures_of_a_hand_count() -> None:
    labels = np.array([0, 0, 0, 0, 1, 1])
    figures = image_level.measure(
        labels, np.array([-2, -1, 0, 3, 2, 4], np.float32), np.array([False, False, False, True, False, True])
    )
    assert (figures["escapes"]["count"], figures["escapes"]["of"]) == (1, 2)
    assert (figures["false_rejects"]["count"], figures["false_rejects"]["of"]) == (1, 4)
    assert figures["auroc"] == 7 / 8 and figures["balanced_accuracy"] == 0.625
    assert figures["confusion"] == {"good": {"passed": 3, "rejected": 1}, "anomaly": {"passed": 1, "rejected": 1}}


def plain(value: int) -> np.typing.NDArray[np.uint8]:
    return np.full((64, 96, 3), value, np.uint8)


def spot(at: tuple[int, int]) -> np.typing.NDArray[np.uint8]:
    image = plain(10)
    image[at[1] : at[1] + 32, at[0] : at[0] + 32] = 255
    return image


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """Two good frames and two with a bright spot, which the tiny model looks for; truth in both forms."""
    write_frames(
        tmp_path / "parts",
        {
            "good/a.png": plain(10),
            "good/b.png": plain(12),
            "anomaly/a.png": spot((0, 0)),
            "anomaly/b.png": spot((48, 32)),
        },
    )
    truth = {
        "anomaly/a.png": {"size_wh": [96, 64], "boxes_xyxy": [[0, 0, 32, 32]]},
        "parts/anomaly/b.png": {"boxes_xyxy": [[48, 32, 80, 64]]},
    }
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    for name, (x, y) in {"a": (0, 0), "b": (48, 32)}.items():
        mask = np.zeros((64, 96), np.uint8)
        mask[y : y + 32, x : x + 32] = 255
        (tmp_path / "masks").mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / "masks" / f"{name}_mask.png"), mask)
    return tmp_path / "parts"


@pytest.mark.parametrize("truth", ["truth.json", "masks"])
def test_a_model_file_is_measured_on_frames_with_truth(
    truth: str, parts: Path, edge_detect: Run, tiny_model: Path, tmp_path: Path
) -> None:
    done = edge_detect("evaluate", parts, "-m", tiny_model, "-o", "out", "--truth", truth)
    assert done.returncode == 0 and done.stderr == "in out: evaluation.json, frames.jsonl\n", done.stderr
    assert (
        "escapes at 2 % false rejects" in done.stdout and "0 misses in 2 defects: up to 77.7 % escapes" in done.stdout
    )
    figures = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert figures["image"]["auroc"] == 1 and figures["frames"] == {"good": 2, "anomaly": 2, "error": 0}
    assert figures["localisation"]["pointing"]["fine_peak"] == 1
    assert ("pixels" in figures["localisation"]) == (truth == "masks")
    rows = [json.loads(line) for line in (tmp_path / "out" / "frames.jsonl").read_text().splitlines()]
    assert {row["frame"]: row["truth_xyxy"] for row in rows}["anomaly/b.png"] == [[48, 32, 80, 64]]
    again = edge_detect("evaluate", parts, "-m", tiny_model, "-o", "again", "--truth", truth, "--json")
    assert json.loads(again.stdout) == figures
    proved = edge_detect("evaluate", parts, "-m", tiny_model, "-o", "proved", "--truth", truth, "--prove")
    assert "caught defects that pass without their boxes" in proved.stdout
    proof = json.loads((tmp_path / "proved" / "evaluation.json").read_text())["proof"]
    assert proof["without_boxes"] == {"count": 2, "of": 2} and proof["without_control"]["count"] == 0


def test_the_worst_are_painted_and_without_truth_nothing_is_said_of_places(
    parts: Path, edge_detect: Run, tiny_model: Path, tmp_path: Path
) -> None:
    done = edge_detect("evaluate", parts, "-m", tiny_model, "-o", "out", "--threshold", "1")
    assert done.returncode == 0 and "pointing" not in done.stdout, done.stderr
    assert "2 of 2 (100 %" in done.stdout and "threshold" in done.stdout
    assert done.stderr == "in out: evaluation.json, frames.jsonl, pictures of the worst escapes\n"
    assert len(list((tmp_path / "out" / "escapes").iterdir())) == 2
    assert not (tmp_path / "out" / "false-rejects").exists()
    assert edge_detect("evaluate", parts, "-m", tiny_model, "-o", "out").returncode == 0
    assert list((tmp_path / "out" / "escapes").iterdir()) == []  # those of the earlier evaluation are gone


def test_an_evaluation_takes_nobody_s_pictures_away_and_any_name(
    parts: Path, edge_detect: Run, tiny_model: Path, tmp_path: Path
) -> None:
    (parts / "anomaly" / "a.png").rename(parts / "anomaly" / f"{'a' * 245}.png")
    kept = [tmp_path / "out" / "escapes" / name for name in ("from_march.jpg", "from_april.jpg")]
    kept[0].parent.mkdir(parents=True)
    for picture in kept:
        picture.touch()
    done = edge_detect("evaluate", parts, "-m", tiny_model, "-o", "out")
    assert done.returncode == 2 and "holds other things than an earlier evaluation" in done.stderr
    (tmp_path / "out" / "evaluation.json").touch()
    done = edge_detect("evaluate", parts, "-m", tiny_model, "-o", "out", "--threshold", "1", "--truth", "typo.json")
    assert done.returncode == 2 and kept[1].exists()
    done = edge_detect("evaluate", parts, "-m", tiny_model, "-o", "out", "--threshold", "1")
    assert done.returncode == 0 and "2 of 2 (100 %" in done.stdout, done.stderr
    assert len(list(kept[0].parent.iterdir())) == 4 and all(picture.exists() for picture in kept)


def test_a_thin_defect_beside_a_large_one_is_kept() -> None:
    mask = np.zeros((960, 1280), bool)
    mask[100:300, 100:300] = mask[600:602, 400:1200] = True
    assert cv2.connectedComponents(shrink(mask, (224, 224)).astype(np.uint8))[0] == 3


def test_a_frame_that_can_not_be_judged_is_no_pass(parts: Path, edge_detect: Run, tiny_model: Path) -> None:
    (parts / "anomaly" / "torn.jpg").write_bytes(b"\xff\xd8\xff")
    done = edge_detect("evaluate", parts, "-m", tiny_model, "-o", "out")
    assert done.returncode == 2 and "error: anomaly/torn.jpg ends after 3 bytes" in done.stderr
    assert "2 good, 2 anomaly, 1 that can't be judged" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["none"], "none: no such folder"),
        (["parts/good"], "expected the folders good/ and anomaly/"),
        (["parts", "--truth", "none.json"], "none.json: No such file"),
        (["parts", "--truth", "broken.json"], 'expected {"anomaly/a.jpg"'),
        (["parts", "--truth", "short.json"], "has no entry for anomaly/b.png"),
        (["parts", "--truth", "empty"], "has no mask for anomaly/a.png"),
        (["parts", "--truth", "inverted.json"], "is no box [x0, y0, x1, y1]"),
        (["parts", "--truth", "line.json"], "anomaly/a.png: Expected `array` of length >= 3 - at `$.polygons[0]`"),
        (["parts", "--truth", "resized.json"], "which is (96, 64)"),
        (["parts", "--truth", "parts"], "has no mask for anomaly/a.png"),
        (["parts", "--truth", "zero-one"], "brightest value 1; expected white (255)"),
        (["parts", "-o", "parts/anomaly/out"], "among the frames"),
        (["parts", "-o", "broken.json"], "broken.json: can't be written"),
        (["parts", "--truth", "small"], "is 3 x 2 pixels, its frame 96 x 64"),
    ],
)
def test_mistakes_get_one_clear_line(
    arguments: list[Any], says: str, parts: Path, edge_detect: Run, tiny_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "broken.json").write_text('{"a": [1, 2]}')
    (tmp_path / "short.json").write_text('{"anomaly/a.png": {"boxes_xyxy": [[0, 0, 1, 1]]}}')
    for name, entry in {
        "inverted": {"boxes_xyxy": [[40, 10, 20, 30]]},
        "line": {"boxes_xyxy": [[0, 0, 1, 1]], "polygons": [[]]},
        "resized": {"boxes_xyxy": [[0, 0, 1, 1]], "size_wh": [9, 9]},
    }.items():
        (tmp_path / f"{name}.json").write_text(json.dumps({"anomaly/a.png": entry, "anomaly/b.png": entry}))
    (tmp_path / "zero-one").mkdir()
    cv2.imwrite(str(tmp_path / "zero-one" / "a.png"), np.ones((64, 96), np.uint8))
    cv2.imwrite(str(tmp_path / "zero-one" / "b.png"), np.ones((64, 96), np.uint8))
    (tmp_path / "empty").mkdir()
    (tmp_path / "small").mkdir()
    for name in "ab":
        cv2.imwrite(str(tmp_path / "small" / f"{name}.png"), np.zeros((2, 3), np.uint8))
    done = edge_detect("evaluate", "-m", tiny_model, "-o", "out", *arguments)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and says in done.stderr, done.stderr
    assert done.stdout == "" and not (tmp_path / "out" / "evaluation.json").exists()


def test_truth_that_does_not_fit_is_told_before_the_first_frame_is_judged(
    parts: Path, tiny_model: Path, tmp_path: Path
) -> None:
    boxes = {"a": [0, 0, 9, 9], "b": [5000, 5000, 5100, 5100]}
    truth = {f"anomaly/{name}.png": {"boxes_xyxy": [box]} for name, box in boxes.items()}
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    judged: list[int] = []
    with pytest.raises(UsageError, match="lies outside"):
        evaluate(parts, Inspector(Model.load(tiny_model)), tmp_path / "truth.json", lambda done, _: judged.append(done))
    assert judged == []


@pytest.mark.parametrize("box", [[5000, 5000, 5100, 5100], [-40, -40, -8, -8]])
def test_boxes_of_another_size_of_the_frames_are_refused(box: list[int], tmp_path: Path) -> None:
    file = tmp_path / "truth.json"
    file.write_text(json.dumps({"anomaly/a.png": {"boxes_xyxy": [[0, 0, 32, 32], box]}}))
    with pytest.raises(UsageError, match=r"lies outside .* 96 x 64 pixels"):
        TruthFile.read(file).of(Path("anomaly/a.png"), (96, 64))


def test_masks_are_found_where_mvtec_has_them_and_pieces_become_boxes(tmp_path: Path) -> None:
    mask = np.zeros((40, 60), np.uint8)
    mask[2:5, 3:9] = mask[20:30, 40:50] = 255
    (tmp_path / "ground_truth" / "crack").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "ground_truth" / "crack" / "000_mask.png"), mask)
    found = MaskFolder(tmp_path / "ground_truth").of(tmp_path / "test" / "crack" / "000.png", (60, 40))
    assert set(found.boxes) == {(3, 2, 9, 5), (40, 20, 50, 30)} and found.mask is not None
    assert np.array_equal(found.mask, mask > 127)


def test_polygons_become_masks_and_a_longer_name_wins(tmp_path: Path) -> None:
    (tmp_path / "truth.json").write_text(
        json.dumps(
            {
                "anomaly/a.png": {"boxes_xyxy": [[0, 0, 9, 9]]},
                "test/anomaly/a.png": {"boxes_xyxy": [[0, 0, 4, 4]], "polygons": [[[0, 0], [4, 0], [4, 4], [0, 4]]]},
            }
        )
    )
    truth = TruthFile.read(tmp_path / "truth.json")
    found = truth.of(tmp_path / "test" / "anomaly" / "a.png", (20, 10))
    assert found.boxes == ((0, 0, 4, 4),) and found.mask is not None and found.mask.shape == (10, 20)
    assert found.mask[:4, :4].all() and not found.mask[6:].any()
    assert truth.of(tmp_path / "other" / "anomaly" / "a.png", (20, 10)).mask is None


def test_class_folders_of_a_split_dataset_and_of_mvtec(tmp_path: Path) -> None:
    write_frames(
        tmp_path / "mvtec",
        {name: plain(1) for name in ("train/good/0.png", "test/good/0.png", "test/crack/0.png", "test/hole/0.png")},
    )
    found = {one.file.source: one.label for one in labelled(tmp_path / "mvtec")}
    assert found == {"test/good/0.png": 0, "test/crack/0.png": 1, "test/hole/0.png": 1}
    write_frames(
        tmp_path / "split", {name: plain(1) for name in ("train/good/0.png", "test/good/0.png", "test/anomaly/0.png")}
    )
    assert {one.file.source for one in labelled(tmp_path / "split")} == {"test/good/0.png", "test/anomaly/0.png"}
    with pytest.raises(UsageError, match="found train"):
        write_frames(tmp_path / "other", {"train/good/0.png": plain(1)})
        labelled(tmp_path / "other")


def test_a_mask_lies_in_a_folder_named_like_its_frame_s(tmp_path: Path) -> None:
    """The longest name that fits wins; where names don't tell, no figure is made up."""
    masks, data = tmp_path / "masks", tmp_path / "DATA"
    for name in ("anomaly/day1/cam/0.png", "anomaly/day2/cam/0_mask.png", "cam/0.png"):
        (masks / name).parent.mkdir(parents=True, exist_ok=True)
        (masks / name).touch()
    found = MaskFolder(masks)
    days = [data / "anomaly" / day / "cam" / "0.png" for day in ("day1", "day2", "day3")]
    assert [found.find(day) for day in days] == [
        masks / "anomaly/day1/cam/0.png", masks / "anomaly/day2/cam/0_mask.png", masks / "cam/0.png",
    ]  # fmt: skip
    refuse_shared(found, days)
    with pytest.raises(UsageError, match=r"cam/0.png: is the mask of .*day3.* and of .*day4"):
        refuse_shared(found, [*days, data / "anomaly" / "day4" / "cam" / "0.png"])
    with pytest.raises(UsageError, match="rename one of them"):
        refuse_shared(found, [days[0], days[0].with_suffix(".jpg")])


def test_a_mask_of_a_frame_in_the_current_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "masks" / "anomaly").mkdir(parents=True)
    (tmp_path / "masks" / "anomaly" / "x.png").touch()
    monkeypatch.chdir(tmp_path)
    assert MaskFolder(Path("masks")).find(Path("anomaly/x.png")) == Path("masks/anomaly/x.png")


def test_frames_of_the_training_promise_nothing(parts: Path, edge_detect: Run, tmp_path: Path) -> None:
    shas = [
        (label, hashlib.sha256(file.read_bytes()).hexdigest())
        for label, folder in enumerate(("good", "anomaly"))
        for file in (parts / folder).iterdir()
    ]
    described = tiny.manifest()
    training = structs.replace(described.training, data_sha256=fingerprint(shas))
    (tmp_path / "own.onnx").write_bytes(tiny.model(structs.replace(described, training=training)))
    told = "these are the very frames that the model was trained on"
    assert told in edge_detect("evaluate", parts, "-m", "own.onnx", "-o", "out").stderr
    (parts / "good" / os.listdir(parts / "good")[0]).unlink()
    assert told not in edge_detect("evaluate", parts, "-m", "own.onnx", "-o", "out").stderr
