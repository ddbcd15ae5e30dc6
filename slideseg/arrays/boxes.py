"""Read any box of an array of a result from its shards: the one way, and one that fails where a chunk is missing.

A Zarr reader takes a missing chunk for background, and pixels that are not there for pixels without a class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from slideseg.arrays.described import level_paths, ome_of
from slideseg.arrays.shards import plan_of, read_part
from slideseg.errors import ResultError, explain
from slideseg.space.box import Box
from slideseg.storage.store import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from slideseg.arrays.plan import ArrayPlan
    from slideseg.storage.store import Store


class BoxReader:
    """Reads boxes of one array. Memory: the box, and the chunks of one shard that it touches."""

    def __init__(self, store: Store, plan: ArrayPlan) -> None:
        self.plan = plan
        """How the array is cut."""
        self._store = store

    @property
    def shape_yx(self) -> tuple[int, int]:
        """Rows and columns of a plane."""
        return self.plan.grid.shape_yx

    def read(self, box: Box, plane: int = 0) -> np.ndarray:
        """Return the pixels (y, x) or (c, y, x) of a box inside the array.

        Raises:
            ResultError: if a chunk that it touches is missing or damaged.
        """
        channels = () if self.plan.channels is None else (self.plan.channels,)
        values = np.empty((*channels, *box.shape), np.dtype(self.plan.dtype))
        for index in self._shards(box, plane):
            owned = self.plan.grid[index].write_box
            shared = box.intersect(owned)
            values[(..., *shared.relative_to(box).slices)] = self.part(index, shared.relative_to(owned))
        return values

    def around(self, index: int, margin: int) -> tuple[np.ndarray, Box]:
        """Return the pixels of a shard and what there is within ``margin`` pixels around it, and the box of it all.

        Raises:
            ResultError: if a chunk of it is missing or damaged.
        """
        shard = self.plan.grid[index]
        outer = shard.write_box.grow(margin).intersect(Box.of_shape(self.shape_yx))
        return self.read(outer, shard.plane), outer

    def part(self, index: int, box: Box) -> np.ndarray:
        """Return the pixels of a box of a shard, in pixels from the shard's first one."""
        return read_part(self._store, self.plan, index, box)

    def _shards(self, box: Box, plane: int) -> Iterator[int]:
        side = self.plan.side
        rows, columns = self.plan.grid.per_plane_yx
        if not box.area:
            return
        for row in range(box.y0 // side, (box.y1 - 1) // side + 1):
            for column in range(box.x0 // side, (box.x1 - 1) // side + 1):
                yield (plane * rows + row) * columns + column


def levels_of(
    url: str, group: str, reader: Callable[[Store, ArrayPlan], BoxReader] = BoxReader, *, optional: bool = False
) -> list[BoxReader]:
    """Return the levels of a pyramid of a finished result, the largest first; ``group`` is empty for the image.

    Only of an ``optional`` pyramid there may be none. ``reader`` makes what reads a level.

    Raises:
        ResultError: if what tells of them is damaged.
    """
    store = open_store(url, read_only=True)
    paths = level_paths(ome_of(store, group), group)
    inside = [path for path in paths if "/" not in path]  # a result without image shows its class map in its place
    if not inside and not optional:
        raise ResultError(explain(f"{group}/zarr.json tells of no image", try_="slideseg verify --repair"))
    return [reader(store, plan_of(store, f"{group}/{path}".lstrip("/"))) for path in inside]
