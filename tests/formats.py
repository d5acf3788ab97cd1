"""Frames of every format, made by hand where no encoder would make them so: small, deterministic, right down to the byte."""

import io
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

Picture = npt.NDArray[Any]


def picture(size_wh: tuple[int, int] = (96, 64), seed: int = 0) -> npt.NDArray[np.uint8]:
    """(H, W, 3) uint8 BGR: a bright square on a dark ground, with a sensor's noise."""
    width, height = size_wh
    image = np.random.default_rng(seed).normal(40, 6, (height, width, 3))
    image[height // 4 : height * 3 // 4, width // 3 : width * 2 // 3] += 150
    return np.clip(image, 0, 255).astype(np.uint8)


def coded(suffix: str, image: Picture | None = None, *options: int) -> bytes:
    return cv2.imencode(suffix, picture() if image is None else image, options)[1].tobytes()


def pillow(kind: str, mode: str = "RGB", pictures: int = 1, **options: Any) -> bytes:
    """What Pillow writes and cv2 does not: palettes, CMYK, animations, pages."""
    first, *others = [Image.fromarray(picture(seed=seed)[..., ::-1]).convert(mode) for seed in range(pictures)]
    if others:
        options |= {"save_all": True, "append_images": others}
    buffer = io.BytesIO()
    first.save(buffer, kind, **options)
    return buffer.getvalue()


WHOLE = {
    "jpeg": coded(".jpg"),
    "progressive": coded(".jpg", None, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "png": coded(".png"),
    "bmp": coded(".bmp"),
    "tiff": coded(".tiff"),
    "webp-lossy": coded(".webp", None, cv2.IMWRITE_WEBP_QUALITY, 80),
    "webp-lossless": coded(".webp", None, cv2.IMWRITE_WEBP_QUALITY, 101),
}


def segment(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body


def exif(orientation: int) -> bytes:
    return b"Exif\0\0MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def with_app1(body: bytes, jpeg: bytes = WHOLE["jpeg"]) -> bytes:
    return jpeg[:2] + segment(0xE1, body) + jpeg[2:]


def claims(width: int, height: int, bits: int = 8, jpeg: bytes = WHOLE["jpeg"]) -> bytes:
    """The JPEG with another size, or another depth, in its header."""
    at = jpeg.index(b"\xff\xc0") + 4
    return jpeg[:at] + struct.pack(">BHH", bits, height, width) + jpeg[at + 5 :]


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, pixels: bytes, *extra: bytes, bits: int = 8, colour: int = 2) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(pixels)) if pixels else b""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(extra) + data + chunk(b"IEND", b"")


def bmp(width: int, height: int, pixels: bytes, bits: int = 24, compression: int = 0, start: int = 54) -> bytes:
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, 0, 0, 0, 0, 0)
    return struct.pack("<2sIII", b"BM", 0, 0, start) + info + pixels


def tiff(tags: dict[int, int | Sequence[int]], pixels: bytes = b"", order: str = "<", following: int = 0) -> bytes:
    """One directory right after the header, every value a LONG; its end is where `tags` may say that the pixels begin."""
    entries, lists, at = b"", b"", tiff_start(tags)
    for tag, value in sorted(tags.items()):
        values = (value,) if isinstance(value, int) else tuple(value)
        packed = struct.pack(f"{order}{len(values)}I", *values)
        entries += struct.pack(order + "HHI", tag, 4, len(values))
        entries += packed if len(values) == 1 else struct.pack(order + "I", at + len(lists))
        lists += packed if len(values) > 1 else b""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(tags))
    return head + entries + struct.pack(order + "I", following) + lists + pixels


def tiff_start(tags: dict[int, Any]) -> int:
    return 8 + 2 + 12 * len(tags) + 4


def grey_tiff(order: str = "<", following: int = 0, **changes: Any) -> bytes:
    """96 x 64, 8 bits, one strip. changes: tag_NNN=value, None leaves the tag out."""
    grey = picture()[..., 0].tobytes()
    tags: dict[int, Any] = {256: 96, 257: 64, 258: 8, 259: 1, 262: 1, 273: 0, 277: 1, 278: 64, 279: len(grey)}
    tags |= {int(name.removeprefix("tag_")): value for name, value in changes.items()}
    tags = {tag: value for tag, value in tags.items() if value is not None}
    if tags.get(273) == 0:
        tags[273] = tiff_start(tags)
    return tiff(tags, grey, order, following)


def tiled_tiff() -> bytes:
    """Six tiles of 32 x 32."""
    grey = picture()[..., 0]
    tiles = [grey[y : y + 32, x : x + 32].tobytes() for y in (0, 32) for x in (0, 32, 64)]
    size = len(tiles[0])
    tags: dict[int, Any] = {256: 96, 257: 64, 258: 8, 259: 1, 262: 1, 277: 1, 322: 32, 323: 32, 324: 0, 325: [size] * 6}
    start = tiff_start(tags) + 2 * 6 * 4
    return tiff(tags | {324: [start + size * tile for tile in range(6)]}, b"".join(tiles))


def webp(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(struct.pack("<4sI", name, len(data)) + data + bytes(len(data) % 2) for name, data in chunks)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def vp8x(width: int, height: int) -> tuple[bytes, bytes]:
    return b"VP8X", bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")


def flipped(data: bytes, *places: float) -> bytes:
    """One bit turned at each of these fractions of the file."""
    changed = bytearray(data)
    for place in places:
        changed[int(len(data) * place)] ^= 0x10
    return bytes(changed)


def zero_tail(data: bytes, kept: float) -> bytes:
    keep = int(len(data) * kept)
    return data[:keep] + bytes(len(data) - keep)
