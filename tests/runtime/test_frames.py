import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge_runtime import frames
from edge_runtime.errors import FrameError, UsageError
from edge_runtime.headers import Header, probe
from tests.formats import WHOLE, coded, exif, picture, pillow, tiled_tiff, with_app1
from tests.tiny import frame, write_frames

PICTURE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)


def encoded(suffix: str, image: np.typing.NDArray[Any] = PICTURE) -> bytes:
    return cv2.imencode(suffix, image)[1].tobytes()


def with_orientation(jpeg: bytes, orientation: int) -> bytes:
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0" + bytes([orientation]) + b"\0\0\0\0\0\0"
    return jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:]


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


@pytest.mark.parametrize(("orientation", "size_wh"), [(1, (1001, 643)), (6, (643, 1001))])
def test_a_large_jpeg_is_decoded_as_far_as_needed_and_says_its_whole_size(
    orientation: int, size_wh: tuple[int, int]
) -> None:
    jpeg = with_orientation(encoded(".jpg", frame((0, 0, 500, 643), (1001, 643))), orientation)
    image, whole = frames.decode_for(jpeg, (64, 96))
    assert whole == size_wh and image.shape[:2] == (-(-size_wh[1] // 4), -(-size_wh[0] // 4))
    assert frames.decode_for(jpeg, None)[0].shape == (size_wh[1], size_wh[0], 3)
    assert frames.decode_for(encoded(".png", frame(size_wh=(1001, 643))), (64, 96))[0].shape == (643, 1001, 3)


ORIENTED: dict[int, Callable[[Any], Any]] = {
    1: lambda image: image,
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: image[::-1].swapaxes(0, 1),
    7: lambda image: image[::-1, ::-1].swapaxes(0, 1),
    8: lambda image: image[:, ::-1].swapaxes(0, 1),
}


@pytest.mark.parametrize("orientation", ORIENTED)
@pytest.mark.parametrize("reduce", [1, 2, 4, 8])
def test_every_exif_orientation_is_applied_at_every_reduction(orientation: int, reduce: int) -> None:
    jpeg = coded(".jpg", frame((0, 0, 32, 24)))
    stored = frames.decode(jpeg, reduce)
    shown = frames.decode(with_app1(exif(orientation), jpeg), reduce)
    assert np.array_equal(shown, ORIENTED[orientation](stored))


@pytest.mark.parametrize(("reduce", "shape"), [(2, (21, 34, 3)), (4, (11, 17, 3)), (8, (6, 9, 3))])
def test_a_jpeg_is_reduced_with_sides_rounded_up(reduce: int, shape: tuple[int, ...]) -> None:
    jpeg = coded(".jpg", picture((67, 41)))
    assert probe(jpeg) == Header("JPEG", 67, 41)
    small = frames.decode(jpeg, reduce)
    assert small.shape == shape
    assert abs(small.mean() - frames.decode(jpeg).mean()) < 2


@pytest.mark.parametrize(("kind", "reduce"), [("png", 2), ("tiff", 8), ("webp-lossy", 4), ("jpeg", 3)])
def test_nothing_but_a_jpeg_is_reduced(kind: str, reduce: int) -> None:
    with pytest.raises(ValueError, match="can't be decoded at"):
        frames.decode(WHOLE[kind], reduce)


@pytest.mark.parametrize(
    ("data", "off"),
    [
        (pillow("JPEG", "CMYK", quality=95), 4),
        (pillow("TIFF", "CMYK"), 0),
        (pillow("PNG", "RGBA"), 0),
        (tiled_tiff(), 6),  # of the blue channel only
        (pillow("TIFF", big_tiff=True), 0),
        (WHOLE["webp-lossless"], 0),
        (pillow("TIFF", pictures=3), 0),
        (WHOLE["jpeg"] + coded(".jpg", 255 - picture()), 6),
    ],
)
def test_unusual_frames_keep_their_colours_and_the_first_picture_counts(data: bytes, off: float) -> None:
    assert np.abs(frames.decode(data).astype(int) - picture()).mean() <= off


def test_the_format_is_told_by_the_content_and_never_by_the_name() -> None:
    kinds = {kind: probe(data) for kind, data in WHOLE.items()}
    assert {header.kind for header in kinds.values()} == {"JPEG", "PNG", "BMP", "TIFF", "WebP"}
    assert {(header.width, header.height) for header in kinds.values()} == {(96, 64)}


def test_a_frame_comes_with_what_the_opened_file_says_of_itself(tmp_path: Path) -> None:
    path = tmp_path / "1.png"
    path.write_bytes(WHOLE["png"])
    (tmp_path / "link.png").symlink_to(path)
    data, info = frames.read_file(tmp_path / "link.png")
    assert data == WHOLE["png"]
    assert (info.st_size, info.st_mtime_ns, info.st_ino) == (len(data), path.stat().st_mtime_ns, path.stat().st_ino)


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def shrink(path: Path) -> None:
    os.truncate(path, 100)


def overwrite(path: Path) -> None:
    """As long as it was, so that only the time tells."""
    path.write_bytes(bytes(path.stat().st_size))
    os.utime(path, ns=(0, 0))


def replace(path: Path) -> None:
    other = path.with_suffix(".tmp")
    other.write_bytes(b"another frame")
    other.replace(path)


def during_the_read(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], None]) -> None:
    opened = os.fdopen

    def between(*args: Any, **options: Any) -> Any:
        happens()
        return opened(*args, **options)

    monkeypatch.setattr(os, "fdopen", between)


@pytest.mark.parametrize("change", [grow, shrink, overwrite])
def test_a_frame_that_changes_while_it_is_read_is_refused(
    change: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "1.png"
    path.write_bytes(WHOLE["png"])
    during_the_read(monkeypatch, lambda: change(path))
    with pytest.raises(FrameError, match="was changed while it was read"):
        frames.read_bytes(path)


@pytest.mark.parametrize("change", [Path.unlink, replace])
def test_a_frame_that_is_removed_or_replaced_while_it_is_read_is_the_one_that_was_opened(
    change: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "1.png"
    path.write_bytes(WHOLE["png"])
    during_the_read(monkeypatch, lambda: change(path))
    assert frames.read_bytes(path) == WHOLE["png"]


def test_a_file_larger_than_the_limit_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "huge.png").open("wb") as file:
        file.truncate(frames.MAX_BYTES + 1)  # takes no room on the disk
    with pytest.raises(FrameError, match=r"536,870,913 bytes; more than"):
        frames.read_bytes(tmp_path / "huge.png")


def test_frames_know_their_camera_where_several_folders_are_asked_for(tmp_path: Path) -> None:
    write_frames(tmp_path, {"line/cam1/a/1.png": PICTURE, "line/cam2/1.png": PICTURE, "line/2.png": PICTURE})
    cams = [str(tmp_path / "line" / name) for name in ("cam1", "cam2")]
    seen = [(file.source, file.camera) for file in frames.find(cams).files]
    assert seen == [("cam1/a/1.png", "cam1"), ("cam2/1.png", "cam2")]
    assert [file.camera for file in frames.find([cams[0]]).files] == [None]
    mixed = frames.find([*cams, str(tmp_path / "line" / "2.png")]).files
    assert [file.camera for file in mixed] == ["cam1", "cam2", None]
