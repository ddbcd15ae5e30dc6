"""The levels of one image of a TIFF: which of its further resolutions are the same picture, and at which scale."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from slideseg.slide.facts import Level
from slideseg.slide.levels import (
    LARGEST_LOOK,
    PROBES,
    SAMPLES,
    compared,
    lacks,
    level_of,
    possible_levels,
    same_pixels,
    shows_another,
)
from slideseg.slide.tiff.decoding.samples import Colour, are_alike, colour_of
from slideseg.slide.tiff.decoding.segments import chunk_of
from slideseg.slide.tiff.images.series import leading_axes, side_of
from slideseg.slide.tiff.pages import LevelPages, pages_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from slideseg.slide.tiff.files import Files
    from slideseg.slide.tiff.images.roles import TiffImage
    from slideseg.space.box import Box

PROBED = 2048 * 2048
"""Pixels of a tile or strip that may be decoded before a run, to try the codec or to compare levels."""
_LOOKED = 128
"""Pixels of a level's finer one that a patch spans, about."""
_MOST_LOOKED = 1 << 21
"""Pixels that may be decoded for one patch of a level that is only looked over."""


@dataclass(frozen=True, slots=True)
class TiffLevel:
    """One level, as it is stored."""

    level: Level
    """Its size and scale before it is turned upright."""
    pages: LevelPages
    """Its pages."""
    colour: Colour
    """How its samples become pixels."""
    series: Any
    """As tifffile has it."""


@dataclass(frozen=True, slots=True)
class Opened:
    """What the levels of one image need."""

    path: str
    """For messages."""
    files: Files
    """Where the pages are."""
    owners: Sequence[int]
    """The files' numbers in caches."""
    as_labels: bool
    """Whether 1 bit stays 0 and 1."""


def levels_of(opened: Opened, image: TiffImage, leading: dict[str, int]) -> tuple[list[TiffLevel], list[str]]:
    """Return the levels of an image, finest first, and a note for each resolution that is none.

    Raises:
        SlideError: if pages are missing, damaged, or stored in a way that is not supported.
    """
    series, notes = image.series, []
    levels = [_level(opened, series, leading, Level(side_of(series)))]
    spacings = _philips_spacings(series)
    for number, candidate in enumerate([*series.levels[1:], *image.reduced], 1):
        is_named, (rows, columns) = number < len(series.levels), side_of(candidate)
        if leading_axes(opened.path, candidate) != leading or not are_alike(candidate, series):
            found: TiffLevel | str = "its pixels are of another kind"
        else:
            declared = spacings.get(number) or _by_resolution(candidate.keyframe, series.keyframe)
            made = _possible(opened, candidate, leading, levels, declared)
            found = _fitting(opened, made, levels, is_sure=is_named and image.is_pyramid)
        if isinstance(found, TiffLevel):
            levels = sorted([*levels, found], key=lambda one: one.level.downsample)
        elif is_named:
            notes.append(f"its resolution of {rows} x {columns} is not used: {found}")
    return levels, notes


def _possible(
    opened: Opened, series: Any, leading: dict[str, int], levels: Sequence[TiffLevel], declared: tuple[float, float] | None
) -> tuple[list[TiffLevel], bool]:
    """Return what a resolution can be beside the known ``levels``, and whether its size leaves no doubt."""
    stored, full, page = side_of(series), levels[0].level.shape, series.keyframe
    tile = chunk_of(page) if page.is_tiled else None
    possible = possible_levels(stored, full, declared=declared, tile=tile)
    is_clear = len(possible) == 1 and level_of(stored, full, declared=declared, tile=tile) is not None
    return [_level(opened, series, leading, level) for level in possible], is_clear


def _fitting(
    opened: Opened, possible: tuple[list[TiffLevel], bool], levels: Sequence[TiffLevel], *, is_sure: bool
) -> TiffLevel | str:
    """Return the first of the possible levels that shows the slide, all of it; else why none does."""
    made, is_clear = possible
    if not is_sure:
        known = {level.level.scale for level in levels}
        made = [level for level in made if level.level.scale not in known]
    why = "it is no smaller, shows another picture, or can't be compared"
    for level in made:
        finer = next(one for one in reversed(levels) if one.level.downsample <= level.level.downsample)
        is_it = not _is_another(opened, level, finer) if is_sure and is_clear else _same(opened, level, levels[0])
        if is_it and not _lacks(opened, level, finer):
            return level
        why = f"it lacks tiles of what level {levels.index(finer)} shows" if is_it else why
    return why


def _level(opened: Opened, series: Any, leading: dict[str, int], level: Level) -> TiffLevel:
    colour = colour_of(opened.path, series, opened.files.expect, as_labels=opened.as_labels)
    pages = pages_of(opened.path, series, leading, opened.files, opened.owners)
    return TiffLevel(level, pages, colour, series)


def _same(opened: Opened, coarse: TiffLevel, fine: TiffLevel) -> bool:
    chunks = (coarse.pages.chunk, fine.pages.chunk)
    if any(chunk is not None and math.prod(chunk) > PROBED for chunk in chunks):
        return False
    _expect(opened, coarse, fine, SAMPLES)
    return same_pixels(_reader(opened, coarse), coarse.level.shape, _reader(opened, fine), fine.level.shape)


def _is_another(opened: Opened, coarse: TiffLevel, fine: TiffLevel) -> bool:
    """Tell whether a level clearly shows another picture; not where that costs more than a slide's opening may."""
    chunks = (coarse.pages.chunk or (1, 1), fine.pages.chunk or (1, 1))
    if any(math.prod(side + _LOOKED for side in chunk) > _MOST_LOOKED for chunk in chunks):
        return False
    _expect(opened, coarse, fine, PROBES)
    return shows_another(_reader(opened, coarse), coarse.level.shape, _reader(opened, fine), fine.level.shape)


def _expect(opened: Opened, coarse: TiffLevel, fine: TiffLevel, many: int) -> None:
    """Have at hand what is compared of two levels."""
    for level, boxes in zip(
        (coarse, fine), zip(*compared(coarse.level.shape, fine.level.shape, many), strict=True), strict=True
    ):
        level.pages.expect(opened.files, boxes)


def _reader(opened: Opened, level: TiffLevel) -> Callable[[Box], np.ndarray]:
    return lambda box: level.colour.apply(level.pages.read(opened.files, box, 0, []))


def _lacks(opened: Opened, coarse: TiffLevel, fine: TiffLevel) -> bool:
    """Tell whether tiles were left out of a level that the finer one has, with something in them."""
    return any(
        lacks(gaps, coarse.level, fine.level, partial(_shows, opened, fine, plane, samples))
        for plane in range(len(coarse.pages.pages))
        for samples, gaps in coarse.pages.gaps(plane)
    )


def _shows(opened: Opened, level: TiffLevel, plane: int, samples: slice, box: Box) -> bool | None:
    """Tell whether a level has something other than background in a box, in some samples; None if it stores nothing there."""
    if not box.area or not level.pages.holds(box, plane):
        return None
    if box.area > LARGEST_LOOK:
        return True
    pixels = level.colour.apply(level.pages.read(opened.files, box, plane, []))
    seen = pixels != np.asarray(level.colour.background, pixels.dtype)
    stored = level.pages.stored(box, plane)
    if stored is not None:
        seen &= stored[..., : pixels.shape[2]]
    return bool(seen[..., samples].any())


def _by_resolution(page: Any, full: Any) -> tuple[float, float] | None:
    """Return the scale by the resolution tags of a level and of level 0; None where they are the same, or not there."""
    scales = []
    for tag in (283, 282):
        fractions = [one.tags.valueof(tag, (0, 0)) for one in (full, page)]
        if not all(isinstance(value, tuple) and len(value) == 2 and all(value) for value in fractions):
            return None
        (a, b), (c, d) = fractions
        scales.append((a / b) / (c / d))
    return None if scales == [1.0, 1.0] or page.resolutionunit != full.resolutionunit else (scales[0], scales[1])


def _philips_spacings(series: Any) -> dict[int, tuple[float, float]]:
    """Return the scales that a Philips file declares, by level."""
    text = str(series.keyframe.parent.philips_metadata or "") if series.kind == "philips" else ""
    found = re.findall(
        r"Name=\"DICOM_PIXEL_SPACING\"[^>]*>\s*(?:&quot;|\")([\d.eE+-]+)(?:&quot;|\")\s+(?:&quot;|\")([\d.eE+-]+)", text
    )
    sides = [(float(y), float(x)) for y, x in found][-len(series.levels) :]
    if len(sides) != len(series.levels) or not all(sides[0]):
        return {}
    return {number: (y / sides[0][0], x / sides[0][1]) for number, (y, x) in enumerate(sides)}
