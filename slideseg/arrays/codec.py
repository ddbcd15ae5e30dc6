"""A shard's bytes: Zarr's ``sharding_indexed`` form, zstd chunks with checksums, the index at the end.

Any Zarr reader reads them. Writing them here costs one PUT and no look at what was there before; reading them here finds
every missing chunk and every damaged bit, where a Zarr reader fills a missing chunk with background.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import google_crc32c
import numpy as np
from numcodecs.zstd import Zstd  # type: ignore[import-untyped]

from slideseg.space.grid import CHUNK

if TYPE_CHECKING:
    from collections.abc import Iterator

ZSTD_LEVEL = 1
"""Class maps shrink about as well at any level; this one is the fastest."""
ABSENT = 2**64 - 1
"""Offset and length of a chunk that is not there: one outside the array."""
CRC_BYTES = 4
"""Length of the index's checksum."""
FLAGS_AT, FLAGS_MASK, FLAGS_WANTED = 4, 0b0001_1100, 0b0000_0100
"""Byte of a zstd frame with its flags: the checksum flag is set, the unused and the reserved one are not."""


class DamagedShardError(ValueError):
    """A shard whose bytes are not what was written."""


def encode_shard(values: np.ndarray, side: int) -> bytes:
    """Return the bytes of a shard of ``side`` x ``side`` pixels that holds ``values`` (y, x) or (c, y, x).

    Values may be smaller than the shard at the array's lower and right edge; chunks outside the array are left out.
    The same values give the same bytes.
    """
    stacked = values.reshape(-1, *values.shape[-2:])
    index = _empty_index(len(stacked), side)
    zstd = Zstd(level=ZSTD_LEVEL, checksum=True)
    parts, offset = [], 0
    for place, box in _chunks(stacked.shape):
        parts.append(zstd.encode(_whole_chunk(stacked[box])))
        index[place] = offset, len(parts[-1])
        offset += len(parts[-1])
    table = index.tobytes()
    return b"".join([*parts, table, _crc(table)])


def decode_shard(data: bytes, shape: tuple[int, ...], side: int, dtype: str) -> np.ndarray:
    """Return the pixels, (y, x) or (c, y, x) as in ``shape``, of a shard's bytes.

    Raises:
        DamagedShardError: if a chunk is missing, or any byte is not what was written.
    """
    values = np.empty(shape, np.dtype(dtype))
    stacked = values.reshape(-1, *shape[-2:])
    index = _read_index(data, len(stacked), side)
    chunk = np.empty((CHUNK, CHUNK), _stored(values.dtype))
    for place, box in _chunks(stacked.shape):
        _decode_chunk(data, index[place], chunk)
        height, width = stacked[box].shape
        stacked[box] = chunk[:height, :width]
    return values


def _chunks(shape: tuple[int, ...]) -> Iterator[tuple[tuple[int, int, int], tuple[int, slice, slice]]]:
    """Yield (place in the index, box) of the chunks that hold pixels, row by row."""
    channels, height, width = shape
    for channel in range(channels):
        for y in range(0, height, CHUNK):
            for x in range(0, width, CHUNK):
                yield (channel, y // CHUNK, x // CHUNK), (channel, slice(y, y + CHUNK), slice(x, x + CHUNK))


def _stored(dtype: np.dtype) -> np.dtype:
    return dtype.newbyteorder("<")


def _whole_chunk(pixels: np.ndarray) -> np.ndarray:
    """Return little-endian pixels, filled up with zeros to a whole chunk."""
    if pixels.shape == (CHUNK, CHUNK):
        return np.ascontiguousarray(pixels, _stored(pixels.dtype))
    chunk = np.zeros((CHUNK, CHUNK), _stored(pixels.dtype))
    chunk[: pixels.shape[0], : pixels.shape[1]] = pixels
    return chunk


def _empty_index(channels: int, side: int) -> np.ndarray:
    return np.full((channels, side // CHUNK, side // CHUNK, 2), ABSENT, "<u8")


def _crc(data: bytes) -> bytes:
    return int(google_crc32c.value(data)).to_bytes(CRC_BYTES, "little")


def _read_index(data: bytes, channels: int, side: int) -> np.ndarray:
    empty = _empty_index(channels, side)
    if len(data) < empty.nbytes + CRC_BYTES:
        raise DamagedShardError("it is too short for its index")
    table, crc = data[-empty.nbytes - CRC_BYTES : -CRC_BYTES], data[-CRC_BYTES:]
    if _crc(table) != crc:
        raise DamagedShardError("its index does not fit its checksum")
    return np.frombuffer(table, "<u8").reshape(empty.shape)


def _decode_chunk(data: bytes, place: np.ndarray, chunk: np.ndarray) -> None:
    offset, length = (int(number) for number in place)
    if offset + length > len(data):
        raise DamagedShardError("a chunk is missing")
    frame = data[offset : offset + length]
    if len(frame) <= FLAGS_AT or frame[FLAGS_AT] & FLAGS_MASK != FLAGS_WANTED:
        raise DamagedShardError("a chunk's head is damaged")
    try:
        Zstd().decode(frame, out=chunk)
    except (RuntimeError, ValueError) as error:
        raise DamagedShardError(f"a chunk can't be decompressed: {error}") from error
