"""The image that a result carries for viewing: the slide, made smaller by a whole factor, in 8 bits."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np

from slideseg.arrays.plan import ArrayPlan, image_axes
from slideseg.arrays.pyramid import write_pyramid
from slideseg.arrays.shards import create_array, missing_shards, write_shard
from slideseg.result.record import ImageRecord
from slideseg.slide.base import channels_of, planes_of
from slideseg.slide.resampled import block_mean
from slideseg.slide.values.window import display_window, to_uint8
from slideseg.space.box import Box
from slideseg.space.grid import shard_side
from slideseg.storage.store import open_made, open_store
from slideseg.tasks.in_process import IN_PROCESS
from slideseg.tasks.run_shards import run_shards

if TYPE_CHECKING:
    from slideseg.result.layout import ResultLayout
    from slideseg.slide.base import Slide
    from slideseg.slide.values.window import Window
    from slideseg.tasks.base import Executor

LONG_SIDE = 8192
"""Longest side of an overview in pixels."""
READ_SIDE = 2048
"""Longest side of a box that is read at once."""


class Opens(Protocol):
    """Something that opens a slide, such as a `Source`."""

    def open(self) -> Slide:
        """Open it."""
        ...


@dataclass(frozen=True, slots=True)
class Overview:
    """How the image is made from the slide."""

    level: int
    """Level of the slide that is read."""
    factor: int
    """Pixels of it a pixel of the image, along a side."""
    plan: ArrayPlan
    """Level 0 of the image."""
    pixel_yx: tuple[float, float]
    """Sides of a pixel of the image, in pixels of the working resolution."""


def write_overview(
    url: str,
    source: Opens,
    layout: ResultLayout,
    executor: Executor = IN_PROCESS,
    *,
    full: bool = False,
    long_side: int = LONG_SIDE,
) -> int:
    """Write the image pyramid of a result, uint8; return how many shards were computed. Shards that are there are kept.

    An overview has at most ``long_side`` pixels a side; ``full`` keeps every pixel of the working resolution. Other types
    than uint8 are shown through one window for the whole slide. Every worker opens the slide, ``source``, itself. Memory: for
    each running task a shard and a box of `READ_SIDE` pixels a side of the slide.

    Raises:
        SlideError: if the slide can't be read.
        RunError: if the storage fails.
    """
    with closing(source.open()) as slide:
        overview = plan_overview(slide, layout, full=full, long_side=long_side)
        window = None if slide.dtype == np.uint8 else display_window(slide)
        rgb = slide.is_rgb and channels_of(slide) == len("rgb")
    store = open_store(url)
    create_array(store, overview.plan, {"slideseg": ImageRecord(overview.pixel_yx, rgb, window).to_json()})
    missing = missing_shards(store, overview.plan)
    run_shards(partial(OverviewWorker, url, source, overview, window), missing, executor, light=True)
    return len(missing) + write_pyramid(url, overview.plan, "mean", layout.levels, executor)


def plan_overview(slide: Slide, layout: ResultLayout, *, full: bool = False, long_side: int = LONG_SIDE) -> Overview:
    """Choose what is read: the coarsest level that is fine enough, reduced by the smallest factor that fits."""
    working = layout.grid.shape_yx
    wanted = max(working) if full else min(long_side, max(slide.levels[0].shape))
    level = max(n for n, coarser in enumerate(slide.levels) if n == 0 or max(coarser.shape) >= wanted)
    height, width = slide.levels[level].shape
    factor = max(1, max(height, width) // wanted) if full else -(-max(height, width) // long_side)
    shape = (-(-height // factor), -(-width // factor))
    axes = image_axes(layout.plane_axis)
    sizes = {"c": channels_of(slide), "y": shape[0], "x": shape[1]}
    plan = ArrayPlan("0", axes, tuple(sizes.get(axis, planes_of(slide)) for axis in axes), shard_side(shape))
    scale, full_yx = slide.levels[level].scale, slide.levels[0].shape
    sides = tuple(factor * side * of_work / of_slide for side, of_work, of_slide in zip(scale, working, full_yx, strict=True))
    return Overview(level, factor, plan, (sides[0], sides[1]))


class OverviewWorker:
    """Makes shards of the image, by number, from the slide."""

    def __init__(self, url: str, source: Opens, overview: Overview, window: Window | None) -> None:
        self._store, self._slide = open_made(url), source.open()
        self._overview, self._window = overview, window

    def __call__(self, index: int) -> None:
        """Do one shard.

        Raises:
            SlideError: if the slide can't be read there.
            RunError: if the storage fails.
        """
        overview = self._overview
        shard = overview.plan.grid[index]
        values = np.empty(overview.plan.values_shape(shard), np.uint8)
        side = max(1, READ_SIDE // overview.factor)
        for piece in shard.write_box.split(side, side):
            source = self._slide.read(_source_box(self._slide, overview, piece), overview.level, shard.plane)
            pixels = block_mean(source, overview.factor)
            shown = pixels if self._window is None else to_uint8(pixels, self._window)
            values[(slice(None), *piece.relative_to(shard.write_box).slices)] = np.moveaxis(shown, -1, 0)
        write_shard(self._store, overview.plan, index, values)

    def close(self) -> None:
        """Release the slide."""
        self._slide.close()


def _source_box(slide: Slide, overview: Overview, piece: Box) -> Box:
    k = overview.factor
    scaled = Box(piece.y0 * k, piece.x0 * k, piece.y1 * k, piece.x1 * k)
    return scaled.intersect(Box.of_shape(slide.levels[overview.level].shape))
