"""The levels of a pyramid, each from the one before: labels by mode, images by mean.

    level n    | 2s x 2s pixels: up to four shards |
    level n+1            | s x s: one shard |             one Dask task, one whole write

A shard's side is even, so no block of 2 x 2 pixels lies across a seam and the bytes don't depend on who computes what when.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np

from slideseg.arrays.graphs import GraphExecutor
from slideseg.arrays.plan import ArrayPlan
from slideseg.arrays.shards import create_array, missing_shards, read_shard, write_shard
from slideseg.storage.store import open_made, open_store
from slideseg.tasks.in_process import IN_PROCESS
from slideseg.tasks.run_shards import run_shards

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from slideseg.space.grid import Shard, ShardGrid
    from slideseg.tasks.base import Executor

Reduction = Literal["mode", "mean"]
"""How four pixels become one."""
BAND = 64
"""Rows of the smaller level that are computed at once."""


def write_pyramid(url: str, source: ArrayPlan, reduction: Reduction, levels: int, executor: Executor = IN_PROCESS) -> int:
    """Write the levels behind the complete level 0 ``source``, ``levels`` with it; return how many shards were computed.

    Shards that are there are kept. Memory: about 8 shards a running task.

    Raises:
        ResultError: if a shard of the level before is missing or damaged.
        RunError: if the storage fails.
    """
    store = open_store(url)
    computed = 0
    for target in levels_of(source, levels):
        create_array(store, target)
        missing = missing_shards(store, target)
        run_shards(partial(LevelWorker, url, source, target, reduction), missing, GraphExecutor(executor), light=True)
        computed += len(missing)
        source = target
    return computed


def levels_of(source: ArrayPlan, levels: int) -> Iterator[ArrayPlan]:
    """Yield the plans of the levels behind level 0 ``source``, ``levels`` with it."""
    for _ in range(1, levels):
        source = halved(source)
        yield source


def halved(plan: ArrayPlan) -> ArrayPlan:
    """Return the plan of the next level: half the size, rounded up, under the next number."""
    group, slash, level = plan.path.rpartition("/")
    path = f"{group}{slash}{int(level) + 1}"
    height, width = plan.grid.shape_yx
    shape = (*plan.shape[:-2], -(-height // 2), -(-width // 2))
    return ArrayPlan(path, plan.axes, shape, plan.side, plan.dtype)


class LevelWorker:
    """Computes shards of a level, by number, each from up to four of the level before."""

    def __init__(self, url: str, source: ArrayPlan, target: ArrayPlan, reduction: Reduction) -> None:
        self._store = open_made(url)
        self._source, self._target, self._reduce = source, target, REDUCTIONS[reduction]

    def __call__(self, index: int) -> None:
        """Do one shard.

        Raises:
            ResultError: if one of the level before is missing or damaged.
            RunError: if the storage fails.
        """
        source, target = self._source, self._target
        shard = target.grid[index]
        values = np.empty(target.values_shape(shard), np.dtype(target.dtype))
        for part in parts_of(source.grid, target.grid, shard):
            box = source.grid[part].write_box
            y, x = box.y0 // 2 - shard.write_box.y0, box.x0 // 2 - shard.write_box.x0
            height, width = -(-(box.y1 - box.y0) // 2), -(-(box.x1 - box.x0) // 2)
            _reduce_into(values[..., y : y + height, x : x + width], read_shard(self._store, source, part), self._reduce)
        write_shard(self._store, target, index, values)

    def close(self) -> None:
        """Do nothing: a shard takes less than a second."""


def _reduce_into(target: np.ndarray, source: np.ndarray, reduce: Callable[[np.ndarray], np.ndarray]) -> None:
    """Reduce ``source`` (..., y, x) band by band: what is in between stays in the processor's cache."""
    for y in range(0, target.shape[-2], BAND):
        target[..., y : y + BAND, :] = reduce(source[..., 2 * y : 2 * (y + BAND), :])


def parts_of(source: ShardGrid, target: ShardGrid, shard: Shard) -> Iterator[int]:
    """Yield the indices of the source shards under a target shard."""
    plane, row, column = target.position(shard.index)
    rows, columns = source.per_plane_yx
    for y in range(2 * row, min(2 * row + 2, rows)):
        for x in range(2 * column, min(2 * column + 2, columns)):
            yield (plane * rows + y) * columns + x


def mode_2x2(labels: np.ndarray) -> np.ndarray:
    """Return the most frequent id of every 2 x 2 pixels of (..., y, x); the smallest of equally frequent ones.

    Odd last rows and columns count twice.
    """
    a, b, c, d = _quarters(labels)
    a, b = np.minimum(a, b), np.maximum(a, b)
    c, d = np.minimum(c, d), np.maximum(c, d)
    first, a = np.minimum(a, c), np.maximum(a, c)
    last, b = np.maximum(b, d), np.minimum(b, d)
    second, third = np.minimum(a, b), np.maximum(a, b)
    # Sorted, equal ids are neighbours: the first pair is the mode, and the smallest id where two pairs tie.
    tail = np.where((second == third) | (third == last), third, first)
    mode: np.ndarray = np.where(first == second, first, np.where(second == third, second, tail))
    return mode


def mean_2x2(image: np.ndarray) -> np.ndarray:
    """Return the mean of every 2 x 2 pixels of (..., y, x), whole numbers rounded half up.

    Odd last rows and columns count twice.
    """
    if image.dtype.kind == "b":
        return mode_2x2(image)
    if image.dtype.kind == "f":
        a, b, c, d = _quarters(image.astype(np.float64 if image.dtype.itemsize == 8 else np.float32))
        mean: np.ndarray = ((a + b + (c + d)) / 4).astype(image.dtype)
        return mean
    wide = _wider(image.dtype)
    a, b, c, d = (quarter.astype(wide) for quarter in _quarters(image))
    rounded: np.ndarray = ((a + b + c + d + 2) >> 2).astype(image.dtype)
    return rounded


def _wider(dtype: np.dtype) -> np.dtype:
    """Return a whole-number type that holds the sum of four values; 64-bit ids are never averaged."""
    return np.dtype(f"{dtype.kind}{min(8, 2 * dtype.itemsize)}")


def _quarters(array: np.ndarray) -> list[np.ndarray]:
    """Return the four pixels of every 2 x 2 block, as four arrays."""
    odd = [(0, 0)] * (array.ndim - 2) + [(0, array.shape[-2] % 2), (0, array.shape[-1] % 2)]
    even = np.pad(array, odd, mode="edge") if any(after for _, after in odd) else array
    return [even[..., y::2, x::2] for y in (0, 1) for x in (0, 1)]


REDUCTIONS = {"mode": mode_2x2, "mean": mean_2x2}
"""The function of each reduction."""
