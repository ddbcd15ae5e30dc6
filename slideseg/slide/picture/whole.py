"""Check the bytes of a PNG or JPEG: whether all of it is there, and whether it is what was written.

Decoders hand out what they have of a cut-off JPEG, and Pillow passes over the checksums of a PNG's pixels.
"""

from __future__ import annotations

import re
import struct
import zlib
from typing import BinaryIO

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
        found = _follow_png(path, sums=False) if is_png else jpeg_end(file)
    if not found:
        raise SlideError(explain(f"{path}: damaged picture, or cut off", got="no end", try_="another copy"))


def check_sums(path: str) -> None:
    """Compare the checksums of a PNG with its bytes.

    Raises:
        SlideError: if they differ.
    """
    if not _follow_png(path, sums=True):
        raise SlideError(explain(f"{path}: damaged picture", got="a wrong checksum", try_="another copy"))


def jpeg_end(file: BinaryIO) -> int:
    """Return where a JPEG stream ends, behind its end marker; 0 if it has none.

    >>> from io import BytesIO
    >>> [jpeg_end(BytesIO(bytes.fromhex(text))) for text in ("ffd8 ffda 0002 11ff00 22 ffd9 0000", "ffd8 ffda 0002 11")]
    [12, 0]
    """
    at = 2
    while True:
        file.seek(at)
        head = file.read(4)
        if len(head) < 2 or head[0] != 0xFF:
            return 0
        if head[1] == _END:
            return at + 2
        at = _behind(file, at, head)


def _behind(file: BinaryIO, at: int, head: bytes) -> int:
    """Return where what follows the marker ``head`` at ``at`` begins: the next marker, or the end of the file."""
    marker = head[1]
    if marker == 0xFF:  # padding in front of a marker
        return at + 1
    if marker in _ALONE:
        return at + 2
    if len(head) < 4:
        return at + len(head)
    at += 2 + int(struct.unpack_from(">H", head, 2)[0])
    return _next_marker(file, at) if marker == _START_OF_SCAN else at


def _next_marker(file: BinaryIO, at: int) -> int:
    """Return where the coded pixels at ``at`` end, in pieces: a file may be larger than the memory."""
    file.seek(at)
    before = b""
    while piece := file.read(_PIECE):
        found = _MARKER.search(before + piece)
        if found is not None:
            return at - len(before) + found.start()
        at += len(piece)
        before = piece[-1:]
    return at


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
