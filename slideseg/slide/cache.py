"""Decoded tiles that a box cut in two, kept for the neighbouring box: one small cache for a process.

A tile that lies in a box as a whole is not wanted again soon and is never kept. So what is kept are the tiles along the edges
of the last boxes, whatever the size of the slide.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from itertools import count
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

CACHE_BYTES = 32 * 2**20
"""Of decoded tiles: the edges of two shards of 2,048 px in tiles of 512 px and three samples, and as much again for halos."""

Key = tuple[int, int, int]
"""An opened file's number (`new_owner`), and where the page and the tile are in it."""


class TileCache:
    """Decoded tiles, those used last. Serves several threads at once; they may decode the same tile at the same time."""

    def __init__(self, most_bytes: int = CACHE_BYTES) -> None:
        self._most_bytes = most_bytes
        self._kept: OrderedDict[Key, np.ndarray] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    @property
    def bytes(self) -> int:
        """What the kept tiles take."""
        return self._bytes

    def get(self, key: Key, decode: Callable[[], np.ndarray]) -> np.ndarray:
        """Return the pixels under ``key``, by ``decode`` where they are not kept; they must not be changed."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        pixels = decode()
        with self._lock:
            if key not in self._kept:
                self._kept[key] = pixels
                self._bytes += pixels.nbytes
            while self._bytes > self._most_bytes:
                self._bytes -= self._kept.popitem(last=False)[1].nbytes
        return pixels

    def forget(self, owner: int) -> None:
        """Drop the tiles of a file that was closed."""
        with self._lock:
            for key in [key for key in self._kept if key[0] == owner]:
                self._bytes -= self._kept.pop(key).nbytes


_numbers = count()
_cache = TileCache()


def new_owner() -> int:
    """Return a number for a file that was just opened, no other's in this process."""
    return next(_numbers)


def tile_cache() -> TileCache:
    """Return the cache of this process."""
    return _cache


def _start_anew() -> None:
    """Begin with an empty cache in a forked child: another thread may have held the lock."""
    global _cache
    _cache = TileCache()


os.register_at_fork(after_in_child=_start_anew)
