"""Which chunks a shard of somebody else's array holds, by its index: at its end, or at its beginning."""

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
    codecs: tuple[Any, ...] = getattr(codec, "index_codecs", ())
    names = [type(one).__name__ for one in codecs]
    length = _ENTRY * math.prod(counts)
    if length > _MOST or names not in (["BytesCodec"], ["BytesCodec", "Crc32cCodec"]):
        return None
    whole = length + _CHECKSUM * (len(codecs) - 1)
    index = (keys.tail if codec.index_location.value == "end" else keys.head)(key, whole)
    if index is None or len(index) != whole:
        return None
    order = ">" if getattr(codecs[0].endian, "value", None) == "big" else "<"
    starts = np.frombuffer(index[:length], f"{order}u8").reshape(*counts, 2)[..., 0]
    return np.asarray(starts != _NOTHING)
