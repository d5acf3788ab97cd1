"""What a frame's bytes say before anything is decoded: format, pixel size, and whether the file is whole.

Written for bytes that nobody vouches for: no copies, no recursion, a bounded number of steps; whatever is wrong ends as
a FrameError, whose message completes the sentence "<frame> ...".
"""

import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from struct import unpack_from
from typing import Literal

from edge_runtime.errors import FrameError
from edge_runtime.tiff import Tags

Kind = Literal["JPEG", "PNG", "BMP", "TIFF", "WebP"]

MAX_PIXELS = 2**27
MAX_SIDE = 2**20  # what OpenCV takes; a line-scan camera makes long frames
MAX_PARTS = 100_000  # PNG chunks, JPEG segments: a frame of MAX_BYTES in parts of 8 KB has fewer
MAX_SCANS = 100  # a progressive JPEG has about ten, and each costs as much time as a picture


@dataclass(frozen=True, slots=True)
class Header:
    """width, height: in pixels as stored, before the EXIF rotation."""

    kind: Kind
    width: int
    height: int

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise FrameError(f"has no pixels: its {self.kind} header says {self.width} x {self.height}")
        if max(self.width, self.height) > MAX_SIDE or self.width * self.height > MAX_PIXELS:
            raise FrameError(
                f"has {self.width:,} x {self.height:,} pixels; more than {MAX_PIXELS:,}, or {MAX_SIDE:,} on a side, are not decoded"
            )


def probe(data: bytes) -> Header:
    """The header of a whole JPEG, PNG, BMP, TIFF or WebP, told by its content. Raises FrameError for anything else."""
    if not data:
        raise FrameError("is empty (0 bytes)")
    walk = next((walk for magic, walk in _WALKS if data.startswith(magic)), None)
    if walk is None or (walk is _webp and data[8:12] != b"WEBP"):
        other = next((name for magic, name in _OTHERS if data[:64].lstrip().startswith(magic)), None)
        but = f" but {other}" if other else ""
        raise FrameError(f"is no image that can be read: no JPEG, PNG, BMP, TIFF or WebP{but}")
    try:
        return walk(data)
    except struct.error:
        raise _cut(data, "inside its header") from None


def _cut(data: bytes, where: str) -> FrameError:
    return FrameError(f"ends after {len(data):,} bytes {where}; it was not written completely")


def _check_bits(bits: int) -> None:
    if bits > 8:  # to show them in 8 bits is the camera's decision, or the line's, but not one to take silently
        raise FrameError(f"has {bits} bits per channel; frames must have 8")


def _check_still(chunk: bytes) -> None:
    if chunk in (b"acTL", b"fcTL", b"fdAT", b"ANIM", b"ANMF"):  # and OpenCV 5.0 crashes on some animated PNGs
        raise FrameError("is an animation; save the picture to judge as a still one")


_MARKER = re.compile(rb"\xff[^\x00\xff]", re.DOTALL)
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)
_BASELINE, _TABLES, _SOI, _EOI, _SOS = 0xC0, 0xC4, 0xD8, 0xD9, 0xDA
_HOLE = bytes(64)
_ALONE = {0x01, *range(0xD0, 0xD8)}  # markers that no segment follows
_SIZES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # SOF0 .. SOF15


def _jpeg(data: bytes) -> Header:
    """From segment to segment, so that the end of a thumbnail is not taken for the picture's. What follows its end is not
    looked at; like libjpeg, bytes between segments are passed over."""
    header, scans, at, pattern = None, 0, 2, _MARKER
    dense, solid = True, False  # solid: zeros mean nothing in the scan that is being passed
    for _ in range(MAX_PARTS):
        found = pattern.search(data, at)
        if not found or data[found.end() - 1] == _SOI:  # libjpeg would fill up what is missing with grey
            raise _cut(data[: found.start()] if found else data, "without a JPEG end marker")
        if solid and (hole := data.find(_HOLE, at, found.start())) >= 0:
            raise FrameError(f"is damaged: its JPEG data has a hole at byte {hole:,}, filled with zeros")
        marker, at, pattern, solid = data[found.end() - 1], found.end(), _MARKER, False
        if marker == _EOI:
            if header is None or not scans:
                raise FrameError("holds no picture between its JPEG start and end marker")
            return header
        if marker in _ALONE:
            continue
        (length,) = unpack_from(">H", data, at)
        if marker in _SIZES:
            bits, height, width = unpack_from(">BHH", data, at + 2)
            header = Header("JPEG", width, height)
            _check_bits(bits)
            dense &= marker == _BASELINE
        elif marker == _TABLES:
            dense &= not _ends_blocks_with_zeros(data, at + 2, at + length)
        elif marker == _SOS:
            scans, pattern = scans + 1, _AFTER_SCAN
            if scans > MAX_SCANS:
                raise FrameError(f"has more than {MAX_SCANS} JPEG scans, which no camera writes")
            solid = dense and data[at + 4 : at + 5] == b"\0"  # its first component is coded with the tables 0
        at += length
    raise FrameError(f"has more than {MAX_PARTS:,} JPEG segments")


def _ends_blocks_with_zeros(data: bytes, at: int, end: int) -> bool:
    """Has AC table 0 its shortest code, which is all zeros, for "nothing more in this block"? Then a flat area is a run of
    zeros. The usual tables have not, and there a long run of them is what a lost packet or disk block leaves behind."""
    while at + 17 < min(end, len(data)):
        if data[at] == 0x10:
            return data[at + 17] == 0
        at += 17 + sum(data[at + 1 : at + 17])
    return False


def _png(data: bytes) -> Header:
    view, header, pixels, at = memoryview(data), None, False, 8
    for _ in range(MAX_PARTS):
        length, name = unpack_from(">I4s", data, at)
        end = at + 12 + length
        if header is None:
            if name != b"IHDR" or length != 13:
                raise FrameError("is damaged: a PNG must begin with its IHDR chunk")
            *size, bits = unpack_from(">IIB", data, at + 8)
            header = Header("PNG", *size)
            _check_bits(bits)
        if end > len(data):
            raise _cut(data, f"inside its PNG chunk {name!r}")
        if zlib.crc32(view[at + 4 : end - 4]) != unpack_from(">I", data, end - 4)[0]:
            raise FrameError(f"is damaged: the checksum of its PNG chunk {name!r} at byte {at:,} does not fit")
        _check_still(name)
        pixels |= name == b"IDAT"
        if name == b"IEND":
            if not pixels:
                raise FrameError("holds no picture: a PNG without IDAT chunk")
            return header
        at = end
    raise FrameError(f"has more than {MAX_PARTS:,} PNG chunks")


def _bmp(data: bytes) -> Header:
    """The file size in the header is not trusted, cameras leave it 0: what the pixels need is counted."""
    start, info = unpack_from("<II", data, 10)
    width, height, _, bits = unpack_from("<HHHH" if info == 12 else "<iiHH", data, 18)
    (compression,) = (0,) if info == 12 else unpack_from("<I", data, 30)
    header = Header("BMP", width, abs(height))  # negative: the first row is on top
    if compression not in (0, 3, 6) or bits not in (1, 4, 8, 16, 24, 32):
        raise FrameError(f"is a BMP with {bits} bits per pixel and compression {compression}; save it uncompressed")
    if start < 14 + info:
        raise FrameError("is damaged: the pixels of a BMP can't begin inside its header")
    if start + (width * bits + 31) // 32 * 4 * header.height > len(data):
        raise _cut(data, "before its last row")
    return header


_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_STRIPS, _SAMPLES, _ROWS, _STRIP_BYTES, _PLANAR = 273, 277, 278, 279, 284
_COLOURS = {0, 1, 2, 3, 5, 6}  # grey from white, grey from black, RGB, palette, CMYK, YCbCr (may be subsampled)
_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES = 322, 323, 324, 325


def _tiff(data: bytes) -> Header:
    tags = Tags(data)
    header = Header("TIFF", tags.number(_WIDTH), tags.number(_HEIGHT))
    samples, bits = tags.number(_SAMPLES, 1), tags.number(_BITS, 1)
    colours = tags.number(_PHOTOMETRIC, 2)
    _check_bits(bits)
    if not 1 <= samples <= 4 or colours not in _COLOURS:
        raise FrameError(f"is a TIFF of {samples} channels and colour space {colours}; save it as grey or RGB")
    tiled = _TILE_WIDTH in tags.where
    # A strip is a tile as wide as the picture.
    wide = tags.number(_TILE_WIDTH) if tiled else header.width
    high = tags.number(_TILE_HEIGHT) if tiled else min(tags.number(_ROWS, header.height), header.height)
    Header("TIFF", wide, high)  # raises for a size that nothing may allocate
    parts = -(-header.width // wide) * -(-header.height // high) * (samples if tags.number(_PLANAR, 1) == 2 else 1)
    starts = tags.numbers(_TILES if tiled else _STRIPS, min(parts, 2**20))
    sizes = tags.numbers(_TILE_BYTES if tiled else _STRIP_BYTES, min(parts, 2**20))
    if min(len(starts), len(sizes)) < parts:
        raise FrameError(f"is damaged: its TIFF directory names {min(len(starts), len(sizes)):,} of {parts:,} strips")
    if max(map(int.__add__, starts, sizes)) > len(data):
        raise _cut(data, "before its last TIFF strip")
    plain = tags.number(_COMPRESSION, 1) == 1 and colours != 6
    if plain and sum(sizes) < header.width * header.height * samples * bits // 8:
        raise FrameError("is damaged: its TIFF strips are too short for its pixels")
    return header


def _webp(data: bytes) -> Header:
    end = 8 + unpack_from("<I", data, 4)[0]
    header, pixels, at = None, False, 12
    for _ in range(MAX_PARTS):
        if at >= end and header is not None and pixels:
            return header
        name, length = unpack_from("<4sI", data, at)
        if max(end, at + 8 + length) > len(data):
            raise _cut(data, f"inside its WebP chunk {name!r}")
        _check_still(name)
        header = header or _webp_size(data, name, at + 8)
        pixels |= name in (b"VP8 ", b"VP8L")
        at += 8 + length + length % 2
    raise FrameError(f"has more than {MAX_PARTS:,} WebP chunks")


def _webp_size(data: bytes, name: bytes, at: int) -> Header | None:
    """From the chunk that says it: VP8X for a canvas, VP8 (lossy) or VP8L (lossless) for a single picture."""
    if name == b"VP8X":
        width, height = (int.from_bytes(data[side : side + 3], "little") + 1 for side in (at + 4, at + 7))
        return Header("WebP", width, height)
    if name == b"VP8 ":
        width, height = unpack_from("<HH", data, at + 6)
        return Header("WebP", width & 0x3FFF, height & 0x3FFF)
    if name == b"VP8L":
        (both,) = unpack_from("<I", data, at + 1)
        return Header("WebP", (both & 0x3FFF) + 1, (both >> 14 & 0x3FFF) + 1)
    return None


_OTHERS = ((b"GIF8", "GIF"), (b"%PDF", "PDF"), (b"<", "HTML, SVG or XML"))
_WALKS: tuple[tuple[bytes, Callable[[bytes], Header]], ...] = (
    (b"\xff\xd8", _jpeg),
    (b"\x89PNG\r\n\x1a\n", _png),
    (b"BM", _bmp),
    (b"II*\0", _tiff),
    (b"MM\0*", _tiff),
    (b"II+\0", _tiff),
    (b"MM\0+", _tiff),
    (b"RIFF", _webp),
)
