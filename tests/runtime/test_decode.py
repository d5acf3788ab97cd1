"""Bytes become pixels, completely or not at all. What is refused, and why: tests/corpus.py."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edge_runtime import frames
from edge_runtime.errors import FrameError
from edge_runtime.headers import Header, probe
from tests.formats import WHOLE, coded, exif, picture, pillow, tiled_tiff, with_app1
from tests.tiny import frame

PICTURE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff"])
def test_lossless_frames_come_back_as_they_were(suffix: str) -> None:
    assert np.array_equal(frames.decode(coded(suffix, PICTURE)), PICTURE)


def test_grey_and_alpha_become_bgr() -> None:
    grey = PICTURE[..., 0]
    assert np.array_equal(frames.decode(coded(".png", grey)), np.dstack([grey] * 3))
    assert np.array_equal(frames.decode(coded(".png", np.dstack([PICTURE, grey]))), PICTURE)


@pytest.mark.parametrize("cut", [2, 20, 200, 0.5, 0.9, 0.99, -2, -1])
def test_a_jpeg_that_ends_early_is_refused(cut: float) -> None:
    whole = coded(".jpg")
    keep = int(len(whole) * cut) if 0 < cut < 1 else int(cut)
    with pytest.raises(FrameError):
        frames.decode(whole[:keep])


def test_a_jpeg_filled_up_with_zeros_is_refused() -> None:
    whole = coded(".jpg")
    half = len(whole) // 2
    with pytest.raises(FrameError, match="JPEG end marker"):
        frames.decode(whole[:half] + bytes(len(whole) - half))


@pytest.mark.parametrize("cut", [0.3, 0.6, 0.95])
def test_a_png_that_ends_early_is_refused(cut: float) -> None:
    whole = coded(".png")
    with pytest.raises(FrameError):
        frames.decode(whole[: int(len(whole) * cut)])


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"hello, I am text", "no image"),
        (coded(".png", PICTURE.astype(np.uint16) * 256), "has 16 bits per channel"),
        (coded(".tiff", PICTURE.astype(np.float32)), "has 32 bits per channel"),
        (
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (60000).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0" + bytes(64),
            "has 60,000 x 60,000 pixels",
        ),
    ],
)
def test_what_is_no_whole_8_bit_image_is_refused_with_the_reason(data: bytes, says: str) -> None:
    with pytest.raises(FrameError, match=says):
        frames.decode(data)


@pytest.mark.parametrize(("orientation", "size_wh", "reduce"), [(1, (1001, 643), 4), (6, (643, 1001), 2)])
def test_a_large_jpeg_is_decoded_as_far_as_needed_and_says_its_whole_size(
    orientation: int, size_wh: tuple[int, int], reduce: int
) -> None:
    """A frame that was turned needs more of it where its short side is the network's long one."""
    jpeg = with_app1(exif(orientation), coded(".jpg", frame((0, 0, 500, 643), (1001, 643))))
    image, whole = frames.decode_for(jpeg, (64, 96))
    assert whole == size_wh and image.shape[:2] == (-(-size_wh[1] // reduce), -(-size_wh[0] // reduce))
    assert frames.decode_for(jpeg, None)[0].shape == (size_wh[1], size_wh[0], 3)
    assert frames.decode_for(coded(".png", frame(size_wh=(1001, 643))), (64, 96))[0].shape == (643, 1001, 3)


def test_the_whole_size_of_a_turned_frame_that_is_nearly_square_is_exact() -> None:
    jpeg = with_app1(exif(6), coded(".jpg", frame((0, 0, 500, 500), (1000, 999))))
    assert frames.decode_for(jpeg, (64, 96))[1] == (999, 1000)


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
    rows, columns = 41 // reduce, 67 // reduce
    cells = frames.decode(jpeg)[: rows * reduce, : columns * reduce].reshape(rows, reduce, columns, reduce, 3)
    assert np.abs(small[:rows, :columns] - cells.mean((1, 3))).mean() < 2


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
