"""Which arrays of an OME-Zarr image are its levels, at which scales."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import zarr

from slideseg.errors import SlideError, explain
from slideseg.slide.facts import Level
from slideseg.slide.levels import level_of, same_pixels
from slideseg.slide.zarr.bare import named_letters
from slideseg.slide.zarr.lacking import lacks
from slideseg.slide.zarr.tier import Tier
from slideseg.slide.zarr.whole import checked
from slideseg.words import number

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

    from slideseg.slide.zarr.layout import Described
    from slideseg.slide.zarr.metadata import Multiscale
    from slideseg.space.box import Box


def tiers_of(path: str, picture: Described) -> tuple[Multiscale, list[Tier], list[str]]:
    """Return the arrays of an image, the largest first, its metadata with as many axes as they have, and what was decided.

    Raises:
        SlideError: if one is missing, or has other axes.
    """
    multiscale, notes = picture.multiscale, []
    arrays = [_array(path, picture.group, dataset.path) for dataset in multiscale.datasets]
    named = named_letters(arrays[0])
    if len(arrays[0].shape) != len(multiscale.axes) and named and set(multiscale.letters) <= set(named):
        got, have = ", ".join(multiscale.letters), ", ".join(named)
        notes.append(f"the metadata names the axes {got}, the arrays {have}: those of the arrays count")
        multiscale = multiscale.along(named)
    letters = multiscale.letters
    if any(len(array.shape) != len(letters) for array in arrays):
        raise SlideError(explain(f"{path}: lying metadata", got=f"{len(letters)} axes for shape {arrays[0].shape}"))
    tiers = [Tier(array, dataset) for array, dataset in zip(arrays, multiscale.datasets, strict=True)]
    ordered = sorted(tiers, key=lambda tier: -math.prod(tier.side(letters)))
    if ordered[0] is not tiers[0]:
        notes.append(f"the finest level is {ordered[0].name}, not {tiers[0].name}, which is listed first")
    return multiscale, ordered, notes


def _array(path: str, group: zarr.Group, name: str) -> zarr.Array[Any]:
    array = group.get(name)
    if not isinstance(array, zarr.Array):
        raise SlideError(explain(f"{path}: a level is missing", got=name, want="the arrays its metadata names"))
    return checked(array)


def levels_in(
    tiers: list[Tier], letters: Sequence[str], read: Callable[[zarr.Array[Any], Box], np.ndarray]
) -> tuple[list[tuple[Tier, Level]], list[str]]:
    """Return the levels among ``tiers`` with their scales, and what was decided.

    ``read`` returns the pixels (y, x, c) of a box of an array's middle plane.
    """
    first = tiers[0]
    full = first.side(letters)
    found, notes = [(first, Level(full))], []
    others = [index for index, letter in enumerate(letters) if letter not in "yx"]
    for tier in tiers[1:]:
        side = tier.side(letters)
        if side == full or any(tier.array.shape[index] != first.array.shape[index] for index in others):
            continue  # reduced along z, say
        level, note = _level(first, found[-1], tier, letters, read)
        if level is None or level.scale <= found[-1][1].scale:
            note = f"level {tier.name} ({side[0]} x {side[1]}) is not the same picture as the finest one, and not used"
        elif lacks(tier, level, found[-1], letters):
            note = f"level {tier.name} lacks chunks of what level {found[-1][0].name} shows, and is not used"
        else:
            found.append((tier, level))
        notes.extend([note] if note else [])
    return found, notes


def _level(
    first: Tier,
    above: tuple[Tier, Level],
    tier: Tier,
    letters: Sequence[str],
    read: Callable[[zarr.Array[Any], Box], np.ndarray],
) -> tuple[Level | None, str]:
    """Return what level an array is, and what was decided: by its scale, else by its size.

    Where both don't say the same, or it would be larger than the picture, it has to have the pixels of the level above.
    """
    if tier.array.dtype != first.array.dtype:
        return None, ""
    side, full, declared = tier.side(letters), first.side(letters), _declared(first, tier, letters)
    for claim in (declared, None):
        level = level_of(side, full, declared=claim, tile=_tile(tier.array, letters))
        if level is None:
            continue
        agrees = declared is None or _agree(level, declared)
        if agrees and level.shape == side:
            return level, ""
        if _same(above, tier, level, read):
            scale = " x ".join(number(by) for by in dict.fromkeys(level.scale))
            told = f"level {tier.name}: its scale doesn't fit its size; by its pixels it is {scale} times smaller"
            return level, "" if agrees else told
    return None, ""


def _declared(first: Tier, tier: Tier, letters: Sequence[str]) -> tuple[float, float] | None:
    """Return the scale of a level by the metadata, in pixels of the finest one."""
    finest, coarse = first.dataset.placement, tier.dataset.placement
    if finest is None or coarse is None:
        return None
    y, x = (coarse.scale[letters.index(letter)] / finest.scale[letters.index(letter)] for letter in "yx")
    return y, x


def _tile(array: zarr.Array[Any], letters: Sequence[str]) -> tuple[int, int]:
    return array.chunks[letters.index("y")], array.chunks[letters.index("x")]


def _agree(level: Level, declared: tuple[float, float]) -> bool:
    """Tell whether a level's scale is the declared one, up to two of its pixels at its far corner."""
    return all(abs(have - said) * side <= 2 * said for have, said, side in zip(level.scale, declared, level.shape, strict=True))


def _same(above: tuple[Tier, Level], tier: Tier, level: Level, read: Callable[[zarr.Array[Any], Box], np.ndarray]) -> bool:
    """Tell whether the pixels of a level are those of the one above it at that scale."""
    finer, its = above
    return same_pixels(lambda box: read(tier.array, box), level.shape, lambda box: read(finer.array, box), its.shape)
