"""Which arrays a result has, how they are cut, and under which keys their shards lie. Whole numbers only."""

from __future__ import annotations

from dataclasses import asdict, dataclass, is_dataclass
from typing import TYPE_CHECKING, Any, Literal

from slideseg.space.grid import CHUNK, ShardGrid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slideseg.space.grid import Shard

SEGMENTATION = "labels/segmentation"
"""Group of the class map."""
OBJECTS = "labels/objects"
"""Group of the instance labels."""
PROBABILITIES = "probabilities"
"""Group of the class probabilities."""
TABLE = "tables/objects.parquet"
"""Key of the object table."""
SMALLEST_SIDE = 512
"""A pyramid ends at the first level whose sides are both at most so long."""


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


@dataclass(frozen=True, slots=True)
class ResultLayout:
    """What a result holds; every process that writes to it gets the same."""

    grid: ShardGrid
    """Shards of the class map at the working resolution."""
    plane_axis: Literal["z", "t"] | None
    """Name of a stack's planes; None for a single image."""
    classes: tuple[Any, ...]
    """All classes, background first: `ModelClass` or dictionaries with id, name and color."""
    probabilities: int
    """Channels of the probabilities; 0 if they are not kept."""
    mpp: float | None
    """Microns per pixel of the working resolution; None if unknown."""
    name: str
    """What viewers call the image."""

    @property
    def levels(self) -> int:
        """Number of levels of every pyramid of the result; viewers want as many for the labels as for the image."""
        return len(level_shapes(self.grid.shape_yx))

    def segmentation(self, level: int = 0) -> ArrayPlan:
        """Return the class map of a pyramid level."""
        return self.labels(SEGMENTATION, "uint8", level)

    def labels(self, group: str, dtype: str, level: int = 0) -> ArrayPlan:
        """Return a label image of a pyramid level, shaped like the class map."""
        axes = f"{self.plane_axis or ''}yx"
        return self._plan(f"{group}/{level}", axes, level, dtype)

    def probability(self, level: int = 0) -> ArrayPlan:
        """Return the probabilities of a pyramid level; only where they are kept."""
        return self._plan(f"{PROBABILITIES}/{level}", image_axes(self.plane_axis), level, "uint8")

    def arrays(self) -> tuple[ArrayPlan, ...]:
        """Return the arrays that the network's shards go to, the class map last."""
        return (*((self.probability(),) if self.probabilities else ()), self.segmentation())

    def class_dicts(self) -> list[dict[str, Any]]:
        """Return the classes as dictionaries with id, name and color."""
        return [asdict(c) if is_dataclass(c) and not isinstance(c, type) else dict(c) for c in self.classes]

    def _plan(self, path: str, axes: str, level: int, dtype: str) -> ArrayPlan:
        height, width = level_shapes(self.grid.shape_yx)[level]
        sizes = {"c": self.probabilities, "y": height, "x": width}
        shape = tuple(sizes.get(axis, self.grid.planes) for axis in axes)
        return ArrayPlan(path, axes, shape, self.grid.side, dtype)


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
