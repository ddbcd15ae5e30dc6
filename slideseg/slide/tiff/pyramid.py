"""The levels of one image of a TIFF: which of its further resolutions are the same picture, and at which scale."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slideseg.slide.facts import Level
from slideseg.slide.levels import level_of, possible_levels, same_pixels
from slideseg.slide.tiff.decoding.samples import Colour, are_alike, colour_of
from slideseg.slide.tiff.decoding.segments import chunk_of
from slideseg.slide.tiff.images.series import leading_axes, side_of
from slideseg.slide.tiff.pages import LevelPages, pages_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

    from slideseg.slide.tiff.files import Files
    from slideseg.slide.tiff.images.roles import TiffImage
    from slideseg.space.box import Box

PROBED = 2048 * 2048
"""Pixels of a tile or strip that may be decoded before a run, to try the codec or to compare levels."""


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
    full = side_of(series)
    levels = [_level(opened, series, leading, Level(full))]
    spacings = _philips_spacings(series)
    named = len(series.levels)
    for number, candidate in enumerate([*series.levels[1:], *image.reduced], 1):
        stored = side_of(candidate)
        name = f"its resolution of {stored[0]} x {stored[1]} is not used"
        if leading_axes(opened.path, candidate) != leading or not are_alike(candidate, series):
            notes.extend([f"{name}: its pixels are of another kind"] if number < named else [])
            continue
        declared = spacings.get(number) or _by_resolution(candidate.keyframe, series.keyframe)
        tile = chunk_of(candidate.keyframe) if candidate.keyframe.is_tiled else None
        possible = possible_levels(stored, full, declared=declared, tile=tile)
        known = {level.level.scale for level in levels} if number >= named else set()
        loaded = [_level(opened, candidate, leading, level) for level in possible if level.scale not in known]
        sure = level_of(stored, full, declared=declared, tile=tile) is not None and image.is_pyramid and number < named
        if len(possible) > 1 or not sure:
            loaded = [level for level in loaded if _same(opened, level, levels[0])]
        if not loaded:
            notes.extend([f"{name}: it is no smaller, shows another picture, or can't be compared"] if number < named else [])
            continue
        levels.append(loaded[0])
    return sorted(levels, key=lambda one: one.level.downsample), notes


def _level(opened: Opened, series: Any, leading: dict[str, int], level: Level) -> TiffLevel:
    colour = colour_of(opened.path, series, as_labels=opened.as_labels)
    pages = pages_of(opened.path, series, leading, opened.files, opened.owners)
    return TiffLevel(level, pages, colour, series)


def _same(opened: Opened, coarse: TiffLevel, fine: TiffLevel) -> bool:
    chunks = (coarse.pages.chunk, fine.pages.chunk)
    if any(chunk is not None and math.prod(chunk) > PROBED for chunk in chunks):
        return False

    def read(level: TiffLevel) -> Callable[[Box], np.ndarray]:
        return lambda box: level.colour.apply(level.pages.read(opened.files, box, 0, []))

    return same_pixels(read(coarse), coarse.level.shape, read(fine), fine.level.shape)


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
