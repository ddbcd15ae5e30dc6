"""Slides for tests and benchmarks: pyramids of any size, and slides that are slow or fail on purpose."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from slideseg.errors import SlideError
from slideseg.slide.array import ArraySlide
from slideseg.slide.facts import Facts, PixelSize, make_levels
from slideseg.slide.reader import Reader
from slideseg.slide.selection import facts_of
from slideseg.space.box import Box

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from slideseg.slide.base import Slide


def write_pyramid(
    path: str | os.PathLike[str],
    image: np.ndarray | Slide,
    tile: int = 256,
    compression: str | None = "jpeg",
    levels: int = 1,
    mpp: float | None = None,
) -> None:
    """Write an array (y, x[, c]) or a slide of one plane as a tiled pyramidal BigTIFF, each level half the one above.

    A slide is read tile by tile, so its size does not matter to memory. ``mpp`` goes into the resolution tags.
    """
    slide = ArraySlide(image) if isinstance(image, np.ndarray) else image
    rows, columns, channels = slide.shape[-3:]
    options: dict[str, Any] = {
        "tile": (tile, tile),
        "dtype": slide.dtype,
        "compression": compression,
        "photometric": "rgb" if channels == 3 else "minisblack",
        "planarconfig": "contig" if channels > 1 else None,
        "metadata": None,
    }
    levels = min(levels, max(rows, columns).bit_length())  # two levels of one pixel would be a stack
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        for level in range(levels):
            shape = (max(1, rows >> level), max(1, columns >> level))
            scale: dict[str, Any] = (
                {} if mpp is None else {"resolution": (1e4 / (mpp * 2**level),) * 2, "resolutionunit": "CENTIMETER"}
            )
            full = (*shape, channels) if channels > 1 else shape
            writer.write(_tiles(slide, shape, level, tile), shape=full, subfiletype=min(level, 1), **options, **scale)


def _tiles(slide: Slide, shape: tuple[int, int], level: int, tile: int) -> Iterator[np.ndarray]:
    """Yield the tiles (tile, tile[, c]) of one level, row by row, those at the edge filled up."""
    for box in Box.of_shape(shape).split(tile, tile):
        pixels = _reduced(slide, box, level)
        margin = ((0, tile - pixels.shape[0]), (0, tile - pixels.shape[1]), (0, 0))
        padded = np.pad(pixels, margin, mode="edge")
        yield padded if padded.shape[2] > 1 else padded[..., 0]


def _reduced(slide: Slide, box: Box, level: int) -> np.ndarray:
    """Return the pixels (y, x, c) of ``box`` of a level, each the mean of a square of 2**level pixels of level 0."""
    step = 1 << level
    source = Box(box.y0 * step, box.x0 * step, box.y1 * step, box.x1 * step).intersect(Box.of_shape(slide.levels[0].shape))
    pixels = slide.read(source)
    if level == 0 or min(pixels.shape[:2]) < step:
        return pixels[: box.shape[0], : box.shape[1]]
    blocks: np.ndarray = pixels.reshape(box.shape[0], step, box.shape[1], step, -1).mean(axis=(1, 3))
    rounded: np.ndarray = blocks if pixels.dtype.kind == "f" else np.rint(blocks)
    return rounded.astype(pixels.dtype)


class PatternSlide(Reader):
    """An RGB slide of any size whose pixels follow from their place: dark round nuclei on pink tissue, white in between.

    It takes no memory and no disk, so it stands for slides that are too large to make.
    """

    def __init__(self, shape_yx: tuple[int, int], mpp: float | None = 0.5, tissue: float = 1.0) -> None:
        """Make a slide of ``shape_yx``; ``tissue`` is the share of 4096 px squares that hold tissue."""
        self._tissue = tissue
        super().__init__(
            Facts(
                path="<pattern>",
                axes="yxc",
                shape=(*shape_yx, 3),
                dtype=np.dtype(np.uint8),
                levels=make_levels([shape_yx]),
                pixel=PixelSize() if mpp is None else PixelSize((mpp, mpp), "made so"),
                is_rgb=True,
                direct=True,
            )
        )

    def _read(self, box: Box, level: int, plane: int) -> np.ndarray:  # noqa: ARG002  # one level, one plane
        y, x = np.ogrid[box.y0 : box.y1, box.x0 : box.x1]
        cell_y, cell_x = y // 32, x // 32
        noise = _hash(cell_y, cell_x)
        centre_y, centre_x = 10 + noise % 12, 10 + noise // 16 % 12
        inside = (y % 32 - centre_y) ** 2 + (x % 32 - centre_x) ** 2 < (5 + noise // 256 % 5) ** 2
        grain = (_hash(y, x) % 24).astype(np.int16)
        tissue = _hash(y // 4096 + 7, x // 4096 + 3) % 1000 < 1000 * self._tissue
        tissue_rgb: np.ndarray = np.where(inside[..., None], (90, 60, 140), (225, 170, 205)).astype(np.int16) - grain[..., None]
        rgb: np.ndarray = np.where(tissue[..., None], tissue_rgb, 243)
        return rgb.astype(np.uint8)


def _hash(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return a number 0 .. 65535 that looks random for each place, the same on every machine."""
    mixed = (y.astype(np.uint64) * np.uint64(0x9E3779B1)) ^ (x.astype(np.uint64) * np.uint64(0x85EBCA77))
    mixed = (mixed ^ (mixed >> np.uint64(15))) * np.uint64(0x2C1B3C6D)
    low: np.ndarray = (mixed ^ (mixed >> np.uint64(13))) & np.uint64(0xFFFF)
    return low.astype(np.int64)


class _Wrapper(Reader):
    """A slide that hands everything on to another one."""

    def __init__(self, slide: Slide) -> None:
        self.inner = slide
        super().__init__(facts_of(slide))

    def close(self) -> None:
        """Close the slide underneath."""
        self.inner.close()

    def _read(self, box: Box, level: int, plane: int) -> np.ndarray:
        return self.inner.read(box, level, plane)


class SlowSlide(_Wrapper):
    """A slide whose every read takes at least ``seconds``; ``reads`` counts them."""

    def __init__(self, slide: Slide, seconds: float) -> None:
        """Slow ``slide`` down."""
        super().__init__(slide)
        self.seconds = seconds
        self.reads = 0

    def _read(self, box: Box, level: int, plane: int) -> np.ndarray:
        self.reads += 1
        time.sleep(self.seconds)
        return super()._read(box, level, plane)


class FailingSlide(_Wrapper):
    """A slide with a spot that can't be read, the first ``times`` times that a read touches it."""

    def __init__(self, slide: Slide, bad: Box, times: float = math.inf) -> None:
        """Spoil the box ``bad`` of every level of ``slide``."""
        super().__init__(slide)
        self.bad = bad
        self.times = times

    def _read(self, box: Box, level: int, plane: int) -> np.ndarray:
        if self.times > 0 and self.bad.intersect(box).area:
            self.times -= 1
            msg = f"{self.path}: damaged on purpose in {self.bad}"
            raise SlideError(msg)
        return super()._read(box, level, plane)


@dataclass(frozen=True, slots=True)
class Opened:
    """A slide that is open already, where one that can be opened is wanted."""

    slide: Slide
    """What is opened every time."""

    def open(self) -> Slide:
        """Return it."""
        return self.slide
