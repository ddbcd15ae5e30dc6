"""Damage that tests do to results."""

from pathlib import Path

import numpy as np

from slideseg.arrays.codec import ABSENT, CRC_BYTES, ShardIndex, _crc


def delete_chunk(shard: Path, side: int, row: int, column: int, channels: int = 1) -> None:
    """Make a shard of ``side`` pixels one that never had the chunk, in a form that any Zarr reader takes for background."""
    data = shard.read_bytes()
    length = ShardIndex.length(channels, side)
    table = ShardIndex.of_tail(data, channels, side).table.copy()
    assert table[0, row, column, 0] != ABSENT, "there is such a chunk"
    table[0, row, column] = ABSENT
    shard.write_bytes(data[:-length] + table.tobytes() + _crc(table.tobytes()))
    assert len(shard.read_bytes()) == len(data)
    assert length > CRC_BYTES
    assert np.array_equal(ShardIndex.of_tail(shard.read_bytes(), channels, side).table, table)


def flipped(data: bytes, at: int) -> bytes:
    """Return bytes of which one bit is another."""
    return data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]
