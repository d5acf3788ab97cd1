"""A shortcut is named, whatever it is; an honest set of frames gets no word."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.results import Array, Image
from train.audit import Audit, after, before
from train.cues import CUES, measure
from train.data import load, name_groups

SIZE = (96, 128)
Change = Callable[[Image, int], Image]


def part(rng: np.random.Generator, label: int) -> Image:
    """A textured part under light that varies; an anomaly has a dark pit somewhere."""
    noise = rng.normal(rng.normal(130, 8), 12, (*SIZE, 3)).clip(0, 255).astype(np.uint8)
    image = np.asarray(cv2.GaussianBlur(noise, (0, 0), rng.uniform(0.6, 0.9)), np.uint8)
    if label:
        y, x = rng.integers(8, SIZE[0] - 20), rng.integers(8, SIZE[1] - 20)
        cv2.circle(image, (int(x), int(y)), int(rng.integers(4, 9)), (40, 40, 40), -1)
    return image


def same(image: Image, label: int) -> Image:
    return image


def brighter(image: Image, label: int) -> Image:
    return np.asarray(np.clip(image.astype(int) + 25 * label, 0, 255), np.uint8)


def watermarked(image: Image, label: int) -> Image:
    if label:
        cv2.putText(image, "NG", (2, 10), cv2.FONT_HERSHEY_SIMPLEX, 0.35, (255, 255, 255), 1)
    return image


def blurred(image: Image, label: int) -> Image:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 1.2), np.uint8) if label else image


def wider(image: Image, label: int) -> Image:
    return np.asarray(cv2.resize(image, (160, 96)), np.uint8) if label else image


def folder(root: Path, change: Change, name: Callable[[int, int], str] = lambda index, label: f"{index}") -> Path:
    rng = np.random.default_rng(0)
    for label, kind in enumerate(("good", "anomaly")):
        (root / kind).mkdir(parents=True)
        for index in range(60):
            cv2.imwrite(str(root / kind / f"{name(index, label)}.png"), change(part(rng, label), label))
    return root


def doubts(root: Path) -> str:
    samples, cues = load(root, (32, 48), lambda done, total: None)
    return " ".join(before(cues, samples.labels, name_groups(samples.frames, None)).doubts)


def test_an_honest_set_gets_no_word(tmp_path: Path) -> None:
    assert doubts(folder(tmp_path, same)) == ""


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (brighter, "brightness (AUROC"),
        (watermarked, "at the edge of the frame (row 1, column 1 of 8)"),
        (blurred, "sharpness"),
        (wider, "frame aspect (AUROC 1.00)"),
    ],
)
def test_a_planted_cue_is_named(change: Change, named: str, tmp_path: Path) -> None:
    said = doubts(folder(tmp_path, change))
    assert said.startswith("this model may be judging something else than the defect") and named in said


def test_frames_sorted_by_time_are_noticed_from_their_names(tmp_path: Path) -> None:
    said = doubts(
        folder(
            tmp_path, same, lambda index, label: f"cam1_2026-11-{1 + index // 24 + 10 * label:02}_{index % 24:02}-00-00"
        )
    )
    assert "time (AUROC 1.00)" in said


def test_a_running_number_is_no_time(tmp_path: Path) -> None:
    """good/0000..0059 beside anomaly/0100..0159 says nothing."""
    assert doubts(folder(tmp_path, same, lambda index, label: f"{index + 100 * label:04}")) == ""


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("01_200902053521_585000_090.jpg", True),
        ("2026-11-24_18-00-00.png", True),
        ("img_20261124.png", True),
        ("20261124T180000.png", True),
        ("bangle_00012.png", False),
        ("99999999.png", False),
        ("part_12345678901234.png", False),
    ],
)
def test_what_is_a_time(name: str, known: bool) -> None:
    found = measure(name, b"", np.zeros((32, 32, 3), np.uint8))[CUES.index("time")]
    assert np.isfinite(found) == known


def test_morning_and_night_of_one_day_are_two_times() -> None:
    def time(name: str) -> float:
        return float(measure(name, b"", np.zeros((32, 32, 3), np.uint8))[CUES.index("time")])

    for name in ("IMG_20240305_{}0000.jpg", "20240305T{}0000.png", "240305_{}0000.png", "2024-03-05_{}-00-00.png"):
        assert time(name.format("20")) - time(name.format("08")) == 12 * 3600, name


def test_the_exif_time_is_read(tmp_path: Path) -> None:
    from PIL import Image as Pillow

    exif = Pillow.Exif()
    exif[306] = "2026:11:24 18:00:00"
    Pillow.new("RGB", (32, 32)).save(tmp_path / "a.jpg", exif=exif)
    data = (tmp_path / "a.jpg").read_bytes()
    assert np.isfinite(measure("a.jpg", data, np.zeros((32, 32, 3), np.uint8))[CUES.index("time")])


def test_what_only_tells_frames_of_one_place_apart_is_no_shortcut() -> None:
    """Four places, brighter from one to the next; every other one mostly defective: on another place, light says nothing."""
    rng = np.random.default_rng(1)
    places = np.arange(200) // 50
    cues = np.zeros((200, len(CUES)), np.float32)
    cues[:, CUES.index("brightness")] = places
    labels = (rng.random(200) < np.array([0.1, 0.9, 0.1, 0.9])[places]).astype(np.int64)
    assert before(cues, labels, [f"place{place}" for place in places]).cues == ()
    assert [cue.name for cue in before(cues, labels, [str(frame) for frame in range(200)]).cues] == ["brightness"]


def noise(frames: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(0, 1, (frames, len(CUES))).astype(np.float32)


@pytest.mark.parametrize("parts", [6, 10, 20])
def test_parts_that_are_all_good_or_all_bad_are_few_observations(parts: int) -> None:
    """Thirty frames a part, and cues that differ by part and mean nothing: no frame of them is news."""
    for seed in range(3):
        of_part = np.repeat(np.arange(2 * parts), 30)
        cues = noise(2 * parts, seed)[of_part] + 0.01 * noise(len(of_part), seed + 9)
        assert before(cues, of_part % 2, [str(part) for part in of_part]).cues == ()


@pytest.mark.parametrize(("good", "anomaly"), [(500, 12), (2000, 40), (40, 40)])
def test_a_cue_of_the_rare_class_is_found(good: int, anomaly: int) -> None:
    cues, labels = noise(good + anomaly), np.array([0] * good + [1] * anomaly)
    cues[:, CUES.index("frame size")] = 640
    cues[labels == 1, CUES.index("frame size")] = 800
    found = before(cues, labels, [str(frame) for frame in range(len(labels))])
    assert [(cue.name, cue.auroc) for cue in found.cues] == [("frame size", 1.0)]


def test_what_could_not_be_asked_is_told() -> None:
    few = before(noise(16), np.array([0] * 8 + [1] * 8), [str(frame) for frame in range(16)])
    assert few.unasked == CUES and few.limit == 1
    cues, labels = noise(120), np.array([0] * 60 + [1] * 60)
    cues[:, CUES.index("time")] = labels + 0.01 * cues[:, 0]
    cues[0, CUES.index("time")] = np.nan
    names = [str(frame) for frame in range(120)]
    assert [cue.name for cue in before(cues, labels, names).cues] == ["time"]
    cues[::2, CUES.index("time")] = np.nan
    found = before(cues, labels, names)
    assert (found.cues, found.unasked) == ((), ("time",))


def test_times_that_one_class_alone_has_are_not_asked() -> None:
    cues, labels = noise(66), np.array([0] * 60 + [1] * 6)
    for known in (0, 1):
        cues[60 + known :, CUES.index("time")] = np.nan
        assert before(cues, labels, [str(frame) for frame in range(66)]).unasked == ("time",)


def cells(
    hot: Callable[[np.random.Generator, Array], None], count: int = 40
) -> tuple[Array, np.typing.NDArray[np.int64]]:
    """Cold maps (12, 16) of good frames, and of anomalies that `hot` writes the evidence into."""
    rng = np.random.default_rng(0)
    maps = rng.normal(0, 1, (2 * count, 12, 16)).astype(np.float32)
    for map_ in maps[count:]:
        hot(rng, map_)
    return maps, np.array([0] * count + [1] * count)


def local(rng: np.random.Generator, map_: Array) -> None:
    y, x = rng.integers(0, 10), rng.integers(0, 14)
    map_[y : y + 2, x : x + 2] += 60


def everywhere(rng: np.random.Generator, map_: Array) -> None:
    map_ += 5


def corner(rng: np.random.Generator, map_: Array) -> None:
    map_[:2, :2] += 60


def frame_edge(rng: np.random.Generator, map_: Array) -> None:
    map_[0, rng.integers(0, 16)] += 60
    map_[11, rng.integers(0, 16)] += 60


def told(hot: Callable[[np.random.Generator, Array], None], roi: Image | None = None) -> str:
    return " ".join(Audit(evidence=after(*cells(hot), roi)).doubts)


def test_local_evidence_at_changing_places_gets_no_word() -> None:
    assert told(local) == ""


def test_evidence_that_is_no_defect_is_named() -> None:
    assert "the whole picture, not the defect" in told(everywhere)
    assert "a fixed place, not the defect" in told(corner)
    assert "the edge of the picture, not the part" in told(frame_edge)


def test_evidence_outside_the_region_of_interest_is_named() -> None:
    roi = np.zeros((96, 128), np.uint8)
    roi[:10, :10] = 255
    assert "the surroundings, not the part" in told(local, roi)
    assert told(local, np.full_like(roi, 255)) == ""


def test_a_model_that_has_learned_nothing_has_no_evidence_to_speak_of() -> None:
    maps, labels = cells(corner)
    assert Audit(evidence=after(maps, np.roll(labels, 20))).doubts == ()
