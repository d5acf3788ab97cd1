"""The bangle pictures: reproducible, and truthful about what is broken."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime import frames
from train.bangles import Picture, generate, render, render_untouched
from train.bangles.__main__ import main
from train.bangles.design import draw_product

ROOT = Path(__file__).parents[2]
SEED = 11


@pytest.fixture(scope="module")
def anomalies() -> list[Picture]:
    return [render(SEED, index, True) for index in range(16)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bangles") / "out"
    generate(out, good=3, anomaly=4, seed=SEED)
    return out


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "train.bangles", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_same_seed_same_bytes(folder: Path, tmp_path: Path) -> None:
    again = run(str(tmp_path / "again"), "--good", "3", "--anomaly", "4", "--seed", str(SEED))
    assert again.returncode == 0, again.stderr
    assert len(again.stdout.splitlines()) == 1
    assert digests(tmp_path / "again") == digests(folder)


def test_fewer_frames_are_a_prefix_of_more(folder: Path, tmp_path: Path) -> None:
    generate(tmp_path / "few", good=1, anomaly=2, seed=SEED)
    few, many = digests(tmp_path / "few"), digests(folder)
    few.pop("truth.json")
    assert few.items() <= many.items()


def test_seeds_classes_and_indices_differ() -> None:
    frames = [render(1, 0, False), render(1, 1, False), render(2, 0, False), render(1, 0, True)]
    assert len({frame.image.tobytes() for frame in frames}) == len(frames)


def test_more_threads_change_nothing() -> None:
    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(1)
        alone = render(SEED, 0, True).image
        cv2.setNumThreads(4)
        assert np.array_equal(alone, render(SEED, 0, True).image)
    finally:
        cv2.setNumThreads(before)


def test_a_frame_is_what_it_says(anomalies: list[Picture]) -> None:
    good = render(SEED, 0, False)
    assert good.defects == ()
    for picture in (good, *anomalies):
        assert picture.image.shape == (480, 640, 3)
        assert picture.image.dtype == np.uint8
    assert {len(picture.defects) for picture in anomalies} <= {1, 2}


def test_masks_cover_the_change_and_nothing_else_changes(anomalies: list[Picture]) -> None:
    for index, picture in enumerate(anomalies):
        change = np.abs(picture.image.astype(np.float32) - render_untouched(SEED, index)).mean(axis=-1)
        mask = np.any([defect.mask for defect in picture.defects], axis=0)
        near = cv2.dilate(mask.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
        faint = change[~mask]
        assert change[mask].mean() > 10
        # Left out of a mask: crumbs of a few pixels, and what the eye would not call changed.
        assert (faint > 9).sum() < 0.1 * mask.sum() + 12
        assert change[~near].mean() < 0.05


def test_in_pairs_only_the_defect_tells_the_classes_apart(tmp_path: Path) -> None:
    generate(tmp_path / "pairs", good=2, anomaly=2, seed=SEED, pairs=True)
    for number in range(2):
        good, anomaly, mask = (
            frames.decode((tmp_path / "pairs" / name).read_bytes()).astype(np.float32)
            for name in (
                f"good/good_{number:05d}.jpg",
                f"anomaly/anomaly_{number:05d}.jpg",
                f"masks/anomaly_{number:05d}.png",
            )
        )
        change = np.abs(anomaly - good).mean(axis=-1)
        near = cv2.dilate(mask[..., 0], np.ones((33, 33), np.uint8)) > 0  # JPEG spreads it over its blocks
        assert change[mask[..., 0] > 0].mean() > 10 and change[~near].mean() < 0.05


def test_defects_survive_shrinking(anomalies: list[Picture]) -> None:
    for index, picture in enumerate(anomalies):
        difference = picture.image.astype(np.float32) - render_untouched(SEED, index)
        shrunk = np.abs(cv2.resize(difference, (256, 192), interpolation=cv2.INTER_AREA)).mean(axis=-1)
        for defect in picture.defects:
            small = cv2.resize(defect.mask.astype(np.float32), (256, 192), interpolation=cv2.INTER_AREA)
            assert shrunk[small > 0].max() >= 14


def test_boxes_are_tight_and_inside(anomalies: list[Picture]) -> None:
    for picture in anomalies:
        for defect in picture.defects:
            x0, y0, x1, y1 = defect.box
            rows, columns = np.nonzero(defect.mask)
            assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (x0, y0, x1, y1)
            assert 0 <= x0 < x1 <= 640
            assert 0 <= y0 < y1 <= 480
            assert 24 <= max(x1 - x0, y1 - y0) <= 170


def test_two_defects_do_not_touch(anomalies: list[Picture]) -> None:
    pairs = [picture.defects for picture in anomalies if len(picture.defects) == 2]
    assert pairs
    assert not any((first.mask & second.mask).any() for first, second in pairs)


def test_the_ring_closes_without_a_seam() -> None:
    for number in range(40):
        _, strip = draw_product(number)
        for field in (strip.height, strip.cover, strip.colour.mean(axis=-1)):
            steps = np.abs(np.diff(field, axis=1, append=field[:, :1])).mean(axis=0)
            # Near the seam it changes no faster than it does elsewhere.
            assert steps[-1] <= np.quantile(steps, 0.99) * 1.5 + 1e-3, number


def test_truth_names_the_anomalies_only(folder: Path) -> None:
    truth = json.loads((folder / "truth.json").read_text())
    assert list(truth) == [f"anomaly/anomaly_{i:05d}.jpg" for i in range(4)]
    assert len(list((folder / "good").glob("*.jpg"))) == 3
    for name, entry in truth.items():
        assert entry["size_wh"] == [640, 480]
        assert len(entry["boxes_xyxy"]) == len(entry["polygons"]) == len(entry["kinds"]) > 0
        mask = cv2.imread(str(folder / "masks" / Path(name).with_suffix(".png").name), cv2.IMREAD_UNCHANGED)
        assert mask is not None
        assert set(np.unique(mask)) == {0, 255}
        inside = np.zeros_like(mask)
        for x0, y0, x1, y1 in np.array(entry["boxes_xyxy"], int):
            inside[y0:y1, x0:x1] = 255
        assert not mask[inside == 0].any()


def test_a_full_folder_is_refused(folder: Path) -> None:
    before = digests(folder)
    refused = run(str(folder), "--good", "1", "--anomaly", "0")
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 1
    assert "not empty" in refused.stderr
    assert digests(folder) == before


@pytest.mark.parametrize("number", ["-1", "many", "1.5"])
def test_bad_numbers_are_refused(tmp_path: Path, number: str) -> None:
    refused = run(str(tmp_path / "out"), "--good", number)
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_ctrl_c_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("train.bangles.generate", interrupted)
    monkeypatch.setattr(sys, "argv", ["bangles", str(tmp_path / "frames")])
    assert main() == 130
    assert capsys.readouterr().err == f"bangles: stopped; {tmp_path / 'frames'} is not complete\n"
