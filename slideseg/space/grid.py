"""Which pixels are computed where: shards of the output and tiles inside a shard. Whole numbers only.

    slide    |------------------------------------------|
    shard             |wwwwwwwwwwwwwwww|                     write_box: owned, one task, one writer
    tile                 |rr|wwwwwww|rr|                     write_box on the pooling grid, read_box = write_box + reach

Shards and tiles start on multiples of the network's stride counted from the slide's first pixel, which lies on the pooling
grid of the whole image (its padded form starts a whole number of strides before, see ``docs/exactness.md``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from slideseg.space.box import Box

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK = 256
"""Side of a chunk in pixels: what a viewer reads at once."""
SHARD_SIDES = (2048, 1024)
"""Possible sides of a shard in pixels, the wanted one first. All are multiples of `CHUNK` and of every stride."""
ENOUGH_SHARDS = 16
"""The larger shard is taken where a plane has at least so many; smaller slides get more, smaller shards to share out."""


@dataclass(frozen=True, slots=True)
class Shard:
    """One file of the result's class map: one task, one writer."""

    index: int
    """Place in the grid, row by row, plane by plane."""
    plane: int
    """Plane of a stack; 0 for a single image."""
    write_box: Box
    """Pixels it owns, inside the slide."""


@dataclass(frozen=True, slots=True)
class ShardGrid:
    """All shards of a result. Their write boxes hold every pixel of every plane exactly once."""

    shape_yx: tuple[int, int]
    """Rows and columns of a plane."""
    planes: int
    """Planes of a stack; 1 for a single image."""
    side: int
    """Side of a shard in pixels; shards at the lower and right edge may be smaller."""

    @property
    def per_plane_yx(self) -> tuple[int, int]:
        """Rows and columns of shards in a plane."""
        return -(-self.shape_yx[0] // self.side), -(-self.shape_yx[1] // self.side)

    def __len__(self) -> int:
        rows, columns = self.per_plane_yx
        return self.planes * rows * columns

    def __iter__(self) -> Iterator[Shard]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> Shard:
        if not 0 <= index < len(self):
            msg = f"no shard {index} in a grid of {len(self)}"
            raise IndexError(msg)
        plane, row, column = self.position(index)
        corner = Box(0, 0, self.side, self.side).shift(row * self.side, column * self.side)
        return Shard(index, plane, corner.intersect(Box.of_shape(self.shape_yx)))

    def position(self, index: int) -> tuple[int, int, int]:
        """Return (plane, row, column) of a shard."""
        rows, columns = self.per_plane_yx
        plane, rest = divmod(index, rows * columns)
        return plane, *divmod(rest, columns)


@dataclass(frozen=True, slots=True)
class Tile:
    """One input of the network."""

    write_box: Box
    """The core: what it computes. Corners on multiples of the stride, so it may leave the slide at the lower right."""
    read_box: Box
    """The core grown by the network's reach: what it sees. May leave the slide on any side."""


def shard_side(shape_yx: tuple[int, int]) -> int:
    """Return the side of a slide's shards; it depends on the slide's size alone, so that the bytes do too.

    >>> shard_side((2220, 2967)), shard_side((10_000, 10_000))
    (1024, 2048)
    """
    large, small = SHARD_SIDES
    return large if len(ShardGrid(shape_yx, 1, large)) >= ENOUGH_SHARDS else small


def split_evenly(length: int, largest: int, stride: int) -> list[int]:
    """Split ``length`` into the fewest parts of at most ``largest``, multiples of ``stride``, as equal as can be.

    The parts add up to ``length`` rounded up to the stride; ``largest`` is a multiple of the stride.

    >>> split_evenly(1000, 384, 16)
    [336, 336, 336]
    """
    cells, largest_cells = -(-length // stride), largest // stride
    parts = -(-cells // largest_cells)
    return [stride * (cells // parts + (part < cells % parts)) for part in range(parts)]


def tiles_of(box: Box, largest_core: int, stride: int, reach: int) -> Iterator[Tile]:
    """Yield the tiles whose cores hold every pixel of ``box`` exactly once, row by row.

    ``box`` starts on the grid. Cores are at most ``largest_core`` a side and leave the box only at its lower and right edge,
    by less than a stride.
    """
    y = box.y0
    for height in split_evenly(box.y1 - box.y0, largest_core, stride):
        x = box.x0
        for width in split_evenly(box.x1 - box.x0, largest_core, stride):
            core = Box(y, x, y + height, x + width)
            yield Tile(core, core.grow(reach))
            x += width
        y += height
