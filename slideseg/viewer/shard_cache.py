"""Boxes of a result's arrays for many tiles at once: shards that were just read are kept, up to so many bytes."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from itertools import count
from threading import Lock
from typing import TYPE_CHECKING, Protocol

from slideseg.arrays.boxes import BoxReader
from slideseg.arrays.shards import read_shard

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from slideseg.arrays.plan import ArrayPlan
    from slideseg.space.box import Box
    from slideseg.storage.store import Store

CACHE_BYTES = 256 * 2**20
"""Of decoded shards."""
TABLE_BYTES = 512 * 2**20
"""Of columns: those of some million objects."""
STRIPES = 16
"""Shards that may be read at the same time."""

Key = tuple[str | int, ...]
"""An array's path and a shard's number; in a cache of several results first which of them."""


class Cache(Protocol):
    """Where pixels are kept that were just read."""

    def get(self, key: Key, read: Callable[[], np.ndarray]) -> np.ndarray:
        """Return the pixels under ``key``, by ``read`` where they are not kept; they must not be changed."""
        ...


class ShardCache:
    """Decoded shards, those used last; what several threads want at once is read once."""

    def __init__(self, most_bytes: int = CACHE_BYTES) -> None:
        self._most_bytes = most_bytes
        self._kept: OrderedDict[Key, np.ndarray] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()
        self._reading = [Lock() for _ in range(STRIPES)]

    @property
    def bytes(self) -> int:
        """What the kept shards take."""
        return self._bytes

    def get(self, key: Key, read: Callable[[], np.ndarray]) -> np.ndarray:
        """Return the pixels under ``key``, by ``read`` where they are not kept; they must not be changed."""
        with self._reading[hash(key) % STRIPES]:
            with self._lock:
                if key in self._kept:
                    self._kept.move_to_end(key)
                    return self._kept[key]
            pixels = read()
            with self._lock:
                self._keep(key, pixels)
            return pixels

    def _keep(self, key: Key, pixels: np.ndarray) -> None:
        if pixels.nbytes > self._most_bytes:
            return
        self._kept[key] = pixels
        self._bytes += pixels.nbytes
        while self._bytes > self._most_bytes:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= dropped.nbytes


@dataclass(frozen=True, slots=True)
class Caches:
    """What all results that are open share."""

    shards: Cache = field(default_factory=ShardCache)
    """Pixels."""
    tables: Cache = field(default_factory=lambda: ShardCache(TABLE_BYTES))
    """Columns of tables, and what is made of them."""


class CachePart:
    """What one result has of a cache that many share: no two have the same keys, also where one is opened again."""

    _numbers = count()

    def __init__(self, whole: Cache) -> None:
        self._whole, self._number = whole, next(self._numbers)

    def get(self, key: Key, read: Callable[[], np.ndarray]) -> np.ndarray:
        """Return the pixels under ``key``, by ``read`` where they are not kept; they must not be changed."""
        return self._whole.get((self._number, *key), read)


class CachedReader(BoxReader):
    """Reads boxes of one array through a cache."""

    def __init__(self, cache: Cache, store: Store, plan: ArrayPlan) -> None:
        super().__init__(store, plan)
        self._cache = cache

    def part(self, index: int, box: Box) -> np.ndarray:
        """Return the pixels of a box of a shard."""
        whole = self._cache.get((self.plan.path, index), lambda: read_shard(self._store, self.plan, index))
        return whole[(..., *box.slices)]
