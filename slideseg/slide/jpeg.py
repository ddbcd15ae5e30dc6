"""Where a JPEG stream ends, and whether the coded pixels in front of its end are all there.

A decoder that meets the end too early makes the rest mid-grey and says nothing of it. So a stream whose last pixel is that
grey (and one in several passes, where what is missing makes all of it coarse) is decoded once more with bytes put in front of
its end: a whole stream needs none of them, and its pixels stay as they are.
"""

from __future__ import annotations

import re
import struct
from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_START_OF_SCAN, _END = 0xDA, 0xD9
_PROGRESSIVE = (0xC2, 0xCA)
_ALONE = frozenset((0x01, *range(0xD0, 0xD9)))
"""Markers without a segment behind them."""
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
"""A marker that ends coded pixels: not an escaped 255, a restart or padding."""
_PIECE = 1 << 20
_FILL = bytes((37 * number) % 251 for number in range(1, 97))


def jpeg_end(file: BinaryIO) -> int:
    """Return where a JPEG stream ends, behind its end marker; 0 if it has none.

    >>> from binascii import unhexlify
    >>> [jpeg_end(BytesIO(unhexlify(text))) for text in ("ffd8ffda000211ff0022ffd90000", "ffd8ffda000211")]
    [12, 0]
    """
    return next((behind for _, marker, behind in _markers(file) if marker == _END), 0)


def ends_too_early(
    stream: bytes, pixels: np.ndarray, decode: Callable[[bytes], np.ndarray], *, bits: int = 8, progressive: bool = False
) -> bool:
    """Tell whether coded pixels are missing from ``stream``, which ``decode`` makes ``pixels`` (y, x, ...) of.

    Args:
        stream: a JPEG with its end marker.
        pixels: what became of it.
        decode: makes pixels of a stream, the same ones of the same stream.
        bits: of a sample.
        progressive: whether the stream is in several passes.
    """
    if progressive and not _has_all_passes(stream):
        return True
    if not progressive and not bool((pixels[-1, -1] == 1 << (bits - 1)).all()):
        return False
    return not np.array_equal(decode(filled(stream)), pixels)


def filled(stream: bytes) -> bytes:
    """Return a JPEG with some bytes more behind the coded pixels of each scan.

    >>> from binascii import unhexlify
    >>> len(filled(unhexlify("ffd8ffda000211ff0022ffd9"))) - 12
    96
    """
    parts, at = [], 0
    for _, marker, behind in _markers(BytesIO(stream)):
        if marker == _START_OF_SCAN:
            parts += [stream[at:behind], _FILL]
            at = behind
    return b"".join([*parts, stream[at:]])


def _has_all_passes(stream: bytes) -> bool:
    """Tell whether each coefficient of each component comes to its last bit.

    Raises:
        ValueError: if a scan does not say what it holds.
    """
    left: dict[int, list[int]] = {}
    for at, marker, _ in _markers(BytesIO(stream)):
        names_at = at + 5 if marker == _START_OF_SCAN else at + 10
        number = int.from_bytes(stream[names_at - 1 : names_at])
        if marker in _PROGRESSIVE:
            left = {name: [1] * 64 for name in stream[names_at : names_at + 3 * number : 3]}
        elif marker == _START_OF_SCAN:
            first, last, bits = stream[names_at + 2 * number : names_at + 2 * number + 3]
            for name in stream[names_at : names_at + 2 * number : 2]:
                left.setdefault(name, [])[first : last + 1] = [bits & 0xF] * (last + 1 - first)
    return not any(bit for bits in left.values() for bit in bits)


def _markers(file: BinaryIO) -> Iterator[tuple[int, int, int]]:
    """Yield each marker: its place, its kind, and where what belongs to it ends; the end marker is the last one."""
    at = 2
    while True:
        file.seek(at)
        head = file.read(4)
        if len(head) < 2 or head[0] != 0xFF:
            return
        behind = at + 2 if head[1] == _END else _behind(file, at, head)
        yield at, head[1], behind
        if head[1] == _END:
            return
        at = behind


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
