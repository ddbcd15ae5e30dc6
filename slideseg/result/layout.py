"""Which arrays a result has. Whole numbers only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from slideseg.arrays.plan import ArrayPlan, image_axes, level_shapes

if TYPE_CHECKING:
    from slideseg.model.info import ModelClass
    from slideseg.result.coordinates import Coordinates
    from slideseg.space.grid import ShardGrid

SEGMENTATION = "labels/segmentation"
"""Group of the class map."""
OBJECTS = "labels/objects"
"""Group of the instance labels."""
PROBABILITIES = "probabilities"
"""Group of the class probabilities."""
TABLE = "tables/objects.parquet"
"""Key of the object table."""


@dataclass(frozen=True, slots=True)
class ResultLayout:
    """What a result holds; every process that writes to it gets the same."""

    grid: ShardGrid
    """Shards of the class map at the working resolution."""
    plane_axis: Literal["z", "t"] | None
    """Name of a stack's planes; None for a single image."""
    classes: tuple[ModelClass, ...]
    """All classes, background first."""
    probabilities: int
    """Channels of the probabilities; 0 if they are not kept."""
    coordinates: Coordinates
    """Where the pixels of the class map lie."""

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

    def _plan(self, path: str, axes: str, level: int, dtype: str) -> ArrayPlan:
        height, width = level_shapes(self.grid.shape_yx)[level]
        sizes = {"c": self.probabilities, "y": height, "x": width}
        shape = tuple(sizes.get(axis, self.grid.planes) for axis in axes)
        return ArrayPlan(path, axes, shape, self.grid.side, dtype)
