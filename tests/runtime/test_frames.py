"""Frames are found and their bytes are read."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge_runtime import frames
from edge_runtime.errors import FrameError, UsageError
from tests.formats import WHOLE
from tests.tiny import write_frames

PICTURE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)


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


def test_a_link_within_the_folder_gives_no_frame_a_second_name(tmp_path: Path) -> None:
    write_frames(tmp_path, {"cam/night/1.png": PICTURE, "cam/night/a/2.png": PICTURE})
    for link in ("latest", "zz", "night/up"):
        (tmp_path / "cam" / link).symlink_to(tmp_path / "cam" / "night")
    (tmp_path / "cam" / "0").symlink_to(tmp_path / "cam" / "night" / "a")
    assert names(frames.find([str(tmp_path / "cam")])) == ["night/1.png", "night/a/2.png"]


@pytest.mark.parametrize(("inner", "outer"), [("0", "1"), ("1", "0")])
def test_links_that_lead_outside_are_followed_once(inner: str, outer: str, tmp_path: Path) -> None:
    write_frames(tmp_path, {"cam/deep/1.png": PICTURE, "store/2.png": PICTURE, "store/day/3.png": PICTURE})
    (tmp_path / "cam" / inner).symlink_to(tmp_path / "store" / "day")
    (tmp_path / "cam" / outer).symlink_to(tmp_path / "store")
    (tmp_path / "cam" / "deep" / "day").symlink_to(tmp_path / "store" / "day")
    (tmp_path / "store" / "back").symlink_to(tmp_path / "cam" / "deep")
    found = frames.find([str(tmp_path / "cam")])
    assert sorted(file.path.name for file in found.files) == ["1.png", "2.png", "3.png"]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_a_link_from_one_camera_to_another_gives_no_frame_a_second_name(order: tuple[int, ...], tmp_path: Path) -> None:
    write_frames(tmp_path, {"cam1/1.png": PICTURE, "cam2/2.png": PICTURE})
    (tmp_path / "cam1" / "other").symlink_to(tmp_path / "cam2")
    (tmp_path / "cam2" / "other").symlink_to(tmp_path / "cam1")
    inputs = [str(tmp_path / name) for name in ("cam1", "cam2", "cam1/../cam2")]
    found = frames.find([inputs[number] for number in order])
    assert {(file.source, file.camera) for file in found.files} == {("cam1/1.png", "cam1"), ("cam2/2.png", "cam2")}


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


def test_a_list_holds_whatever_a_file_can_be_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    hostile = [" lead.png", "a\u2028b.png", "n\u0085m.png", "v\vt.png"]
    write_frames(tmp_path, dict.fromkeys(hostile, PICTURE))
    (tmp_path / "list.txt").write_text("\n".join(hostile))
    assert names(frames.find(["list.txt"])) == hostile


@pytest.mark.skipif(os.name == "nt", reason="goes up by the name")
def test_up_from_a_link_leads_up_from_where_it_leads_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_frames(tmp_path, {"frames/wrong.png": PICTURE, "real/frames/right.png": PICTURE, "real/inner/x.png": PICTURE})
    (tmp_path / "link").symlink_to("real/inner")
    monkeypatch.chdir(tmp_path)
    assert names(frames.find(["link/../frames"])) == ["right.png"]
    assert names(frames.find(["real/../frames"])) == ["wrong.png"]


def test_a_folder_of_results_is_said_to_be_one(tmp_path: Path) -> None:
    write_frames(tmp_path, {"1.png": PICTURE})
    (tmp_path / "ledger.sqlite").touch()
    with pytest.raises(UsageError, match="holds results, and pictures there are no frames"):
        frames.find([str(tmp_path)])


def test_a_folder_of_results_beside_others_is_told_of(tmp_path: Path) -> None:
    write_frames(tmp_path, {"a/1.png": PICTURE, "b/2.png": PICTURE, "b/c/3.png": PICTURE})
    (tmp_path / "a" / "ledger.sqlite").touch()
    (tmp_path / "b" / "c" / "ledger.sqlite").touch()  # that of this very run, perhaps: nobody asked for it
    found = frames.find([str(tmp_path / "a"), str(tmp_path / "b")])
    assert names(found) == ["b/2.png"]
    assert found.passed_over == (str(tmp_path / "a"),)


def test_a_folder_without_frames_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no frames found in .* \.bmp"):
        frames.find([str(tmp_path)])


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
    path.write_bytes(WHOLE["png"])
    (file,) = frames.find([str(tmp_path)]).files
    assert file.source == "m\\xfcller.png"
    assert frames.read(file).image.shape == (64, 96, 3)


@given(*[st.lists(st.sampled_from([b"\\", b"x", b"5", b"c", b"f", b"\xff", b"\xc3", b"\xbc", b"a"])).map(b"".join)] * 2)
@example(b"a\xff.png", rb"a\xff.png")
@example(b"\\\xff", rb"\\xff")
@example(rb"\x5cxff", rb"\xff")
def test_no_two_names_look_alike(one: bytes, other: bytes) -> None:
    assert frames.named(frames.printable(os.fsdecode(one))) == os.fsdecode(one)
    assert (frames.printable(os.fsdecode(one)) == frames.printable(os.fsdecode(other))) is (one == other)


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


def test_a_large_file_is_read_in_parts_each_of_which_is_told(tmp_path: Path) -> None:
    data = np.random.default_rng(0).bytes(2 * frames.PART + 5)
    (tmp_path / "large.bmp").write_bytes(data)
    told: list[int] = []
    found, info = frames.read_file(tmp_path / "large.bmp", lambda: told.append(1))
    assert found == data and info.st_size == len(data) and len(told) == 2
