"""Which pixel belongs to which object, within a known reach: middles grow into their class, then all into the border."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from slideseg.instances.labelling.split import STEPS, find_peaks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from slideseg.instances.labelling.runs import Ints
    from slideseg.model.objects import ObjectRules

NONE = np.iinfo(np.int64).max
"""More than any number of a pixel."""
UNSEEN = np.iinfo(np.int32).max
"""Seed of a pixel that belongs to no object."""
EMPTY: Ints = np.empty(0, np.int64)
"""No pixels."""


@dataclass(frozen=True, slots=True)
class Seeded:
    """The pixels that objects start from, and those that they grow to."""

    core: np.ndarray
    """(y, x) the class, or 1 for any, where neighbours of one value are one object; 0 elsewhere."""
    grown: Ints
    """Pixels that objects grow to, in no order; pixels are numbered in raster order."""
    seed: Ints
    """For each of them the pixel of the core that it belongs to."""


def seed_objects(class_map: np.ndarray, rules: ObjectRules) -> Seeded:
    """Return where objects start and where they grow to.

    A pixel belongs to the nearest pixel of the core, by steps from pixel to pixel; of several as near to the first in raster
    order. With `ObjectRules.split` the core is the peaks and they grow within their class first. Then all grow into the border.
    Right for pixels that are `halo_of` away from the edge of ``class_map`` (or where that is the image's own).
    """
    inside = of_classes(class_map, rules.classes)
    if rules.together:
        inside = (inside > 0).astype(inside.dtype)
    if not rules.split and rules.border is None:
        return Seeded(inside, EMPTY, EMPTY)
    field, core = _Field(inside, rules.connectivity), inside
    if rules.split:
        peaks = find_peaks(inside, rules.split)
        field.start(peaks)
        field.grow((inside > 0) & ~peaks, STEPS * rules.split, within_class=True)
        # What no peak reached is an object too. It touches no peak of its class: that would have reached it.
        core = np.where(peaks | ~field.seen, inside, np.uint8(0))
    if rules.border is not None:
        field.start((inside > 0) & ~field.seen)
        field.grow(class_map == rules.border, rules.grow)
    return Seeded(core, *field.grown())


class _Field:
    """The seed of every pixel of an image with a frame of one pixel around it, so that every pixel has all neighbours."""

    def __init__(self, inside: np.ndarray, connectivity: int) -> None:
        self._shape = inside.shape
        self._classes = np.pad(inside, 1).reshape(-1)
        self._seeds = np.full(self._classes.size, UNSEEN, np.int32)
        self._steps = _neighbours(inside.shape[1] + 2, connectivity)
        self._grown = [EMPTY]

    @property
    def seen(self) -> NDArray[np.bool_]:
        """Return which pixels (y, x) have a seed."""
        seen: NDArray[np.bool_] = self._seeds != UNSEEN
        return seen.reshape(self._shape[0] + 2, -1)[1:-1, 1:-1]

    def start(self, mask: np.ndarray) -> None:
        """Make pixels their own seeds."""
        at = np.flatnonzero(np.pad(mask, 1))
        self._seeds[at] = at

    def grow(self, mask: np.ndarray, steps: int, *, within_class: bool = False) -> None:
        """Give pixels of ``mask`` the seeds of their neighbours, at most so many steps away."""
        waiting = np.flatnonzero(np.pad(mask, 1))
        for _ in range(steps):
            nearest = self._nearest(waiting, within_class=within_class)
            near = nearest != UNSEEN
            if not near.any():
                return
            self._grown.append(waiting[near])
            self._seeds[waiting[near]] = nearest[near]
            waiting = waiting[~near]

    def _nearest(self, waiting: Ints, *, within_class: bool) -> np.ndarray:
        nearest = np.full(waiting.size, UNSEEN, np.int32)
        for step in self._steps:
            seeds = self._seeds[waiting + step]
            if within_class:
                seeds[self._classes[waiting + step] != self._classes[waiting]] = UNSEEN
            np.minimum(nearest, seeds, out=nearest)
        return nearest

    def grown(self) -> tuple[Ints, Ints]:
        """Return (pixels, seeds) of all pixels that were grown to, numbered without the frame."""
        pixels = np.concatenate(self._grown)
        return self._unframed(pixels), self._unframed(self._seeds[pixels].astype(np.int64))

    def _unframed(self, pixels: Ints) -> Ints:
        width: int = self._shape[1]
        y, x = np.divmod(pixels, width + 2)
        return (y - 1) * width + x - 1


def of_classes(class_map: np.ndarray, classes: tuple[int, ...]) -> np.ndarray:
    """Return a class map with 0 for what is not one of ``classes``, of which there is one at least."""
    keep = class_map == classes[0]
    for class_id in classes[1:]:
        keep |= class_map == class_id
    kept: np.ndarray = class_map * keep
    return kept


def _neighbours(width: int, connectivity: int) -> tuple[int, ...]:
    """Return by how much the numbers of a pixel's neighbours differ from its own."""
    sides = (-width, -1, 1, width)
    return sides if connectivity == 4 else (*sides, -width - 1, -width + 1, width - 1, width + 1)
