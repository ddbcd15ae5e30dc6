"""Look for tissue on a slide, and say whether enough of it is empty for that to matter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from slideseg.errors import ConfigError, explain
from slideseg.slide.base import planes_of
from slideseg.slide.tissue import brightfield, channels, darkfield
from slideseg.slide.tissue.blocks import BLOCK, TissueMap, blocks_of
from slideseg.slide.tissue.look import Look, look_of
from slideseg.slide.tissue.masks import grown, opened
from slideseg.slide.tissue.picture import PIXEL, take_picture

if TYPE_CHECKING:
    from slideseg.slide.base import Slide
    from slideseg.slide.tissue.picture import Picture

Kind = Literal["brightfield", "dark field", "border"]
EMPTY_SHARE = 0.05
"""A good share: squares without tissue cover at least so much of the slide ..."""
EMPTY_SQUARES, SQUARE = 8, 256
"""... and are at least so many, of so many working pixels a side: less is a gap in the tissue of a picture that shows nothing
else."""

MARGIN = 2
"""Pixels of the small picture around tissue in which blocks count as holding tissue."""
BORDER, BETWEEN = 0.01, 0.1
"""Shares of the brightest pixels: what is darker than the first is black; hardly anything is darker than the second."""
SHINING = 0.001
"""Share of a black border's pixels that may exceed its noise."""


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of the tissue of a slide."""

    kind: Kind
    """Which light; or something of any kind with black, or nothing scanned, around it."""
    mask: np.ndarray
    """Tissue proper (y, x) on the small picture."""
    scanned: np.ndarray
    """What was scanned (y, x), as the file itself says."""
    scale: tuple[float, float]
    """Working pixels a pixel of the small picture, along y and x."""
    shape_yx: tuple[int, int]
    """Rows and columns of the working image."""

    @property
    def blocks(self) -> TissueMap:
        """The blocks that hold tissue, or lie beside some."""
        return blocks_of(self._wide, self.scale, self.shape_yx)

    @property
    def matters(self) -> bool:
        """Whether a good share of the slide is empty, in areas that squares fit into, or was not scanned at all."""
        square = [max(1, round(SQUARE / side)) for side in self.scale]
        side = min(max(square), 2 * max(self.mask.shape))  # a larger square fits nowhere else
        empty = np.count_nonzero(opened(~self._wide, side))
        return not self.scanned.all() or bool(empty >= max(EMPTY_SHARE * self.mask.size, EMPTY_SQUARES * square[0] * square[1]))

    def pixels_in(self, blocks: TissueMap) -> int:
        """Return the pixels of tissue proper, at the working resolution, in blocks that are segmented."""
        (y, heights), (x, widths) = (_pixels_of(*side) for side in zip(self.mask.shape, self.scale, self.shape_yx, strict=True))
        inside = self.mask & blocks.blocks[np.ix_(y // BLOCK, x // BLOCK)]
        return round(float(heights @ inside.astype(np.float64) @ widths))

    @property
    def _wide(self) -> np.ndarray:
        return self.mask if self.kind == "border" else grown(self.mask, MARGIN) & self.scanned


def detect_tissue(slide: Slide, shape_yx: tuple[int, int]) -> Found | None:
    """Look for tissue on a slide whose working image has ``shape_yx`` = (rows, columns).

    Returns:
        What was found; None if the picture does not show for sure what is tissue and what is not.

    Raises:
        ConfigError: if the slide is a stack.
        SlideError: if its pixels can't be decoded.
    """
    return look_over(slide, shape_yx)[0]


def look_over(slide: Slide, shape_yx: tuple[int, int], white: float | None = None) -> tuple[Found | None, Look]:
    """Return what `detect_tissue` does, and what the slide looks like; ``white`` as in `take_picture`.

    Raises:
        ConfigError: if the slide is a stack.
        SlideError: if its pixels can't be decoded.
    """
    if planes_of(slide) > 1:
        got = f"{slide.axes} {slide.shape}"
        raise ConfigError(explain("tissue is not looked for in stacks", got=got, try_="--tissue none, or a mask"))
    picture = take_picture(slide, white)
    kind, mask = _first_sure(picture, rgb=slide.is_rgb)
    look = look_of(picture, None if mask is None else kind, rgb=slide.is_rgb)
    if mask is None:
        return None, look
    scale = [side * of / whole for side, of, whole in zip(picture.pixel, shape_yx, slide.levels[0].shape, strict=True)]
    return Found(kind, mask & picture.scanned, picture.scanned, (scale[0], scale[1]), shape_yx), look


def look_at(slide: Slide, white: float | None = None) -> Look:
    """Return what a slide looks like, of a stack its first plane; ``white`` as in `take_picture`.

    Raises:
        SlideError: if its pixels can't be decoded.
    """
    picture = take_picture(slide, white)
    kind, mask = _first_sure(picture, rgb=slide.is_rgb)
    return look_of(picture, None if mask is None else kind, rgb=slide.is_rgb)


def _first_sure(picture: Picture, *, rgb: bool) -> tuple[Kind, np.ndarray | None]:
    mask = _brightfield(picture) if rgb else None
    if mask is not None:
        return "brightfield", mask
    mask = darkfield.tissue_in(picture)
    if mask is not None:
        return "dark field", mask
    mask = _inside_a_border(picture)
    if mask is not None:
        return "border", mask
    return "dark field", darkfield.tissue_in(picture, zeros=True)


def _brightfield(picture: Picture) -> np.ndarray | None:
    bright = picture.pixels * np.float32(255 / max(picture.white, 1e-9))
    light = brightfield.lighten(np.minimum(bright, np.float32(255), out=bright), picture.scanned)
    if light is None:
        return None
    mask = brightfield.tissue_in(light)
    # black and white alone are no slide: it may be a mask, or nuclei that someone cut out
    return mask if mask.any() or light.lit.all() else None


def _inside_a_border(picture: Picture) -> np.ndarray | None:
    """Return where a picture of any kind is not black, if hardly anything is between black and the rest."""
    values = np.where(picture.scanned, channels.highest(picture.pixels), 0)
    top = float(np.percentile(values, 100 * darkfield.TOP))
    border = opened(values <= BORDER * top, SQUARE // PIXEL)
    if border.any() and not _is_bare(values[border], picture.least):
        border = np.zeros_like(border)
    inside = picture.scanned & ~grown(border)
    if not inside.any():
        return None
    if (values[inside] <= BETWEEN * top).mean() > 0.02:
        border = np.zeros_like(border)
    border |= ~picture.scanned
    return ~border if border.any() else None


def _is_bare(values: np.ndarray, least: float) -> bool:
    """Tell whether nothing shines among nearly black pixels: beside something very bright, tissue may be nearly black."""
    level = float(np.median(values))
    noise = max(darkfield.spread_below(values, level), least)
    return bool((values > level + darkfield.SURELY * noise).mean() <= SHINING)


def _pixels_of(many: int, scale: float, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Return for each of ``many`` pixels of the small picture a working pixel in its middle, and how many it covers."""
    edges = np.minimum(np.arange(many + 1) * scale, limit)
    middles = np.minimum((edges[:-1] + edges[1:]) / 2, limit - 1)
    return middles.astype(np.int64), np.diff(edges)
