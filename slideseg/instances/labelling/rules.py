"""What an object is: the rules that decide the labels, and the place of a shard in the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from slideseg.errors import ResultError, explain
from slideseg.instances.labelling.split import reach_of

if TYPE_CHECKING:
    from slideseg.space.box import Box

DUAL = {4: 8, 8: 4}
"""How background is connected where objects are connected by so many neighbours: a line that parts one joins the other."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What an object is, in pixels of the class map.

    It is made in this order:

    1. pixels of the same class in `classes` that touch are one object; with `split` it is parted at its necks;
    2. pixels of the class `border` go to the nearest object, at most `reach` steps away;
    3. holes of at most `max_hole` pixels that lie in one object are filled;
    4. objects of less than `min_area` pixels are removed.
    """

    classes: tuple[int, ...]
    """Ids of the classes whose pixels make objects."""
    split: int = 0
    """Pixels around an object's middle in which it has no other; 0 parts nothing."""
    border: int | None = None
    """Id of the class that objects grow into; None if they don't."""
    reach: int = 0
    """Steps that objects grow at most."""
    connectivity: int = 4
    """Neighbours that touch: 4, or 8 with those at the corners."""
    max_hole: int = 0
    """Pixels of the largest hole that is filled; 0 fills none."""
    min_area: int = 0
    """Pixels of the smallest object that stays."""

    @classmethod
    def of_record(cls, record: dict[str, Any]) -> Self:
        """Return the rules that objects in a result say they follow.

        Raises:
            ResultError: if they are not such rules.
        """
        try:
            return cls(**{**record, "classes": tuple(record["classes"])})
        except (KeyError, TypeError) as error:
            what = "the objects that are there follow rules that are not known here"
            raise ResultError(explain(what, got=", ".join(record), try_="slideseg objects --overwrite")) from error

    @property
    def halo(self) -> int:
        """Pixels around a shard that decide its labels."""
        return reach_of(self.split) + (0 if self.border is None else self.reach)


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
