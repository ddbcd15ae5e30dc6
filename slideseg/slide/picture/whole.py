"""Check the bytes of a PNG or JPEG: whether all of it is there, and whether it is what was written.

Decoders hand out what they have of a cut-off JPEG, and Pillow passes over the checksums of a PNG's pixels.
"""

from __future__ import annotations

import struct
import zlib

from slideseg.errors import SlideError, explain
from slideseg.slide.jpeg import jpeg_end

PNG = b"\x89PNG\r\n\x1a\n"
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
