"""Which parts of a slide hold tissue, in blocks of a fixed size, so that what is skipped never depends on the tiles."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.morphology import remove_small_objects

from slideseg.errors import ConfigError, explain
from slideseg.slide.base import channels_of, planes_of
from slideseg.slide.resampled import block_mean
from slideseg.space.box import Box
from slideseg.space.grid import CHUNK

if TYPE_CHECKING:
    from slideseg.slide.base import Slide

BLOCK = CHUNK
"""Side of a block in working pixels: what is skipped or computed. A multiple of every stride: blocks start on the grid."""
THUMBNAIL_SIDE = 4096
"""Longest side of the picture that tissue is looked for in, so that its memory has a bound."""
MOST_CHROMA = 16
"""A pixel whose channels differ by more (of 255) is tissue on any slide, however strongly the rest is stained."""
LEAST_CHROMA = 5
"""A pixel whose channels differ by less is glass, noise or JPEG's ringing on any slide."""
DARKER = 30
"""A pixel darker than the glass by so much (of 255) is tissue, also where it has no colour."""


@dataclass(frozen=True, slots=True)
class TissueMap:
    """Which blocks of `BLOCK` x `BLOCK` working pixels are segmented."""

    shape_yx: tuple[int, int]
    """Rows and columns of the working image."""
    blocks: np.ndarray
    """One boolean a block (rows, columns): whether it holds tissue."""

    def holds(self, block: Box) -> bool:
        """Tell whether the block that starts where ``block`` starts holds tissue."""
        return bool(self.blocks[block.y0 // BLOCK, block.x0 // BLOCK])

    def bounding_box(self, box: Box) -> Box | None:
        """Return the smallest box of whole blocks, clipped to ``box``, around its tissue; None if it holds none."""
        rows, columns = np.nonzero(self._inside(box))
        if not len(rows):
            return None
        corner = Box(int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1)
        scaled = Box(corner.y0 * BLOCK, corner.x0 * BLOCK, corner.y1 * BLOCK, corner.x1 * BLOCK)
        return scaled.shift(box.y0, box.x0).intersect(box)

    def empty_pixels(self, box: Box) -> int:
        """Return the number of pixels of ``box``, which starts on a block's corner, in blocks without tissue."""
        inside = self._inside(box)
        heights = np.diff([*range(box.y0, box.y1, BLOCK), box.y1])
        widths = np.diff([*range(box.x0, box.x1, BLOCK), box.x1])
        return int((heights[:, None] * widths[None, :])[~inside].sum())

    def digest(self) -> str:
        """Return a hash of the map, to tell runs apart."""
        return hashlib.sha256(repr(self.blocks.shape).encode() + np.packbits(self.blocks).tobytes()).hexdigest()

    def _inside(self, box: Box) -> np.ndarray:
        return self.blocks[box.y0 // BLOCK : -(-box.y1 // BLOCK), box.x0 // BLOCK : -(-box.x1 // BLOCK)]


def can_detect(slide: Slide) -> bool:
    """Tell whether tissue can be looked for: one plane of 8-bit RGB."""
    return planes_of(slide) == 1 and slide.is_rgb and slide.dtype == np.uint8


def detect_tissue(slide: Slide, shape_yx: tuple[int, int]) -> TissueMap:
    """Find tissue on a brightfield slide whose working image has ``shape_yx`` = (rows, columns).

    Glass is bright and colourless. A pixel of a small picture of the slide is tissue where it is coloured (channels apart by
    more than Otsu's threshold, kept between two fixed bounds) or clearly darker than the glass; specks are dropped, gaps are
    closed, and one pixel is added all around. Meant to keep too much rather than to lose tissue.

    Raises:
        ConfigError: if the slide is a stack or is not 8-bit RGB.
    """
    if not can_detect(slide):
        got = f"{slide.axes} {slide.shape} {slide.dtype}"
        raise ConfigError(explain("tissue is only found on 8-bit RGB slides", got=got, try_="--tissue none"))
    picture = thumbnail(slide).astype(np.float32)
    smooth = ndimage.gaussian_filter(picture, (1, 1, 0))
    chroma = smooth.max(axis=2) - smooth.min(axis=2)
    brightness = smooth.mean(axis=2)
    glass = float(np.percentile(brightness, 95))
    threshold = _otsu(chroma) if np.ptp(chroma) > 0 else MOST_CHROMA
    found = (chroma > threshold) | (brightness < glass - DARKER)
    closed = ndimage.binary_closing(np.pad(found, 2), iterations=2)[2:-2, 2:-2] | found
    kept = remove_small_objects(closed, max_size=7)
    return map_of_mask(ndimage.binary_dilation(kept, iterations=1), shape_yx)


def map_of_mask(mask: np.ndarray, shape_yx: tuple[int, int]) -> TissueMap:
    """Turn a mask (y, x) of the whole slide at any resolution into a map: a block with any non-zero pixel holds tissue.

    Raises:
        ConfigError: if the mask's proportions are not the slide's, to within one of its pixels.
    """
    scale_y, scale_x = shape_yx[0] / mask.shape[0], shape_yx[1] / mask.shape[1]
    if abs(scale_y - scale_x) * max(mask.shape) > max(scale_y, scale_x) + 1e-9:
        raise ConfigError(explain("the mask has another shape than the slide", got=mask.shape, want=f"{shape_yx} or smaller"))
    rows = [_span(start, BLOCK, scale_y, mask.shape[0]) for start in range(0, shape_yx[0], BLOCK)]
    columns = [_span(start, BLOCK, scale_x, mask.shape[1]) for start in range(0, shape_yx[1], BLOCK)]
    blocks = np.array([[bool(mask[row, column].any()) for column in columns] for row in rows])
    return TissueMap(shape_yx, blocks)


def map_of_mask_slide(mask: Slide, shape_yx: tuple[int, int]) -> TissueMap:
    """Turn a mask image into a map, as `map_of_mask`; a large one is read at the coarsest level that still resolves blocks.

    Raises:
        ConfigError: if the mask has more than one plane or another shape.
    """
    if planes_of(mask) > 1:
        raise ConfigError(explain("the mask is a stack", got=mask.shape, want="one plane"))
    pixels = np.zeros(mask.shape[:2], bool)
    for box in Box.of_shape((mask.shape[0], mask.shape[1])).split(2048, 2048):
        pixels[box.slices] = (mask.read(box) != 0).any(axis=2)
    return map_of_mask(pixels, shape_yx)


def thumbnail(slide: Slide) -> np.ndarray:
    """Return the slide (y, x, c), uint8, shrunk by a whole number by block means to at most `THUMBNAIL_SIDE` a side.

    Reads the coarsest level that is large enough, piece by piece.
    """
    height, width = slide.shape[0], slide.shape[1]
    wanted = max(BLOCK / 16, max(height, width) / THUMBNAIL_SIDE)
    level = max(number for number, level in enumerate(slide.levels) if level.downsample <= wanted or number == 0)
    shrink = max(1, int(np.ceil(wanted / slide.levels[level].downsample)))
    rows, columns = slide.levels[level].shape
    out = np.empty((-(-rows // shrink), -(-columns // shrink), channels_of(slide)), np.uint8)
    piece = max(1, 2048 // shrink)
    for box in Box.of_shape(out.shape[:2]).split(piece, piece):
        source = Box(box.y0 * shrink, box.x0 * shrink, min(box.y1 * shrink, rows), min(box.x1 * shrink, columns))
        out[box.slices] = block_mean(slide.read(source, level), shrink)
    return out


def _otsu(chroma: np.ndarray) -> float:
    return float(np.clip(threshold_otsu(chroma), LEAST_CHROMA, MOST_CHROMA))  # type: ignore[no-untyped-call]


def _span(start: int, length: int, scale: float, limit: int) -> slice:
    """Return the mask's rows or columns that touch the working pixels from ``start`` on, at least one."""
    first = min(int(start / scale), limit - 1)
    return slice(first, max(first + 1, min(limit, int(np.ceil((start + length) / scale)))))
