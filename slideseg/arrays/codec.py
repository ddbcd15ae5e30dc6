"""A shard's bytes: Zarr's ``sharding_indexed`` form, zstd chunks with checksums, the index at the end.

    chunks ... | SHA-256 of all other bytes | index | CRC-32C of the index

Any Zarr reader reads them: it goes by the index, which says nothing of the hash. Writing them here costs one PUT and no look
at what was there before; reading them here finds every missing chunk and every damaged bit, where a Zarr reader fills a
missing chunk with background.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import google_crc32c
import numpy as np
from numcodecs.zstd import Zstd  # type: ignore[import-untyped]

from slideseg.space.box import Box
from slideseg.space.grid import CHUNK

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ZSTD_LEVEL = 1
"""Class maps shrink about as well at any level; this one is the fastest."""
ABSENT = 2**64 - 1
"""Offset and length of a chunk that is not there: one outside the array."""
CRC_BYTES = 4
"""Length of the index's checksum."""
DIGEST_BYTES = 32
"""Length of the hash before the index."""
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
    for channel, box in chunks_in(Box.of_shape(stacked.shape[1:]), len(stacked)):
        parts.append(zstd.encode(_whole_chunk(stacked[(channel, *box.slices)])))
        index[channel, box.y0 // CHUNK, box.x0 // CHUNK] = offset, len(parts[-1])
        offset += len(parts[-1])
    table = index.tobytes()
    parts += [table, _crc(table)]
    return b"".join([*parts[:-2], _digest(parts), *parts[-2:]])


def decode_shard(data: bytes, shape: tuple[int, ...], side: int, dtype: str) -> np.ndarray:
    """Return the pixels, (y, x) or (c, y, x) as in ``shape``, of a shard's bytes.

    Raises:
        DamagedShardError: if a chunk is missing, or any byte is not what was written.
    """
    index = ShardIndex.of_tail(data, math.prod(shape[:-2]), side)
    chunks = (index.place(channel, box) for channel, box in chunks_in(Box.of_shape((shape[-2], shape[-1])), index.channels))
    frames = (data[offset : offset + length] for offset, length in chunks)
    return decode_box(Box.of_shape((shape[-2], shape[-1])), shape[:-2], frames, dtype)


def digest_place(tail: bytes, size: int, channels: int, side: int) -> int | None:
    """Return where in a shard of ``size`` bytes its hash lies, from its last bytes; None where none was written into it.

    Raises:
        DamagedShardError: if it has another form.
    """
    index = ShardIndex.of_tail(tail, channels, side)
    between = size - index.end - ShardIndex.length(channels, side)
    if between not in (0, DIGEST_BYTES):
        raise DamagedShardError("its chunks don't end where its index begins")
    return index.end if between else None


def digest_of(data: bytes, at: int) -> bytes:
    """Return the SHA-256 of a shard's bytes but for the hash that lies ``at`` a place in them.

    Raises:
        DamagedShardError: if that one is another.
    """
    whole = memoryview(data)
    found = _digest([whole[:at], whole[at + DIGEST_BYTES :]])
    if found != whole[at : at + DIGEST_BYTES]:
        raise DamagedShardError("its bytes don't fit their hash")
    return found


@dataclass(frozen=True, slots=True)
class ShardIndex:
    """Where the chunks of a shard lie in its bytes."""

    table: np.ndarray
    """Offset and length of every chunk, (c, y, x, 2) uint64."""

    @staticmethod
    def length(channels: int, side: int) -> int:
        """Return how many bytes it takes, at the end of a shard."""
        return _empty_index(channels, side).nbytes + CRC_BYTES

    @classmethod
    def of_tail(cls, data: bytes, channels: int, side: int) -> ShardIndex:
        """Read the index at the end of ``data``: a whole shard or its last bytes.

        Raises:
            DamagedShardError: if it is not what was written.
        """
        empty = _empty_index(channels, side)
        if len(data) < empty.nbytes + CRC_BYTES:
            raise DamagedShardError("it is too short for its index")
        table, crc = data[-empty.nbytes - CRC_BYTES : -CRC_BYTES], data[-CRC_BYTES:]
        if _crc(table) != crc:
            raise DamagedShardError("its index does not fit its checksum")
        return cls(np.frombuffer(table, "<u8").reshape(empty.shape))

    @property
    def channels(self) -> int:
        """Number of channels."""
        return len(self.table)

    @property
    def end(self) -> int:
        """Where the last of its chunks ends."""
        there = self.table[self.table[..., 0] != ABSENT]
        return int(there.sum(axis=-1, dtype="<u8").max(initial=0))

    def place(self, channel: int, box: Box) -> tuple[int, int]:
        """Return offset and length of the chunk that holds ``box``.

        Raises:
            DamagedShardError: if the shard has no such chunk.
        """
        offset, length = (int(number) for number in self.table[channel, box.y0 // CHUNK, box.x0 // CHUNK])
        if ABSENT in (offset, length):
            raise DamagedShardError("a chunk is missing")
        return offset, length


def chunks_in(box: Box, channels: int) -> Iterator[tuple[int, Box]]:
    """Yield channel and box of the chunks of a shard that ``box`` touches, cut to it, row by row."""
    for channel in range(channels):
        for outer in box.round_out(CHUNK).split(CHUNK, CHUNK):
            yield channel, outer.intersect(box)


def decode_box(box: Box, channels: tuple[int, ...], frames: Iterable[bytes], dtype: str) -> np.ndarray:
    """Return the pixels (y, x) or (c, y, x) of a box of a shard from its chunks' bytes, in the order of `chunks_in`.

    ``channels`` is empty, or their number.

    Raises:
        DamagedShardError: if any byte is not what was written.
    """
    values = np.empty((*channels, *box.shape), np.dtype(dtype))
    stacked = values.reshape(-1, *box.shape)
    chunk = np.empty((CHUNK, CHUNK), _stored(values.dtype))
    for (channel, part), frame in zip(chunks_in(box, len(stacked)), frames, strict=True):
        _decode_chunk(frame, chunk)
        inside = part.shift(-(part.y0 // CHUNK * CHUNK), -(part.x0 // CHUNK * CHUNK))
        stacked[(channel, *part.relative_to(box).slices)] = chunk[inside.slices]
    return values


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


def _digest(parts: Iterable[bytes | memoryview]) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.digest()


def _crc(data: bytes) -> bytes:
    return int(google_crc32c.value(data)).to_bytes(CRC_BYTES, "little")


def _decode_chunk(frame: bytes, chunk: np.ndarray) -> None:
    if len(frame) <= FLAGS_AT or frame[FLAGS_AT] & FLAGS_MASK != FLAGS_WANTED:
        raise DamagedShardError("a chunk's head is damaged")
    try:
        Zstd().decode(frame, out=chunk)
    except (RuntimeError, ValueError) as error:
        raise DamagedShardError(f"a chunk can't be decompressed: {error}") from error
