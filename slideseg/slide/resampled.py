"""See a slide at another resolution: pick a level, and resample what is left, the same to the bit for every box."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from slideseg.errors import ConfigError, SlideError, explain
from slideseg.slide.facts import make_levels
from slideseg.slide.fingerprint import check_opened
from slideseg.slide.guard.slide import open_in_run
from slideseg.slide.reader import Reader
from slideseg.slide.selection import WHOLE, Selection, facts_of
from slideseg.space.box import Box
from slideseg.words import number

if TYPE_CHECKING:
    from scipy import sparse

    from slideseg.slide.base import Slide

TOLERANCE = 0.05
"""A level whose microns per pixel are this close (as a share) to those wanted is used as it is."""
AS_IT_IS = (1.0, 1.0)
"""The factors of a level that is not resampled."""
_BLOCK = 2048
"""Side of the source block that is held at once, in source pixels, about."""


def choose_level(slide: Slide, mpp: float, assumed: float | None = None) -> tuple[int, tuple[float, float]]:
    """Return the level to read for ``mpp`` microns per pixel, and by how much to shrink it along y and x (below 1: to enlarge).

    It is the coarsest level that is not coarser than wanted, up to 5 %, along either axis. The factors are exactly 1.0 where
    both axes are within 5 %; else pixels become square. ``assumed`` is level 0's microns per pixel where the slide does not
    say its own.

    Raises:
        ConfigError: if the slide does not say its microns per pixel.
    """
    own = slide.mpp_yx or (None if assumed is None else (assumed, assumed))
    if own is None:
        what = f"{slide.path} does not say its microns per pixel"
        want = f"to work at {number(mpp)} \u00b5m a pixel"
        try_ = "--mpp-of-slide (in a recipe: mpp of the source), or --level 0"
        raise ConfigError(explain(what, got=slide.pixel.source, want=want, try_=try_))
    if not 0 < mpp < math.inf:
        raise ConfigError(explain("no such resolution", got=mpp, want="microns per pixel above 0"))
    sizes = [(own[0] * level.scale[0], own[1] * level.scale[1]) for level in slide.levels]
    fine_enough = [index for index, size in enumerate(sizes) if max(size) <= mpp * (1 + TOLERANCE)]
    level = max(fine_enough, key=lambda index: sum(sizes[index]), default=0)
    factors = mpp / sizes[level][0], mpp / sizes[level][1]
    return level, AS_IT_IS if all(abs(factor - 1) <= TOLERANCE for factor in factors) else factors


class ResampledSlide(Reader):
    """One level of a slide, its sides divided by ``factors`` (y, x); a slide of a single level.

    Each output pixel is a weighted mean (a triangle as wide as two output pixels, or two source pixels where it enlarges)
    whose weights follow from the pixel's own index alone, in float64; integers are rounded half to even. So a pixel is
    the same to the bit in whichever box it is read. Behind the slide's edge there is nothing: weights are cut off there.
    """

    def __init__(self, slide: Slide, level: int, factors: tuple[float, float]) -> None:
        """Resample ``level`` of ``slide``; factors above 1 shrink. The new slide closes the old one.

        Raises:
            SlideError: if there is no such level.
        """
        if not 0 <= level < len(slide.levels):
            raise SlideError(explain(f"{slide.path} has no such level", got=level, want=f"0 to {len(slide.levels) - 1}"))
        self._slide, self._level, self._factors = slide, level, factors
        self._source = slide.levels[level].shape
        shape = resampled_shape(self._source, factors)
        scale = slide.levels[level].scale
        pixel = slide.pixel.times((scale[0] * factors[0], scale[1] * factors[1]))
        facts = replace(
            facts_of(slide),
            shape=(*slide.shape[:-3], *shape, slide.shape[-1]),
            levels=make_levels([shape]),
            pixel=replace(slide.pixel, yx=pixel),
            bounds=None,
        )
        super().__init__(facts, (slide.dtype.name,))

    def close(self) -> None:
        """Close the slide underneath."""
        self._slide.close()

    def _read(self, box: Box, level: int, plane: int) -> np.ndarray:  # noqa: ARG002  # there is only level 0
        out = np.empty((*box.shape, self.shape[-1]), self.dtype)
        height, width = (max(1, int(_BLOCK / factor)) for factor in self._factors)
        for part in box.split(height, width):
            out[part.relative_to(box).slices] = self._block(part, plane)
        return out

    def _damaged(self, box: Box, level: int, plane: int) -> tuple[Box, ...]:  # noqa: ARG002  # there is only level 0
        ys, xs = self._under(box)
        return self._slide.damaged(Box(ys[0], xs[0], ys[-1] + 1, xs[-1] + 1), self._level, plane)

    def _under(self, box: Box) -> tuple[np.ndarray, np.ndarray]:
        """Return the source's rows and columns at the centres of a box's pixels."""
        return (
            _centres(box.y0, box.y1, self._source[0], self._factors[0]),
            _centres(box.x0, box.x1, self._source[1], self._factors[1]),
        )

    def _scanned(self, box: Box, level: int, plane: int) -> np.ndarray | None:  # noqa: ARG002  # there is only level 0
        ys, xs = self._under(box)
        there = self._slide.scanned(Box(ys[0], xs[0], ys[-1] + 1, xs[-1] + 1), self._level, plane)
        return None if there is None else there[np.ix_(ys - ys[0], xs - xs[0])]

    def _block(self, box: Box, plane: int) -> np.ndarray:
        if self._factors == AS_IT_IS:
            return self._slide.read(box, self._level, plane)
        y0, y1, rows = weights(box.y0, box.y1, self._source[0], self._factors[0])
        x0, x1, columns = weights(box.x0, box.x1, self._source[1], self._factors[1])
        source = self._slide.read(Box(y0, x0, y1, x1), self._level, plane)
        height, width, channels = source.shape
        tall = rows @ source.reshape(height, width * channels).astype(np.float64)
        wide = columns @ tall.reshape(-1, width, channels).transpose(1, 0, 2).reshape(width, -1)
        return _to_type(wide.reshape(-1, box.shape[0], channels).transpose(1, 0, 2), self.dtype)


@dataclass(frozen=True, slots=True)
class Source:
    """A slide at the working resolution, as a value that travels to workers."""

    path: str
    """What `open_slide` takes."""
    level: int = 0
    """Pyramid level that is read."""
    factors: tuple[float, float] = AS_IT_IS
    """Pixels of that level a working pixel, along y and x."""
    selection: Selection = WHOLE
    """Which part of the file is the slide."""
    fingerprint: str | None = None
    """What a file must still be whenever it is opened; None where nobody has to know."""

    def open(self) -> Slide:
        """Open the slide as one whose level 0 is the working resolution.

        Raises:
            SlideError: if it can't be opened, is another slide by now, or has no such level.
        """
        slide = open_in_run(self.path, self.selection)
        if self.fingerprint is not None:
            try:
                check_opened(self.path, self.fingerprint)  # now that it is open: nothing can come between
            except SlideError:
                slide.close()
                raise
        as_it_is = self.level == 0 and self.factors == AS_IT_IS
        return slide if as_it_is else ResampledSlide(slide, self.level, self.factors)


def resampled_shape(shape: tuple[int, int], factors: tuple[float, float]) -> tuple[int, int]:
    """Return the rows and columns of an image of ``shape`` whose sides are divided by ``factors``."""
    return max(1, round(shape[0] / factors[0])), max(1, round(shape[1] / factors[1]))


def block_mean(image: np.ndarray, factor: int) -> np.ndarray:
    """Return the mean of every ``factor`` x ``factor`` pixels of (y, x, c), rounded half up for whole numbers.

    Blocks at the lower and right edge may be smaller: theirs is the mean of the pixels they have.
    """
    if factor == 1:
        return image
    wide = {"f": np.float64, "u": np.uint64, "i": np.int64}[image.dtype.kind]
    sums = _sums_of_rows(_sums_of_rows(image, factor, wide).swapaxes(0, 1), factor, wide).swapaxes(0, 1)
    heights, widths = (np.minimum(factor, side - np.arange(0, side, factor)) for side in image.shape[:2])
    counts = np.outer(heights, widths)[:, :, None].astype(wide)
    means: np.ndarray = sums / counts if wide is np.float64 else np.floor_divide(sums + np.floor_divide(counts, 2), counts)
    return means.astype(image.dtype)


def _sums_of_rows(image: np.ndarray, many: int, dtype: type) -> np.ndarray:
    """Return the sum of every ``many`` rows, the first to the last; of the last of (y, x, c) there may be less.

    ``np.add.reduceat`` takes five times as long.
    """
    sums: np.ndarray = np.zeros_like(image, dtype, shape=(-(-len(image) // many), *image.shape[1:]))
    for first in range(many):
        rows = image[first::many]
        sums[: len(rows)] += rows
    return sums


def weights(start: int, stop: int, size: int, factor: float) -> tuple[int, int, sparse.csr_array]:
    """Return the source pixels first .. last - 1 that output pixels ``start .. stop - 1`` need, and their weights.

    Output pixel i lies at (i + 0.5) * factor - 0.5 of the source. The matrix is (stop - start, last - first), float64; its
    rows sum to 1; a row depends on its own i, ``size`` and ``factor`` alone.
    """
    from scipy import sparse  # noqa: PLC0415 - a slide that is read as it is does not wait for it

    centres = (np.arange(start, stop, dtype=np.float64) + 0.5) * factor - 0.5
    radius = max(1.0, factor)
    lows = np.ceil(centres - radius).astype(np.int64)
    taps = lows[:, None] + np.arange(int(2 * radius) + 2)
    values = np.maximum(0.0, 1.0 - np.abs(taps - centres[:, None]) / radius)
    inside = (taps >= 0) & (taps < size) & (values > 0)
    values[~inside] = 0.0
    values /= _ordered_sum(values)[:, None]
    first, last = int(taps[inside].min()), int(taps[inside].max()) + 1
    row = np.broadcast_to(np.arange(stop - start)[:, None], taps.shape)[inside]
    matrix = sparse.csr_array((values[inside], (row, taps[inside] - first)), shape=(stop - start, last - first))
    return first, last, matrix


def _centres(start: int, stop: int, size: int, factor: float) -> np.ndarray:
    """Return the source pixels in which the middles of output pixels ``start .. stop - 1`` lie."""
    return np.minimum(((np.arange(start, stop) + 0.5) * factor).astype(np.int64), size - 1)


def _ordered_sum(values: np.ndarray) -> np.ndarray:
    """Return the sum of each row, added left to right: numpy's own order may depend on the number of rows."""
    total = np.zeros(len(values))
    for column in values.T:
        total += column
    return total


def _to_type(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if dtype.kind == "f":
        return values.astype(dtype)
    rounded: np.ndarray = np.clip(np.rint(values), np.iinfo(dtype).min, np.iinfo(dtype).max)
    return rounded.astype(dtype)
