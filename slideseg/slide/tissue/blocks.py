"""Which parts of a slide hold tissue, in blocks of a fixed size, so that what is skipped never depends on the tiles."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from slideseg.errors import ConfigError, explain
from slideseg.slide.base import planes_of
from slideseg.slide.tissue.pieces import pieces_of
from slideseg.space.box import Box
from slideseg.space.grid import CHUNK

if TYPE_CHECKING:
    from slideseg.slide.base import Slide

BLOCK = CHUNK // 2
"""Side of a block in working pixels: what is skipped or computed. Finer than a chunk: tissue has long edges, and what is
segmented beside them is for nothing."""


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

    def pieces(self, box: Box, margin: int, stride: int) -> list[Box]:
        """Return boxes of whole blocks, clipped to ``box``, that hold each of its blocks with tissue once; none if it has none.

        They are those that a network with so many pixels of ``margin`` has least work with, and start at multiples of its
        stride, of which ``box`` does.
        """
        times = max(1, stride // BLOCK)
        side = times * BLOCK
        pieces = pieces_of(_coarser(self._inside(box), times), margin / side)
        scaled = (Box(piece.y0 * side, piece.x0 * side, piece.y1 * side, piece.x1 * side) for piece in pieces)
        return [piece.shift(box.y0, box.x0).intersect(box) for piece in scaled]

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


def _coarser(blocks: np.ndarray, times: int) -> np.ndarray:
    """Return blocks so many times as large, which are true where any of their own is."""
    rows, columns = (-(-side // times) * times for side in blocks.shape)
    padded = np.zeros((rows, columns), bool)
    padded[: blocks.shape[0], : blocks.shape[1]] = blocks
    coarse: np.ndarray = np.logical_or.reduce(padded.reshape(rows // times, times, columns // times, times), axis=(1, 3))
    return coarse


def blocks_of(mask: np.ndarray, scale: tuple[float, float], shape_yx: tuple[int, int]) -> TissueMap:
    """Turn a mask (y, x), ``scale`` working pixels a pixel, into a map: a block with any pixel set holds tissue."""
    rows, columns = (_spans(*side) for side in zip(shape_yx, scale, mask.shape, strict=True))
    return TissueMap(shape_yx, _any_within(_any_within(mask, rows).T, columns).T)


def map_of_mask(mask: np.ndarray, shape_yx: tuple[int, int], slide_yx: tuple[int, int] | None = None) -> TissueMap:
    """Turn a mask (y, x) of the whole slide at any resolution into a map: a block with any non-zero pixel holds tissue.

    Args:
        mask: the mask.
        shape_yx: rows and columns of the working image.
        slide_yx: those of the slide, whose proportions the mask has; None where they are the working image's.

    Raises:
        ConfigError: if the mask's proportions are not the slide's, to within one of its pixels.
    """
    slide_yx = slide_yx or shape_yx
    scale_y, scale_x = slide_yx[0] / mask.shape[0], slide_yx[1] / mask.shape[1]
    if abs(scale_y - scale_x) * max(mask.shape) > max(scale_y, scale_x) + 1e-9:
        raise ConfigError(
            explain("the mask has other proportions than the slide", got=mask.shape, want=f"{slide_yx}, or the same in smaller")
        )
    return blocks_of(mask, (shape_yx[0] / mask.shape[0], shape_yx[1] / mask.shape[1]), shape_yx)


def map_of_mask_slide(mask: Slide, shape_yx: tuple[int, int], slide_yx: tuple[int, int] | None = None) -> TissueMap:
    """Turn a mask image into a map, as `map_of_mask`.

    Raises:
        ConfigError: if the mask has more than one plane or another shape.
    """
    if planes_of(mask) > 1:
        raise ConfigError(explain("the mask is a stack", got=mask.shape, want="one plane"))
    pixels = np.zeros(mask.shape[:2], bool)
    for box in Box.of_shape((mask.shape[0], mask.shape[1])).split(2048, 2048):
        pixels[box.slices] = (mask.read(box) != 0).any(axis=2)
    return map_of_mask(pixels, shape_yx, slide_yx)


def _spans(side: int, scale: float, limit: int) -> np.ndarray:
    """Return the mask's first row or column that touches each block along a side, and the one after its last: at least one."""
    starts = np.arange(0, side, BLOCK)
    first = np.minimum((starts / scale).astype(int), limit - 1)
    end = np.minimum(np.ceil((starts + BLOCK) / scale).astype(int), limit)
    return np.stack([first, np.maximum(end, first + 1)], axis=1)


def _any_within(mask: np.ndarray, spans: np.ndarray) -> np.ndarray:
    """Return for each span of a mask's rows where any of them is true."""
    ended = np.pad(mask.astype(bool), ((0, 1), (0, 0)))  # a span may end where the mask does
    within: np.ndarray = np.logical_or.reduceat(ended, spans.ravel(), axis=0)[::2]
    return within
