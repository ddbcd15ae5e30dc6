"""How a sharded array is cut, and under which keys its shards lie. Whole numbers only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from slideseg.space.grid import CHUNK, ShardGrid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slideseg.space.grid import Shard

SMALLEST_SIDE = 512
"""A pyramid ends at the first level whose sides are both at most so long."""
MOST_SHARDS = 1 << 22
"""No array has more: at 1,024 pixels a shard it would be two million pixels a side. A description that says so is damaged."""


@dataclass(frozen=True, slots=True)
class ArrayPlan:
    """One sharded array: its pixels, how they are cut, its keys."""

    path: str
    """Place in the store, such as ``labels/segmentation/0``."""
    axes: str
    """Names of the axes in order: ``yx``, with ``z`` or ``t`` for planes and ``c`` for channels."""
    shape: tuple[int, ...]
    """Size along `axes`."""
    side: int
    """Rows and columns of a shard."""
    dtype: str = "uint8"
    """numpy's name of the type."""

    @property
    def channels(self) -> int | None:
        """Number of channels; None without such an axis."""
        return self.shape[self.axes.index("c")] if "c" in self.axes else None

    @property
    def grid(self) -> ShardGrid:
        """All shards."""
        planes = self.shape[0] if self.axes[0] in "zt" else self.shape[1] if "cz" in self.axes else 1
        return ShardGrid((self.shape[-2], self.shape[-1]), planes, self.side)

    @property
    def shard(self) -> tuple[int, ...]:
        """Shape of a shard: all channels of one plane."""
        sizes = {"y": self.side, "x": self.side, "c": self.channels or 1}
        return tuple(sizes.get(axis, 1) for axis in self.axes)

    @property
    def chunk(self) -> tuple[int, ...]:
        """Shape of a chunk: one channel of one plane."""
        return tuple(CHUNK if axis in "yx" else 1 for axis in self.axes)

    def values_shape(self, shard: Shard) -> tuple[int, ...]:
        """Return the shape (y, x) or (c, y, x) of a shard's pixels inside the array."""
        return shard.write_box.shape if self.channels is None else (self.channels, *shard.write_box.shape)

    def key(self, index: int) -> str:
        """Return the key of a shard.

        >>> ArrayPlan("p/0", "czyx", (3, 5, 4000, 9000), 2048).key(12)
        'p/0/c/0/1/0/2'
        """
        plane, row, column = self.grid.position(index)
        place = {"z": plane, "t": plane, "c": 0, "y": row, "x": column}
        return f"{self.path}/c/" + "/".join(str(place[axis]) for axis in self.axes)

    def shard_keys(self) -> Iterator[str]:
        """Yield the keys of all shards, in order."""
        return (self.key(index) for index in range(len(self.grid)))


def image_axes(plane_axis: str | None) -> str:
    """Return the axes of an image with channels; NGFF orders them t, c, z, y, x.

    >>> [image_axes(axis) for axis in (None, "t", "z")]
    ['cyx', 'tcyx', 'czyx']
    """
    return {None: "cyx", "t": "tcyx", "z": "czyx"}[plane_axis]


def level_shapes(shape_yx: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    """Return rows and columns of all pyramid levels: each half of the one before, rounded up.

    >>> level_shapes((3, 1025))
    ((3, 1025), (2, 513), (1, 257))
    """
    shapes = [shape_yx]
    while max(shapes[-1]) > SMALLEST_SIDE:
        height, width = shapes[-1]
        shapes.append((-(-height // 2), -(-width // 2)))
    return tuple(shapes)
