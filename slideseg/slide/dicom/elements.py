"""What lies between a file's head and its pixels, walked without building objects: a slide can have 100,000 frames.

The groups of each frame (where it lies, of which plane and path), the tables of offsets, and where the pixels begin.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

from slideseg.slide.dicom.parsing import EXTENDED_OFFSETS, PER_FRAME, PIXELS

if TYPE_CHECKING:
    from collections.abc import Iterator

COLUMN, ROW, Z, PATH, SPACING = 0x0048021E, 0x0048021F, 0x0040074A, 0x00480106, 0x00280030
"""What a frame says of itself: place in the total matrix (from 1), height in the slide, optical path, pixel spacing."""
_WANTED = frozenset((COLUMN, ROW, Z, PATH, SPACING))
_AROUND = frozenset((0x0048021A, 0x00480207, 0x00289110))
"""The sequences that these are in."""
_ITEM, _END_OF_ITEM, _END_OF_SEQUENCE = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF
_LONG = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
"""Value representations with a length of four bytes, behind two that are reserved."""


@dataclass(slots=True)
class Tail:
    """What was found."""

    pixels: int = 0
    """The element of the pixels: `PIXELS`."""
    offset: int = 0
    """Byte where its value begins."""
    length: int | None = None
    """Its bytes; None where frames are items of their own."""
    offsets: bytes = b""
    """The extended offset table; empty where there is none."""
    frames: list[dict[int, bytes]] = field(default_factory=list)
    """By frame, what it says of itself."""


def read_tail(file: BinaryIO, *, explicit: bool, little: bool) -> Tail:
    """Walk from where ``file`` stands, which is behind its head, to its pixels.

    Raises:
        EOFError: if the file ends before.
        ValueError: if it is no sequence of elements.
    """
    walk, tail = _Walk(file, explicit=explicit, little=little), Tail()
    while True:
        tag, length = walk.header()
        if tag in PIXELS:
            tail.pixels, tail.offset, tail.length = tag, walk.at, length
            return tail
        if tag == PER_FRAME or length is None:
            found: list[dict[int, bytes]] = []
            for item, inner, value in walk.sequence(length):
                found.extend({} for _ in range(len(found), item + 1))
                found[item].setdefault(inner, value)
            tail.frames = found if tag == PER_FRAME else tail.frames
        elif tag == EXTENDED_OFFSETS:
            tail.offsets = walk.value(length)
        else:
            walk.skip(length)


class _Walk:
    """Reads elements one after the other."""

    def __init__(self, file: BinaryIO, *, explicit: bool, little: bool) -> None:
        order = "<" if little else ">"
        self._file, self._explicit = file, explicit
        self.at = file.tell()
        """Where the file stands; asking the file takes longer than reading from it."""
        self._size = file.seek(0, 2)
        file.seek(self.at)
        self._tag, self._short, self._word = (struct.Struct(order + form) for form in ("HHI", "2sH", "I"))

    def header(self) -> tuple[int, int | None]:
        """Return tag and length of the element that comes; None: it ends where a delimiter says."""
        data = self.value(8)
        group, element, length = self._tag.unpack(data)
        if self._explicit and group != _ITEM >> 16:
            kind, length = self._short.unpack(data[4:])
            if kind in _LONG:
                (length,) = self._word.unpack(self.value(4))
        return group << 16 | element, None if length == _UNDEFINED else length

    def value(self, length: int) -> bytes:
        """Return the next ``length`` bytes."""
        data = self._file.read(length) if self.at + length <= self._size else b""
        if len(data) < length:
            msg = "the file ends before its pixels"
            raise EOFError(msg)
        self.at += length
        return data

    def skip(self, length: int) -> None:
        """Leave out the next ``length`` bytes."""
        self._file.seek(length, 1)
        self.at += length

    def sequence(self, length: int | None) -> Iterator[tuple[int, int, bytes]]:
        """Yield item, tag and value of what is wanted in the sequence that begins; the file stands behind it then."""
        item = -1
        ends = [None if length is None else self.at + length]
        while ends:
            if ends[-1] is not None and self.at >= ends[-1]:
                if self.at > ends.pop():  # type: ignore[operator]  # not None, as was looked
                    msg = "an item that is larger than what it is in"
                    raise ValueError(msg)
                continue
            tag, length = self.header()
            if tag in (_END_OF_ITEM, _END_OF_SEQUENCE):
                ends.pop()
            elif tag == _ITEM or tag in _AROUND or length is None:
                item += tag == _ITEM and len(ends) == 1
                ends.append(None if length is None else self.at + length)
            elif tag in _WANTED:
                yield item, tag, self.value(length)
            else:
                self.skip(length)
