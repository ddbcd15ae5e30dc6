"""Decompress a long stream piece by piece: what TIFF calls deflate, zstd, LZMA, PackBits and LZW.

Each takes the compressed pieces and yields the decompressed ones, which may be of any size up to some MiB. Damage that shows
is a ValueError.
"""

from __future__ import annotations

import io
import lzma
import zlib
from functools import cache
from typing import TYPE_CHECKING

import imagecodecs
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

PIECE = 1 << 20
"""Bytes that are read or decompressed at once."""
_CLEAR, _END = 256, 257
"""LZW's codes for an empty table and for the end."""
_FIRST_BYTE = b"\x80"
"""The first 8 bits of the code for an empty table, which any stream begins with; the ninth is 0."""
_MOST_CODES = 4096
"""Codes after which any writer of LZW has emptied its table."""
_CODES_BITS = _MOST_CODES * 12


def plain(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the pieces as they are."""
    yield from pieces


def deflate(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Decompress a zlib stream."""
    decoder = zlib.decompressobj()
    try:
        for piece in pieces:
            rest = piece
            while rest and not decoder.eof:
                yield decoder.decompress(rest, PIECE)
                rest = decoder.unconsumed_tail
        yield decoder.flush()
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if not decoder.eof:
        msg = "it is cut off"
        raise ValueError(msg)


def xz(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Decompress an LZMA stream."""
    decoder = lzma.LZMADecompressor()
    try:
        for piece in pieces:
            rest = piece
            while (rest or not decoder.needs_input) and not decoder.eof:
                yield decoder.decompress(rest, PIECE)
                rest = b""
    except lzma.LZMAError as error:
        raise ValueError(str(error)) from error


def zstd(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Decompress zstd frames."""
    from pyarrow import CompressedInputStream, PythonFile  # noqa: PLC0415 - takes longer to load than most slides to open

    stream = CompressedInputStream(PythonFile(PieceFile(pieces), "r"), "zstd")
    try:
        while data := stream.read(PIECE):
            yield data
    except OSError as error:
        raise ValueError(str(error)) from error


def packbits(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Decompress PackBits: runs of a byte, and stretches that are stored as they are."""
    steps = [head + 2 if head < 128 else 1 if head == 128 else 2 for head in range(256)]
    rest = b""
    for piece in pieces:
        data = rest + piece
        at = whole = 0
        while at < len(data):
            whole, at = at, at + steps[data[at]]
        whole = at if at == len(data) else whole
        if whole:
            yield bytes(imagecodecs.packbits_decode(data[:whole]))
        rest = data[whole:]


def lzw(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Decompress LZW: what lies between two codes that empty its table can be decompressed alone.

    Raises:
        ValueError: if it is not TIFF's kind of LZW.
    """
    data = next(pieces, b"")
    start, ended = 9, False
    if data[:1] != _FIRST_BYTE:
        msg = "LZW of another kind"
        raise ValueError(msg)
    while True:
        while not ended and len(data) * 8 - start < _CODES_BITS:
            piece = next(pieces, b"")
            ended = not piece
            data, start = data[start // 8 :] + piece, start % 8
        stop, end, code = _first_stop(data, start)
        if stop > start:
            yield bytes(imagecodecs.lzw_decode(_alone(data, start, end)))
        if code != _CLEAR:
            return
        start = end


def _first_stop(data: bytes, start: int) -> tuple[int, int, int]:
    """Return where the first code to empty the table or to end lies, in bits, where it ends, and which; at the data's end none.

    After each emptying the codes are 9 bits wide, then wider, whatever they are.
    """
    begins, ends, shifts, masks = _code_places(start % 8)
    inside = int(np.searchsorted(ends, len(data) * 8 - start // 8 * 8, "right"))
    octets = np.frombuffer(data[start // 8 : start // 8 + _CODES_BITS // 8 + 1] + b"\0\0", np.uint8).astype(np.int32)
    three = octets[:-2] << 16 | octets[1:-1] << 8 | octets[2:]
    codes = three[begins[:inside] >> 3] >> shifts[:inside] & masks[:inside]
    stops = np.flatnonzero(codes >> 1 == _CLEAR >> 1)  # both codes
    if len(stops):
        which = int(stops[0])
        return start // 8 * 8 + int(begins[which]), start // 8 * 8 + int(ends[which]), int(codes[which])
    if inside == len(ends):
        msg = "LZW of another kind"
        raise ValueError(msg)
    return len(data) * 8, len(data) * 8, _END


@cache
def _code_places(first: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return where the codes behind an emptied table begin and end if the first begins at a bit, and how to take them.

    A code is taken from the three bytes that it begins in, shifted and masked.
    """
    widths = np.full(_MOST_CODES, 12, np.int32)
    widths[:1790], widths[:766], widths[:254] = 11, 10, 9
    ends = np.cumsum(widths, dtype=np.int32) + np.int32(first)
    begins = ends - widths
    return begins, ends, 24 - widths - begins % 8, (1 << widths) - 1


def _alone(data: bytes, start: int, end: int) -> bytes:
    """Return the codes between two bits as a stream of its own, which begins with the code that empties the table."""
    octets = np.frombuffer(data, np.uint8)[start // 8 : -(-end // 8)].astype(np.uint16)
    shift = start % 8
    here = (octets << shift & 255 | np.append(octets[1:], 0) >> (8 - shift)).astype(np.uint8)
    behind_nine_bits = here >> 1 | np.append(np.uint8(0), here[:-1] & 1) << 7
    last = (here[-1:] & 1) << 7
    alone = _FIRST_BYTE + behind_nine_bits.tobytes() + last.tobytes()
    return alone[: -(-(9 + end - start) // 8)]  # what is left of the last byte is too short for a code


DECODERS = {
    1: plain,
    5: lzw,
    8: deflate,
    32773: packbits,
    32946: deflate,
    34925: xz,
    34926: zstd,
    50000: zstd,
    50013: deflate,
}
"""By TIFF's number of the compression."""


class PieceFile(io.RawIOBase):
    """Pieces as a file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._rest = pieces, b""

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return some bytes, none at the end."""
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._rest = piece
        data, self._rest = (self._rest, b"") if size < 0 else (self._rest[:size], self._rest[size:])
        return data
