"""Which chunks a shard of somebody else's array holds, by the index at its end."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import zarr

    from slideseg.slide.zarr.keys import Keys

_ENTRY = 16
"""Bytes of an entry: where a chunk begins, and how long it is."""
_CHECKSUM = 4
_NOTHING = np.uint64(2**64 - 1)
"""The beginning of a chunk that is not stored."""
_MOST = 1 << 22
"""Bytes of an index that is worth reading."""


def stored_in_shard(array: zarr.Array[Any], keys: Keys, key: str) -> np.ndarray | None:
    """Return which chunks of the shard under ``key`` are stored, shaped as they lie in it; None where that can't be told."""
    outer, inner = array.shards, array.chunks
    counts = tuple(shard // chunk for shard, chunk in zip(outer or inner, inner, strict=True))
    codec: Any = getattr(array.metadata, "codecs", (None,))[0]
    names = [type(one).__name__ for one in getattr(codec, "index_codecs", ())]
    length = _ENTRY * math.prod(counts)
    if length > _MOST or names != ["BytesCodec", "Crc32cCodec"] or codec.index_location.value != "end":
        return None
    tail = keys.tail(key, length + _CHECKSUM)
    if tail is None or len(tail) != length + _CHECKSUM:
        return None
    starts = np.frombuffer(tail[:length], "<u8").reshape(*counts, 2)[..., 0]
    return np.asarray(starts != _NOTHING)
