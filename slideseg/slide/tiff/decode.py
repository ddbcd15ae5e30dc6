"""Decode one tile or strip: tifffile knows how, and the usual codecs write straight into memory that is there already.

Memory of a tile's size that is taken anew for every tile costs up to a third of the decoder's time where large blocks are the
system's own pages, as they are in a worker (`slideseg.machine.return_freed_memory`).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
from tifffile.tifffile import TIFF, jpeg_decode_colorspace

if TYPE_CHECKING:
    from collections.abc import Callable

    Into = Callable[[bytes, np.ndarray], bool]
    """Decode bytes into an array (y, x, samples); False where they hold something of another size."""

_NEW_JPEG = 7
_JPEG2000 = (33003, 33004, 33005, 34712)
_BYTES = (5, 8, 32773, 32946, 34926, 50000, 50013)
"""LZW, deflate, PackBits, zstd: their decoders give bytes, which are pixels but for a predictor."""
_FAX = (2, 3, 4)
"""CCITT's."""
_WHOLE_BYTES = (8, 16, 32, 64)
_HORIZONTAL = 2
"""The predictor of differences between neighbours."""
_COMPLEX = 5
"""The sample format of pairs of integers."""
_MOST_SCRATCH = 4 << 20
"""Bytes that a thread keeps for the tile that it decodes."""


@dataclass(frozen=True, slots=True)
class SegmentDecoder:
    """Decodes tiles or strips of one page."""

    page: Any
    """The tifffile page (or frame)."""
    tables: bytes | None
    """JPEG tables that its tiles share."""
    into: Into | None
    """Decodes into memory that is there; None for the codecs that can't."""

    def __call__(self, data: bytes, index: int, out: np.ndarray | None = None) -> np.ndarray:
        """Return tile or strip ``index`` (y, x, samples), whose bytes are ``data``, in the machine's byte order.

        ``out`` is memory in C order for a whole tile of that kind; it may be used, and is then what is returned.

        Raises:
            Exception: whatever the codec raises on damaged data.
        """
        if self.into is not None and out is not None and self.into(data, out):
            return out
        decoded: np.ndarray = self.page.decode(data, index, jpegtables=self.tables)[0][0]
        if int(self.page.keyframe.compression) in _BYTES and not self.page.keyframe.is_subsampled:
            self._check_length(data, index)
        if self.page.dtype == np.bool_ and int(self.page.keyframe.compression) in _FAX:
            decoded = decoded.astype(np.bool_)  # CCITT's decoders give bytes of 0 and 1
        if decoded.dtype.newbyteorder("=") != self.page.dtype.newbyteorder("="):
            msg = f"tile {index} holds {decoded.dtype}"
            raise TypeError(msg)
        return decoded

    def _check_length(self, data: bytes, index: int) -> None:
        """Refuse a tile with too few bytes, which tifffile fills up, or with many more: of other samples than the page says."""
        keyframe = self.page.keyframe
        _, _, rows, columns, samples = self.page.shaped
        height, width = (keyframe.tilelength, keyframe.tilewidth) if keyframe.is_tiled else (keyframe.rowsperstrip, columns)
        down, across = -(-rows // height), -(-columns // width)
        top = (index // across) % down * height
        row = (width * samples * int(keyframe.bitspersample) + 7) // 8
        length = len(TIFF.DECOMPRESSORS[int(keyframe.compression)](data))
        if not min(height, rows - top) * row <= length < 2 * height * row:
            msg = f"tile {index} holds {length} bytes of pixels, not {height * row}"
            raise ValueError(msg)


def decoder_of(page: Any) -> SegmentDecoder:
    """Return what decodes the tiles or strips of a tifffile page."""
    _ = page.decode  # built once, here: later it is used by several threads
    return SegmentDecoder(page, page.jpegtables, _into(page))


class Scratch(threading.local):
    """Memory of a thread for the tile that it decodes, which is copied to its place before the next one."""

    def __init__(self) -> None:
        self._memory = np.empty(0, np.uint8)

    def array(self, shape: tuple[int, int, int], dtype: np.dtype) -> np.ndarray | None:
        """Return an array of the thread's memory; None if it is too large to be kept."""
        size = shape[0] * shape[1] * shape[2] * dtype.itemsize
        if size > _MOST_SCRATCH:
            return None
        if size > self._memory.size:
            self._memory = np.empty(size, np.uint8)
        return self._memory[:size].view(dtype).reshape(shape)


def _into(page: Any) -> Into | None:
    keyframe = page.keyframe
    compression, bits = int(keyframe.compression), keyframe.bitspersample
    if compression == _NEW_JPEG and bits == 8:
        return _jpeg_into(page)
    if compression in _JPEG2000:
        return _jpeg2000_into
    plain = bits in _WHOLE_BYTES and keyframe.fillorder == 1 and keyframe.sampleformat != _COMPLEX
    if compression in _BYTES and plain and not keyframe.is_subsampled and int(keyframe.predictor) in (1, _HORIZONTAL):
        return _bytes_into(keyframe, compression)
    return None


def _jpeg_into(page: Any) -> Into:
    keyframe, tables = page.keyframe, page.jpegtables
    stored, wanted = jpeg_decode_colorspace(
        keyframe.photometric, keyframe.planarconfig, keyframe.extrasamples, keyframe.is_jfif
    )

    def into(data: bytes, out: np.ndarray) -> bool:
        target = out if out.shape[2] > 1 else out[..., 0]
        shape = out.shape[:2]
        try:
            imagecodecs.jpeg8_decode(data, tables=tables, colorspace=stored, outcolorspace=wanted, shape=shape, out=target)
        except (ValueError, imagecodecs.Jpeg8Error):  # another size or kind: tifffile knows what that can mean, or raises too
            return False
        return True

    return into


def _jpeg2000_into(data: bytes, out: np.ndarray) -> bool:
    try:
        imagecodecs.jpeg2k_decode(data, out=out if out.shape[2] > 1 else out[..., 0])
    except (ValueError, imagecodecs.Jpeg2kError):
        return False
    return True


def _bytes_into(keyframe: Any, compression: int) -> Into:
    decompress = TIFF.DECOMPRESSORS[compression]
    differs = int(keyframe.predictor) == _HORIZONTAL
    swapped = not np.dtype(keyframe.parent.byteorder + "u2").isnative

    def into(data: bytes, out: np.ndarray) -> bool:
        memory = out.reshape(-1).view(np.uint8)
        if len(decompress(data, out=memory)) != memory.size:
            return False
        if swapped and out.dtype.itemsize > 1:
            out.byteswap(inplace=True)
        if differs:
            imagecodecs.delta_decode(out, axis=-2, out=out)
        return True

    return into
