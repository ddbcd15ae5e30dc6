"""Which parts of a slide are segmented: all, those where tissue is found, or those that a mask names."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from slideseg.errors import ConfigError, SlideError, UnreachableError, explain
from slideseg.slide.base import planes_of
from slideseg.slide.guard.slide import open_in_run
from slideseg.slide.tissue.blocks import TissueMap, map_of_mask_slide
from slideseg.slide.tissue.detect import Found, look_at, look_over
from slideseg.slide.tissue.look import NOTHING, Look

if TYPE_CHECKING:
    from slideseg.slide.base import Slide

UNSURE = (
    "--tissue auto: this picture does not show for sure what is tissue and what is empty, so all of it is segmented "
    "(want glass, a dark background or black borders; try a mask)"
)

NOTHING_FOUND = "no tissue, so nothing is segmented (got --tissue {said}; try --tissue none)"


@dataclass(frozen=True, slots=True)
class Tissue:
    """Which parts of a slide are segmented, and how much tissue is in them."""

    said: str
    """``none``, ``auto`` or the mask's path."""
    blocks: TissueMap | None = None
    """The blocks that are segmented; None for all."""
    pixels: int | None = None
    """Pixels of tissue proper in them, at the working resolution: what densities are counted in; None where it is not known."""
    notes: tuple[str, ...] = ()
    """What the user should know."""
    look: Look = NOTHING
    """What the slide is sure to look like; nothing is sure where it was not looked at."""


def find_tissue(slide: Slide, shape_yx: tuple[int, int], wanted: str, white: float | None = None) -> Tissue:
    """Decide which parts of a slide, whose working image has ``shape_yx`` = (rows, columns), are segmented.

    Args:
        slide: the slide.
        shape_yx: rows and columns of the working image.
        wanted: ``none``, ``auto``, a mask's path, or empty: ``auto`` where a good share of the picture is empty, else ``none``.
        white: the value of white; None for that of the pixels' type.

    Raises:
        ConfigError: if tissue is looked for in a stack, or the mask does not fit.
        SlideError: if the mask or the slide can't be read.
    """
    if wanted == "none":
        return Tissue("none")
    if wanted and wanted != "auto":
        return _in_mask(slide, shape_yx, wanted, white)
    try:
        if not wanted and planes_of(slide) > 1:
            return Tissue("none", look=look_at(slide, white))
        found, look = look_over(slide, shape_yx, white)
    except SlideError as error:
        if wanted or isinstance(error, UnreachableError):
            raise
        return Tissue("none")  # damage is to fail the shard that it lies in, not the plan of all others
    return replace(_found(found, wanted), look=look)


def _found(found: Found | None, wanted: str) -> Tissue:
    if found is None:
        return Tissue(wanted, notes=(UNSURE,)) if wanted else Tissue("none")
    return _in("auto", found.blocks, found.pixels_in(found.blocks)) if wanted or found.matters else Tissue("none")


def _in_mask(slide: Slide, shape_yx: tuple[int, int], path: str, white: float | None) -> Tissue:
    if "://" not in path and not Path(path).exists():
        raise ConfigError(explain("no such mask", got=path, want="auto, none or the path of an image"))
    with closing(open_in_run(path)) as mask:
        blocks = map_of_mask_slide(mask, shape_yx, slide.levels[0].shape)
    one = planes_of(slide) == 1
    found, look = look_over(slide, shape_yx, white) if one else (None, look_at(slide, white))
    pixels = None if found is None or not found.matters else found.pixels_in(blocks)
    return replace(_in(path, blocks, pixels), look=look)


def _in(said: str, blocks: TissueMap, pixels: int | None) -> Tissue:
    """Return what is segmented of a slide: some blocks, with so many pixels of tissue proper."""
    return Tissue(said, blocks, pixels, () if blocks.blocks.any() else (NOTHING_FOUND.format(said=said),))
