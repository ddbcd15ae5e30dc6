"""Objects grow into the class at their border, step by step, so that what a pixel becomes is decided within a known reach."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from slideseg.labelling.rules import Rules
    from slideseg.labelling.runs import Ints

NONE = np.iinfo(np.int64).max
"""More than any number of a pixel."""
UNSEEN = np.iinfo(np.int32).max
"""Seed of a pixel that belongs to no object."""


def grow(class_map: np.ndarray, rules: Rules) -> tuple[Ints, Ints]:
    """Return (pixels, seeds): the pixels that objects grow to, and the pixel inside an object that each belongs to.

    Pixels are numbered in raster order. A pixel of the border class belongs to the nearest pixel inside an object, by steps
    from pixel to pixel in the border class; of several as near to the first in raster order. Right for pixels that are
    `Rules.halo` away from the edge of ``class_map`` (or where that is the image's own).
    """
    height, width = class_map.shape
    padded = np.zeros((height + 2, width + 2), np.uint8)
    padded[1:-1, 1:-1] = class_map
    flat = padded.reshape(-1)
    seeds = np.full(flat.size, UNSEEN, np.int32)
    inside = np.flatnonzero(class_table(rules.classes)[flat])
    seeds[inside] = inside
    waiting = np.flatnonzero(flat == rules.border)
    reached = [waiting[:0]]
    steps = _neighbours(width + 2, rules.connectivity)
    for _ in range(rules.reach):
        nearest = seeds[waiting + steps[0]]
        for step in steps[1:]:
            np.minimum(nearest, seeds[waiting + step], out=nearest)
        near = nearest != UNSEEN
        reached.append(waiting[near])
        seeds[reached[-1]] = nearest[near]
        waiting = waiting[~near]
    pixels = np.concatenate(reached)
    return _unpadded(pixels, width), _unpadded(seeds[pixels].astype(np.int64), width)


def class_table(classes: tuple[int, ...]) -> np.ndarray:
    """Return for each id of a class map whether it is one of ``classes``."""
    table = np.zeros(256, np.bool_)
    table[list(classes)] = True
    return table


def _unpadded(pixels: Ints, width: int) -> Ints:
    y, x = np.divmod(pixels, width + 2)
    return (y - 1) * width + x - 1


def _neighbours(width: int, connectivity: int) -> tuple[int, ...]:
    """Return by how much the numbers of a pixel's neighbours differ from its own."""
    sides = (-width, -1, 1, width)
    return sides if connectivity == 4 else (*sides, -width - 1, -width + 1, width - 1, width + 1)
