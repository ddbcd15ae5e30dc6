"""Whether a level lacks chunks of what the level above it shows: then its pixels are no reduced copy of it.

Writers leave out chunks of nothing but the fill value, of a level as of the one above. What tells these from lost ones is what
the finer level has there.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from slideseg.slide.zarr.place import FAULTS, is_of_storage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from slideseg.slide.facts import Level
    from slideseg.slide.zarr.census import Region
    from slideseg.slide.zarr.tier import Tier

_LOOKS = 32
"""Regions of the finer level that are read, if there is nothing in them."""
_MOST = 1 << 26
"""Pixels of such a region."""


def lacks(tier: Tier, level: Level, above: tuple[Tier, Level], letters: Sequence[str]) -> bool:
    """Tell whether there are pixels in the level ``above`` where chunks of a level are not stored."""
    finer, _ = above
    looked = 0
    for region in _finer(tier.absent, level, above[1], letters):
        if finer.chunks is not None and not finer.chunks.holds(region):
            continue
        if math.prod(high - low for low, high in region) > _MOST or _has_pixels(finer, region, tier.array.fill_value):
            return True
        looked += 1
        if looked == _LOOKS:
            break
    return False


def _finer(regions: Sequence[Region], level: Level, above: Level, letters: Sequence[str]) -> Iterator[Region]:
    """Yield what lies under regions of a level in the finer one, without what is padding."""
    for region in regions:
        under = list(region)
        for side, letter in enumerate("yx"):
            axis, by = letters.index(letter), level.scale[side] / above.scale[side]
            low, high = region[axis]
            last = min(above.shape[side], math.floor(min(high, level.shape[side]) * by))
            under[axis] = (math.ceil(low * by), last)
        if all(low < high for low, high in under):
            yield tuple(under)


def _has_pixels(finer: Tier, region: Region, fill: object) -> bool:
    """Tell whether a region of the finer level is something else than the value that its reduced copy is filled with."""
    try:
        pixels = np.asarray(finer.array[tuple(slice(low, high) for low, high in region)])
    except FAULTS as fault:
        if is_of_storage(fault):
            raise
        return True  # there is something, whatever it is
    empty = np.full_like(pixels, 0 if fill is None else fill)
    return not np.array_equal(pixels, empty, equal_nan=pixels.dtype.kind == "f")
