"""Memory of decoded tiles: where one is decoded to, and those that a box cut in two, kept for the neighbouring box.

A tile that lies in a box as a whole is not wanted again soon and is never kept. So what is kept are the tiles along the edges
of the last boxes, whatever the size of the slide: one small cache for a process. Memory of a tile's size that is taken anew for
every tile costs up to a third of the decoder's time where large blocks are the system's own pages, as they are in a worker
(`slideseg.machine.return_freed_memory`).
"""

from __future__ import annotations

import math
import os
from collections import OrderedDict
from itertools import count
from threading import Lock, local
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

CACHE_BYTES = 32 * 2**20
"""Of decoded tiles: the edges of two shards of 2,048 px in tiles of 512 px and three samples, and as much again for halos."""

_MOST_SCRATCH = 4 << 20
"""Bytes that a thread keeps for the tile that it decodes."""

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


class _Scratch(local):
    """Memory of a thread for the tile that it decodes."""

    def __init__(self) -> None:
        self._memory = np.empty(0, np.uint8)

    def array(self, shape: tuple[int, int, int], dtype: np.dtype) -> np.ndarray | None:
        """Return an array of the thread's memory; None if it is too large to be kept."""
        size = math.prod(shape) * dtype.itemsize
        if size > _MOST_SCRATCH:
            return None
        if size > self._memory.size:
            self._memory = _bytes(size)
        return self._memory[:size].view(dtype).reshape(shape)


def _bytes(size: int) -> np.ndarray:
    """Return memory that begins 16 bytes behind a multiple of 32.

    At a multiple, libjpeg-turbo writes its rows past the caches, which is slower where they are copied soon: by a sixth.
    """
    memory = np.empty(size + 32, np.uint8)
    start = (16 - memory.ctypes.data) % 32
    return memory[start : start + size]


def tile_memory(shape: tuple[int, int, int], dtype: np.dtype) -> np.ndarray:
    """Return new memory for a decoded tile of ``shape`` (y, x, samples)."""
    return _bytes(math.prod(shape) * dtype.itemsize).view(dtype).reshape(shape)


def memory_for(place: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray | None:
    """Return memory for a tile of ``shape`` (y, x, samples) whose pixels go to ``place``; None if that would be too much.

    It is the place itself where that has the shape, else the thread's own, which is to be copied before the next tile.
    """
    if place.shape == shape and place.flags.c_contiguous:
        return place
    return _scratch.array(shape, place.dtype)


_scratch = _Scratch()
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
