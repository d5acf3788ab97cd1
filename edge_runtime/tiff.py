"""What the directory of a TIFF says: its tags and their values, read without trust in any of its numbers."""

import struct

from edge_runtime.errors import FrameError

MAX_TAGS = 65_535  # what a classic TIFF can have
_TYPES = {1: "B", 3: "H", 4: "I", 16: "Q"}  # TIFF's unsigned integers


class Tags:
    """The first directory of a TIFF, classic or BigTIFF: the pages after it are not looked at.

    Raises struct.error where the file ends before what it promises, FrameError where it contradicts itself.
    """

    def __init__(self, data: bytes) -> None:
        self.data, self.order = data, "<" if data.startswith(b"II") else ">"
        big = data[2:4] in (b"\x2b\0", b"\0\x2b")
        self.wide, few = ("Q", "Q") if big else ("I", "H")
        (at,) = self._read(self.wide, 8 if big else 4)
        (count,) = self._read(few, at)
        at, step = (at + 8, 20) if big else (at + 2, 12)
        if at + count * step > len(data):
            raise struct.error("a directory longer than the file")
        self.where: dict[int, int] = {}
        for entry in range(at, at + min(count, MAX_TAGS) * step, step):
            (tag,) = self._read("H", entry)
            if self.where.setdefault(tag, entry) != entry:
                raise FrameError(f"is damaged: its TIFF directory has tag {tag} twice")

    def _read(self, what: str, at: int) -> tuple[int, ...]:
        if at > len(self.data):
            raise struct.error("an offset outside the file")  # unpack_from takes only what fits a C integer
        return struct.unpack_from(self.order + what, self.data, at)

    def numbers(self, tag: int, most: int) -> tuple[int, ...]:
        """The values of a tag, at most so many. Raises FrameError where it is missing or no list of integers."""
        entry = self.where.get(tag)
        kind, count = self._read("H" + self.wide, entry + 2) if entry is not None else (0, 0)
        if entry is None or kind not in _TYPES or not count:
            raise FrameError(f"is damaged: its TIFF directory has no usable tag {tag}")
        at = entry + 4 + struct.calcsize("=" + self.wide)
        if count * struct.calcsize("=" + _TYPES[kind]) > struct.calcsize("=" + self.wide):
            (at,) = self._read(self.wide, at)
        return self._read(f"{min(count, most)}{_TYPES[kind]}", at)

    def number(self, tag: int, default: int | None = None) -> int:
        return default if default is not None and tag not in self.where else self.numbers(tag, 1)[0]
