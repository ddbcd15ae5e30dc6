"""Which of a TIFF's images is the slide, and along which axes its pages lie: what tifffile calls a series."""

from __future__ import annotations

import math
import re
from typing import Any

from slideseg.errors import SlideError, explain
from slideseg.slide.tiff.metadata import ome_pixels
from slideseg.slide.tiff.samples import is_inverted

MAX_PLANES = 1 << 20
"""Planes times channels of one file; more is taken for a lie, before memory is made for them."""
_BY_SHAPE = ("generic", "uniform")
"""What tifffile calls images that it found by their shape alone, because metadata did not help."""


def baseline(path: str, tif: Any) -> Any:
    """Return the series with the largest image: not a thumbnail, label or macro.

    Raises:
        SlideError: if there is none, pages are missing, or metadata lies.
    """
    first = tif.pages.first
    if not first.shape or 0 in first.shape:
        raise SlideError(explain(f"{path}: its first image has no pixels", got=f"{first.imagelength} x {first.imagewidth}"))
    # tifffile makes a list of as many pages as the XML claims
    if tif.is_ome and ome_pixels(tif.ome_metadata or "") > MAX_PLANES * math.prod(first.shape):
        raise SlideError(explain(f"{path}: lying OME-XML, it claims more pixels than a file of such pages can hold"))
    found = [series for series in tif.series if series.ndim and "Y" in series.axes and "X" in series.axes]
    if not found:
        raise SlideError(explain(f"{path}: a TIFF without an image"))
    if found[0].kind in _BY_SHAPE and _claimed_pages(first) > len(tif.pages):
        got, want = f"{len(tif.pages)} pages", f"{_claimed_pages(first)} by its description"
        raise SlideError(explain(f"{path}: the stack is cut off or damaged", got=got, want=want, try_="another copy"))
    if tif.is_ome and found[0].kind in _BY_SHAPE:
        what = f"{path}: its OME-XML does not fit its pages, or names other files"
        raise SlideError(explain(what, try_="bfconvert, to get one whole file"))
    return max(found, key=lambda series: math.prod(side_of(series)))


def _claimed_pages(page: Any) -> int:
    """Return how many images the description of a stack with a single directory (ImageJ's, tifffile's) says there are."""
    description = str(page.description)
    images = re.search(r"^ImageJ=.*\nimages=(\d+)", description)
    truncated = page.is_shaped and '"truncated": true' in description
    return int(images.group(1)) if images else 2 if truncated else 1


def side_of(series: Any) -> tuple[int, int]:
    """Return rows and columns."""
    return int(series.shape[series.axes.index("Y")]), int(series.shape[series.axes.index("X")])


def leading_axes(path: str, series: Any) -> dict[str, int]:
    """Return the axes in front of a page's own, with more than one entry: of channels (C) and at most one other.

    Raises:
        SlideError: if there are more.
    """
    sizes = dict(zip(series.axes, series.shape, strict=True))
    leading = {axis: int(size) for axis, size in sizes.items() if axis not in "YXS" and size > 1}
    samples = series.keyframe.shaped[0] * series.keyframe.shaped[4]
    if series.keyframe.shaped[1] > 1 or len(leading.keys() - {"C"}) > 1 or (samples > 1 and "C" in leading):
        got = " x ".join(f"{size} {axis.lower()}" for axis, size in sizes.items())
        want = "y, x, channels and one of z and t"
        raise SlideError(explain(f"{path}: too many axes", got=got, want=want, try_="one file a time point"))
    if len(sizes) != len(series.axes):
        raise SlideError(explain(f"{path}: unsupported axes", got=series.axes))
    return leading


def are_alike(level: Any, series: Any) -> bool:
    """Tell whether a reduced level stores pixels as level 0 does."""
    a, b = level.keyframe, series.keyframe
    return bool((a.dtype, a.shaped[0], a.shaped[4]) == (b.dtype, b.shaped[0], b.shaped[4]) and is_inverted(a) == is_inverted(b))
