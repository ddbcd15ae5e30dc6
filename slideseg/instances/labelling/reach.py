"""How far an object's rules reach, and where a shard lies in its image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from slideseg.instances.labelling.split import reach_of

if TYPE_CHECKING:
    from slideseg.model.objects import ObjectRules
    from slideseg.space.box import Box

DUAL = {4: 8, 8: 4}
"""How background is connected where objects are connected by so many neighbours: a line that parts one joins the other."""


def halo_of(rules: ObjectRules) -> int:
    """Return how many pixels around a shard decide its labels."""
    return reach_of(rules.split) + (0 if rules.border is None else rules.grow)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a shard lies."""

    box: Box
    """The pixels that it owns."""
    plane: int
    """Its plane; 0 for a single image."""
    shape_yx: tuple[int, int]
    """Rows and columns of the whole image."""

    @property
    def first(self) -> int:
        """Number of its first pixel, when all pixels of all planes are counted in raster order."""
        rows, columns = self.shape_yx
        return (self.plane * rows + self.box.y0) * columns + self.box.x0

    @property
    def inner_sides(self) -> tuple[bool, bool, bool, bool]:
        """Whether another shard lies above, below, to the left, to the right."""
        return self.box.y0 > 0, self.box.y1 < self.shape_yx[0], self.box.x0 > 0, self.box.x1 < self.shape_yx[1]
