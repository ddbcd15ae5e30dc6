"""How much of a result each class has, from the finest level of the class map that is read in a moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from slideseg.arrays.boxes import levels_of
from slideseg.errors import ResultError
from slideseg.model.objects import BORDER, ObjectRules
from slideseg.result.layout import SEGMENTATION
from slideseg.space.box import Box

if TYPE_CHECKING:
    from slideseg.result.result import Result

MOST_PIXELS = 2**26
"""Pixels of the level that is read, at most, unless the coarsest has more."""
IDS = 256
"""Class ids are of 8 bits."""


@dataclass(frozen=True, slots=True)
class Areas:
    """The share of each class of a class map."""

    shares: dict[str, float]
    """From 0 to 1 by the class's name, background first."""
    exact: bool
    """Whether level 0 was counted; if not, thin and small parts count a little less than they have."""
    outer: str | None = None
    """The class that is the outer part of objects, into which they grow; None where there is none. The area of the objects is
    that of their classes and this one."""

    @property
    def all_but_background(self) -> float:
        """The share of all classes together, background apart."""
        return sum(list(self.shares.values())[1:])


def class_areas(result: Result) -> Areas:
    """Count the pixels of each class. Memory: a shard.

    Raises:
        ResultError: if the class map is damaged there.
    """
    levels = levels_of(result.url, SEGMENTATION)
    sizes = [int(np.prod(level.plan.shape)) for level in levels]
    number = next((number for number, size in enumerate(sizes) if size <= MOST_PIXELS), len(levels) - 1)
    level, counts = levels[number], np.zeros(IDS, np.int64)
    for shard in level.plan.grid:
        part = level.part(shard.index, Box.of_shape(shard.write_box.shape))
        counts += np.bincount(part.ravel(), minlength=IDS)  # which takes eight times as much for a while
    shares = {known.name: float(counts[known.id] / sizes[number]) for known in result.classes}
    return Areas(shares, exact=number == 0, outer=outer_class(result))


def outer_class(result: Result) -> str | None:
    """Return the name of the class that objects grow into: as they were made, or the model says, or it is called."""
    try:
        record = result.objects_record
    except ResultError:  # who asks for areas need not hear of damaged objects
        record = None
    made = ObjectRules() if record is None else record.rules
    names = {known.id: known.name for known in result.classes}
    called = next((id_ for id_, name in names.items() if name == BORDER), None)
    outer = next((id_ for id_ in (made.border, result.record.model.objects.border, called) if id_ is not None), None)
    return None if outer is None or outer in made.classes else names.get(outer)
