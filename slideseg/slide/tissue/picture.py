"""The small picture of a slide that tissue is looked for in."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from slideseg.model.values import are_numbers
from slideseg.slide.base import channels_of
from slideseg.slide.resampled import block_mean
from slideseg.space.box import Box

if TYPE_CHECKING:
    from slideseg.slide.base import Slide

PIXEL = 8
"""Side of the picture's pixel in pixels of level 0, at least."""
LONGEST = 3072
"""Pixels of the picture's longer side at most, with three channels, so that its memory has a bound."""
LEAST = 0.55
"""Of 8 bits, less of a difference between means is noise."""
_PIECE = 2048
"""Side of what is read at once."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A slide shrunk to block means."""

    pixels: np.ndarray
    """(y, x, c), float32, in the slide's own values."""
    scanned: np.ndarray
    """(y, x), whether anything was scanned there."""
    white: float
    """The largest value that a pixel can have, unless its user says another; for floating point, the largest there is."""
    least: float
    """What is less of a difference is noise: of rounding and of a JPEG, where pixels have 8 bits."""
    pixel: tuple[float, float]
    """Pixels of level 0 a pixel of the picture, along y and x."""


def take_picture(slide: Slide, white: float | None = None) -> Picture:
    """Shrink a slide of one plane by a whole number, to pixels of `PIXEL` a side and at most `LONGEST` of them.

    Reads the coarsest level that is large enough, piece by piece; which piece comes first is of no matter.
    ``white`` is the value of white; None for the largest that a pixel can have.
    """
    height, width = slide.levels[0].shape
    longest = LONGEST / np.sqrt(max(1.0, channels_of(slide) / 3))
    wanted = max(PIXEL, max(height, width) / longest)
    number = max(number for number, level in enumerate(slide.levels) if level.downsample <= wanted or number == 0)
    level = slide.levels[number]
    shrink = max(1, math.ceil(wanted / level.downsample))
    # a level may be padded beyond the slide, which ends after so many of its pixels
    ends = (math.ceil(side / scale) for side, scale in zip((height, width), level.scale, strict=True))
    rows, columns = (min(side, end) for side, end in zip(level.shape, ends, strict=True))
    scanned = np.empty((-(-rows // shrink), -(-columns // shrink)), bool)
    pixels = by_channel((*scanned.shape, channels_of(slide)))
    for box in Box.of_shape(scanned.shape).split(*_piece(slide, columns, shrink)):
        source = Box(box.y0 * shrink, box.x0 * shrink, min(box.y1 * shrink, rows), min(box.x1 * shrink, columns))
        there = slide.scanned(source, number)
        if there is not None and not there.any():  # most of some slides, and known without reading them
            pixels[box.slices], scanned[box.slices] = slide.background, False
            continue
        read, there = _read(slide, source, number, there)
        pixels[box.slices] = block_mean(read, shrink)
        scanned[box.slices] = True if there is None else block_mean(there[..., None].astype(np.float32), shrink)[..., 0] > 0
    if white is None:
        white = float(np.iinfo(slide.dtype).max) if slide.dtype.kind == "u" else float(pixels.max())
    least = LEAST if slide.dtype == np.uint8 else 0.0
    return Picture(pixels, scanned, white, least, (shrink * level.scale[0], shrink * level.scale[1]))


def by_channel(shape: tuple[int, int, int]) -> np.ndarray:
    """Return room for pixels (y, x, c), float32, each channel in one piece of memory: what is asked is asked of channels."""
    return np.moveaxis(np.empty((shape[2], *shape[:2]), np.float32), 0, 2)


def _piece(slide: Slide, columns: int, shrink: int) -> tuple[int, int]:
    """Return rows and columns of the picture that are read at once: whole rows where parts of them cost as much."""
    if slide.direct:
        return max(1, _PIECE // shrink), max(1, _PIECE // shrink)
    return max(1, _PIECE * _PIECE // (columns * shrink)), -(-columns // shrink)


def _read(slide: Slide, box: Box, level: int, there: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Return pixels (y, x, c), and which (y, x) are ``there`` and numbers, the others 0; as float, to round no mean."""
    read = slide.read(box, level)
    if read.dtype.kind == "f":
        numbers = np.asarray(are_numbers(read).all(axis=2))
        there = numbers if there is None else there & numbers
        read = np.where(there[..., None], read, 0)
    return read.astype(np.float32), there


def smooth(pixels: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Return the picture (y, x, c) under a Gaussian of one pixel, of the pixels in ``where`` alone; others get 0.

    So nothing darkens beside a black border.
    """
    weight = ndimage.gaussian_filter(where.astype(np.float32), 1)
    weight[~where] = np.inf
    out = np.empty_like(pixels)
    for channel in range(pixels.shape[2]):
        out[..., channel] = ndimage.gaussian_filter(np.where(where, pixels[..., channel], 0), 1) / weight
    return out
