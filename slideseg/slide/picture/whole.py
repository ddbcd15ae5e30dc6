"""Check the bytes of a PNG or JPEG: whether all of it is there, and whether it is what was written.

Decoders hand out what they have of a cut-off JPEG, and Pillow passes over the checksums of a PNG's pixels.
"""

from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path

from slideseg.errors import SlideError, explain

PNG = b"\x89PNG\r\n\x1a\n"
_START_OF_SCAN, _END = 0xDA, 0xD9
_ALONE = frozenset((0x01, *range(0xD0, 0xD9)))
"""Markers without a segment behind them."""
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
"""A marker that ends coded pixels: not an escaped 255, a restart or padding."""
_PIECE = 1 << 20


def check_whole(path: str) -> None:
    """Follow the parts of a PNG or JPEG to its end, without decoding it; what lies behind its end does not matter.

    Raises:
        SlideError: if it is cut off or damaged.
    """
    with open(path, "rb") as file:
        is_png = file.read(len(PNG)) == PNG
    if not (_follow_png(path, sums=False) if is_png else jpeg_end(Path(path).read_bytes())):
        raise SlideError(explain(f"{path}: damaged picture, or cut off", got="no end", try_="another copy"))


def check_sums(path: str) -> None:
    """Compare the checksums of a PNG with its bytes.

    Raises:
        SlideError: if they differ.
    """
    if not _follow_png(path, sums=True):
        raise SlideError(explain(f"{path}: damaged picture", got="a wrong checksum", try_="another copy"))


def jpeg_end(data: bytes) -> int:
    """Return where a JPEG stream ends, behind its end marker; 0 if it has none.

    >>> jpeg_end(bytes.fromhex("ffd8 ffda 0002 11ff00 22 ffd9 0000")), jpeg_end(bytes.fromhex("ffd8 ffda 0002 11"))
    (12, 0)
    """
    at = 2
    while at + 2 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == _END:
            return at + 2
        at = _behind(data, at, marker)
    return 0


def _behind(data: bytes, at: int, marker: int) -> int:
    """Return where what follows a marker at ``at`` begins: the next marker, or the end of the data where there is none."""
    if marker == 0xFF:  # padding in front of a marker
        return at + 1
    if marker in _ALONE:
        return at + 2
    if at + 4 > len(data):
        return len(data)
    at += 2 + int(struct.unpack_from(">H", data, at + 2)[0])
    if marker != _START_OF_SCAN:
        return at
    found = _MARKER.search(data, at)
    return len(data) if found is None else found.start()


def _follow_png(path: str, *, sums: bool) -> bool:
    """Tell whether the chunks of a PNG follow each other to its end, and where it is asked for with the right checksums."""
    with open(path, "rb") as file:
        file.seek(len(PNG))
        while len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            sum_so_far = zlib.crc32(kind)
            if sums:
                for start in range(0, length, _PIECE):
                    sum_so_far = zlib.crc32(file.read(min(_PIECE, length - start)), sum_so_far)
            else:
                file.seek(length, 1)
            said = file.read(4)
            if len(said) < 4 or (sums and said != struct.pack(">I", sum_so_far)):
                return False
            if kind == b"IEND":
                return True
    return False
