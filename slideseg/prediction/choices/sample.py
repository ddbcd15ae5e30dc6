"""A few tiles of a slide, spread over its tissue: what a network is fitted to, and tried on, before a run."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np

from slideseg.errors import SlideError, UnreachableError
from slideseg.slide.mirrored import read_mirrored
from slideseg.slide.tissue.blocks import BLOCK
from slideseg.space.box import Box

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from slideseg.slide.resampled import Source
    from slideseg.slide.tissue.blocks import TissueMap
    from slideseg.space.grid import ShardGrid


def places(grid: ShardGrid, tissue: TissueMap | None, stride: int, *, side: int, count: int) -> list[tuple[int, Box]]:
    """Return planes and boxes on the grid of the stride, at most ``count`` of about ``side`` pixels, spread over all tissue."""
    rows, columns = (-(-length // BLOCK) for length in grid.shape_yx)
    blocks = np.ones((rows, columns), bool) if tissue is None or not tissue.blocks.any() else tissue.blocks
    there = np.argwhere(np.broadcast_to(blocks, (grid.planes, *blocks.shape)))
    chosen = np.unique(np.linspace(0, len(there) - 1, count).round().astype(int))
    inner = (BLOCK - side) // 2 // stride * stride
    corners = ((int(plane), int(row) * BLOCK + inner, int(column) * BLOCK + inner) for plane, row, column in there[chosen])
    side = -(-side // stride) * stride
    return [(plane, Box(y, x, y + side, x + side)) for plane, y, x in corners]


def read(
    source: Source, wanted: Iterable[tuple[int, Box]], seen: Callable[[Box], Box] = lambda box: box
) -> list[tuple[Box, np.ndarray]]:
    """Return boxes with the pixels (y, x, c) of what is ``seen`` for them, of those that can be read; the run tells of damage.

    Raises:
        SlideError: if none can be.
    """
    tiles: list[tuple[Box, np.ndarray]] = []
    failure: SlideError | None = None
    with closing(source.open()) as slide:
        for plane, box in wanted:
            try:
                tiles.append((box, read_mirrored(slide, seen(box), plane=plane)))
            except UnreachableError:
                raise
            except SlideError as error:
                failure = failure or error
    if failure is not None and not tiles:
        raise failure
    return tiles
