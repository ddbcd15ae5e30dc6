"""What int8 is fitted to: a few tiles of the slide itself, and on others how much it differs from fp32."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from slideseg.errors import ConfigError, SlideError, UnreachableError, explain
from slideseg.model.bundled import find_model
from slideseg.model.file import LoadedModel, read_network
from slideseg.model.network.ranges import find_ranges
from slideseg.prediction.segmenter import Segmenter
from slideseg.slide.mirrored import read_mirrored
from slideseg.slide.tissue.blocks import BLOCK
from slideseg.space.box import Box
from slideseg.words import number

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from slideseg.model.network.ranges import Ranges
    from slideseg.prediction.job import ModelFile, Tiling
    from slideseg.slide.resampled import Source
    from slideseg.slide.tissue.blocks import TissueMap
    from slideseg.space.grid import ShardGrid

CANDIDATES, TILES, SIDE = 36, 12, 128
"""Tiles that are read, spread over the slide, those of them that vary most, and the side of their cores. Every third of the
latter is compared, not fitted to."""
DOUBTFUL = 0.01
"""Share of other classes above which it is said that int8 may not be for this model."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """What int8 needs to know, and how good it is."""

    ranges: Ranges
    """How large the network's features become."""
    notes: tuple[str, ...]
    """How much it differs from fp32, in words."""


def fit_int8(source: Source, grid: ShardGrid, tissue: TissueMap | None, model: ModelFile, tiling: Tiling) -> Fitted:
    """Return the ranges of a network's features on a slide; they depend on the slide, its tissue and the model alone.

    Raises:
        ConfigError: if the network can't be tiled exactly.
        SlideError: if the slide's pixels can't be read.
    """
    net, info = read_network(find_model(model.name))
    if not info.config.exact:
        what = f"model {info.name} can't be tiled exactly, and int8 is for networks that can"
        raise ConfigError(explain(what, got="--precision int8", try_="--precision auto"))
    exact = LoadedModel(net, info, model.sha256)
    fp32 = Segmenter(exact, replace(tiling, precision="fp32", probabilities=False))
    tiles = _most_varied(_read(source, _places(grid, tissue, info.config.stride), fp32))
    fitted, compared = [tile for at, tile in enumerate(tiles) if at % 3 != 1], tiles[1::3] or tiles
    ranges = find_ranges(net, (exact.preprocess(pixels, tiling.range) for _, pixels in fitted))
    int8 = Segmenter(LoadedModel(net, info, model.sha256, ranges), replace(tiling, precision="int8", probabilities=False))
    others, pixels = _others([fp32, int8], compared)
    said = f"int8 gives {number(100 * others / pixels)} % of {pixels:,} pixels that were tried another class than fp32 does"
    doubt = "int8 changes many classes on this slide: try --precision auto"
    return Fitted(ranges, (said, doubt) if others > DOUBTFUL * pixels else (said,))


def _places(grid: ShardGrid, tissue: TissueMap | None, stride: int) -> list[tuple[int, Box]]:
    """Return planes and boxes on the pooling grid, spread over all blocks with tissue."""
    rows, columns = (-(-side // BLOCK) for side in grid.shape_yx)
    blocks = np.ones((rows, columns), bool) if tissue is None or not tissue.blocks.any() else tissue.blocks
    there = np.argwhere(np.broadcast_to(blocks, (grid.planes, *blocks.shape)))
    chosen = np.unique(np.linspace(0, len(there) - 1, CANDIDATES).round().astype(int))
    inner = (BLOCK - SIDE) // 2 // stride * stride
    corners = ((int(plane), int(row) * BLOCK + inner, int(column) * BLOCK + inner) for plane, row, column in there[chosen])
    side = -(-SIDE // stride) * stride
    return [(plane, Box(y, x, y + side, x + side)) for plane, y, x in corners]


def _read(source: Source, places: Iterable[tuple[int, Box]], segmenter: Segmenter) -> list[tuple[Box, np.ndarray]]:
    """Return boxes with the pixels that decide their classes, of the places that can be read: damage is told by the run.

    Raises:
        SlideError: if none can be.
    """
    tiles: list[tuple[Box, np.ndarray]] = []
    failure: SlideError | None = None
    with closing(source.open()) as slide:
        for plane, box in places:
            try:
                tiles.append((box, read_mirrored(slide, segmenter.read_box(box), plane=plane)))
            except UnreachableError:
                raise
            except SlideError as error:
                failure = failure or error
    if failure is not None and not tiles:
        raise failure
    return tiles


def _most_varied(tiles: Sequence[tuple[Box, np.ndarray]]) -> list[tuple[Box, np.ndarray]]:
    """Return those of `TILES` tiles in which most is going on: what is even, such as glass or fat, has small features."""
    varied = np.argsort([-pixels.std() for _, pixels in tiles], kind="stable")[:TILES]
    return [tiles[at] for at in sorted(varied)]


def _others(segmenters: Sequence[Segmenter], tiles: Sequence[tuple[Box, np.ndarray]]) -> tuple[int, int]:
    """Return how many pixels two segmenters give another class, and of how many."""
    maps = [np.stack([segmenter(pixels, box).class_map for box, pixels in tiles]) for segmenter in segmenters]
    return int(np.count_nonzero(maps[0] != maps[1])), maps[0].size
