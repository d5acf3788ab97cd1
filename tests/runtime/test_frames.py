import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge_runtime import frames
from edge_runtime.errors import FrameError, UsageError
from tests.tiny import frame, write_frames

PICTURE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)


def encoded(suffix: str, image: np.typing.NDArray[Any] = PICTURE) -> bytes:
    return cv2.imencode(suffix, image)[1].tobytes()


def names(found: frames.Found) -> list[str]:
    return [file.source for file in found.files]


def test_folders_are_searched_in_name_order_without_hidden_files_other_files_and_outputs(tmp_path: Path) -> None:
    wanted = ["b.png", "a/2.jpg", "a/1.bmp"]
    write_frames(tmp_path, dict.fromkeys([*wanted, ".hidden.png", ".cache/x.png", "out/overlay/b.png"], PICTURE))
    (tmp_path / "out" / "ledger.sqlite").touch()
    (tmp_path / "notes.txt").write_text("no frame")
    assert names(frames.find([str(tmp_path)])) == ["b.png", "a/1.bmp", "a/2.jpg"]


def test_links_to_folders_are_followed_once(tmp_path: Path) -> None:
    write_frames(tmp_path, {"real/1.png": PICTURE, "cam/2.png": PICTURE})
    (tmp_path / "cam" / "more").symlink_to(tmp_path / "real")
    (tmp_path / "cam" / "loop").symlink_to(tmp_path / "cam")
    assert names(frames.find([str(tmp_path / "cam")])) == ["2.png", "more/1.png"]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("a.png\n".encode("utf-16"), "is no list of frames in UTF-8"),
        (b"Read me first.\n", "none of these exists .first: Read me first"),
        (b"x" * 300, "none of these exists"),
    ],
)
def test_a_text_file_that_is_no_list_is_refused(data: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(data)
    with pytest.raises(UsageError, match=says):
        frames.find([str(tmp_path / "list.txt")])


def test_a_list_from_a_windows_editor_is_read(tmp_path: Path) -> None:
    write_frames(tmp_path, {"1.png": PICTURE})
    (tmp_path / "list.txt").write_bytes(b"\xef\xbb\xbf" + f"# frames\r\n{tmp_path / '1.png'}\r\n".encode())
    assert names(frames.find([str(tmp_path / "list.txt")])) == ["1.png"]


def test_names_are_relative_to_what_holds_all_inputs_and_unique(tmp_path: Path) -> None:
    write_frames(tmp_path, {"cam1/1.png": PICTURE, "cam2/1.png": PICTURE})
    both = [str(tmp_path / "cam1"), str(tmp_path / "cam2")]
    assert names(frames.find(both)) == ["cam1/1.png", "cam2/1.png"]
    assert names(frames.find(both[:1])) == ["1.png"]
    assert names(frames.find([str(tmp_path / "*" / "1.png")])) == ["cam1/1.png", "cam2/1.png"]
    (tmp_path / "list.txt").write_text("\n".join(os.path.join(folder, "1.png") for folder in both))
    assert names(frames.find([str(tmp_path / "list.txt")])) == ["cam1/1.png", "cam2/1.png"]


@pytest.mark.parametrize("given", ["missing", "missing.png"])
def test_what_does_not_exist_is_named(given: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"{given}: no such file or folder"):
        frames.find([str(tmp_path / given)])


def test_a_folder_without_frames_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no frames found in .* \.bmp"):
        frames.find([str(tmp_path)])


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff"])
def test_lossless_frames_come_back_as_they_were(suffix: str) -> None:
    assert np.array_equal(frames.decode(encoded(suffix)), PICTURE)


def test_grey_and_alpha_become_bgr() -> None:
    grey = PICTURE[..., 0]
    assert np.array_equal(frames.decode(encoded(".png", grey)), np.dstack([grey] * 3))
    assert np.array_equal(frames.decode(encoded(".png", np.dstack([PICTURE, grey]))), PICTURE)


def test_the_exif_rotation_is_applied() -> None:
    jpeg = encoded(".jpg", np.ascontiguousarray(frame((0, 0, 32, 64))))
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    rotated = frames.decode(jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:])
    assert rotated.shape == (96, 64, 3)
    assert rotated[:28].mean() > 200 > 60 > rotated[40:].mean()


@pytest.mark.parametrize("cut", [2, 20, 200, 0.5, 0.9, 0.99, -2, -1])
def test_a_jpeg_that_ends_early_is_refused(cut: float) -> None:
    whole = encoded(".jpg")
    keep = int(len(whole) * cut) if 0 < cut < 1 else int(cut)
    with pytest.raises(FrameError):
        frames.decode(whole[:keep])


def test_a_jpeg_filled_up_with_zeros_is_refused() -> None:
    whole = encoded(".jpg")
    half = len(whole) // 2
    with pytest.raises(FrameError, match="JPEG end marker"):
        frames.decode(whole[:half] + bytes(len(whole) - half))


@pytest.mark.parametrize("cut", [0.3, 0.6, 0.95])
def test_a_png_that_ends_early_is_refused(cut: float) -> None:
    whole = encoded(".png")
    with pytest.raises(FrameError):
        frames.decode(whole[: int(len(whole) * cut)])


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"hello, I am text", "no image"),
        (encoded(".png", PICTURE.astype(np.uint16) * 256), "has 16 bits per channel"),
        (encoded(".tiff", PICTURE.astype(np.float32)), "has 32 bits per channel"),
        (
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (60000).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0" + bytes(64),
            "has 60,000 x 60,000 pixels",
        ),
    ],
)
def test_what_is_no_whole_8_bit_image_is_refused_with_the_reason(data: bytes, says: str) -> None:
    with pytest.raises(FrameError, match=says):
        frames.decode(data)


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere")
    for name, says in (
        ("pipe.jpg", "regular"),
        ("folder.jpg", "regular|directory"),
        ("gone.jpg", "No such file"),
        ("none.jpg", "No such file"),
    ):
        with pytest.raises(FrameError, match=says):
            frames.read_bytes(tmp_path / name)


def test_names_that_are_no_text_are_read_and_shown(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/m\xfcller.png"))
    path.write_bytes(encoded(".png"))
    (file,) = frames.find([str(tmp_path)]).files
    assert file.source == "m\\xfcller.png"
    assert np.array_equal(frames.read(file).image, PICTURE)
