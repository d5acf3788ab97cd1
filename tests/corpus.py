"""Hostile frames, each with its outcome: `python -m tests.corpus FOLDER` writes them; docs/frames.md has the table.

`judged`: the frame gets a verdict. `error`: it does not, and the reason contains the words. `passed over`: `inspect`
does not take it for a frame. A clean frame, good.png, lies between them.
"""

import os
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from tests import special
from tests.formats import (
    WHOLE,
    bmp,
    chunk,
    claims,
    coded,
    exif,
    flipped,
    grey_tiff,
    picture,
    pillow,
    png,
    segment,
    tiff,
    tiled_tiff,
    vp8x,
    webp,
    with_app1,
    zero_tail,
)

Outcome = Literal["judged", "error", "passed over"]
SUFFIX = {"jpeg": "jpg", "progressive": "jpg", "webp-lossy": "webp", "webp-lossless": "webp"}
BOMBS = {"20000": 20_000, "60000": 60_000, "2e31": 2**31 - 1}


@dataclass(frozen=True, slots=True)
class Case:
    """says: words that the reason contains. make: writes the case; raises OSError where this machine can't have it."""

    name: str
    outcome: Outcome
    says: str
    make: Callable[[Path], object]


def judged(name: str, data: bytes) -> Case:
    return Case(name, "judged", "", lambda path: path.write_bytes(data))


def refused(name: str, says: str, data: bytes) -> Case:
    return Case(name, "error", says, lambda path: path.write_bytes(data))


def cases() -> tuple[Case, ...]:
    """In a fixed order; the bytes of each are always the same."""
    return (*_sound(), *_no_picture(), *_unfinished(), *_damaged(), *_bombs(), *_not_8_bit(), *_names(), *_special())


def _sound() -> Iterator[Case]:
    """Unusual, but whole."""
    whole = WHOLE
    for kind, data in whole.items():
        yield judged(f"whole-{kind}.{SUFFIX.get(kind, kind)}", data)
    yield judged("png-named.jpg", whole["png"])
    yield judged("jpeg-named.png", whole["jpeg"])
    yield judged("1x1.jpg", coded(".jpg", picture()[:1, :1]))
    yield judged("1x1.png", coded(".png", picture()[:1, :1]))
    yield judged("1x20000.png", coded(".png", picture((1, 20_000))))
    yield judged("20000x1.jpg", coded(".jpg", picture((20_000, 1))))
    yield judged("grey.jpg", coded(".jpg", picture()[..., 0]))
    yield judged("grey.png", coded(".png", picture()[..., 0]))
    yield judged("cmyk.jpg", pillow("JPEG", "CMYK"))
    yield judged("cmyk.tiff", pillow("TIFF", "CMYK"))
    yield judged("palette.png", pillow("PNG", "P"))
    yield judged("palette.bmp", pillow("BMP", "P"))
    yield judged("one-bit.png", pillow("PNG", "1"))
    yield judged("alpha-0.png", coded(".png", np.dstack([picture(), np.zeros((64, 96), np.uint8)])))
    yield judged("alpha-0.webp", pillow("WEBP", "RGBA", lossless=True))
    for orientation in range(1, 9):
        yield judged(f"exif-{orientation}.jpg", with_app1(exif(orientation)))
    yield judged("exif-orientation-99.jpg", with_app1(exif(99)))
    yield judged("exif-cut.jpg", with_app1(exif(6)[:17]))
    yield judged("exif-offset-outside.jpg", with_app1(b"Exif\0\0MM\0*\xff\xff\xff\xff" + bytes(16)))
    yield judged("exif-random.jpg", with_app1(b"Exif\0\0" + random.Random(1).randbytes(200)))
    yield judged("exif-thumbnail.jpg", with_app1(exif(1) + coded(".jpg", picture((16, 16)))))
    yield judged("two-in-one.jpg", whole["jpeg"] + coded(".jpg", picture((32, 32))))
    yield judged("rubbish-after-the-end.jpg", whole["jpeg"] + random.Random(2).randbytes(999))
    yield judged("fill-bytes.jpg", whole["jpeg"].replace(b"\xff\xdb", b"\xff\xff\xff\xff\xdb"))
    yield judged("motion.jpg", whole["jpeg"].replace(b"\xff\xc4", b"\xff\xfe"))  # leaves the usual tables out
    dark = np.zeros((1024, 1024, 3), np.uint8)
    yield judged("runs-of-zeros.jpg", coded(".jpg", dark, cv2.IMWRITE_JPEG_OPTIMIZE, 1))
    yield judged("restart-markers.jpg", coded(".jpg", None, cv2.IMWRITE_JPEG_RST_INTERVAL, 1))
    yield judged("pages.tiff", pillow("TIFF", pictures=3))
    yield judged("pages-in-a-loop.tiff", grey_tiff(following=8))
    yield judged("tiled.tiff", tiled_tiff())
    yield judged("big-endian.tiff", grey_tiff(order=">"))
    yield judged("big.tiff", pillow("TIFF", big_tiff=True))
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        yield judged(f"{compression}.tiff", pillow("TIFF", compression=compression))
    yield judged("top-row-first.bmp", bmp(8, -8, bytes(range(192))))
    # Nothing in these formats tells: no checksum over the pixels.
    yield judged("bits-flipped.jpg", flipped(whole["jpeg"], 0.6, 0.8))
    yield judged("bits-flipped.bmp", flipped(whole["bmp"], 0.6, 0.8))
    yield judged("zeros-at-the-end.bmp", zero_tail(whole["bmp"], 0.5))


def _no_picture() -> Iterator[Case]:
    yield refused("empty.jpg", "is empty", b"")
    yield refused("one-byte.png", "is no image", b"\x89")
    yield refused("zeros.jpg", "is no image", bytes(5000))
    yield refused("random.jpg", "is no image", random.Random(3).randbytes(5000))
    yield refused("text.tiff", "is no image", b"Read me first.\n")
    yield refused("page.jpg", "but HTML, SVG or XML", b"\n<!DOCTYPE html><title>404 Not Found</title>")
    yield refused("drawing.png", "but HTML, SVG or XML", b'<svg xmlns="http://www.w3.org/2000/svg" width="9e9"/>')
    yield refused("paper.bmp", "but PDF", b"%PDF-1.7\n")
    yield refused("animation.jpg", "but GIF", pillow("GIF", pictures=3))
    yield refused("animated.png", "is an animation", pillow("PNG", pictures=3))
    yield refused("animated.webp", "is an animation", pillow("WEBP", pictures=3))
    yield refused("sound.webp", "is no image", b"RIFF\x24\0\0\0WAVEfmt " + bytes(28))
    yield refused("start-and-end.jpg", "holds no picture", b"\xff\xd8\xff\xd9")
    yield refused("header-only.png", "holds no picture", png(96, 64, b""))
    yield refused("0x0.jpg", "has no pixels", claims(0, 0))
    yield refused("0x64.png", "has no pixels", png(0, 64, b"\0" * 64))
    yield refused("negative-width.bmp", "has no pixels", bmp(-8, 8, bytes(192)))


def _unfinished() -> Iterator[Case]:
    for kind, data in WHOLE.items():
        for percent in (5, 50, 99):
            name = f"cut-at-{percent}-percent-{kind}.{SUFFIX.get(kind, kind)}"
            yield refused(name, "not written completely", data[: len(data) * percent // 100])
    for kind in ("jpeg", "progressive"):
        yield refused(f"zeros-at-the-end-{kind}.jpg", "JPEG end marker", zero_tail(WHOLE[kind], 0.5))
    hole = WHOLE["jpeg"][:1200] + bytes(500) + WHOLE["jpeg"][1700:]
    yield refused("hole.jpg", "a hole at byte 1,", hole)
    yield refused("zeros-at-the-end.png", "is damaged", zero_tail(WHOLE["png"], 0.5))
    yield refused("cut-with-thumbnail.jpg", "JPEG end marker", with_app1(exif(1) + WHOLE["jpeg"])[:-400])
    yield refused("cut-then-another.jpg", "JPEG end marker", WHOLE["jpeg"][:-400] + WHOLE["jpeg"])


def _damaged() -> Iterator[Case]:
    rows = b"".join(b"\0" + row.tobytes() for row in picture())
    yield refused("bits-flipped.png", "checksum", flipped(WHOLE["png"], 0.6))
    yield refused("no-header.png", "must begin with", b"\x89PNG\r\n\x1a\n" + chunk(b"IEND", b""))
    yield refused("half-the-rows.png", "damaged PNG", png(96, 64, rows[: len(rows) // 2]))
    yield refused("many-chunks.png", "chunks", png(96, 64, rows, *[chunk(b"tEXt", b"")] * 100_001))
    yield refused("many-segments.jpg", "segments", WHOLE["jpeg"][:2] + segment(0xFE, b"") * 100_001)
    scan = WHOLE["progressive"].rindex(b"\xff\xda")
    more = WHOLE["progressive"][scan:-2] * 200
    yield refused("many-scans.jpg", "scans", WHOLE["progressive"][:-2] + more + b"\xff\xd9")
    yield refused("no-tables.jpg", "damaged JPEG", WHOLE["jpeg"].replace(b"\xff\xdb", b"\xff\xfe"))
    yield refused("pixels-in-the-header.bmp", "inside its header", bmp(8, 8, bytes(192), start=10))
    yield refused("three-bits.bmp", "3 bits per pixel", bmp(8, 8, bytes(192), bits=3))
    yield refused("run-lengths.bmp", "compression 1", bmp(8, 8, bytes(192), bits=8, compression=1))
    yield refused("directory-outside.tiff", "not written completely", b"II*\0\xff\xff\xff\xff" + bytes(99))
    yield refused("no-strips.tiff", "no usable tag 273", grey_tiff(tag_273=None))
    yield refused("strips-outside.tiff", "last TIFF strip", grey_tiff(tag_273=2**32 - 1))
    yield refused("too-few-strips.tiff", "of 64 strips", grey_tiff(tag_278=1))
    yield refused("short-strips.tiff", "too short for its pixels", grey_tiff(tag_279=100))
    yield refused("bayer.tiff", "colour space 32803", grey_tiff(tag_262=32803))
    yield refused("five-channels.tiff", "5 channels", grey_tiff(tag_277=5))
    twice = tiff({256: 96, 257: 64, 258: 8}).replace(b"\x01\x01\x04\0", b"\0\x01\x04\0")
    yield refused("tag-twice.tiff", "tag 256 twice", twice)
    yield refused("canvas-only.webp", "not written completely", webp(vp8x(96, 64)))
    yield refused("random-pixels.webp", "damaged WebP", webp((b"VP8L", b"\x2f" + random.Random(4).randbytes(900))))


def _bombs() -> Iterator[Case]:
    for name, side in BOMBS.items():
        yield refused(f"bomb-{name}.png", "are not decoded", png(side, side, b"\0"))
        yield refused(f"bomb-{name}.bmp", "are not decoded", bmp(side, side, b"\0"))
        yield refused(f"bomb-{name}.tiff", "are not decoded", grey_tiff(tag_256=side, tag_257=side))
        short = min(side, 65_535)  # the most that JPEG can say
        yield refused(f"bomb-{name}.jpg", "are not decoded", claims(short, short))
        wide, high = min(side, 2**24), min(side, 2**8)
        yield refused(f"bomb-{name}.webp", "are not decoded", webp(vp8x(wide, wide if wide < 2**16 else high)))
    tile = 2**31 - 16
    yield refused("bomb-tile.tiff", "are not decoded", grey_tiff(tag_322=tile, tag_323=tile, tag_324=0, tag_325=4))


def _not_8_bit() -> Iterator[Case]:
    deep = picture().astype(np.uint16) * 256
    yield refused("16-bit.png", "has 16 bits", coded(".png", deep))
    yield refused("16-bit.tiff", "has 16 bits", coded(".tiff", deep))
    yield refused("float.tiff", "has 32 bits", coded(".tiff", deep.astype(np.float32)))
    yield refused("12-bit.jpg", "has 12 bits", claims(96, 64, bits=12))


def _names() -> Iterator[Case]:
    for name in (
        "Prüfling-ж-検査.png",
        "two words 100% 'quoted' <b>&amp;.png",
        "-o.png",
        "line\nbreak.png",
        "UPPER.PNG",
        "n" * 251 + ".png",
        os.fsdecode(b"m\xfcller.png"),
    ):
        yield judged(name, WHOLE["png"])


def _special() -> Iterator[Case]:
    """What only looks like a file. Links are followed, to regular files."""
    may_read_all = hasattr(os, "geteuid") and os.geteuid() == 0
    yield Case("link-out-of-the-folder.png", "judged", "", special.linked)
    yield Case("link-to-nowhere.jpg", "error", "No such file", lambda path: path.symlink_to("nowhere"))
    yield Case("link-to-itself.jpg", "error", "symbolic links", lambda path: path.symlink_to(path.name))
    yield Case("link-to-a-device.jpg", "error", "is no regular file", lambda path: path.symlink_to("/dev/zero"))
    yield Case("link-to-its-folder.jpg", "passed over", "is no regular file", lambda path: path.symlink_to("."))
    yield Case("folder.jpg", "passed over", "is no regular file", Path.mkdir)
    yield Case("pipe.jpg", "error", "is no regular file", lambda path: os.mkfifo(path))
    yield Case("socket.jpg", "error", "can't be opened", special.listening)
    yield Case(
        "locked.png", "judged" if may_read_all else "error", "" if may_read_all else "Permission denied", special.locked
    )


def write(folder: Path) -> tuple[list[Case], list[str]]:
    """Cases, and good.png, into an empty folder. Returns those that lie there, and why the others can't on this machine."""
    folder.mkdir(parents=True)
    (folder / "good.png").write_bytes(WHOLE["png"])
    made, missing = [], []
    for case in cases():
        try:
            case.make(folder / case.name)
            made.append(case)
        except (OSError, AttributeError, ValueError) as err:
            missing.append(f"{case.name!r}: {err}")
    return made, missing


def main(folder: Path) -> None:
    made, missing = write(folder)
    for case in made:
        print(f"{case.outcome:<12} {case.name!a:<50} {case.says}")
    print(f"{len(made)} cases, {len(missing)} not possible here", *missing, sep="\n", file=sys.stderr)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
