"""The images of a TIFF as tifffile finds them, checked, and along which axes their pages lie."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slideseg.errors import SlideError, explain
from slideseg.slide.tiff.images.metadata import ome_pixels
from slideseg.slide.tiff.images.multifile import document_of, lies_in_several, series_in_files

if TYPE_CHECKING:
    from slideseg.slide.tiff.images.ome import Ome

MAX_PLANES = 1 << 20
"""Planes times channels of one file; more is taken for a lie, before memory is made for them."""
_BY_SHAPE = ("generic", "uniform")
"""What tifffile calls images that it found by their shape alone, because metadata did not help."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a TIFF holds."""

    series: list[Any]
    """Its images as tifffile has them."""
    document: Ome | None
    """Its OME-XML, or that of its companion."""
    paths: tuple[str, ...]
    """The files that its pages are in, the one that was opened first."""
    companion: str | None = None
    """The text of the companion that has the document; None where the file itself has it."""


def find_series(path: str, tif: Any) -> Found:
    """Return the images of a tifffile file and of the files that belong to it.

    Raises:
        SlideError: if there is none, pages are missing, or metadata lies.
    """
    first = tif.pages.first
    if not first.shape or 0 in first.shape:
        raise SlideError(explain(f"{path}: its first image has no pixels", got=f"{first.imagelength} x {first.imagewidth}"))
    # tifffile makes a list of as many pages as the XML claims
    if tif.is_ome and ome_pixels(tif.ome_metadata or "") > MAX_PLANES * math.prod(first.shape):
        raise SlideError(explain(f"{path}: lying OME-XML, it claims more pixels than a file of such pages can hold"))
    document, companion = document_of(path, tif)
    if document is not None and lies_in_several(document, tif):
        series, paths = series_in_files(path, tif, document)
        return Found(series, document, paths, companion)
    found = [series for series in tif.series if series.ndim and "Y" in series.axes and "X" in series.axes]
    if not found:
        raise SlideError(explain(f"{path}: a TIFF without an image"))
    if found[0].kind in _BY_SHAPE and _claimed_pages(first) > len(tif.pages):
        got, want = f"{len(tif.pages)} pages", f"{_claimed_pages(first)} by its description"
        raise SlideError(explain(f"{path}: the stack is cut off or damaged", got=got, want=want, try_="another copy"))
    if tif.is_ome and found[0].kind in _BY_SHAPE:
        raise SlideError(explain(f"{path}: its OME-XML does not fit its pages", try_="bfconvert, to get a file that fits"))
    if tif.is_bif and re.search(r"Overlap[XY]=\"-?[1-9]", str(first.description) + str(first.tags.valueof(700, ""))):
        raise SlideError(explain(f"{path}: a BIF that OpenSlide does not know, with tiles that overlap", try_="an OME-TIFF"))
    return Found(found, document, (tif.filehandle.path,))


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
    """Return the axes in front of a page's own, with more than one entry: of T, Z and C; pages in a row count as Z.

    Raises:
        SlideError: if there are others.
    """
    sizes = dict(zip(series.axes, series.shape, strict=True))
    leading = {axis: int(size) for axis, size in sizes.items() if axis not in "YXS" and size > 1}
    other = [axis for axis in leading if axis not in "TZC"]
    samples = series.keyframe.shaped[0] * series.keyframe.shaped[4]
    got = " x ".join(f"{size} {axis.lower()}" for axis, size in sizes.items())
    if series.keyframe.shaped[1] > 1:
        want = "a page for each plane"
        raise SlideError(explain(f"{path}: a volume in one page (ImageDepth)", got=got, want=want, try_="a stack of pages"))
    if samples > 1 and "C" in leading:
        raise SlideError(explain(f"{path}: several channels of several samples each", got=got, want="one or the other"))
    if len(sizes) != len(series.axes) or len(other) > 1 or (other and "Z" in leading):
        want = "y, x, channels, z and t"
        raise SlideError(explain(f"{path}: too many axes", got=got, want=want, try_="one file a time point"))
    return {"Z" if axis in other else axis: size for axis, size in leading.items()}
