"""Strips and tiles too large to be decoded whole: read row by row where their codec can, and one at a time where not."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

import imagecodecs
import numpy as np

from slideseg.slide.rows.inflate import DECODERS, PIECE, PieceFile
from slideseg.slide.rows.stream import RowReader
from slideseg.slide.tiff.decoding.decode import are_coloured, colours_of_jpeg
from slideseg.slide.tiff.decoding.streams import jpeg_head

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from slideseg.slide.raw import ByteFile
    from slideseg.slide.rows.stream import RowStream
    from slideseg.space.box import Box

_JPEG = 7
_RGB_JPEG = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"
"""A segment which says that a JPEG stream holds red, green and blue."""
_MIN_IS_BLACK, _RGB, _YCBCR = 1, 2, 6
_JFIF = b"\xff\xe0"
_WHOLE_BYTES = (8, 16, 32, 64)
_HORIZONTAL, _FLOATS = 2, 3
"""Predictors of differences between neighbours."""
_COMPLEX = 5

Key = tuple[int, int, int]
"""An opened file's number, and where the page and the strip are in it."""


class BoxReader(Protocol):
    """Reads boxes of one strip or tile."""

    def read(self, box: Box, out: np.ndarray) -> None:
        """Write the pixels (y, x, samples) of ``box`` into ``out``."""
        ...

    def close(self) -> None:
        """Forget what is kept."""
        ...


class WholeStrip:
    """Boxes of a strip that was decoded whole and is kept: its neighbouring boxes need it again, and it took long."""

    def __init__(self, pixels: np.ndarray) -> None:
        self._pixels = pixels

    def read(self, box: Box, out: np.ndarray) -> None:
        """Write the pixels of ``box`` into ``out``."""
        out[...] = self._pixels[box.slices]

    def close(self) -> None:
        """Do nothing: the pixels go with it."""


class RowsOfStrip:
    """Boxes of a strip that is decoded row by row."""

    def __init__(self, file: ByteFile, page: Any, index: int, shape: tuple[int, int, int]) -> None:
        """Read strip or tile ``index`` of ``page``, which has ``shape``, from ``file``, which is its own to close."""
        self._file = file
        self._rows = RowReader(lambda: open_rows(file, page, index, shape), shape[0], shape[1] * shape[2] * page.dtype.itemsize)

    def read(self, box: Box, out: np.ndarray) -> None:
        """Write the pixels of ``box`` into ``out``."""
        self._rows.read(box, out)

    def close(self) -> None:
        """Release the file."""
        self._rows.close()
        self._file.close()


class LargeStrips:
    """The large strips that were read last; all pages of a level share them. One thread reads at a time."""

    def __init__(self, most: int) -> None:
        """Keep ``most`` of them: as many as a box needs."""
        self._most = most
        self._readers: OrderedDict[Key, BoxReader] = OrderedDict()
        self._lock = Lock()

    def read(self, key: Key, make: Callable[[], BoxReader], box: Box, out: np.ndarray) -> None:
        """Write the pixels of ``box`` of the strip ``key`` into ``out``; ``make`` opens it where it isn't open."""
        with self._lock:
            if key not in self._readers:
                self._close(self._most - 1)  # frees the old one first
                self._readers[key] = make()
            self._readers.move_to_end(key)
            self._readers[key].read(box, out)

    def close(self) -> None:
        """Forget all."""
        with self._lock:
            self._close(0)

    def _close(self, most: int) -> None:
        while len(self._readers) > most:
            self._readers.popitem(last=False)[1].close()


class StripRows:
    """A `RowStream` of decompressed bytes."""

    def __init__(self, decompressed: Iterator[bytes], page: Any, shape: tuple[int, int, int]) -> None:
        """Read what has ``shape`` (y, x, samples) as ``page`` stores it."""
        self._pieces, self._keyframe, self._left, self._row_shape = decompressed, page.keyframe, shape[0], shape[1:]
        self._row_bytes = -(-shape[1] * shape[2] * int(page.keyframe.bitspersample) // 8)
        self._rest = bytearray()

    def read(self, count: int) -> np.ndarray:
        """Return the next rows (y, x, samples), in the machine's byte order; with the last one all that follows is checked.

        Raises:
            EOFError: if there are fewer.
            ValueError: if what was decompressed is not what was compressed.
        """
        wanted = count * self._row_bytes
        while len(self._rest) < wanted:
            piece = next(self._pieces, None)
            if piece is None:
                msg = "a strip ends too early"
                raise EOFError(msg)
            self._rest += piece
        data = bytes(memoryview(self._rest)[:wanted])
        del self._rest[:wanted]
        self._left -= count
        if not self._left:
            for _ in self._pieces:  # to the checksum
                pass
        return self._unpacked(data, count)

    def close(self) -> None:
        """Forget what is left."""
        self._rest = bytearray()

    def _unpacked(self, data: bytes, count: int) -> np.ndarray:
        page, width, samples = self._keyframe, *self._row_shape
        native = page.dtype.newbyteorder("=")
        if page.bitspersample not in _WHOLE_BYTES:
            packed: np.ndarray = imagecodecs.packints_decode(data, native, page.bitspersample, runlen=width * samples)
            return packed.reshape(count, width, samples)
        if page.predictor == _FLOATS:  # its bytes have an order of their own
            floats = np.frombuffer(data, native).reshape(count, width, samples)
            return np.asarray(imagecodecs.floatpred_decode(floats, axis=-2))
        stored = np.frombuffer(data, native.newbyteorder(page.parent.byteorder)).reshape(count, width, samples)
        pixels = stored.astype(native)
        if page.predictor == _HORIZONTAL:
            imagecodecs.delta_decode(pixels, axis=-2, out=pixels)
        return pixels


def comes_in_rows(page: Any) -> bool:
    """Tell whether strips or tiles of a page, or of its keyframe, can be decoded row by row."""
    keyframe = page.keyframe
    compression, bits, samples = int(keyframe.compression), keyframe.bitspersample, keyframe.shaped[4]
    if keyframe.fillorder != 1 or keyframe.sampleformat == _COMPLEX or not isinstance(bits, int):
        return False
    if compression == _JPEG:
        return bits == 8 and int(keyframe.photometric) in (_MIN_IS_BLACK, _RGB, _YCBCR) and samples in (1, 3)
    plain = bits in _WHOLE_BYTES and keyframe.predictor in (1, _HORIZONTAL, _FLOATS)
    packed = bits < 32 and keyframe.predictor == 1 and keyframe.dtype.kind in "bui"
    return compression in DECODERS and not keyframe.is_subsampled and (plain or packed)


def open_rows(file: ByteFile, page: Any, index: int, shape: tuple[int, int, int]) -> RowStream:
    """Return the rows of strip or tile ``index`` of the open ``file``, which has ``shape`` (y, x, samples)."""
    keyframe = page.keyframe
    pieces = _pieces(file, page.dataoffsets[index], page.databytecounts[index])
    if int(keyframe.compression) != _JPEG:
        return StripRows(DECODERS[int(keyframe.compression)](pieces), page, shape)
    from slideseg.slide.rows.vips import rows_of_source  # noqa: PLC0415 - for the few large ones

    file_of_pieces = PieceFile(_with_tables(pieces, page))
    return rows_of_source(file_of_pieces.read, shape, keyframe.dtype)


def _pieces(file: ByteFile, offset: int, count: int) -> Iterator[bytes]:
    for start in range(0, count, PIECE):
        yield file.read(offset + start, min(PIECE, count - start))


def _with_tables(pieces: Iterator[bytes], page: Any) -> Iterator[bytes]:
    """Yield a JPEG stream with the tables and the kind of colours that it and its page say it has."""
    start = next(pieces, b"")
    begin, rgb = 2, are_coloured(page) and colours_of_jpeg(page, jpeg_head(start)) == "RGB"
    if rgb and start[2:4] == _JFIF:  # it would count more than what is put in
        begin += 2 + int.from_bytes(start[4:6], "big")
    yield start[:2] + (_RGB_JPEG if rgb else b"") + (page.jpegtables or b"")[2:-2] + start[begin:]
    yield from pieces
