from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from edge_runtime.errors import UsageError
from edge_runtime.stored import from_json, to_json
from tests.tiny import write_frames
from train.cues import CUES
from train.data import LabelledFrame, Split, class_folders, extend, load, name_groups, reuse, split

HW = (32, 48)


def pictures(names: list[str], first: int = 0) -> dict[str, np.typing.NDArray[np.uint8]]:
    """Different pictures, one for each name."""
    return {
        name: np.random.default_rng(first + index).integers(0, 256, (20, 30, 3), np.uint8)
        for index, name in enumerate(names)
    }


def folder(root: Path, good: list[str], anomaly: list[str]) -> Path:
    write_frames(root, pictures(good + anomaly))
    return root


def silent(done: int, total: int) -> None: ...


def names(folder: str, count: int = 6) -> list[str]:
    return [f"{folder}/{index}.png" for index in range(count)]


@pytest.mark.parametrize(
    ("good", "anomaly"),
    [
        (["good"], ["anomaly"]),
        (["train/good"], ["train/anomaly"]),
        (["train/good", "test/good"], ["test/crack", "test/hole"]),
    ],
)
def test_folder_layouts(good: list[str], anomaly: list[str], tmp_path: Path) -> None:
    folder(tmp_path, [name for one in good for name in names(one)], [name for one in anomaly for name in names(one)])
    samples, cues = load(tmp_path, HW, silent)
    assert cues.shape == (len(samples.frames), len(CUES))
    assert samples.images.shape == (6 * (len(good) + len(anomaly)), *HW, 3)
    for frame in samples.frames:
        assert frame.label == any(frame.path.startswith(f"{one}/") for one in anomaly)


def test_the_test_side_of_a_split_dataset_is_never_trained_on(tmp_path: Path) -> None:
    folder(tmp_path, names("train/good") + names("test/good"), names("train/anomaly") + names("test/anomaly"))
    assert class_folders(tmp_path) == ([tmp_path / "train/good"], [tmp_path / "train/anomaly"])


@pytest.mark.parametrize(
    ("good", "anomaly", "says"),
    [
        (names("ok"), names("bad"), "expected the folders good/ and anomaly/ .* found bad, ok"),
        (names("good", 3), names("anomaly"), "3 good frames; at least 5"),
    ],
)
def test_what_can_not_be_learned_from_is_named(good: list[str], anomaly: list[str], says: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=says):
        load(folder(tmp_path, good, anomaly), HW, silent)


def test_frames_that_can_not_be_read_are_listed_together(tmp_path: Path) -> None:
    folder(tmp_path, names("good"), names("anomaly"))
    (tmp_path / "good" / "a.jpg").write_text("hello")
    (tmp_path / "anomaly" / "b.png").touch()
    with pytest.raises(UsageError, match=r"(?s)2 frames can't be used.*good/a.jpg is no image.*anomaly/b.png is empty"):
        load(tmp_path, HW, silent)


def test_paths_with_dots_are_understood(tmp_path: Path) -> None:
    folder(tmp_path / "data", names("good"), names("anomaly"))
    (tmp_path / "other").mkdir()
    assert load(tmp_path / "other" / ".." / "data", HW, silent)[0].frames[0].path == "good/0.png"


def test_one_picture_in_both_classes_is_a_contradiction(tmp_path: Path) -> None:
    folder(tmp_path, names("good"), names("anomaly"))
    (tmp_path / "anomaly" / "copy.png").write_bytes((tmp_path / "good" / "2.png").read_bytes())
    with pytest.raises(
        UsageError, match=r"(?s)the same file as good and as anomaly, 1 time;.*good/2.png = anomaly/copy.png"
    ):
        load(tmp_path, HW, silent)


def labelled(count: int) -> list[LabelledFrame]:
    """Half of each class, ten frames to a place."""
    return [
        LabelledFrame(path=f"{index % 2}/place{index // 10}_{index}.png", label=index % 2, sha256=f"{index:064}")
        for index in range(count)
    ]


def test_the_split_is_stratified_complete_and_the_same_for_the_same_seed(tmp_path: Path) -> None:
    frames = labelled(100)
    parts = split(frames, tmp_path, 0.2, None, seed=3)
    assert sorted(parts.train + parts.validation, key=lambda frame: frame.sha256) == frames
    assert len(parts.validation) == 20 and sum(frame.label for frame in parts.validation) == 10
    assert parts == split(frames, tmp_path, 0.2, None, seed=3) != split(frames, tmp_path, 0.2, None, seed=4)
    assert from_json(to_json(parts), Split) == parts


@pytest.mark.parametrize("share", [0.05, 0.1, 0.2, 0.3, 0.4, 0.5])
def test_the_share_is_what_was_asked_for(share: float, tmp_path: Path) -> None:
    assert len(split(labelled(200), tmp_path, share, None, seed=0).validation) == round(200 * share)
    few = split(labelled(18), tmp_path, share, None, seed=0)
    assert 1 <= len(few.validation) <= 10 and {frame.label for frame in few.validation} == {0, 1}


def test_groups_stay_on_one_side(tmp_path: Path) -> None:
    parts = split(labelled(100), tmp_path, 0.2, r"(place\d+)_", seed=0)
    train, validation = ({frame.path[2:].split("_")[0] for frame in side} for side in (parts.train, parts.validation))
    assert train and validation and not train & validation


def test_copies_of_one_picture_stay_on_one_side(tmp_path: Path) -> None:
    frames = [
        replace(frame, sha256=f"{index // 5:064}")
        for index, frame in enumerate(sorted(labelled(100), key=lambda f: f.label))
    ]
    parts = split(frames, tmp_path, 0.2, None, seed=0)
    assert not {frame.sha256 for frame in parts.train} & {frame.sha256 for frame in parts.validation}


def test_copies_of_one_picture_in_two_groups_are_named(tmp_path: Path) -> None:
    frames = labelled(100)
    frames[57] = replace(frames[57], sha256=frames[3].sha256)
    with pytest.raises(UsageError, match=r"(?s)1 frames are copies .*1/place0_3.png = 1/place5_57.png"):
        split(frames, tmp_path, 0.2, r"(place\d+)_", seed=0)


def test_a_split_can_be_used_again_for_the_same_frames_only(tmp_path: Path) -> None:
    frames, file = labelled(100), tmp_path / "split.json"
    parts = split(frames, tmp_path, 0.2, None, seed=3)
    file.write_text(to_json(parts))
    assert reuse(frames, tmp_path, file) == parts
    moved = reuse(frames, tmp_path / "moved", file)
    assert moved.root == str(tmp_path / "moved") and moved.validation == parts.validation
    with pytest.raises(UsageError, match="0 new, renamed or changed, 1 missing"):
        reuse(frames[1:], tmp_path, file)
    with pytest.raises(UsageError, match="No such file"):
        reuse(frames, tmp_path, tmp_path / "other.json")
    file.write_text("{}")
    with pytest.raises(UsageError, match=r"is no split\.json"):
        reuse(frames, tmp_path, file)


@pytest.mark.parametrize(
    ("group", "says"),
    [
        (r"(", "no regular expression"),
        (r"(part\d+)", "does not match 100 frames"),
        (r"(place)", "belong to one group"),
    ],
)
def test_groups_that_can_not_work_are_refused(group: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=says):
        split(labelled(100), tmp_path, 0.2, group, seed=0)


def test_a_group_is_named_by_whichever_alternative_matches() -> None:
    frames = [LabelledFrame(path=path, label=0, sha256=path) for path in ("0/part3_1.png", "0/cam7_1.png")]
    assert name_groups(frames, r"part(\d+)_|cam(\d+)_") == ["3", "7"]


def test_copies_of_one_picture_are_said_to_be_that(tmp_path: Path) -> None:
    copies = [LabelledFrame(path=f"1/{number}.png", label=1, sha256="same") for number in range(6)]
    with pytest.raises(UsageError, match="all anomaly frames are copies of one picture"):
        split([*[frame for frame in labelled(40) if frame.label == 0], *copies], tmp_path, 0.2, None, seed=0)


def test_a_split_that_knew_of_no_groups_can_not_keep_them(tmp_path: Path) -> None:
    file = tmp_path / "split.json"
    file.write_text(to_json(split(labelled(100), tmp_path, 0.2, None, seed=0)))
    with pytest.raises(UsageError, match=r"frames of one group on both sides .*place"):
        extend(labelled(100), tmp_path, file, 0.2, r"(place\d+)")


def test_frames_that_have_come_since_never_move_a_frame_to_the_other_side(tmp_path: Path) -> None:
    def frames(count: int) -> list[LabelledFrame]:
        return [
            LabelledFrame(path=f"{label}/part{number // 4}-{number}.png", label=label, sha256=f"{label}{number}")
            for label in (0, 1)
            for number in range(count)
        ]

    before = split(frames(40), tmp_path, 0.25, r"part(\d+)", seed=0)
    file = tmp_path / "split.json"
    file.write_text(to_json(before))
    after = extend(frames(802), tmp_path, file, 0.25, r"part(\d+)")
    assert set(before.train) <= set(after.train) and set(before.validation) <= set(after.validation)
    assert {*after.train, *after.validation} == set(frames(802))
    sides = [{name_groups([frame], r"part(\d+)")[0] for frame in part} for part in (after.train, after.validation)]
    assert not sides[0] & sides[1], "a part stays on one side"
    assert 0.2 < len(after.validation) / 1604 < 0.3
    assert extend(frames(40), tmp_path, file, 0.25, r"part(\d+)") == before
    with pytest.raises(UsageError, match="2 of its frames are missing"):
        extend(frames(39), tmp_path, file, 0.25, None)
